"""What people do to records in Salesforce's own screens and what REST has no call for: undelete, merge, convert, archive.

Merge and conversion: https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/sforce_api_calls_merge.htm, …_convertlead.htm.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from connector.sandbox.salesforce import fields as known
from connector.sandbox.salesforce.errors import RowRefused
from connector.sandbox.salesforce.schema import long_id
from connector.sandbox.salesforce.writes import Row, Writer, derive, write_deal_history, write_history

#: Closed tasks and past events older than this are archived: `query` shows them no more, `queryAll` does.
ARCHIVED_AFTER = timedelta(days=365)

#: What moves to the winner of a merge: object → (child object, its reference).
_MOVED = {
    "Lead": (("Task", "WhoId"), ("Event", "WhoId"), ("CampaignMember", "LeadId")),
    "Contact": (*known.CHILDREN["Contact"], ("Lead", "ConvertedContactId")),
    "Account": (*known.CHILDREN["Account"], ("Lead", "ConvertedAccountId")),
}
_FROM_LEAD = (
    "FirstName", "LastName", "Name", "Email", "Phone", "MobilePhone", "Title", "LeadSource", "Budget__c", "Timeline__c",
    "Rejection_Reason__c", "Handoff_Score__c",
)  # fmt: skip


def undelete(writer: Writer, object_name: str, record_id: str) -> None:
    """Out of the bin, with the children that went there with it. What a merge moved away does not come back.

    Raises `RowRefused` where the record is not in the bin.
    """
    row = writer.rows[object_name].get(long_id(record_id))
    if row is None or not row.get("IsDeleted"):
        raise RowRefused("UNDELETE_FAILED", "Entity is not in the recycle bin", ["Id"])
    _restore(writer, object_name, row, row["SystemModstamp"])


def _restore(writer: Writer, object_name: str, row: Row, deleted: object) -> None:
    values: Row = {"IsDeleted": False, "LastModifiedDate": writer.stamp, "SystemModstamp": writer.stamp}
    if "MasterRecordId" in row:
        values["MasterRecordId"] = None
    writer.change(object_name, row, values)
    for child, link in known.CHILDREN.get(object_name, ()):
        for child_row in list(writer.rows[child].values()):
            if child_row.get(link) == row["Id"] and child_row.get("IsDeleted") and child_row["SystemModstamp"] == deleted:
                _restore(writer, child, child_row, deleted)


def merge(writer: Writer, object_name: str, keep: str, lose: str) -> None:
    """The loser goes to the bin, names the winner, and leaves it its children. Raises `RowRefused` where the two cannot be merged."""
    if object_name not in _MOVED:
        raise RowRefused("INVALID_TYPE", f"{object_name} cannot be merged")
    winner, loser = writer.claimed(object_name, keep), writer.claimed(object_name, lose)  # another merge of theirs ends first
    if winner is loser or bool(winner.get("IsConverted")) != bool(loser.get("IsConverted")):
        raise RowRefused("INVALID_OPERATION", "these records cannot be merged with each other")
    for child, link in _MOVED[object_name]:
        _move(writer, child, link, loser["Id"], winner["Id"])
    writer.change(object_name, winner, {"LastModifiedDate": writer.stamp, "SystemModstamp": writer.stamp})
    writer.change(object_name, loser, {"MasterRecordId": winner["Id"]})
    writer.bin(object_name, loser)


def _move(writer: Writer, child: str, link: str, before: str, after: str, *, clear: str = "") -> None:
    """The children point at another record; somebody who is twice in one campaign or deal is there once afterwards."""
    group = {"CampaignMember": "CampaignId", "OpportunityContactRole": "OpportunityId"}.get(child)
    taken = {row[group] for row in writer.pointing(child, clear or link, after)} if group else set()
    for row in writer.pointing(child, link, before):
        if group and row[group] in taken:
            writer.bin(child, row)
            continue
        values: Row = {clear: after, link: None} if clear else {link: after}
        changed = {**row, **values}
        derive(writer, child, changed)
        writer.change(child, row, {**changed, "SystemModstamp": writer.stamp})


def convert(writer: Writer, lead_id: str, *, opportunity: bool) -> str:
    """A Lead becomes a Contact in an Account of its company's name, with an Opportunity if wanted; returns the Contact's id.

    The org decides which status says so; everything that was planned or done with the Lead goes over to the Contact.
    Raises `RowRefused` where the Lead is converted already.
    """
    lead = writer.existing("Lead", lead_id)
    if lead.get("IsConverted"):
        raise RowRefused("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
    owner = lead["OwnerId"] if lead["OwnerId"] in writer.rows["User"] else writer.user  # a queue owns no contact
    account_id = _account(writer, lead, owner)
    contact = {name: lead.get(name) for name in _FROM_LEAD} | {"AccountId": account_id, "OwnerId": owner, "MasterRecordId": None}
    contact |= {"MailingCountry": lead.get("Country"), "MailingCity": lead.get("City")}
    contact_id = _add(writer, "Contact", contact)
    deal_id = _opportunity(writer, lead, owner, account_id, contact_id) if opportunity else None
    status = next((row["ApiName"] for row in writer.rows["LeadStatus"].values() if row.get("IsConverted")), lead["Status"])
    changed = {**lead, "IsConverted": True, "Status": status, "ConvertedDate": writer.stamp.date(), "ConvertedContactId": contact_id}
    changed |= {"ConvertedAccountId": account_id, "ConvertedOpportunityId": deal_id}
    write_history(writer, lead, changed)
    writer.change("Lead", lead, {**changed, **_stamps(writer)})
    for child in ("Task", "Event"):
        _move(writer, child, "WhoId", lead["Id"], contact_id)
    _move(writer, "CampaignMember", "LeadId", lead["Id"], contact_id, clear="ContactId")
    return contact_id


def _account(writer: Writer, lead: Row, owner: str) -> str:
    company = lead["Company"]
    found = next((row for row in writer.rows["Account"].values() if row["Name"] == company and not row.get("IsDeleted")), None)
    if found is not None:
        return str(found["Id"])
    fields = {"Name": company, "Industry": lead.get("Industry"), "NumberOfEmployees": lead.get("NumberOfEmployees"), "OwnerId": owner}
    return _add(writer, "Account", {**fields, "BillingCountry": lead.get("Country"), "MasterRecordId": None})


def _opportunity(writer: Writer, lead: Row, owner: str, account_id: str, contact_id: str) -> str:
    stage = next(iter(known.STAGES))
    fields: Row = {"Name": f"{lead['Company']}-"[:120], "AccountId": account_id, "OwnerId": owner, "StageName": stage, "Amount": None}
    deal_id = _add(writer, "Opportunity", fields | {"CloseDate": writer.stamp.date() + timedelta(days=90)})
    _add(writer, "OpportunityContactRole", {"OpportunityId": deal_id, "ContactId": contact_id, "Role": None, "IsPrimary": True})
    return deal_id


def share(writer: Writer, object_name: str, activity: str, people: Sequence[str]) -> None:
    """These and nobody else have a part in a Task or Event; a relation stands for each, the first is its WhoId too."""
    row, table = writer.claimed(object_name, activity), writer.rows[f"{object_name}WhoRelation"]
    for known_id in [relation["Id"] for relation in table.values() if relation[f"{object_name}Id"] == row["Id"]]:
        del table[known_id]
    for person in map(long_id, people):
        relation = {f"{object_name}Id": row["Id"], "RelationId": person, "Type": "Lead" if person.startswith("00Q") else "Contact"}
        writer.insert(f"{object_name}WhoRelation", relation)
    writer.change(object_name, row, {"WhoId": long_id(people[0]), "WhoCount": len(people), **_stamps(writer)})


def _stamps(writer: Writer) -> Row:
    return {"LastModifiedDate": writer.stamp, "LastModifiedById": writer.user, "SystemModstamp": writer.stamp}


def _add(writer: Writer, object_name: str, fields: Row) -> str:
    """A record as the service makes it by itself."""
    row: Row = {field.name: writer.schema.default(object_name, field) for field in writer.schema.fields(object_name)}
    row |= {name: value for name, value in fields.items() if writer.schema.field(object_name, name) is not None}
    row |= {"IsDeleted": False, "CreatedDate": writer.stamp, "CreatedById": writer.user, **_stamps(writer)}
    derive(writer, object_name, row)
    record_id = writer.insert(object_name, row)
    write_deal_history(writer, object_name, {}, row)
    return record_id


def archive(writer: Writer) -> int:
    """The service's own job: old activities that are over go to the archive, with no stamp moved. Returns how many."""
    limit = (writer.stamp - ARCHIVED_AFTER).date()
    count = 0
    for object_name, day in (("Task", "ActivityDate"), ("Event", "ActivityDate")):
        for row in writer.rows[object_name].values():
            on = row.get(day) or row["CreatedDate"].date()
            over = object_name == "Event" or row.get("IsClosed")
            if over and on < limit and not row.get("IsArchived") and not row.get("IsDeleted"):
                writer.change(object_name, row, {"IsArchived": True})
                count += 1
    return count
