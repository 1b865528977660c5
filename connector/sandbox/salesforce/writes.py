"""What writing does to the sandbox's Salesforce: checks as the service makes them, then the change and what follows from it.

What follows: stamps move, a Lead's history grows, a Task wakes its Lead's SystemModstamp, and the assignment rule takes a Lead to the
queue unless `Sforce-Auto-Assign: FALSE` came with the request (it applies to updates too:
https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/headers_autoassign.htm).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connector.sandbox.salesforce import fields as known
from connector.sandbox.salesforce.errors import RowRefused, SeveralMatch
from connector.sandbox.salesforce.fields import Field
from connector.sandbox.salesforce.schema import Schema, long_id
from connector.sandbox.salesforce.values import convert
from connector.sandbox.state import Edit

Row = dict[str, Any]

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_HISTORY = {"Status": "Status", "OwnerId": "Owner"}
_STATUS_REQUIRED = ("Lead", "Status")
#: What a change of in an Opportunity leaves a row in its history
#: (https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_opportunityhistory.htm).
_DEAL_HISTORY = ("StageName", "Amount", "Probability", "CloseDate")
#: Stamps of the service's own: no edits.
STAMPS = frozenset({"LastModifiedDate", "LastModifiedById", "SystemModstamp"})


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one row. values: of a new row all, else those that differ from what was there."""

    object: str
    id: str
    new: bool
    values: Row


def _nothing(object_name: str, record_id: str) -> None:
    """Nobody stands in the way of a write."""


class Writer:
    """The writes of one request. All methods raise `RowRefused` and leave the record as it was then.

    now: cut to whole seconds, as all stamps are. assign: whether the assignment rule runs. user: who writes. claim: called with object and
    id before a record is changed or pointed at; raises `RowRefused` where somebody else holds it.
    """

    def __init__(
        self, schema: Schema, *, user: str, now: datetime, assign: bool = False, claim: Callable[[str, str], None] = _nothing
    ) -> None:
        self.schema = schema
        self.rows = schema.rows
        self.user = user
        self.stamp = now.replace(microsecond=0)
        self.assign = assign
        self.claim = claim
        self._before: list[tuple[str, str, Row | None]] = []
        self._keys: dict[tuple[str, str], dict[Any, list[str]]] = {}
        self._edits = 0

    def roll_back(self) -> None:
        """Undoes everything."""
        if self._edits:
            del self.schema.edits[-self._edits :]
            self._edits = 0
        for object_name, record_id, row in reversed(self._before):
            if row is None:
                del self.rows[object_name][record_id]
            else:
                held = self.rows[object_name][record_id]
                held.clear()
                held.update(row)
        self._before.clear()
        self._keys.clear()

    def take_back(self) -> list[Change]:
        """Undoes everything, and tells what it was, so that it can be done later."""
        first: dict[tuple[str, str], Row | None] = {}
        for object_name, record_id, row in self._before:
            first.setdefault((object_name, record_id), row)
        after = {key: dict(self.rows[key[0]][key[1]]) for key in first}
        self.roll_back()
        changes = []
        for (object_name, record_id), row in after.items():
            before = first[object_name, record_id]
            values = row if before is None else {name: value for name, value in row.items() if before.get(name) != value}
            changes.append(Change(object_name, record_id, before is None, values))
        return changes

    # ── The four writes ──

    def create(self, object_name: str, values: Mapping[str, Any]) -> str:
        """A new record; returns its id."""
        self._writable(object_name, "inserted")
        fields = self._checked(object_name, values, creating=True)
        row: Row = {field.name: self.schema.default(object_name, field) for field in self.schema.fields(object_name)}
        row |= {name: value for name, value in fields.items() if value is not None or row[name] is None}
        self._require(object_name, row)
        if "OwnerId" in row and row["OwnerId"] is None:
            row["OwnerId"] = self.user
        row |= {"CreatedDate": self.stamp, "CreatedById": self.user, "LastModifiedDate": self.stamp, "LastModifiedById": self.user}
        row |= {"SystemModstamp": self.stamp, "IsDeleted": False}
        if object_name == "Lead" and self.assign:
            row["OwnerId"] = self._queue() or row["OwnerId"]
        derive(self, object_name, row)
        record_id = self.insert(object_name, row)
        write_deal_history(self, object_name, {}, row)
        self._wake(object_name, row)
        return record_id

    def update(self, object_name: str, record_id: str, values: Mapping[str, Any]) -> str:
        """Sets fields; returns the id's long form."""
        self._writable(object_name, "updated")
        row = self.claimed(object_name, record_id)
        if object_name == "Lead" and row.get("IsConverted"):
            raise RowRefused("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
        fields = self._checked(object_name, values, creating=False, own_id=row["Id"])
        self._require(object_name, {**row, **fields})
        if object_name == "Lead" and self.assign and (queue := self._queue()) is not None:
            fields["OwnerId"] = queue
        changed = {**row, **fields}
        derive(self, object_name, changed)
        if object_name == "Lead":
            write_history(self, row, changed)
        write_deal_history(self, object_name, row, changed)
        stamps = {"LastModifiedDate": self.stamp, "LastModifiedById": self.user, "SystemModstamp": self.stamp}
        self.change(object_name, row, {**changed, **stamps})
        if "WhoId" in fields:
            self._wake(object_name, row)
        return str(row["Id"])

    def delete(self, object_name: str, record_id: str) -> str:
        """Into the recycle bin, with what hangs on it; returns the id's long form."""
        self._writable(object_name, "deleted")
        row = self.claimed(object_name, record_id)
        self.bin(object_name, row)
        return str(row["Id"])

    def bin(self, object_name: str, row: Row) -> None:
        """The record and its children go to the bin."""
        self.change(object_name, row, {"IsDeleted": True, "LastModifiedDate": self.stamp, "SystemModstamp": self.stamp})
        for child, link in known.CHILDREN.get(object_name, ()):
            for child_row in self.pointing(child, link, row["Id"]):
                self.bin(child, child_row)

    def pointing(self, object_name: str, link: str, record_id: str) -> list[Row]:
        """The living records whose reference holds this id."""
        return [row for row in self.rows[object_name].values() if row.get(link) == record_id and not row.get("IsDeleted")]

    def upsert(
        self, object_name: str, key_field: Field, value: Any, values: Mapping[str, Any], *, update_only: bool = False
    ) -> tuple[str, bool]:
        """Creates or updates by an External Id (or by Id); returns the id and whether it is new. Raises `SeveralMatch` too."""
        if value is None and key_field.type != "id":
            raise RowRefused("MISSING_ARGUMENT", f"{key_field.name} not specified", [key_field.name])
        if key_field.type == "id":
            return (self.create(object_name, values), True) if value is None else (self.update(object_name, str(value), values), False)
        found = self.with_key(object_name, key_field, value)
        if len(found) > 1:
            raise SeveralMatch(found)
        if found:
            return self.update(object_name, found[0], values), False
        if update_only:
            raise RowRefused("NOT_FOUND", "The requested resource does not exist")
        return self.create(object_name, {**values, key_field.name: value}), True

    def existing(self, object_name: str, record_id: str) -> Row:
        """The record, unless it does not exist or is deleted."""
        row = self.rows[object_name].get(long_id(record_id))
        if row is None:
            raise RowRefused("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
        if row.get("IsDeleted"):
            raise RowRefused("ENTITY_IS_DELETED", "entity is deleted")
        return row

    def claimed(self, object_name: str, record_id: str) -> Row:
        """The record, when nobody else holds it."""
        self.claim(object_name, long_id(record_id))
        return self.existing(object_name, record_id)

    # ── Checks ──

    def _writable(self, object_name: str, done: str) -> None:
        if object_name in known.READ_ONLY:
            raise RowRefused("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", f"entity type cannot be {done}: {object_name}")

    def _checked(self, object_name: str, values: Mapping[str, Any], *, creating: bool, own_id: str = "") -> Row:
        checked: Row = {}
        for name, value in values.items():
            field = self.schema.field(object_name, name)
            if field is None:
                raise RowRefused("INVALID_FIELD", f"No such column '{name}' on sobject of type {object_name}", [name])
            if not (field.createable if creating else field.updateable):
                message = (
                    f"Unable to create/update fields: {field.name}. Please check the security settings of this field and verify that it"
                )
                message += " is read/write for your profile or permission set."
                raise RowRefused("INVALID_FIELD_FOR_INSERT_UPDATE", message, [field.name])
            checked[field.name] = self._value(object_name, field, value)
            if field.key and checked[field.name] is not None:
                self._unique(object_name, field, checked[field.name], own_id)
        return checked

    def _value(self, object_name: str, field: Field, value: Any) -> Any:
        converted = convert(field, value)
        if converted is None:
            return None
        if field.name == "OwnerId":
            return self._owner(object_name, field, converted)
        if field.targets:
            return self._reference(field, converted)
        if (object_name, field.name) in known.RESTRICTED and not self.schema.allows(object_name, field, converted):
            message = f"{field.name}: bad value for restricted picklist field: {converted}"
            raise RowRefused("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, [field.name])
        return converted

    def _owner(self, object_name: str, field: Field, owner_id: str) -> str:
        wanted = _pointer(field, owner_id)
        user = self.rows["User"].get(wanted)
        if user is not None and not user.get("IsActive", True):
            message = f"operation performed with inactive user [{wanted[:15]}] as owner of {object_name.lower()}"
            raise RowRefused("INACTIVE_OWNER_OR_USER", message, [field.name])
        group = self.rows["Group"].get(wanted)
        if group is not None and (object_name != "Lead" or group.get("Type") != "Queue"):
            raise RowRefused("INVALID_OPERATION", "Queue not associated with this SObject type", [field.name])
        if user is None and group is None:
            raise RowRefused("INVALID_CROSS_REFERENCE_KEY", f"Owner ID: id value of incorrect type: {wanted}", [field.name])
        return wanted

    def _reference(self, field: Field, value: str) -> str:
        wanted = _pointer(field, value)
        for target in field.targets:
            self.claim(target, wanted)
            row = self.rows.get(target, {}).get(wanted)
            if row is not None:
                if row.get("IsDeleted"):
                    raise RowRefused("ENTITY_IS_DELETED", "entity is deleted", [field.name])
                if row.get("IsConverted"):
                    raise RowRefused("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", [field.name])
                return wanted
        raise RowRefused("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", [field.name])

    def _require(self, object_name: str, row: Row) -> None:
        missing = [field.name for field in self.schema.fields(object_name) if field.required and not row.get(field.name)]
        if object_name == _STATUS_REQUIRED[0] and not row.get(_STATUS_REQUIRED[1]):
            missing.append(_STATUS_REQUIRED[1])
        if missing:
            raise RowRefused("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(missing)}]", missing)

    def _unique(self, object_name: str, field: Field, value: str, own_id: str) -> None:
        others = [record_id for record_id in self.with_key(object_name, field, value) if record_id != own_id]
        if others:
            message = f"duplicate value found: {field.name} duplicates value on record with id: {others[0][:15]}"
            raise RowRefused("DUPLICATE_VALUE", message, [field.name])

    def with_key(self, object_name: str, field: Field, value: Any) -> list[str]:
        """Ids of the living records with this external id; without regard to case."""
        index = self._keys.get((object_name, field.name))
        if index is None:
            index = self._keys[object_name, field.name] = {}
            for row in self.rows[object_name].values():
                if row.get(field.name) is not None and not row.get("IsDeleted"):
                    index.setdefault(str(row[field.name]).casefold(), []).append(row["Id"])
        return index.get(str(value).casefold(), [])

    # ── Changes ──

    def insert(self, object_name: str, row: Row) -> str:
        """Puts a row as it is, under a new id."""
        record_id = self._new_id(object_name)
        row["Id"] = record_id
        self._before.append((object_name, record_id, None))
        self.rows[object_name][record_id] = row
        self._forget_keys(object_name)
        return record_id

    def change(self, object_name: str, row: Row, values: Row) -> None:
        """Sets values as they are, stamps included."""
        self._before.append((object_name, row["Id"], dict(row)))
        self._note(object_name, row, values)
        row.update(values)
        self._forget_keys(object_name)

    def _note(self, object_name: str, row: Row, values: Row) -> None:
        for name, value in values.items():
            if name not in STAMPS and row.get(name) != value:
                edit = Edit("salesforce", object_name, row["Id"], name, row.get(name), value, self.stamp, self.user)
                self.schema.edits.append(edit)
                self._edits += 1

    def _forget_keys(self, object_name: str) -> None:
        """Adds what was just written to the indexes, or drops those it may have made wrong."""
        latest = self._before[-1]
        for (indexed, name), index in list(self._keys.items()):
            if indexed != object_name:
                continue
            row = self.rows[object_name][latest[1]]
            if latest[2] is None and row.get(name) is not None:
                index.setdefault(str(row[name]).casefold(), []).append(latest[1])
            elif latest[2] is not None and (latest[2].get(name), latest[2].get("IsDeleted")) != (row.get(name), row.get("IsDeleted")):
                del self._keys[indexed, name]

    def _new_id(self, object_name: str) -> str:
        """An id that no record has or had; later records get higher ones."""
        table = self.rows[object_name]
        number = self.schema.numbers.get(object_name, len(table))
        while True:
            digits, rest = "", number
            for _ in range(6):
                rest, digit = divmod(rest, len(_ALPHABET))
                digits = _ALPHABET[digit] + digits
            candidate = long_id(f"{known.PREFIXES.get(object_name, 'a00')}gR0000{digits}"[:15].ljust(15, "0"))
            number += 1
            self.schema.numbers[object_name] = number
            if candidate not in table:
                return candidate

    def _queue(self) -> str | None:
        """Where the assignment rule takes a Lead: the first queue."""
        return min((row["Id"] for row in self.rows["Group"].values() if row.get("Type") == "Queue"), default=None)

    def _wake(self, object_name: str, row: Row) -> None:
        """An activity moves its person's SystemModstamp, and nothing else."""
        if object_name not in ("Task", "Event"):
            return
        for target in ("Lead", "Contact"):
            person = self.rows[target].get(row.get("WhoId") or "")
            if person is not None:
                self.change(target, person, {"SystemModstamp": self.stamp})


def write_history(writer: Writer, before: Row, after: Row) -> None:
    """What a Lead's history keeps: who changed its status or owner, and when."""
    for name, shown in _HISTORY.items():
        if before.get(name) != after.get(name):
            entry: Row = {"LeadId": before["Id"], "Field": shown, "OldValue": before.get(name), "NewValue": after.get(name)}
            entry |= {"DataType": "EntityId" if name == "OwnerId" else "DynamicEnum", "IsDeleted": False}
            entry |= {"CreatedDate": writer.stamp, "CreatedById": writer.user}
            writer.insert("LeadHistory", entry | {"LastModifiedDate": writer.stamp, "SystemModstamp": writer.stamp})


def write_deal_history(writer: Writer, object_name: str, before: Row, after: Row) -> None:
    """What an Opportunity's history keeps: how it stood after it was made, and after each change of what is told there."""
    if object_name == "Opportunity" and any(before.get(name) != after.get(name) for name in _DEAL_HISTORY):
        entry: Row = {"OpportunityId": after["Id"], "IsDeleted": False} | {name: after.get(name) for name in _DEAL_HISTORY}
        entry |= {"CreatedDate": writer.stamp, "CreatedById": writer.user}
        writer.insert("OpportunityHistory", entry | {"LastModifiedDate": writer.stamp, "SystemModstamp": writer.stamp})


def derive(writer: Writer, object_name: str, row: Row) -> None:
    """Sets the fields that the service works out by itself."""
    if object_name in ("Lead", "Contact"):
        row["Name"] = " ".join(part for part in (row.get("FirstName"), row.get("LastName")) if part)
    elif object_name == "Task":
        row["IsHighPriority"] = row.get("Priority") == "High"
        closed = row.get("Status") == "Completed"
        if not closed:
            row["CompletedDateTime"] = None
        elif not row.get("IsClosed"):
            row["CompletedDateTime"] = writer.stamp
        row["IsClosed"] = closed
    elif object_name == "Opportunity":
        probability, row["IsClosed"], row["IsWon"] = known.STAGES.get(row["StageName"], (None, False, False))
        row["Probability"] = row.get("Probability") if probability is None else float(probability)
    elif object_name == "CampaignMember":
        _derive_member(writer, row)
    if object_name in ("Task", "Event"):
        contact = writer.rows["Contact"].get(row.get("WhoId") or "")
        row["AccountId"] = contact.get("AccountId") if contact is not None else None


def _derive_member(writer: Writer, row: Row) -> None:
    """A member is either a Lead or a Contact, and answered when its status says so."""
    if bool(row.get("LeadId")) == bool(row.get("ContactId")):
        raise RowRefused("REQUIRED_FIELD_MISSING", "Required fields are missing: [LeadId or ContactId]", ["LeadId", "ContactId"])
    row["HasResponded"] = row.get("Status") in known.RESPONSES
    row["FirstRespondedDate"] = (row.get("FirstRespondedDate") or writer.stamp.date()) if row["HasResponded"] else None


def _pointer(field: Field, value: str) -> str:
    """The long form of an id that a field holds."""
    try:
        return long_id(value)
    except RowRefused as problem:
        raise RowRefused(problem.code, f"{field.name}: id value of incorrect type: {value}", [field.name]) from problem
