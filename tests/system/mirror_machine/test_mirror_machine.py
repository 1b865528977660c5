"""At random: people and tools change both CRMs, answers fail, pulls are killed; after a quiet pull the mirror equals the CRMs.

A held clock moves only between steps. HubSpot's index and Salesforce's commits are late all the while. `actions` has what people
do and what goes wrong, `oracle` compares.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from traceback import format_exception
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test
from sqlalchemy import make_url

from connector.adapters.client import NoBudget
from connector.adapters.hubspot import HubSpotCrm
from connector.adapters.salesforce import SalesforceCrm
from connector.app import App, open_store
from connector.config.load import loads
from connector.config.tables import Config
from connector.engine import PassResult, run_pass
from connector.errors import CrmError
from connector.jobs.mirror_jobs import Mirrored, look_for_removals, pull_only, reconcile
from connector.pipeline.context import PassContext
from connector.pipeline.installation import catch_up, prepare
from connector.pipeline.pull.streams import streams_of
from connector.pipeline.unify.unify import unify
from connector.store.database import Store
from connector.store.mirror import pages
from connector.workflows.fields import properties_wanted
from tests.system.mirror_machine.actions import OVERLAP, Actions
from tests.system.mirror_machine.killable import Killable, Killed
from tests.system.mirror_machine.oracle import Oracle
from tests.system.support import config_text, rows

SHORT = 8
"""Steps of an example in the short suite."""

_JOBS: dict[str, Callable[[PassContext], Any]] = {"pull": pull_only, "look": look_for_removals, "reconcile": reconcile}


def _told(errors: Sequence[BaseException]) -> str:
    return "\n".join("".join(format_exception(error)) for error in errors)


class MirrorMachine(Actions):
    """database: gives the URL of an empty database, in a folder where one may lie. mode: whether passes write to the CRMs."""

    database: ClassVar[Callable[[Path], str]]
    mode: ClassVar[str] = "shadow"

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(self.opened.enter_context(TemporaryDirectory()))
        url = type(self).database(self.folder)
        # One look may take everything away here: what [guard] shrink stops is tested elsewhere.
        text = config_text(self.box, url, mode=type(self).mode, edit=lambda file: file.replace('"10%"', '"100%"'))
        config = loads(text, source="config.toml")
        store = self.opened.enter_context(open_store(config))
        self.killable = {name: Killable(crm) for name, crm in self._crms(config).items()}
        self.app = App(config=config, store=store, crms=self.killable, now=lambda: self.at)  # type: ignore[arg-type]  # it passes all on
        self.oracle = Oracle(self.app, self.box, self.known)

    def _crms(self, config: Config) -> dict[str, Any]:
        assert config.crm.hubspot is not None
        assert config.crm.salesforce is not None

        def rest(seconds: float) -> None:
            """Time goes by for nobody."""

        how: dict[str, Any] = {"budget": NoBudget(), "sleep": rest, "overlap": timedelta(seconds=OVERLAP), "timeout": 5.0}
        hubspot = HubSpotCrm(config.crm.hubspot, wanted=properties_wanted(config, "hubspot"), **how)
        salesforce = SalesforceCrm(config.crm.salesforce, wanted=properties_wanted(config, "salesforce"), **how)
        self.opened.callback(hubspot.close)
        self.opened.callback(salesforce.close)
        return {"hubspot": hubspot, "salesforce": salesforce}

    def teardown(self) -> None:
        """Every example ends in quiet."""
        try:
            self.quiet()
            self._nothing_of_the_forgotten()
        finally:
            self.opened.close()

    # ── What the connector does ──────────────────────────────────────────────────────────────────────────────────────────────────

    @rule()
    def pull(self) -> None:
        self._add_up(pull_only(self.app.context()))

    @rule()
    def judged(self) -> None:
        """A whole pass: whatever happened to whomever, everybody can be judged."""
        self._add_up(run_pass(self.app.context()))

    @rule()
    def look(self) -> None:
        self._add_up(look_for_removals(self.app.context()))

    @rule(steps=st.integers(0, 60), salesforce=st.booleans(), job=st.sampled_from([*_JOBS, "pull"]))
    def killed(self, steps: int, salesforce: bool, job: str) -> None:
        crm = self.killable["salesforce" if salesforce else "hubspot"]
        crm.left = steps
        with suppress(Killed):
            _JOBS[job](self.app.context())
        crm.left = None

    @rule(left=st.integers(0, 25))
    def spent(self, left: int) -> None:
        """The day's calls are spent in a pull; it goes on the next day."""
        self.spend_day(left)
        self._add_up(pull_only(self.app.context()))
        self.box.hubspot_faults.clear()
        self.at += timedelta(days=1, minutes=1)

    @rule()
    def unify(self) -> None:
        self._unify(pull_only(self.app.context()))

    def _unify(self, done: Mirrored) -> None:
        prepared = prepare(self.app.store, self.app.config, self.app.crms, now=self.at)
        caught_up = catch_up(self.app.context(), prepared, done.pulled, now=self.at)
        unify(self.app.store, caught_up.installation.writer, now=self.at)

    def _add_up(self, done: Mirrored | PassResult) -> None:
        """What is stored or set aside was seen; the rest was here as it is. Nothing fails but by a CRM."""
        for crm, name, stream in streams_of(done.pulled):
            assert 0 <= stream.stored + stream.set_aside <= stream.seen, f"{crm} {name}: {stream}"
        for error in done.errors:
            assert isinstance(error, CrmError), _told([error])

    # ── Quiet ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def quiet(self) -> None:
        """One look, and everything is as in the CRMs, but what only a comparison tells; that is so after one."""
        self.calm()
        for each in self.killable.values():
            each.seen.clear()
        done = look_for_removals(self.app.context())
        assert not done.errors, _told(done.errors)
        for crm, name, stream in streams_of(done.pulled):
            assert stream.whole
            again = done.removed is not None and done.removed[crm][name].compared  # the look has read it once more
            assert again or stream.seen == self.killable[crm].seen[name]
        self._add_up(done)
        self._unify(done)
        self._equal(self.known.untold)
        if self.known.untold:
            streams = [(crm, name) for crm in self.killable.values() for name in crm.streams()]
            if any(pages.get_cursor(self.app.store, crm.name, f"reconcile:{name}") for crm, name in streams):
                reconcile(self.app.context())  # one that was killed goes on behind what it had read
            compared = reconcile(self.app.context())
            assert not compared.errors, _told(compared.errors)
            for crm, name, one in streams_of(compared.objects):
                assert one.seen == one.same + one.repaired + one.set_aside, f"{crm} {name}: {one}"
            self.known.untold.clear()
            self._equal(set())

    def _equal(self, but: set[tuple[str, str]]) -> None:
        differences = self.oracle.differences(but)
        assert not differences, "\n".join(differences)

    @rule()
    def looks_whether_all_is_well(self) -> None:
        self.quiet()

    def _nothing_of_the_forgotten(self) -> None:
        for one in self.known.forgotten:
            for table in ("record", "record_version", "record_email"):
                assert rows(self.app, f"SELECT id FROM {table} WHERE crm = 'hubspot' AND object = 'contacts' AND id = :id", id=one) == []
        known = self.known.forgotten.items()
        alone = {email for one, emails in known if one not in self.known.merged for email in emails if email.startswith("only-here-")}
        for file in self.folder.glob("store.db*"):
            raw = file.read_bytes()
            assert [email for email in sorted(alone) if email.encode() in raw] == []


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


def run(database: Callable[[Path], str], seed: int, *, examples: int, steps: int, mode: str = "shadow") -> None:
    """Runs the machine on such databases. seed: of the people, and in the name, so that no two runs draw the same examples in CI."""
    machine = type(f"MirrorMachine{seed}", (MirrorMachine,), {"database": staticmethod(database), "seed": seed, "mode": mode})
    slow = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    # An example of many steps takes ten seconds: its steps are printed as they are, for to make them fewer would take hours.
    phases = [phase for phase in Phase if steps <= SHORT or phase not in (Phase.shrink, Phase.explain)]
    how = settings(
        settings.default,
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=slow,
        phases=phases,
        print_blob=True,
    )
    run_state_machine_as_test(machine, settings=how)


def test_the_mirror_equals_the_crms(template: Path) -> None:
    run(on_sqlite(template), 7, examples=3, steps=SHORT)


@pytest.mark.long
@pytest.mark.parametrize("seed", [11, 12, 13, 14])  # parts, for as many processes as there are
def test_the_mirror_equals_the_crms_at_length(template: Path, seed: int) -> None:
    run(on_sqlite(template), seed, examples=50, steps=30)


@pytest.mark.long
@pytest.mark.parametrize("seed", [15, 16])
def test_the_mirror_equals_crms_that_it_writes_to(template: Path, seed: int) -> None:
    run(on_sqlite(template), seed, examples=30, steps=30, mode="live")


@pytest.mark.long
@pytest.mark.parametrize("seed", [21, 22])
def test_the_mirror_equals_the_crms_on_postgresql(postgres: Any, fresh_postgres: Callable[[], str], seed: int) -> None:
    first = make_url(fresh_postgres())
    store = Store.open(first.render_as_string(hide_password=False), None)
    store.upgrade()
    store.close()

    def database(_: Path) -> str:
        name = f"t_{uuid4().hex}"
        postgres.run(f'CREATE DATABASE "{name}" TEMPLATE "{first.database}"')
        return first.set(database=name).render_as_string(hide_password=False)

    run(database, seed, examples=20, steps=20)
