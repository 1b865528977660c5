"""One contact out of its records: fields as rules believe them, owner, stage, and what a change of stage means.

The second half of `connector.pipeline.unify.unify`: `reading` reads a slice's records, `stages` and `writer` compute in Python, `storing` stores in sets.
Everything of a slice is one transaction.
"""

from connector.pipeline.unify.contact_facts import sides_of, stage_record
from connector.pipeline.unify.contact_values import Setting
from connector.pipeline.unify.contact_writer import ContactWriter

__all__ = ["ContactWriter", "Setting", "sides_of", "stage_record"]
