"""One pass, step by step: pull, unify, evaluate, plan, write back. `connector.engine` puts the steps together.

`pull` and `unify` fill the store, `evaluate` reads it and proposes, `plan` and `write_back` meet in the ledger. `installation` stands on
top: what the store, the file and the CRMs are to each other before a pass and after its pull. `context` is what every step is given.
"""
