"""A person deleted for privacy: nothing of theirs is left in any table, nor in the files; no figure changes; and they do not come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import Session

from connector.model import CampaignMember, Deal, Fate, FieldChange, FieldType, Record, RecordRef, Removal, RemovalPage, SetAside
from connector.store.database import Store
from connector.store.fields import FieldColumn, ensure_fields
from connector.store.mirror import history_due, pages, privacy_forget, privacy_residue
from connector.store.mirror.history_due import Watched
from connector.store.mirror.removals import Removed, apply_removals
from connector.store.tables import (
    ActionValue,
    ActivityLink,
    ActivityRow,
    ActivityVersion,
    Attempt,
    CampaignMemberRow,
    Clock,
    ContactRow,
    Evidence,
    Forgotten,
    HistoryDue,
    Ledger,
    LinkChange,
    OwnerRow,
    OwnershipRow,
    RecordRow,
    RecordVersion,
    Rejection,
    RuleText,
    Run,
    SetAsideRow,
    Snapshot,
    Touch,
    metadata,
)  # fmt: skip
from tests.store.support import LATER, NOW, call, kept_store, mark_unified, page, person, ref, rows, store

__all__ = ["kept_store", "store"]  # fixtures

EMAIL, SECOND, FORMER = "Zoë.Quux@Geheim.example", "zoe.private@geheim.example", "zquux@frueher.example"
NAME, PHONE = "Quuxington", "+49 30 7654321"
LEAD = RecordRef(crm="salesforce", object="Lead", id="00QZ")


def quux(**more: Any) -> Record:
    values = {"email": EMAIL, "lastname": NAME, "phone": PHONE, "notes": f"{NAME} likes tea"}
    return person(77, values | more.pop("properties", {}), **({"emails": (SECOND,)} | more))


def lead() -> Record:
    values = {"Email": EMAIL.upper(), "LastName": NAME}
    return Record(crm="salesforce", object="Lead", id=LEAD.id, properties=values, created_at=NOW, modified_at=NOW)


def add(store: Store, *things: Any) -> None:
    def work(connection: Any) -> None:
        with Session(bind=connection) as session:
            for thing in things:
                session.add(thing)
            session.flush()

    store.write(work)


def action(number: int, state: str, contact: int = 77, **more: Any) -> Ledger:
    facts: dict[str, Any] = {
        "plan": 1, "bundle": f"b{number}", "position": 0, "key": f"k{number}", "kind": "set_stage", "rule": "r", "crm": "hubspot",
        "object": "contacts", "record_id": "77", "target": "lifecyclestage", "state": state, "planned_at": NOW,
    }  # fmt: skip
    return Ledger(id=number, contact_id=contact, **facts | more)


def snapshot(attempt: int, **more: Any) -> Snapshot:
    facts: dict[str, Any] = {"at": NOW, "taken_at": NOW, "late": False, "config_version": "v", "touch_count": 0, "touch_channels": 0} | more
    return Snapshot(contact_id=77, attempt=attempt, which="begin", **facts)


def clock(attempt: int, state: str) -> Clock:
    return Clock(
        contact_id=77, attempt=attempt, kind="response", number=1, sla="s", started_at=NOW, due_at=LATER, state=state, calendar="c"
    )


def fill(store: Store) -> None:
    """The person everywhere a person may be, and somebody else beside."""
    ensure_fields(store, [FieldColumn("f_email", FieldType.TEXT), FieldColumn("f_amount", FieldType.NUMBER)])
    pages.commit_page(store, page(quux(properties={"email": FORMER}), person(1)), now=NOW)
    pages.commit_page(store, page(quux()), now=NOW)
    pages.commit_page(store, page(lead(), crm="salesforce", object_name="Lead"), now=NOW)
    mark_unified(store)
    store.write(lambda connection: connection.execute(text("UPDATE record SET contact_id = 77 WHERE object = 'Lead'")))
    pages.commit_page(
        store, page(object_name="calls", activities=[call(5, 77, outcome=f"{NAME} was out"), call(6, 1, outcome="Busy")]), now=NOW
    )
    pages.commit_page(
        store, page(object_name="deals", deals=[Deal(crm="hubspot", object="deals", id="7", stage="s", contacts=[ref(77)])]), now=NOW
    )
    member = CampaignMember(crm="hubspot", object="members", id="m1", campaign_id="c1", record=ref(77))
    pages.commit_page(store, page(object_name="members", campaign_members=[member]), now=NOW)
    change = FieldChange(record=LEAD, id="h1", property="LastName", before=NAME, after=NAME, at=NOW)
    aside = SetAside(record=LEAD, reason=f"{EMAIL.lower()} is in use", next_step="")
    other = SetAside(record=replace(LEAD, id="00QX"), reason=f"as {EMAIL.lower()}", next_step="look")
    pages.commit_page(store, page(crm="salesforce", object_name="LeadHistory", changes=[change], set_aside=[aside, other]), now=NOW)
    add(
        store,
        *(ContactRow(id=number, due_at=NOW, first_seen_at=NOW, stage="mql", owner="a@acme.example", touch_count=1) for number in (1, 77)),
        action(1, "applied", message=f"duplicate of {EMAIL}"),
        action(2, "held"),
        action(3, "refused", 1, message=f"{EMAIL.casefold()} exists", next_step="merge"),
        action(4, "refused", 1, message="no permission"),
        ActionValue(ledger=1, contact_id=77, before="lead", after="mql", why={"email": EMAIL}, task={"subject": NAME}),
        ActionValue(ledger=4, contact_id=1, before="lead", after="mql", why={"email": "p1@example.org"}),
        Attempt(contact_id=77, number=1, spell=1, began_at=NOW, ended_at=LATER, outcome="rejected"),
        Attempt(contact_id=77, number=2, spell=1, began_at=NOW),
        snapshot(2, score=80.0, lead_source="Webinar", outcomes=[f"{NAME} was out"]),
        snapshot(1, lead_source=f"by {NAME}", campaign=f"for {EMAIL.lower()}"),
        OwnershipRow(contact_id=77, crm="hubspot", number=1, owner_id="7", owner="a@acme.example", since=NOW, stated=True),
        RuleText(digest="d1", text=f"exclude = \"email = '{EMAIL}'\""), RuleText(digest="d2", text="mode = 'live'"),
        clock(1, "met"), clock(2, "running"),
        Rejection(contact_id=77, attempt=1, at=NOW, kind="rejected", reason="No need", accepted=True),
        Rejection(contact_id=77, attempt=2, at=NOW, kind="rejected", reason=f"mrs {NAME.lower()} left"),
        Evidence(contact_id=77, rule="r", spell=1, taken_at=NOW, basis={"email": EMAIL}),
        Touch(contact_id=77, at=NOW, person="a@acme.example", channel="call", kept=False, outcome=f"{NAME} was out", seconds=5.0),
        Run(command="run", mode="live", started_at=NOW, summary={"errors": [{"message": f"bad {EMAIL.lower()}"}], "planned": 3}),
    )  # fmt: skip
    named = f"UPDATE contact SET f_email = '{EMAIL}', f_email_folded = '{EMAIL.casefold()}' WHERE id = 77"
    store.write(lambda connection: connection.execute(text(named)))
    store.write(lambda connection: connection.execute(text("UPDATE contact SET f_amount = 5")))


def texts(store: Store) -> Iterator[tuple[str, str]]:
    """Everything that stands in the database, row by row."""
    with store.read() as connection:
        for name in metadata.tables:
            for row in connection.execute(text(f"SELECT * FROM {name}")):
                yield name, repr(tuple(row)).casefold()


def places(store: Store) -> set[str]:
    words = [each.casefold() for each in (EMAIL, SECOND, FORMER, NAME, PHONE)]
    return {name for name, row in texts(store) if any(word in row for word in words)}


def test_nothing_is_left_in_any_table(store: Store) -> None:
    fill(store)
    before = places(store)
    assert {"record", "record_version", "record_email", "field_history", "activity", "action_value", "ledger", "run", "contact", "evidence",
            "rejection", "set_aside"} <= before  # fmt: skip
    done = privacy_forget.forget(store, [ref(77)], now=LATER)
    assert (done.records, done.contacts, done.clean) == (2, 1, store.dialect == "sqlite")
    assert places(store) == set()
    assert {row.id for row in rows(store, RecordRow)} == {"1"}
    assert [row.record_id for row in rows(store, ActivityLink)] == ["1"]
    assert rows(store, CampaignMemberRow) == []
    assert rows(store, RecordVersion) == []


def test_figures_stay(store: Store) -> None:
    fill(store)
    privacy_forget.forget(store, [ref(77)], now=LATER)
    ledger = {row.id: (row.state, row.key, row.rule, row.planned_at) for row in rows(store, Ledger)}
    assert ledger == {
        1: ("applied", "k1", "r", NOW), 2: ("superseded", "k2", "r", NOW), 3: ("refused", "k3", "r", NOW), 4: ("refused", "k4", "r", NOW)
    }  # fmt: skip
    assert {row.id: row.message for row in rows(store, Ledger)}[4] == "no permission"
    assert {row.number: row.outcome for row in rows(store, Attempt)} == {1: "rejected", 2: "withdrawn"}
    kept = {row.attempt: (row.score, row.lead_source, row.campaign, row.outcomes) for row in rows(store, Snapshot) if row.which == "begin"}
    assert kept == {1: (None, None, None, None), 2: (80.0, "Webinar", None, None)}
    assert [(row.owner, row.until) for row in rows(store, OwnershipRow)] == [("a@acme.example", LATER)]
    assert {row.digest: EMAIL.casefold() in row.text.casefold() for row in rows(store, RuleText)} == {"d1": False, "d2": False}
    assert {row.attempt: row.state for row in rows(store, Clock)} == {1: "met", 2: "ended"}
    assert {row.attempt: (row.kind, row.reason) for row in rows(store, Rejection)} == {1: ("rejected", "No need"), 2: ("rejected", None)}
    assert [(row.channel, row.kept) for row in rows(store, Touch)] == [("call", True)]
    assert rows(store, Run)[0].summary == {"errors": [{"message": ""}], "planned": 3}
    contacts = {row.id: (row.gone, row.due_at, row.owner, row.stage, row.touch_count) for row in rows(store, ContactRow)}
    assert contacts == {1: (False, NOW, "a@acme.example", "mql", 1), 77: (True, None, "a@acme.example", "mql", 1)}
    assert {row.id: (row.outcome, row.kind) for row in rows(store, ActivityRow)} == {"5": (None, "call"), "6": ("Busy", "call")}
    assert {row.contact_id: row.after for row in rows(store, ActionValue)} == {1: "mql", 77: None}
    with store.read() as connection:
        assert connection.execute(text("SELECT f_email, f_email_folded, f_amount FROM contact WHERE id = 77")).one() == (None, None, None)
        assert connection.execute(text("SELECT f_amount FROM contact WHERE id = 1")).scalar() == 5


def test_a_contact_that_turned_out_to_be_them_too(store: Store) -> None:
    fill(store)
    add(
        store,
        ContactRow(id=70, first_seen_at=NOW, gone=True, merged_into=77),
        Rejection(contact_id=70, attempt=1, at=NOW, kind="rejected", reason=f"not {NAME}"),
    )
    assert privacy_forget.forget(store, [ref(77)], now=LATER).contacts == 2
    assert places(store) == set()
    assert {row.id: row.merged_into for row in rows(store, ContactRow)} == {1: None, 70: 77, 77: None}


def test_the_past_goes_with_them(store: Store) -> None:
    """Links that ended, what activities with them said before, whose history is still to be read; of others it stays."""
    watched = {"contacts": Watched(properties=("jobtitle",))}
    history_due.watch(store, "hubspot", watched)
    fill(store)
    pages.commit_page(store, page(quux(properties={"email": EMAIL, "jobtitle": "CTO"}), person(1, {"jobtitle": "CTO"})), now=NOW)
    pages.commit_page(store, page(quux(properties={"email": EMAIL, "jobtitle": NAME}), person(1, {"jobtitle": "CEO"})), now=LATER)
    again = [call(5, 1, outcome="Gone"), call(6, 1, outcome="Reached")]
    pages.commit_page(store, page(object_name="calls", activities=again), now=LATER)
    assert {row.id for row in rows(store, HistoryDue)} == {"1", "77"}
    assert {(row.id, row.record_id, row.linked) for row in rows(store, LinkChange)} == {("5", "77", False), ("5", "1", True)}
    privacy_forget.forget(store, [ref(77)], now=LATER)
    assert places(store) == set()
    assert {(row.id, row.record_id, row.linked) for row in rows(store, LinkChange)} == {("5", "1", True)}
    assert {row.id for row in rows(store, RecordVersion)} == {"1"}
    assert {row.id for row in rows(store, ActivityVersion)} == {"6"}


class TestComingBack:
    def test_by_the_key_or_by_an_address_is_set_aside(self, store: Store) -> None:
        fill(store)
        privacy_forget.forget(store, [ref(77)], now=LATER)
        again = [quux(), person(78, {"email": EMAIL}), person(79, emails=(SECOND,)), person(80)]
        result = pages.commit_page(store, page(*again), now=LATER)
        assert (result.seen, result.stored, result.set_aside, result.unchanged) == (4, 1, 3, 0)
        assert {row.id for row in rows(store, RecordRow)} == {"1", "80"}
        assert {row.id: row.reason for row in rows(store, SetAsideRow) if row.crm == "hubspot"} == dict.fromkeys(
            ("77", "78", "79"), "deleted for privacy"
        )
        assert places(store) == set()

    def test_what_is_deleted_there_too_leaves_the_list(self, store: Store) -> None:
        fill(store)
        privacy_forget.forget(store, [ref(77)], now=LATER)
        pages.commit_page(store, page(quux()), now=LATER)
        result = pages.commit_page(store, page(quux(archived=True)), now=LATER)
        assert (result.seen, result.stored, result.set_aside, result.unchanged) == (1, 0, 0, 1)
        assert [row for row in rows(store, SetAsideRow) if row.crm == "hubspot"] == []

    def test_read_back_or_refilled(self, store: Store) -> None:
        fill(store)
        privacy_forget.forget(store, [ref(77)], now=LATER)
        assert store.write(lambda connection: pages.apply_records(connection, [quux()], now=LATER)).stored == 0
        refilled = pages.commit_partial(store, page(quux(), person(1)), under="refill:contacts", now=LATER)
        assert (refilled.seen, refilled.set_aside) == (2, 1)
        assert places(store) == set()

    def test_what_is_about_them_brings_nothing_of_them(self, store: Store) -> None:
        fill(store)
        privacy_forget.forget(store, [ref(77)], now=LATER)
        calls = [call(5, 77, outcome=f"{NAME} again"), call(9, 77, 1, outcome=NAME), call(10, 1, outcome="Busy")]
        pages.commit_page(store, page(object_name="calls", activities=calls), now=LATER)
        member = CampaignMember(crm="hubspot", object="members", id="m2", campaign_id="c1", record=ref(77))
        result = pages.commit_page(store, page(object_name="members", campaign_members=[member]), now=LATER)
        assert (result.seen, result.unchanged) == (1, 1)
        change = FieldChange(record=LEAD, id="h2", property="LastName", before=NAME, after=None, at=NOW)
        pages.commit_page(store, page(crm="salesforce", object_name="LeadHistory", changes=[change]), now=LATER)
        assert places(store) == set()
        assert {(row.id, row.record_id) for row in rows(store, ActivityLink)} == {("6", "1"), ("9", "1"), ("10", "1")}

    def test_hashes_are_salted_anew_in_each_database(self, store: Store, tmp_path: Path) -> None:
        found = []
        with Store.open(f"sqlite:///{tmp_path / 'other.db'}") as other:
            other.upgrade()
            for one in (store, other):
                privacy_forget.forget(one, [ref(77)], now=LATER)
                found.append({row.hash for row in rows(one, Forgotten)})
        assert [len(hashes) for hashes in found] == [1, 1]
        assert not found[0] & found[1]


class TestOthersWithTheAddress:
    """Records that are not known to be the same person, or are not: what has the address goes, and nothing else of them."""

    def test_who_was_not_joined_with_them_yet(self, store: Store) -> None:
        fill(store)
        store.write(lambda connection: connection.execute(text("UPDATE record SET contact_id = NULL, unify = true WHERE object = 'Lead'")))
        done = privacy_forget.forget(store, [ref(77)], now=LATER)
        assert (done.records, done.contacts, done.clean) == (2, 1, store.dialect == "sqlite")
        assert places(store) == set()

    @pytest.mark.parametrize("theirs", [{"email": EMAIL.upper()}, {"email": "other@else.example"}], ids=["email", "further"])
    def test_a_record_of_another_contact(self, store: Store, theirs: dict[str, str]) -> None:
        """A contact of whose records one has the address is made anew of the others; one of which nothing is left is gone."""
        fill(store)
        more: Any = {} if theirs["email"] == EMAIL.upper() else {"emails": (SECOND,)}
        pages.commit_page(store, page(person(78, theirs, **more), person(79, theirs, **more), person(80)), now=NOW)
        mark_unified(store)
        add(store, *(ContactRow(id=number, due_at=NOW, first_seen_at=NOW) for number in (78, 79)), action(9, "held", 79))
        store.write(lambda connection: connection.execute(text("UPDATE record SET contact_id = 78 WHERE id = '80'")))
        store.write(lambda connection: connection.execute(text(f"UPDATE contact SET f_email = '{EMAIL}' WHERE id = 78")))
        assert privacy_forget.forget(store, [ref(77)], now=LATER).clean is (store.dialect == "sqlite")
        assert places(store) == set()
        assert {row.id: (row.contact_id, row.unify) for row in rows(store, RecordRow)} == {"1": (1, False), "80": (78, True)}
        assert {row.id: row.gone for row in rows(store, ContactRow)} == {1: False, 77: True, 78: False, 79: True}
        assert {row.id: row.state for row in rows(store, Ledger)}[9] == "superseded"
        pages.commit_page(store, page(person(78, {"email": "new@else.example"})), now=LATER)
        assert "78" in {row.id for row in rows(store, RecordRow)}

    def test_one_that_gets_the_address_later_does_not_stay_as_it_was(self, store: Store) -> None:
        fill(store)
        privacy_forget.forget(store, [ref(77)], now=LATER)
        assert pages.commit_page(store, page(person(1, {"email": EMAIL})), now=LATER).set_aside == 1
        assert rows(store, RecordRow) == []
        assert {row.id: row.gone for row in rows(store, ContactRow)} == {1: True, 77: True}
        pages.commit_page(store, page(person(2)), now=LATER)
        mark_unified(store)
        assert store.write(lambda connection: pages.apply_records(connection, [person(2, {"email": EMAIL})], now=LATER)).stored == 0
        assert rows(store, RecordRow) == []

    def test_an_address_that_somebody_else_had_before(self, store: Store) -> None:
        """The versions of others do not tell it any more; that it changed, and when, stays."""
        fill(store)
        pages.commit_page(store, page(person(78, {"email": EMAIL, "jobtitle": "CEO"})), now=NOW)
        pages.commit_page(store, page(person(78, {"email": "other@else.example", "jobtitle": "CFO"})), now=NOW)
        moved: dict[str, Any] = {"before": EMAIL, "after": "other@else.example", "why": {"job_title": "CEO"}}
        add(store, action(9, "applied", 1), ActionValue(ledger=9, contact_id=1, **moved))
        assert privacy_forget.forget(store, [ref(77)], now=LATER).clean is (store.dialect == "sqlite")
        assert places(store) == set()
        kept = next(row for row in rows(store, ActionValue) if row.ledger == 9)
        assert (kept.before, kept.after, kept.why) == (None, "other@else.example", {"job_title": "CEO"})
        assert {row.id: row.changed for row in rows(store, RecordVersion)} == {
            "78": {"email": ["", "other@else.example"], "jobtitle": ["CEO", "CFO"]}
        }


def test_a_purged_record_is_forgotten_with_its_page(store: Store) -> None:
    fill(store)
    purge = Removal(record=ref(77), fate=Fate.PURGED)
    unknown = Removal(record=ref(555), fate=Fate.PURGED)
    made = RemovalPage(crm="hubspot", object="contacts", cursor={"at": 3}, calls=1, removals=[purge, unknown], last=True)
    assert apply_removals(store, made, now=LATER, shrink=0.1) == Removed(purged=2)
    assert places(store) == set()
    assert pages.commit_page(store, page(person(555)), now=LATER).set_aside == 1
    assert apply_removals(store, made, now=LATER, shrink=0.1) == Removed(purged=2)


class TestTheFiles:
    def test_nothing_is_left_in_them(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """After many rows were written, changed and deleted back and forth around the one; and without writing the database anew."""
        monkeypatch.setattr(privacy_forget, "_rebuild", pytest.fail)
        random = Random(7)
        with Store.open(f"sqlite:///{tmp_path / 'many.db'}") as store:
            store.upgrade()
            fill(store)
            for turn in range(4):
                numbers = random.sample(range(1000, 3000), 1000)
                people = [person(n, {"notes": "x" * random.randrange(1200), "jobtitle": f"{turn}"}) for n in numbers]
                pages.commit_page(store, page(*people), now=NOW)
                pages.commit_page(store, page(quux(properties={"notes": f"{NAME} " * random.randrange(1, 300)})), now=NOW)
                some = [str(number) for number in random.sample(numbers, 300)]
                store.write(lambda c, some=some: c.execute(text(f"DELETE FROM record WHERE id IN ({','.join(some)})")))  # type: ignore[misc]
            store.apart("PRAGMA wal_checkpoint(PASSIVE)")
            pages.commit_page(store, page(quux(properties={"notes": f"{NAME} {PHONE} {EMAIL}"})), now=NOW)
            assert self.found(store) == {EMAIL, SECOND, FORMER, NAME, PHONE}
            assert privacy_forget.forget(store, [ref(77)], now=LATER).clean
            assert self.found(store) == set()
            assert len(rows(store, RecordRow)) > 500

    def test_nothing_is_left_in_those_of_postgresql_once_it_is_finished(self, fresh_postgres: Callable[[], str]) -> None:
        with Store.open(fresh_postgres()) as store:
            store.upgrade()
            fill(store)
            place = store.apart("SELECT current_setting('data_directory') || '/' || pg_relation_filepath('record')")[0][0]
            assert privacy_forget.forget(store, [ref(77)], now=LATER).clean is False
            assert privacy_forget.finish(store) is True
            store.apart("CHECKPOINT")
            content = b"".join(file.read_bytes() for file in Path(place).parent.iterdir()).lower()
            assert [each for each in (EMAIL, SECOND, FORMER, NAME, PHONE) if each.lower().encode() in content] == []

    @staticmethod
    def found(store: Store) -> set[str]:
        content = b"".join(file.read_bytes() for file in store.files()).lower()
        return {each for each in (EMAIL, SECOND, FORMER, NAME, PHONE) if each.lower().encode() in content}

    def test_what_deleted_rows_left_behind_is_found_and_rebuilt(self, tmp_path: Path) -> None:
        with Store.open(f"sqlite:///{tmp_path / 'left.db'}") as store:
            store.upgrade()
            store.apart("PRAGMA secure_delete = OFF")
            fill(store)
            store.write(lambda connection: connection.execute(text("DELETE FROM record_version")))
            store.apart("PRAGMA wal_checkpoint(TRUNCATE)")
            assert FORMER in self.found(store)
            assert privacy_forget.forget(store, [ref(77)], now=LATER).clean
            assert self.found(store) & {EMAIL, SECOND, PHONE} == set()

    def test_an_address_that_also_is_an_owners_is_told(self, tmp_path: Path) -> None:
        with Store.open(f"sqlite:///{tmp_path / 'owner.db'}") as store:
            store.upgrade()
            fill(store)
            add(store, OwnerRow(crm="hubspot", id="9", email=EMAIL.lower(), name="Z", active=True))
            assert privacy_forget.forget(store, [ref(77)], now=LATER).clean is False
            assert privacy_forget.finish(store) is True

    def test_a_log_that_others_read_is_emptied_later(self, tmp_path: Path) -> None:
        with Store.open(f"sqlite:///{tmp_path / 'busy.db'}") as store:
            store.upgrade()
            fill(store)
            store.apart("PRAGMA busy_timeout = 1")
            with store.read() as connection:
                connection.execute(text("SELECT count(*) FROM record")).scalar()
                assert privacy_forget.forget(store, [ref(77)], now=LATER).clean is False
            assert privacy_forget.finish(store) is True
            assert self.found(store) == set()


@pytest.mark.parametrize("more", [0, 100], ids=["few", "many"])
@pytest.mark.parametrize("at", [0, 4096 - 5, 4096 + 3, 8192 - 11])
def test_texts_are_found_wherever_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, more: int) -> None:
    monkeypatch.setattr(privacy_residue, "_PIECE", 4096)
    others = [f"other{number}@else.example" for number in range(more)]
    file = tmp_path / "file"
    content = bytearray(b"x@y." * 3000)
    file.write_bytes(content)
    assert not privacy_residue.still_there([file], [EMAIL, "a@b", *others])
    for needle in (EMAIL, "a@b"):
        spelt = needle.lower().encode()
        content[at : at + len(spelt)] = spelt
        file.write_bytes(content)
        assert privacy_residue.still_there([tmp_path / "file"], [needle, *others])
        content[at : at + len(spelt)] = b"-" * len(spelt)
