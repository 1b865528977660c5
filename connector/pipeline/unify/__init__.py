"""The records of one person become one contact: fields as rules believe them, owner, stage, and what a change of stage means.

`unify` takes what changed in slices, each one transaction: `identity` says who is who, `contact_facts` reads a slice's records,
`contact_writer` and `stage_history` compute in Python, `contact_rows` stores in sets; `merge` joins what is concluded of two contacts.
"""

from connector.pipeline.unify.contact_facts import sides_of, stage_record
from connector.pipeline.unify.contact_values import UnifySettings
from connector.pipeline.unify.contact_writer import ContactWriter

__all__ = ["ContactWriter", "UnifySettings", "sides_of", "stage_record"]
