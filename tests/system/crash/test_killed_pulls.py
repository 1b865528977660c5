"""`kill -9` at random moments of a first and of an incremental pull, one after another: at last nothing is missing, nothing there twice.

The killed mirror is held against the CRMs' own books, and row by row against one that nobody killed. The seed is printed; KILL_SEED in the
environment sets another.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import text

from connector.app import open_app, open_store
from connector.config.load import load
from connector.sandbox.serve import Sandbox
from connector.store.database import Store
from tests.system.crash.killed_processes import Ended, Processes
from tests.system.mirror_machine.oracle import Oracle
from tests.system.support import NOW, config_text, running, small_sandbox

SEED = int(os.environ.get("KILL_SEED", "20261118"))


class Moment(NamedTuple):
    """Where a process is killed: inside a phase, or from outside ("anywhere") after so many requests or so much time."""

    phase: str
    where: str


#: A deck of 50: twelve in each of page commit, cursor commit and unification, and fourteen anywhere.
DECK = [
    *(Moment("page", where) for where in ("statement", "commit", "committed") for _ in range(4)),
    *(Moment("cursor", where) for where in ("before", "after", "commit") for _ in range(4)),
    *(Moment("unify", where) for where in ("link", "contact", "between") for _ in range(4)),
    *(Moment("anywhere", where) for where in ("request", "time") for _ in range(7)),
]
SHORT = [Moment("page", "statement"), Moment("cursor", "after"), Moment("unify", "contact")]

#: What a mirror holds, without our own numbers of contacts, the moments at which we looked, and a record's fingerprint: it is empty since a
#: merge or a removal touched the record, until a page brings it again, which a pull that was killed may do once more.
_TABLES = {
    "record": ("contact_id", "seen_at", "fingerprint"),
    "record_email": (),
    "merged": ("seen_at",),
    "field_history": (),
    "activity": (),
    "activity_link": ("contact_id",),
    "owner": (),
    "deal": (),
    "deal_link": (),
    "campaign": (),
    "campaign_member": (),
    "set_aside": ("at",),
}


# ── A mirror that is killed, and one that is not ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Trial:
    """A sandbox that is pulled by processes. at: its clock."""

    box: Sandbox
    folder: Path
    processes: Processes
    database: Callable[[], str]
    draw: random.Random
    at: Any = NOW
    told: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    made: int = 0

    def mirror(self) -> Path:
        """The configuration of a new mirror."""
        self.made += 1
        path = self.folder / f"config-{self.made}.toml"
        path.write_text(config_text(self.box, self.database(), mode="shadow", edit=lambda file: file.replace('"10%"', '"100%"')))
        with running(load(path)):
            return path

    def order(self, path: Path, job: str, place: tuple[str, str, int] | None = None) -> dict[str, Any]:
        self.at += timedelta(seconds=30)
        return {"path": str(path), "moment": self.at.isoformat(), "job": job, "place": place}

    def whole(self, path: Path, job: str) -> Ended:
        """A process that nobody kills: it reads every stream to its end."""
        ended = self.processes.run(self.order(path, job))
        assert not ended.killed
        assert ended.result["errors"] == []
        for name, (seen, stored, aside, whole) in ended.result["streams"].items():
            assert whole, name
            assert 0 <= stored + aside <= seen, name
            assert aside == 0, name
        return ended

    def idle(self, path: Path, job: str, before: Ended) -> int:
        """The requests of a process that finds nothing new: it goes on from the cursors, and reads next to nothing again."""
        ended = self.whole(path, job)
        seen, stored = ([sum(each[at] for each in one.result["streams"].values()) for one in (ended, before)] for at in (0, 1))
        assert stored[0] == 0
        assert seen[0] < seen[1] / 2
        return ended.calls

    def round(self, killed: Path, job: str, deck: list[Moment], unbroken: Ended, idle: int) -> None:
        """Processes that are killed at these moments, one after another, and one that is not. What came to its end before goes back."""
        before, kills, calls = len(deck), 0, 0
        order = sorted(deck, key=lambda one: self.draw.random() < 0.3 if one.phase == "anywhere" else one.phase == "unify")
        deck.clear()
        for moment in order:
            ended = self._killed(killed, job, moment, unbroken, before)
            calls += ended.calls
            if ended.killed:
                kills += 1
                self.kinds[moment.phase] += 1
                self.told.append(f"{job}: {moment.phase}, {moment.where} {ended.told}")
            else:
                assert ended.result["errors"] == []
                deck.append(moment)
        last = self.whole(killed, job)
        calls += last.calls
        most = unbroken.calls + len(order) * idle + kills * LOST
        self.told.append(f"{job}: {kills} times in a row, {calls} calls in all; unbroken {unbroken.calls}, with nothing to do {idle}")
        assert calls <= most

    def _killed(self, path: Path, job: str, moment: Moment, unbroken: Ended, share: int) -> Ended:
        """A process that is killed at a moment drawn from what an unbroken one has, in a share of it."""
        if moment.phase == "anywhere":
            requests = self.draw.randrange(max(2, unbroken.calls // share * 2))
            seconds = self.draw.uniform(0.1, 1.5)
            given: dict[str, Any] = {"requests": 1 + requests} if moment.where == "request" else {"seconds": seconds}
            return self.processes.run(self.order(path, job), **given)
        met = unbroken.result["met"].get(" ".join(moment), 1)
        count = self.draw.randrange(max(1, met // share))
        return self.processes.run(self.order(path, job, (*moment, count)))


#: Requests that one kill costs at most, taken over a round: pages of the mirror that streams had on the way.
LOST = 10


@contextmanager
def trial(folder: Path, database: Callable[[], str], draw: random.Random, *, contacts: int, leads: int) -> Iterator[Trial]:
    """A sandbox whose Leads come by a bulk job, in several pages."""
    made: list[Trial] = []
    box = small_sandbox(lambda: made[0].at if made else NOW, contacts=contacts, leads=leads, page_size=100, bulk_page=300)
    with box, (folder / "errors.txt").open("w") as told:
        processes = Processes("killed_pull", told, box)
        made.append(Trial(box, folder, processes, database, draw))
        try:
            yield made[0]
        finally:
            processes.close()


def same_mirrors(trial: Trial, killed: Path, whole: Path) -> None:
    """Nothing missing, nothing twice."""
    held = []
    for path in (killed, whole):
        with open_app(load(path), now=lambda: trial.at) as app:
            differences = Oracle(app, trial.box).differences()
            assert not differences, "\n".join(differences)
            held.append(contents(app.store))
    for name in held[0]:
        surplus, missing = held[0][name] - held[1][name], held[1][name] - held[0][name]
        other = next(iter(missing), None)
        assert not surplus, f"{name}: {len(surplus)} are there too much, such as {next(iter(surplus))}; missing: {other}"
        assert not missing, f"{name}: {len(missing)} are missing, such as {next(iter(missing))}"


def contents(store: Store) -> dict[str, Counter[Any]]:
    """Every row, and who is one person, how many contacts there are, what was told of the same change."""
    with store.read() as connection:
        found: dict[str, Counter[Any]] = {}
        for table, without in _TABLES.items():
            rows = connection.execute(text(f"SELECT * FROM {table}")).mappings()
            found[table] = Counter(
                tuple((name, value) for name, value in row.items() if name not in _without(table, without, row)) for row in rows
            )
        # Two changes of a record are one version or two, by which stream was first.
        versions = connection.execute(text("SELECT crm, object, id, changed FROM record_version"))
        found["changes"] = Counter(
            (row.crm, row.object, row.id, name, *values) for row in versions for name, values in json.loads(row.changed).items()
        )
        people: dict[int, set[tuple[str, ...]]] = {}
        for row in connection.execute(text("SELECT crm, object, id, contact_id FROM record WHERE contact_id IS NOT NULL")):
            people.setdefault(row.contact_id, set()).add((row.crm, row.object, row.id))
        found["people"] = Counter(frozenset(keys) for keys in people.values())
        contacts = connection.execute(text("SELECT id, gone, stage, in_hubspot, in_salesforce FROM contact WHERE merged_into IS NULL"))
        found["contacts"] = Counter((frozenset(people.get(row.id, ())), *row[1:]) for row in contacts)
        assert found["contacts"][frozenset(), False, None, False, False] == 0, "a contact without a record"
        told = "SELECT object, record_id, property, before, after, at FROM field_history"
        found["told changes"] = Counter(tuple(row) for row in connection.execute(text(told)))
        assert max(found["told changes"].values(), default=1) == 1
        return found


def _without(table: str, without: Collection[str], row: Mapping[Any, Any]) -> Collection[str]:
    """What was found gone bears the moment of the look that found it."""
    return (*without, "modified_at", "fingerprint") if table in ("activity", "deal") and row["archived"] else without


class People:
    """They edit some hundred records, many of one moment, merge, convert, delete, log calls, and make new ones."""

    def __init__(self, trial: Trial) -> None:
        self._hubspot, self._salesforce, self._draw, self._at = trial.box.hubspot, trial.box.salesforce, trial.draw, trial.at

    def work(self, many: int) -> None:
        self._edit(many)
        self._merge(max(1, many // 30))
        self._delete(max(1, many // 40))
        self._add(max(1, many // 10))

    def _some(self, ids: Iterable[str], count: int) -> list[str]:
        known = sorted(ids)
        return self._draw.sample(known, min(count, len(known)))

    def _open_leads(self, count: int) -> list[str]:
        return self._some((one for one, row in self._salesforce.live("Lead").items() if not row.get("IsConverted")), count)

    def _edit(self, many: int) -> None:
        for one in self._some(self._hubspot.ids("contacts"), many):
            self._hubspot.edit("contacts", one, jobtitle=f"Head of {self._draw.randint(1, 999)}")
        for one in self._open_leads(many // 2):
            self._salesforce.edit("Lead", one, Title=f"Head of {self._draw.randint(1, 999)}")
        self._hubspot.stamp_alike("contacts", self._some(self._hubspot.ids("contacts"), many * 2), self._at)
        self._salesforce.stamp_alike("Lead", self._some(self._salesforce.live("Lead"), many), self._at)

    def _merge(self, pairs: int) -> None:
        for name in ("contacts", "companies"):
            ids = self._some(self._hubspot.ids(name), 2 * pairs)
            for keep, lose in zip(ids[::2], ids[1::2], strict=False):
                self._hubspot.merge(name, keep, lose)
        ids = self._open_leads(2 * pairs)
        for keep, lose in zip(ids[::2], ids[1::2], strict=False):
            self._salesforce.merge("Lead", keep, lose)
        for one in self._open_leads(pairs):
            self._salesforce.convert(one)

    def _delete(self, many: int) -> None:
        for name in ("contacts", "deals", "calls", "meetings"):
            for one in self._some(self._hubspot.ids(name), many):
                self._hubspot.delete(name, one)
        for one in self._open_leads(many):
            self._salesforce.delete("Lead", one)
        for one in self._some(self._salesforce.live("Task"), many):
            self._salesforce.delete("Task", one)

    def _add(self, many: int) -> None:
        for one in self._some(self._hubspot.ids("contacts"), many):
            self._hubspot.log_call([one], at=self._at)
        for one in self._open_leads(many):
            self._salesforce.log_call(one)
        for _ in range(many):
            number = self._draw.randrange(10**9)
            email = f"new-{number}@made-{number}.example"
            self._hubspot.create("contacts", email=email, lastname=f"Neu{number}")
            self._salesforce.create("Lead", LastName=f"Neu{number}", Company="Neu GmbH", Email=email)


# ── The tests ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def killed_first_pulls(trial: Trial, deck: list[Moment], *, a_round: int) -> tuple[Path, Path]:
    """First pulls, killed at all moments of the deck; the last killed mirror, and the whole one."""
    whole = trial.mirror()
    unbroken = trial.whole(whole, "pull")
    idle = trial.idle(whole, "pull", unbroken)
    return rounds(trial, deck, a_round, lambda cards: one_first_pull(trial, cards, whole, unbroken, idle)), whole


def one_first_pull(trial: Trial, cards: list[Moment], whole: Path, unbroken: Ended, idle: int) -> Path:
    killed = trial.mirror()
    trial.round(killed, "pull", cards, unbroken, idle)
    read = [seen_of_whole_reads(each) for each in (killed, whole)]
    assert {name: seen for name, seen in read[0].items() if name not in _TWO_CHAINS} == {
        name: seen for name, seen in read[1].items() if name not in _TWO_CHAINS
    }, "a page was stored twice, or not at all"
    same_mirrors(trial, killed, whole)
    return killed


_TWO_CHAINS = (("hubspot", "contacts"), ("hubspot", "companies"))


def seen_of_whole_reads(path: Path) -> dict[tuple[str, str], int]:
    """How many records the pages of each stream's first read had that were stored, however often it was broken off."""
    with open_store(load(path)) as store, store.read() as connection:
        found = connection.execute(text("SELECT crm, object, last_seen FROM cursor WHERE last_seen IS NOT NULL"))
        return {(row.crm, row.object): row.last_seen for row in found}


def killed_later_pulls(trial: Trial, deck: list[Moment], killed: Path, whole: Path, *, a_round: int, many: int) -> None:
    """Pulls of what people did, killed at all moments of the deck."""

    def one(cards: list[Moment]) -> Path:
        trial.at += timedelta(minutes=20)
        People(trial).work(many)
        trial.at += timedelta(minutes=20)
        unbroken = trial.whole(whole, "look")
        idle = trial.idle(whole, "look", unbroken)
        trial.round(killed, "look", cards, unbroken, idle)
        same_mirrors(trial, killed, whole)
        return killed

    rounds(trial, deck, a_round, one)


def rounds(trial: Trial, deck: list[Moment], a_round: int, one: Callable[[list[Moment]], Path]) -> Path:
    """Deals the deck out, so many to a round; moments that were not reached come again."""
    deck = [*deck]
    trial.draw.shuffle(deck)
    most = 3 * len(deck) // a_round + 3
    while deck:
        assert (most := most - 1) > 0, f"not reached: {deck}"
        cards, deck = deck[:a_round], deck[a_round:]
        last = one(cards)
        deck += cards
    return last


def report(trial: Trial, name: str) -> None:
    lines = [f"{name}: seed {SEED}; {trial.kinds.total()} kills: {dict(trial.kinds)}", *(f"  {line}" for line in trial.told)]
    sys.stdout.write("\n".join([*lines, ""]))


def sqlite(folder: Path) -> Callable[[], str]:
    """New databases in a folder."""
    made = iter(range(1000))
    return lambda: f"sqlite:///{folder}/c{next(made)}.db"


def test_killed_some_times(tmp_path: Path) -> None:
    draw = random.Random(SEED)
    with trial(tmp_path, sqlite(tmp_path), draw, contacts=50, leads=20) as one:
        killed, whole = killed_first_pulls(one, SHORT[::2], a_round=2)
        killed_later_pulls(one, SHORT[1:2], killed, whole, a_round=1, many=20)
        report(one, "short")


@pytest.mark.long
@pytest.mark.parametrize("job", ["first", "later"])
def test_killed_at_50_moments(tmp_path: Path, capsys: pytest.CaptureFixture[str], job: str) -> None:
    draw = random.Random(f"{SEED} {job}")
    with trial(tmp_path, sqlite(tmp_path), draw, contacts=2500, leads=1000) as one:
        if job == "first":
            killed_first_pulls(one, DECK, a_round=8)
        else:
            killed, whole = one.mirror(), one.mirror()
            for path in (killed, whole):
                one.whole(path, "pull")
            killed_later_pulls(one, DECK, killed, whole, a_round=8, many=300)
        with capsys.disabled():
            report(one, f"\n{job} pull")
        assert one.kinds.total() == 50
        assert all(one.kinds[phase] >= 10 for phase in ("page", "cursor", "unify"))


@pytest.mark.long
def test_killed_on_postgresql(tmp_path: Path, capsys: pytest.CaptureFixture[str], fresh_postgres: Callable[[], str]) -> None:
    deck = sorted(set(DECK))
    with trial(tmp_path, fresh_postgres, random.Random(SEED), contacts=250, leads=100) as one:
        killed, whole = killed_first_pulls(one, deck, a_round=6)
        killed_later_pulls(one, deck, killed, whole, a_round=6, many=60)
        with capsys.disabled():
            report(one, "\nPostgreSQL")
        assert one.kinds.total() == 2 * len(deck)
