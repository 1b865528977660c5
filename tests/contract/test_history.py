"""The port's contract on the CRM's own history of fields: what changed, when, by whom, the same each time."""

from __future__ import annotations

from connector.model import CRM_FACTS, FieldChange
from tests.contract.reading import read, some
from tests.contract.subjects import Subject


def told(subject: Subject, ids: list[str]) -> list[FieldChange]:
    """What is told of the lead status of these people: by id, or by the stream of histories."""
    name = CRM_FACTS[subject.crm.name].lead_status
    if subject.people in subject.crm.histories:
        page = subject.crm.history(subject.people, ids, [name])
        assert page.seen == len(page.changes) + len(page.set_aside)
        changes = page.changes
    else:
        pages = read(subject.crm, "LeadHistory", None, subject.now).pages
        changes = [change for page in pages for change in page.changes]
    return [change for change in changes if change.property == name and change.record.id in ids]


def test_changes_with_who_and_when_the_oldest_first(subject: Subject) -> None:
    one, other = some(subject, 2)
    subject.later()
    first_at, who = subject.now, subject.edit_status(one, "OPEN")
    subject.later()
    second_at = subject.now
    subject.edit_status(one, "UNQUALIFIED")
    subject.later()
    changes = [change for change in told(subject, [one, other]) if change.at >= first_at.replace(microsecond=0)]
    assert [(change.record.id, change.after) for change in changes] == [(one, "OPEN"), (one, "UNQUALIFIED")]
    assert [change.before for change in changes][1] == "OPEN"
    assert [change.at for change in changes] == [moment.replace(microsecond=changes[0].at.microsecond) for moment in (first_at, second_at)]
    assert {change.who for change in changes} == {who}
    assert told(subject, [one, other]) == told(subject, [one, other])
    assert len({change.id for change in told(subject, [one, other])}) == len(told(subject, [one, other]))


def test_more_than_a_request_takes_and_what_is_not_there(subject: Subject) -> None:
    ids = some(subject, 120)
    for place, one in enumerate(ids):
        subject.edit_status(one, "OPEN" if place % 2 else "IN_PROGRESS")
    gone, unknown = ids[0], "999999999999999"
    subject.later()
    before = subject.crm.calls()
    if subject.people not in subject.crm.histories:
        assert subject.crm.history(subject.people, [*ids, unknown], ["Status"]).seen == 0
        return
    subject.delete(subject.people, gone)
    name = CRM_FACTS[subject.crm.name].lead_status
    page = subject.crm.history(subject.people, [*ids, unknown], [name, "email"])
    assert {change.record.id for change in page.changes if change.property == name} == set(ids[1:])
    assert {change.property for change in page.changes} <= {name, "email"}
    assert 0 < page.calls == subject.crm.calls() - before <= 3
    assert subject.crm.history(subject.people, [], [name]).seen == 0
