"""The connector's own database: tables, mirror, ledger, budget."""
