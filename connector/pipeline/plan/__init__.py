"""What was decided becomes actions: numbered by their cause, in bundles, counted against the guard rails, saved in the ledger."""
