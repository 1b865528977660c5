"""What a user types: one module a command, named after it. `main.main` is the entry, `registry` has the commands by name."""
