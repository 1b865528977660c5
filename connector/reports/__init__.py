"""What people are told, read only: one contact explained, the state of the installation, what a check found."""
