"""The records of one person become one contact: fields as rules believe them, owner, stage, and what a change of stage means.

    unify()              first all links, then all contacts, in slices of one transaction each               unify
      who is who         which contact a record belongs to; contacts that turn out to be one                 linking, related_records, merge
        deciding         who is one person, which record stands for the contact; no I/O                      identity
      the contact        reads a slice's contacts and records, makes them anew, stores what differs          contact_writer
        reading          all that is known of a slice's contacts, in sets                                    contact_facts
        deciding         fields and owner; stages that both sides show; spells and attempts; no I/O          contact_maker, ownership,
                                                                                                             shown_stages, stage_history
        storing          in sets                                                                             contact_rows
"""

from connector.pipeline.unify.contact_facts import sides_of, stage_record
from connector.pipeline.unify.contact_values import UnifySettings
from connector.pipeline.unify.contact_writer import ContactWriter

__all__ = ["ContactWriter", "UnifySettings", "sides_of", "stage_record"]
