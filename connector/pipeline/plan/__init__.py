"""What was decided becomes actions: numbered by their cause, in bundles, counted against the guard rails, saved in the ledger.

build_plan()    one transaction: what is still to do, what is held, what is saved       plan
  parts         actions in bundles, with their keys; the terms of a plan                parts
  guard rails   what one rule may do, and what is held for approval; no I/O             guard
  the day       how many tasks an owner gets a day                                      daily_tasks
"""
