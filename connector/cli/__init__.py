"""What a user types: one module a command. `main` is the entry, where errors become words and exit codes."""

from connector.cli.main import app, main

__all__ = ["app", "main"]
