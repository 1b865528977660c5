"""What the commands do and show, one module a group; `connector.cli` puts them together and turns errors into words and exit codes."""
