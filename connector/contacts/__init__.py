"""One contact out of its records: fields as rules believe them, owner, stage, and what a change of stage means.

The second half of `connector.unify`: `reading` reads a slice's records, `stages` and `writer` compute in Python, `storing` stores in sets.
Everything of a slice is one transaction.
"""

from connector.contacts.reading import sides_of, stage_record
from connector.contacts.values import Setting
from connector.contacts.writer import ContactWriter

__all__ = ["ContactWriter", "Setting", "sides_of", "stage_record"]
