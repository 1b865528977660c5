"""The records of one person become one contact: fields as rules believe them, owner, stage, and what a change of stage means.

unify()              first all links, then all contacts, in slices of one transaction each               unify
  who is who         which contact a record belongs to; contacts that turn out to be one                 linking, merge
    in sets          records that lead to no other, and to which no other leads                          plain_records
    one by one       all that tells who the others are; who is one person (no I/O)                       related_records, identity
  the contact        makes a slice's contacts anew                                                       contact_writer
    in sets          those made for the first time of one record a CRM: reading; values (no I/O)         plain_facts, plain_contacts
    one by one       all others: reading                                                                 contact_facts
      deciding       fields and owner; stages that both sides show; spells and attempts; no I/O          contact_maker, ownership,
                                                                                                         shown_stages, stage_history
    storing          in sets                                                                             contact_rows
    past             who owned the contact from when to when                                             owner_history
"""

from connector.pipeline.unify.contact_maker import sides_of
from connector.pipeline.unify.contact_values import UnifySettings
from connector.pipeline.unify.contact_writer import ContactWriter
from connector.pipeline.unify.shown_stages import stage_record

__all__ = ["ContactWriter", "UnifySettings", "sides_of", "stage_record"]
