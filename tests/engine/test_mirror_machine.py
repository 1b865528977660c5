"""At random: people and tools change both CRMs, answers fail, pulls are killed; after a quiet pull the mirror equals the CRMs.

A held clock moves only between steps. HubSpot's index and Salesforce's commits are late all the while. `mirror_truth` compares.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from engine_rooms import NOW, config_text, rows
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from mirror_truth import Truth

from connector.adapters.calling import NoBudget
from connector.adapters.hubspot import HubSpotCrm
from connector.adapters.salesforce import SalesforceCrm
from connector.app import App, open_store
from connector.config.load import loads
from connector.errors import CrmError
from connector.installation import catch_up
from connector.mirroring import Mirrored, look_for_removals, pull_only
from connector.model import Cursor, Page
from connector.pull import streams_of
from connector.rooms import Rooms
from connector.sandbox.frame import Fault
from connector.sandbox.salesforce_errors import RowRefused
from connector.sandbox.scenarios import arm
from connector.sandbox.serve import Sandbox
from connector.store.database import Store
from connector.unify import unify
from connector.workflows.fields import properties_wanted

CONTACTS, LEADS = 30, 15
#: How late HubSpot's index and Salesforce's commits are, in seconds.
LAG = 20.0
#: What may go on in a pull, of the sandbox's scenarios: all that concerns reading and leaves the fields as they are.
MEANWHILE = (
    "late-index", "late-commit", "merges", "conversions", "deleted", "privacy-delete", "expiring-tokens", "limits",
    "html-errors", "truncated",
)  # fmt: skip
_LIMIT = b'{"status":"error","message":"limit","errorType":"RATE_LIMIT","policyName":"TEN_SECONDLY_ROLLING"}'
ANSWERS: tuple[dict[str, Any], ...] = (
    {"status": 500},
    {"status": 502, "headers": {"content-type": "text/html"}, "body": b"<html><body>Bad Gateway</body></html>"},
    {"status": 503, "headers": {"retry-after": "3"}},
    {"status": 429, "headers": {"content-type": "application/json", "retry-after": "1"}, "body": _LIMIT},
    {"status": 401, "headers": {"content-type": "application/json"}, "body": b'[{"errorCode":"INVALID_SESSION_ID","message":"expired"}]'},
    {"kind": "truncate"},
    {"kind": "lost"},
)
ACTIVITIES = {"hubspot": ("calls", "emails", "meetings", "tasks"), "salesforce": ("Task", "Event")}
HUBSPOT_PEOPLE, SALESFORCE_PEOPLE = ("contacts", "companies"), ("Lead", "Contact", "Account")

which = st.integers(0, 10_000)
text = st.sampled_from(["Head of Sales", "Head of IT", "Werkleitung", "CEO", "VP Logistics", ""])


class Killed(BaseException):
    """The process is gone."""


class Killable:
    """A CRM whose pulls and looks can be ended anywhere between two pages."""

    def __init__(self, crm: Any) -> None:
        self._crm = crm
        self._lock = threading.Lock()
        self.left: int | None = None
        self.seen: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._crm, name)

    def _step(self) -> None:
        with self._lock:
            if self.left is not None:
                self.left -= 1
                if self.left < 0:
                    raise Killed

    def pull(self, stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
        pages = self._crm.pull(stream, cursor, now=now)
        try:
            for page in pages:
                self._step()
                with self._lock:
                    self.seen[stream] = self.seen.get(stream, 0) + page.seen
                yield page
                self._step()
        finally:
            pages.close()

    def removals(self, object_name: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Any]:
        for page in self._crm.removals(object_name, cursor, now=now):
            self._step()
            yield page
            self._step()


class Secret:
    """A secret that was read."""

    def __init__(self, value: str) -> None:
        self.value = value

    def read(self) -> str:
        return self.value


class MirrorMachine(RuleBasedStateMachine):
    """database: gives the URL of an empty database, in a folder where one may lie."""

    database: ClassVar[Callable[[Path], str]]

    def __init__(self) -> None:
        super().__init__()
        self.opened = ExitStack()
        self.folder = Path(self.opened.enter_context(tempfile.TemporaryDirectory()))
        self.at = NOW
        self.made = 0
        self.forgotten: dict[str, str] = {}
        self.merged: set[str] = set()
        options: dict[str, Any] = {"requests_per_10_seconds": 10**6, "searches_per_second": 10**6}
        options |= {"search_lag_seconds": LAG, "late_commits": LAG}
        box = Sandbox(now=lambda: self.at, hubspot_contacts=CONTACTS, salesforce_leads=LEADS, **options)
        self.box = self.opened.enter_context(box)
        self.url = type(self).database(self.folder)
        self._open()

    def _open(self) -> None:
        config = loads(
            config_text(self.box, self.url, mode="shadow", edit=lambda file: file.replace('"10%"', '"100%"')), source="config.toml"
        )
        store = self.opened.enter_context(open_store(config))
        assert config.crm.hubspot is not None
        assert config.crm.salesforce is not None

        def rest(seconds: float) -> None:
            """Time goes by for nobody."""

        wide = timedelta(minutes=10)
        hubspot = HubSpotCrm(
            config.crm.hubspot, wanted=properties_wanted(config, "hubspot"), budget=NoBudget(), sleep=rest, overlap=wide, timeout=5.0
        )
        salesforce = SalesforceCrm(
            config.crm.salesforce, wanted=properties_wanted(config, "salesforce"), budget=NoBudget(), sleep=rest, overlap=wide, timeout=5.0
        )
        self.opened.callback(hubspot.close)
        self.opened.callback(salesforce.close)
        self.killable = {"hubspot": Killable(hubspot), "salesforce": Killable(salesforce)}
        self.app = App(config=config, store=store, crms=self.killable, now=lambda: self.at)  # type: ignore[arg-type]  # it passes all on
        self.truth = Truth(self.app, self.box)

    def teardown(self) -> None:
        try:
            self.quiet()
            self._nothing_of_the_forgotten()
        finally:
            self.opened.close()

    # ── What people do ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _one(self, ids: Sequence[str] | dict[str, Any], number: int) -> str | None:
        known = sorted(ids)
        return known[number % len(known)] if known else None

    def _contact(self, number: int) -> str | None:
        return self._one(self.box.hubspot.ids("contacts"), number)

    def _lead(self, number: int) -> str | None:
        return self._one([one for one, row in self.box.salesforce.live("Lead").items() if not row.get("IsConverted")], number)

    def _person(self, number: int) -> str | None:
        return self._one([one for name in ("Lead", "Contact") for one in self.box.salesforce.live(name)], number)

    @rule(number=which, title=text, company=st.booleans())
    def edit_in_hubspot(self, number: int, title: str, company: bool) -> None:
        name = "companies" if company else "contacts"
        if (one := self._one(self.box.hubspot.ids(name), number)) is not None:
            self.box.hubspot.edit(name, one, **({"industry": "COMPUTER_SOFTWARE"} if company else {"jobtitle": title}))

    @rule(number=which, title=text, name=st.sampled_from(SALESFORCE_PEOPLE), late=st.sampled_from([None, 0.0, 300.0]))
    def edit_in_salesforce(self, number: int, title: str, name: str, late: float | None) -> None:
        if (one := self._one(self.box.salesforce.live(name), number)) is not None:
            with suppress(RowRefused):
                self.box.salesforce.edit(name, one, late=late, **({"Industry": "Technology"} if name == "Account" else {"Title": title}))

    @rule(number=which, salesforce=st.booleans())
    def create(self, number: int, salesforce: bool) -> None:
        self.made += 1
        email = f"only-here-{self.made}@made-{self.made}.example"
        if salesforce:
            self.box.salesforce.create("Lead", LastName=f"Neu{self.made}", Company="Neu GmbH", Email=email)
        else:
            self.box.hubspot.create("contacts", email=email, lastname=f"Neu{self.made}", jobtitle="CEO")

    @rule(number=which, name=st.sampled_from(["contacts", "companies", "deals", "calls", "emails", "meetings", "tasks"]))
    def delete_in_hubspot(self, number: int, name: str) -> None:
        if (one := self._one(self.box.hubspot.ids(name), number)) is not None:
            self.box.hubspot.delete(name, one)

    @rule(number=which, name=st.sampled_from(HUBSPOT_PEOPLE))
    def restore_in_hubspot(self, number: int, name: str) -> None:
        if (one := self._one(self.box.hubspot.archived(name), number)) is not None:
            self.box.hubspot.restore(name, one)

    @rule(
        number=which,
        name=st.sampled_from(["Lead", "Contact", "Account", "Task", "Event", "Opportunity", "CampaignMember"]),
        hard=st.booleans(),
    )
    def delete_in_salesforce(self, number: int, name: str, hard: bool) -> None:
        if (one := self._one(self.box.salesforce.live(name), number)) is not None:
            with suppress(RowRefused):
                (self.box.salesforce.hard_delete if hard else self.box.salesforce.delete)(name, one)

    @rule(number=which)
    def undelete_in_salesforce(self, number: int) -> None:
        bin_ = sorted((name, one) for name, one in self.box.salesforce.deleted_ids() if name in (*SALESFORCE_PEOPLE, "Task", "Opportunity"))
        if bin_:
            with suppress(RowRefused):
                self.box.salesforce.undelete(*bin_[number % len(bin_)])

    @rule()
    def empty_bin(self) -> None:
        self.box.salesforce.empty_bin()

    @rule(number=which, bin_=st.booleans())
    def forget(self, number: int, bin_: bool) -> None:
        ids = self.box.hubspot.archived("contacts") if bin_ else self.box.hubspot.ids("contacts")
        if (one := self._one(ids, number)) is not None:
            row = self.box.world.hubspot["contacts"][one]
            self.forgotten[one] = row["properties"].get("email") or ""
            self.box.hubspot.forget(one)

    @rule(number=which, other=which, name=st.sampled_from(HUBSPOT_PEOPLE))
    def merge_in_hubspot(self, number: int, other: int, name: str) -> None:
        keep, lose = self._one(self.box.hubspot.ids(name), number), self._one(self.box.hubspot.ids(name), other)
        if keep is not None and lose is not None and keep != lose:
            self.merged |= {keep, lose, self.box.hubspot.merge(name, keep, lose)}

    @rule(number=which, other=which, name=st.sampled_from(SALESFORCE_PEOPLE))
    def merge_in_salesforce(self, number: int, other: int, name: str) -> None:
        keep, lose = self._one(self.box.salesforce.live(name), number), self._one(self.box.salesforce.live(name), other)
        if keep is not None and lose is not None and keep != lose:
            with suppress(RowRefused):
                self.box.salesforce.merge(name, keep, lose)

    @rule(number=which, opportunity=st.booleans())
    def convert(self, number: int, opportunity: bool) -> None:
        if (one := self._lead(number)) is not None:
            with suppress(RowRefused):
                self.box.salesforce.convert(one, opportunity=opportunity)

    @rule(salesforce=st.booleans(), many=st.integers(2, 40))
    def stamp_many_alike(self, salesforce: bool, many: int) -> None:
        if salesforce:
            self.box.salesforce.stamp_alike("Lead", sorted(self.box.salesforce.live("Lead"))[:many], self.at)
        else:
            self.box.hubspot.stamp_alike("contacts", sorted(self.box.hubspot.ids("contacts"))[:many], self.at)

    @rule(number=which, other=which, kind=st.sampled_from(["log_call", "log_email", "log_meeting", "log_task"]))
    def log_in_hubspot(self, number: int, other: int, kind: str) -> None:
        people = sorted({one for one in (self._contact(number), self._contact(other)) if one is not None})
        getattr(self.box.hubspot, kind)(people, at=self.at - timedelta(minutes=5))

    @rule(number=which, event=st.booleans())
    def log_in_salesforce(self, number: int, event: bool) -> None:
        if (one := self._person(number)) is not None:
            with suppress(RowRefused):
                (self.box.salesforce.event if event else self.box.salesforce.log_call)(one)

    @rule(number=which, other=which, name=st.sampled_from([*ACTIVITIES["hubspot"], "deals"]), add=st.booleans())
    def link(self, number: int, other: int, name: str, add: bool) -> None:
        """Of what is young enough to be read again."""
        young = {
            one
            for one, row in self.box.hubspot.live(name).items()
            if (row["modified"] if name == "deals" else row["created"]) > self.at - timedelta(days=20) and row["created"] >= NOW
        }
        one, contact = self._one(list(young), number), self._contact(other)
        if one is not None and contact is not None:
            (self.box.hubspot.associate if add else self.box.hubspot.dissociate)(name, one, "contacts", contact)

    @rule(number=which, amount=st.integers(1, 9))
    def change_deals(self, number: int, amount: int) -> None:
        if (one := self._one(self.box.hubspot.ids("deals"), number)) is not None:
            self.box.hubspot.edit("deals", one, amount=str(amount * 500))
        if (two := self._one(self.box.salesforce.live("Opportunity"), number)) is not None:
            with suppress(RowRefused):
                self.box.salesforce.edit("Opportunity", two, Amount=amount * 500)

    @rule(number=which, other=which, deed=st.sampled_from(["role", "end role", "member", "status"]))
    def change_parts(self, number: int, other: int, deed: str) -> None:
        people = self.box.salesforce
        with suppress(RowRefused):
            if deed == "role":
                deal, contact = self._one(people.live("Opportunity"), number), self._one(people.live("Contact"), other)
                if deal and contact:
                    people.create("OpportunityContactRole", OpportunityId=deal, ContactId=contact, Role="Influencer")
            elif deed == "end role" and (one := self._one(people.live("OpportunityContactRole"), number)):
                people.delete("OpportunityContactRole", one)
            elif deed == "member":
                campaign, lead = self._one(people.live("Campaign"), number), self._lead(other)
                if campaign and lead:
                    people.create("CampaignMember", CampaignId=campaign, LeadId=lead, Status="Sent")
            elif deed == "status" and (one := self._one(people.live("CampaignMember"), number)):
                people.edit("CampaignMember", one, Status="Responded")

    @rule(seconds=st.sampled_from([0.5, 1.0, 15.0, 61.0, 599.0, 601.0, 3600.0, 86400.0]))
    def time_goes_by(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

    # ── What goes wrong ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(answer=st.sampled_from(ANSWERS), salesforce=st.booleans(), after=st.integers(0, 30), times=st.integers(1, 7))
    def fail(self, answer: dict[str, Any], salesforce: bool, after: int, times: int) -> None:
        frame = self.box.salesforce_frame if salesforce else self.box.hubspot_frame
        frame.add(Fault(frame.crm, "", times, after=after, **answer))

    @rule(name=st.sampled_from(MEANWHILE), every=st.integers(1, 9), seed=st.integers(0, 99))
    def meanwhile(self, name: str, every: int, seed: int) -> None:
        arm(self.box, name, every=every, times=4, seed=seed)

    # ── What the connector does ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _rooms(self) -> Rooms:
        return self.app.rooms()

    @rule()
    def pull(self) -> None:
        self._add_up(pull_only(self._rooms()))

    @rule()
    def look(self) -> None:
        self._add_up(look_for_removals(self._rooms()))

    @rule(steps=st.integers(0, 40), salesforce=st.booleans(), deletes=st.booleans())
    def killed(self, steps: int, salesforce: bool, deletes: bool) -> None:
        crm = self.killable["salesforce" if salesforce else "hubspot"]
        crm.left = steps
        with suppress(Killed):
            (look_for_removals if deletes else pull_only)(self._rooms())
        crm.left = None

    @rule()
    def unify(self) -> None:
        self._unify(pull_only(self._rooms()))

    def _unify(self, done: Mirrored) -> None:
        caught_up = catch_up(self._rooms(), done.pulled, now=self.at)
        unify(self.app.store, caught_up.installation.writer, now=self.at)

    def _add_up(self, done: Mirrored) -> None:
        """Seen = stored + unchanged + set aside, of each stream; what was seen is what the pages said."""
        for crm, name, stream in streams_of(done.pulled):
            assert 0 <= stream.stored + stream.set_aside <= stream.seen, f"{crm} {name}: {stream}"
        for error in done.errors:
            assert isinstance(error, CrmError), error

    # ── Quiet ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def quiet(self) -> None:
        """Nothing goes wrong, nobody does anything, all lags are over: one look, and everything is as in the CRMs."""
        for frame in (self.box.hubspot_frame, self.box.salesforce_frame):
            frame.clear()
            frame.before_call.clear()
        self.box.salesforce.options.session_calls = None
        self.box.salesforce.options.late_commits = self.box.hubspot.options.search_lag_seconds = LAG
        self.at += timedelta(hours=1)
        for each in self.killable.values():
            each.seen.clear()
        done = look_for_removals(self._rooms())
        assert done.errors == []
        for crm, name, stream in streams_of(done.pulled):
            assert stream.whole
            assert stream.seen == self.killable[crm].seen[name]
        self._add_up(done)
        self._unify(done)
        differences = self.truth.differences()
        assert not differences, "\n".join(differences)

    @rule()
    def looks_whether_all_is_well(self) -> None:
        self.quiet()

    def _nothing_of_the_forgotten(self) -> None:
        for one in self.forgotten:
            for table in ("record", "record_version", "record_email"):
                assert rows(self.app, f"SELECT id FROM {table} WHERE crm = 'hubspot' AND object = 'contacts' AND id = :id", id=one) == []
        alone = [email for one, email in self.forgotten.items() if email.startswith("only-here-") and one not in self.merged]
        for file in self.folder.glob("store.db*"):
            raw = file.read_bytes()
            assert [email for email in alone if email.encode() in raw] == []


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite store, to be copied."""
    path = tmp_path_factory.mktemp("template") / "store.db"
    store = Store.open(f"sqlite:///{path}", None)
    store.upgrade()
    store.close()
    return path


def on_sqlite(template: Path) -> Callable[[Path], str]:
    def database(folder: Path) -> str:
        shutil.copy(template, folder / "store.db")
        return f"sqlite:///{folder / 'store.db'}"

    return database


def machine(database: Callable[[Path], str]) -> type[MirrorMachine]:
    """The machine on such a database."""
    return type("MirrorMachine", (MirrorMachine,), {"database": staticmethod(database)})


_SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


def test_the_mirror_equals_the_crms(template: Path) -> None:
    run_state_machine_as_test(
        machine(on_sqlite(template)),
        settings=settings(settings.default, max_examples=5, stateful_step_count=8, deadline=None, suppress_health_check=_SLOW),
    )


@pytest.mark.long
def test_the_mirror_equals_the_crms_at_length(template: Path) -> None:
    run_state_machine_as_test(
        machine(on_sqlite(template)),
        settings=settings(settings.default, max_examples=200, stateful_step_count=30, deadline=None, suppress_health_check=_SLOW),
    )


@pytest.mark.long
def test_the_mirror_equals_the_crms_on_postgresql(fresh_postgres: Callable[[], str]) -> None:
    def database(folder: Path) -> str:
        url = fresh_postgres()
        store = Store.open(url, None)
        store.upgrade()
        store.close()
        return url

    run_state_machine_as_test(
        machine(database),
        settings=settings(settings.default, max_examples=40, stateful_step_count=20, deadline=None, suppress_health_check=_SLOW),
    )
