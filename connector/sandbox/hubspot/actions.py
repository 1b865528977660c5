"""Actions of people and other tools in the sandbox's HubSpot while a connector runs beside it: for tests and `sandbox --fault` only.

An action may come from any thread; it takes turns with the server's requests, and costs none of the account's limits. It is done by hand:
unlike the API it may move a stage back, and its values are taken as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from connector.sandbox.hubspot.answers import Refusal, stamp
from connector.sandbox.hubspot.associations import Associations
from connector.sandbox.hubspot.limits import Limits
from connector.sandbox.hubspot.options import HubSpotOptions
from connector.sandbox.hubspot.records import Author, Records
from connector.sandbox.hubspot.removals import Removals
from connector.sandbox.hubspot.schema_changes import SchemaChanges
from connector.sandbox.hubspot.tokens import Tokens
from connector.sandbox.hubspot.validation import as_text, kept
from connector.sandbox.state import HubSpotRow

Values = dict[str, str | None]


class HubSpotActions:
    """Actions on records, associations and activities. Raises KeyError for a record that is not there.

    Objects are named as in the API's paths ("contacts"), records by their ids. schema: what an administrator changes. limits, tokens: the
    server's own.
    """

    def __init__(self, records: Records, associations: Associations, removals: Removals, limits: Limits, tokens: Tokens) -> None:
        self._records = records
        self._associations = associations
        self._removals = removals
        self._user = next((owner["userId"] for owner in records.world.hubspot_owners if not owner["archived"]), None)
        self.schema = SchemaChanges(records)
        self.limits = limits
        self.tokens = tokens

    @property
    def options(self) -> HubSpotOptions:
        """How the server behaves now."""
        return self._records.options

    def change_options(self, **changes: Any) -> None:
        """These options are others from the next request on. Raises TypeError for a name that is none."""
        with self._records.lock:
            self._records.options = replace(self._records.options, **changes)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Several actions as one: no request is answered while the block lasts."""
        with self._records.lock:
            yield

    # ── Records ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def create(self, object_name: str, **properties: Any) -> str:
        """A new record; returns its id."""
        with self._records.lock:
            return str(self._records.create(object_name, self._values(object_name, properties, None))["id"])

    def edit(self, object_name: str, record_id: str, **properties: Any) -> None:
        """Sets properties, None empties; the modified date moves, even where nothing changes."""
        with self._records.lock:
            row = self._live(object_name, record_id)
            self._records.update(object_name, row, self._values(object_name, properties, row), Author(by_hand=True, user_id=self._user))

    def act_as(self, email: str) -> None:
        """Whose edits they are from now on; default: the first active owner's. Raises KeyError for an address that is no active owner's."""
        with self._records.lock:
            users = {owner["email"]: owner["userId"] for owner in self._records.world.hubspot_owners if not owner["archived"]}
            self._user = users[email]

    def recalculate(self, object_name: str, record_id: str, **properties: Any) -> None:
        """Sets properties as HubSpot does with calculated ones: the modified date stays."""
        with self._records.lock:
            row = self._live(object_name, record_id)
            self._records.set_quietly(object_name, row, self._values(object_name, properties, row))

    def delete(self, object_name: str, record_id: str) -> None:
        """Into the recycle bin."""
        with self._records.lock:
            self._removals.archive(object_name, self._live(object_name, record_id)["id"])

    def restore(self, object_name: str, record_id: str) -> None:
        """Out of the recycle bin, within 90 days."""
        with self._records.lock:
            self._removals.restore(object_name, record_id)

    def purge(self, object_name: str, record_id: str) -> None:
        """Gone for good, without a trace in the recycle bin; of a record that is live or in the bin."""
        with self._records.lock:
            self._associations.remove_all((object_name, record_id))
            self._records.take_out(object_name, record_id)

    def merge(self, object_name: str, keep: str, lose: str) -> str:
        """Makes one record of two, with the values of the first; returns the id of what came of it."""
        with self._records.lock:
            self._live(object_name, keep)
            self._live(object_name, lose)
            return str(self._removals.merge(object_name, keep, lose)["id"])

    def forget(self, contact_id: str) -> None:
        """Deletes a contact for privacy, live or in the bin."""
        with self._records.lock:
            try:
                self._removals.forget(contact_id)
            except Refusal:
                raise KeyError(f"there is no contact {contact_id}") from None

    def stamp_alike(self, object_name: str, ids: Iterable[str], moment: datetime) -> None:
        """Gives all these records one modified date (aware), as a bulk update or an import does."""
        whole = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
        with self._records.lock:
            for record_id in ids:
                self._records.touch(object_name, self._live(object_name, record_id), whole)

    # ── Associations ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def associate(self, from_object: str, from_id: str, to_object: str, to_id: str, type_id: int | None = None) -> None:
        """Links two records; without a type id by the unlabelled type."""
        with self._records.lock:
            self._live(from_object, from_id)
            self._live(to_object, to_id)
            self._associations.put((from_object, from_id), (to_object, to_id), [] if type_id is None else [type_id])

    def dissociate(self, from_object: str, from_id: str, to_object: str, to_id: str) -> None:
        """Takes every link between two records away."""
        with self._records.lock:
            self._associations.remove((from_object, from_id), (to_object, to_id))

    def refuse_rows(self, object_name: str, ids: Iterable[str], *, times: int = 1) -> None:
        """The next so many writes to each of these records, or of what is linked to them, meet a rule of the account; in a batch a 207."""
        with self._records.lock:
            self._records.refusals.update({(object_name, record_id): times for record_id in ids})

    # ── Activities ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def log_call(self, contacts: Sequence[str], *, at: datetime, owner: str | None = None, **properties: Any) -> str:
        """A call with these contacts, outbound where `hs_call_direction` does not say otherwise. owner: an owner's id. Returns its id."""
        own = {"hs_call_title": "Call", "hs_call_direction": "OUTBOUND", "hs_call_status": "COMPLETED", "hs_call_duration": "60000"}
        return self._log("calls", contacts, at, owner, {**own, **properties})

    def log_email(self, contacts: Sequence[str], *, at: datetime, owner: str | None = None, **properties: Any) -> str:
        """An e-mail, one of ours and sent where the properties do not say otherwise."""
        own = {"hs_email_subject": "Hello", "hs_email_direction": "EMAIL", "hs_email_status": "SENT"}
        return self._log("emails", contacts, at, owner, {**own, **properties})

    def log_meeting(self, contacts: Sequence[str], *, at: datetime, owner: str | None = None, **properties: Any) -> str:
        """A meeting that starts `at`."""
        own = {"hs_meeting_title": "Demo", "hs_meeting_start_time": stamp(at), "hs_meeting_outcome": "COMPLETED"}
        return self._log("meetings", contacts, at, owner, {**own, **properties})

    def log_task(self, contacts: Sequence[str], *, at: datetime, owner: str | None = None, **properties: Any) -> str:
        """A task that is due `at`, open."""
        own = {"hs_task_subject": "To do", "hs_task_status": "NOT_STARTED", "hs_task_type": "TODO", "hs_task_priority": "MEDIUM"}
        return self._log("tasks", contacts, at, owner, {**own, **properties})

    def _log(self, name: str, contacts: Sequence[str], at: datetime, owner: str | None, properties: Mapping[str, Any]) -> str:
        with self._records.lock:
            for contact_id in contacts:
                self._live("contacts", contact_id)
            record_id = self.create(name, **{"hs_timestamp": stamp(at), "hubspot_owner_id": owner, **properties})
            for contact_id in contacts:
                self._associations.put((name, record_id), ("contacts", contact_id))
            return record_id

    # ── What the server holds ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def live(self, object_name: str) -> dict[str, dict[str, Any]]:
        """Every live record as it is, whatever the index says: id → {"properties", "created", "modified", "links"}.

        properties: all that the token sees, None where there is no value. links: object → [(id, association type id)], those to live
        records, sorted.
        """
        with self._records.lock:
            known = list(self._records.known(object_name))
            ends = [end for start, end in self._records.world.hubspot_associations if start == object_name]
            return {
                record_id: {
                    "properties": {name: row["properties"].get(name) for name in known},
                    "created": row["createdAt"],
                    "modified": row["updatedAt"],
                    "links": {end: links for end in ends if (links := sorted(self._associations.of(object_name, record_id, end)))},
                }
                for record_id, row in self._records.world.hubspot[object_name].items()
                if not row["archived"]
            }

    def ids(self, object_name: str) -> list[str]:
        """The ids of every live record; quicker than `live` where there are very many."""
        with self._records.lock:
            return [record_id for record_id, row in self._records.world.hubspot[object_name].items() if not row["archived"]]

    def archived(self, object_name: str) -> list[str]:
        """The ids of what is in the recycle bin."""
        with self._records.lock:
            rows = self._records.world.hubspot[object_name]
            return [record_id for record_id, row in rows.items() if row["archived"] and self._records.in_bin(row)]

    def merged(self, object_name: str) -> dict[str, str]:
        """Every id that was merged away → the record that stands for it now."""
        with self._records.lock:
            merged = self._records.world.hubspot_merged.get(object_name, {})
            return {record_id: self._records.survivor(object_name, record_id) for record_id in merged}

    def _live(self, object_name: str, record_id: str) -> HubSpotRow:
        row = self._records.world.hubspot[object_name].get(record_id)
        if row is None or row["archived"]:
            raise KeyError(f"{object_name} {record_id} is not there")
        return row

    def _values(self, object_name: str, properties: Mapping[str, Any], row: HubSpotRow | None) -> Values:
        known = self._records.world.hubspot_properties[object_name]
        return {name: kept(known[name], as_text(value), row) for name, value in properties.items()}
