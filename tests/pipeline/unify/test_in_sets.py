"""What is decided in sets is what the one-by-one reading of the same rules says: all that is stored, in made-up worlds of two passes.

The reading one by one is `identity` for who is who and `ContactMaker` for the contact, with everything read that could be on record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from connector.config.tables import Config
from connector.model import Activity, ActivityKind, Direction, FieldChange, Owner, Page, Record, RecordRef
from connector.pipeline.unify import ContactWriter, UnifySettings, contact_writer, linking
from connector.pipeline.unify.contact_facts import load
from connector.store.database import Store
from connector.store.fields import contact_table, ensure_fields
from connector.store.mirror import pages
from connector.store.tables import metadata
from connector.workflows.fields import columns_needed
from tests.support.company import ASSIGN, CRITERIA, CRMS, REJECTION, SCORE, SLA, STEPS, config_of
from tests.support.stores import empty_store

NOW = datetime(2026, 11, 18, 10, tzinfo=UTC)
HUBSPOT = ("1", "2", "3", "4", "5")
LEADS = ("00Q000000000001AAA", "00Q000000000002AAA", "00Q000000000003AAA")
CONTACTS = ("003000000000001AAA", "003000000000002AAA")
OBJECTS = {"contacts": HUBSPOT, "Lead": LEADS, "Contact": CONTACTS}
#: A shared mailbox is among them, and addresses of several.
ADDRESSES = (None, "a@x.example", "b@x.example", "c@x.example", "Groß@x.example", "info@x.example")
OWNERS = (None, "anna", "ben", "left", "queue", "queue", "crowd", "crowd", "us", "unheard-of")
BY_SIDE = """
[[transition]]
name = "by side"
from = ["mql"]
to = "lead"
when = "hubspot.owner = 'ben@acme.example' OR hubspot.country != salesforce.country"
again_after = "30 days"
"""
WHAT_IS_STORED = ("contact", "record", "spell", "attempt", "evidence", "rejection", "clock", "activity_link", "ownership")


@dataclass(frozen=True)
class World:
    """The pages of two passes, and what holds in them. slices: how many records, and contacts, one has."""

    passes: Sequence[Sequence[Page]]
    adopting: bool
    clocks_from: datetime
    unread: frozenset[str]
    slices: tuple[int, int]


# ── Worlds ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def one_of(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    keys = [(name, one) for name, ids in OBJECTS.items() for one in ids]
    first = draw(st.lists(st.sampled_from(keys), unique=True, min_size=1))
    later = draw(st.lists(st.sampled_from(keys), unique=True, max_size=4))
    return World(
        passes=(
            [*surroundings(draw), *(page(draw, key, 1) for key in first), *activities(draw, keys)],
            [*(page(draw, key, 2) for key in later), *history(draw, 2)],
        ),
        adopting=draw(st.booleans()),
        clocks_from=NOW - timedelta(days=draw(one_of(0, 10, 400))),
        unread=draw(st.frozensets(one_of("f_industry", "f_job_title", "h_owner", "f_interest", "h_lead_status"), max_size=2)),
        slices=(draw(one_of(1, 3, 50)), draw(one_of(1, 2, 50))),
    )


def page(draw: st.DrawFn, key: tuple[str, str], number: int) -> Page:
    record = hubspot(draw, key[1], number) if key[0] == "contacts" else salesforce(draw, *key, number)
    return brought(record.crm, key[0], number, records=(record,))


def brought(crm: Any, name: str, number: int, **more: Any) -> Page:
    return Page(crm=crm, object=name, cursor={"at": number}, seen=sum(map(len, more.values())), calls=1, **more)


def day(draw: st.DrawFn) -> Any:
    days = draw(one_of(None, 0, 3, 20, 300, -2))
    return None if days is None else NOW - timedelta(days=days)


def text_of(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def hubspot(draw: st.DrawFn, one: str, number: int) -> Record:
    stage = draw(one_of(None, "", "subscriber", "lead", "mql", "sql", "customer", "evangelist"))
    owner, told = draw(st.sampled_from(OWNERS)), draw(one_of(None, None, None, *LEADS, *CONTACTS, "00Q000000000009AAA"))
    further = draw(one_of(None, None, None, *ADDRESSES))
    properties = {
        "email": draw(st.sampled_from(ADDRESSES)),
        "lifecyclestage": stage,
        f"hs_v2_date_entered_{stage}": text_of(day(draw)),
        "hubspot_owner_assigneddate": text_of(day(draw)) if owner else None,
        "hs_lead_status": draw(one_of(None, "OPEN", "UNQUALIFIED")),
        "jobtitle": draw(one_of(None, "", "  ", " Director IT ", "Straße", "STRASSE")),
        "country": draw(one_of(None, "Austria", "austria")),
        "interest": draw(one_of(None, "12", "7.5", "many", "")),
        "seen_at": draw(one_of(None, "2026-11-01", "1763000000000", "2026-11-01T08:00:00Z", "soon")),
        "hs_buying_role": draw(one_of(None, "CHAMPION;DECISION_MAKER", ";")),
        "recent_conversion_date": text_of(day(draw)),
        "salesforcecontactid" if told and told.startswith("003") else "salesforceleadid": told,
    }
    losers = draw(one_of((), (), (), (), *((each,) for each in HUBSPOT if each != one), ("77",)))
    return Record(
        crm="hubspot", object="contacts", id=one, properties=properties, created_at=day(draw), modified_at=NOW + timedelta(seconds=number),
        owner_id=owner, company_id=draw(one_of(None, "10", "11", "12")), emails=() if further is None else (further,), merged_ids=losers,
        archived=draw(st.integers(0, 9)) == 0,
    )  # fmt: skip


def salesforce(draw: st.DrawFn, name: str, one: str, number: int) -> Record:
    became = draw(one_of(None, None, None, *CONTACTS)) if name == "Lead" else None
    into = draw(one_of(None, None, None, None, None, *(each for each in OBJECTS[name] if each != one)))
    properties = {
        "Email": draw(st.sampled_from(ADDRESSES)),
        "Status": draw(one_of(None, "Nurturing", "Open", "Working", "Qualified", "Converted", "Rejected")) if name == "Lead" else None,
        "Title": draw(one_of(None, "Head of Sales", "")),
        "Country" if name == "Lead" else "MailingCountry": draw(one_of(None, "Austria", "Germany")),
        "Industry": draw(one_of(None, "Technology", "Farming")),
        "IsConverted": became is not None,
        "HubSpot_Id__c": draw(one_of(None, None, None, *HUBSPOT)),
    }
    return Record(
        crm="salesforce", object=name, id=one, properties=properties, created_at=day(draw), modified_at=NOW + timedelta(seconds=number),
        owner_id=draw(st.sampled_from(OWNERS)), company_id=draw(one_of(None, "A1", "A2")) if name == "Contact" else None,
        converted_to=became, merged_into=into, archived=into is not None,
    )  # fmt: skip


def surroundings(draw: st.DrawFn) -> Iterator[Page]:
    for crm, name, company in (("hubspot", "owners", "companies"), ("salesforce", "User", "Account")):
        yield brought(crm, name, 1, owners=[owner(crm, each) for each in dict.fromkeys(OWNERS) if each not in (None, "unheard-of")])
        companies = [("10", "COMPUTER_SOFTWARE"), ("11", None)] if crm == "hubspot" else [("A1", "Technology"), ("A2", "")]
        yield brought(crm, company, 1, records=[company_record(crm, company, *each) for each in companies])
    yield from history(draw, 1)


def owner(crm: Any, one: str) -> Owner:
    queue = one in ("queue", "crowd")
    return Owner(crm=crm, id=one, email=None if queue else f"{one}@acme.example", name=one.title(), active=one != "left", queue=queue)


def company_record(crm: Any, name: str, one: str, industry: str | None) -> Record:
    properties = {"industry" if crm == "hubspot" else "Industry": industry}
    return Record(crm=crm, object=name, id=one, properties=properties, created_at=NOW, modified_at=NOW, archived=one == "11")


def history(draw: st.DrawFn, number: int) -> Iterator[Page]:
    changes = [
        FieldChange(
            record=RecordRef(crm="salesforce", object="Lead", id=lead), id=f"{number}{place}", property=draw(one_of("Status", "OwnerId")),
            before=None, after=draw(one_of("Open", "Qualified", "anna")), at=NOW - timedelta(days=draw(one_of(1, 30, 200))),
        )
        for place, lead in enumerate(draw(st.lists(st.sampled_from(LEADS), max_size=3)))
    ]  # fmt: skip
    yield brought("salesforce", "LeadHistory", number, changes=changes)


def activities(draw: st.DrawFn, keys: Sequence[tuple[str, str]]) -> Iterator[Page]:
    for number, (name, one) in enumerate(draw(st.lists(st.sampled_from(keys), max_size=4))):
        crm: Any = "hubspot" if name == "contacts" else "salesforce"
        call = Activity(
            crm=crm, object="calls", id=str(number), kind=ActivityKind.CALL, at=NOW - timedelta(days=number), direction=Direction.OUTGOING,
            contacts=(RecordRef(crm=crm, object=name, id=one),), owner_id="anna", created_at=NOW, modified_at=NOW,
        )  # fmt: skip
        yield brought(crm, "calls", number, activities=(call,))


# ── Both ways ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def config() -> Config:
    crms = CRMS.replace('client_secret = "env:COMPANY_TOKEN"', 'client_secret = "env:COMPANY_TOKEN"\nhubspot_id_field = "HubSpot_Id__c"')
    return config_of(CRITERIA + SCORE + STEPS + BY_SIDE + ASSIGN + SLA + REJECTION, crms=crms)


def unified(store: Store, world: World) -> dict[str, list[Any]]:
    """Everything that is stored after the passes, contacts numbered from 1."""
    store.write(lambda connection: [connection.execute(table.delete()) for table in metadata.sorted_tables if table.name != "field"])
    rules = config()
    columns = columns_needed(rules)
    setting = UnifySettings(
        adopting=world.adopting,
        clocks_from=world.clocks_from,
        defaults={"hubspot": "mql", "salesforce": "Open"},
        own_users=frozenset({("hubspot", "us"), ("salesforce", "us"), ("hubspot", "crowd")}),
        unread=world.unread,
    )
    for number, brought_now in enumerate(world.passes):
        now = NOW + timedelta(hours=number)
        for each in brought_now:
            pages.commit_page(store, each, now=now)
        pass_of_unify(store, ContactWriter(rules, columns, contact_table(columns), setting), now, world.slices)
        setting = replace(setting, adopting=False)
    return stored(store, columns_of=contact_table(columns))


def pass_of_unify(store: Store, writer: ContactWriter, now: datetime, slices: tuple[int, int]) -> None:
    after: Any = linking.FIRST
    while after is not None:
        link = partial(linking.link_slice, now=now, after=after, size=slices[0], id_field=writer.hubspot_id_field)
        after = store.write(link)
    last: int | None = 0
    while last is not None:
        last = store.write(partial(writer.write_slice, now=now, size=slices[1], after=last)).last


def stored(store: Store, columns_of: Any) -> dict[str, list[Any]]:
    with store.read() as connection:
        numbers = connection.scalars(select(columns_of.c.id).order_by(columns_of.c.id)).all()
        renumbered = {number: place for place, number in enumerate(numbers, 1)}
        found: dict[str, list[Any]] = {}
        for name in WHAT_IS_STORED:
            table = columns_of if name == "contact" else metadata.tables[name]
            rows = connection.execute(select(table).order_by(*metadata.tables[name].primary_key)).mappings()
            found[name] = [{key: renumbered.get(value, value) if key in _NUMBERS else value for key, value in row.items()} for row in rows]
        return {
            name: [{k: v for k, v in row.items() if not (name == "contact" and k == "id")} for row in rows] for name, rows in found.items()
        }


_NUMBERS = ("contact_id", "merged_into")


def one_by_one(store: Store, world: World) -> dict[str, list[Any]]:
    """The same where nothing is decided in sets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linking, "plain_records", lambda connection, people: {})
        patch.setattr(contact_writer, "plain_records_of", lambda connection, ids: {})
        patch.setattr(contact_writer, "load", lambda connection, table, ids, **_: load(connection, table, ids))
        return unified(store, world)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(world=worlds())
def test_sets_say_what_the_reading_one_by_one_says(url: str, world: World) -> None:
    with empty_store(url) as store:
        ensure_fields(store, columns_needed(config()))
        assert unified(store, world) == one_by_one(store, world)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(world=worlds())
def test_sets_say_the_same_on_postgresql(kept_postgres: str, world: World) -> None:
    with empty_store(kept_postgres) as store:
        ensure_fields(store, columns_needed(config()))
        assert unified(store, world) == one_by_one(store, world)
