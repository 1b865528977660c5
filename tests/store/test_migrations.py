"""The schema: migrations and declared tables agree, names are in order, processes that race do not hurt each other."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine.interfaces import ReflectedIndex

from connector.errors import StoreError
from connector.store import runs, schema
from connector.store.database import Store
from connector.store.tables import metadata


def test_migrations_make_the_declared_tables(database_url: str) -> None:
    with Store.open(database_url) as store:
        store.upgrade()
        with store.read() as connection:
            assert schema.differences(connection) == []
            assert set(inspect(connection).get_table_names()) == {*metadata.tables, "alembic_version"}


def test_the_comparison_finds_what_differs_and_passes_over_field_columns(database_url: str) -> None:
    with Store.open(database_url) as store:
        store.upgrade()
        store.write(lambda connection: connection.execute(text("ALTER TABLE contact ADD COLUMN f_industry TEXT")))
        with store.read() as connection:
            assert schema.differences(connection) == []
        store.write(lambda connection: connection.execute(text("ALTER TABLE contact ADD COLUMN industry TEXT")))
        with store.read() as connection:
            assert [(change[0], change[3].name) for change in schema.differences(connection)] == [("remove_column", "industry")]


def test_indexes_and_keys_have_the_declared_columns(database_url: str) -> None:
    """What the comparison does not look at: the order of keys, the conditions of partial indexes."""

    def plain(index: ReflectedIndex) -> tuple[str, str, bool, str]:
        options = {name: str(value) for name, value in index.get("dialect_options", {}).items()}
        return str(index["name"]), str(index["column_names"]), bool(index["unique"]), str(options)

    def shape(store: Store) -> dict[str, object]:
        with store.read() as connection:
            seen = inspect(connection)
            return {
                name: (
                    seen.get_pk_constraint(name)["constrained_columns"],
                    sorted(plain(index) for index in seen.get_indexes(name)),
                    [(column["name"], str(column["type"]), column["nullable"]) for column in seen.get_columns(name)],
                )
                for name in metadata.tables
            }

    with Store.open(database_url) as store:
        store.upgrade()
        migrated = shape(store)
        store.write(metadata.drop_all)
        store.write(metadata.create_all)
        assert shape(store) == migrated


def test_going_down_and_up_again_ends_where_it_began(database_url: str) -> None:
    with Store.open(database_url) as store:
        store.upgrade()
        store.write(lambda connection: command.downgrade(schema.alembic_config(connection), "base"))
        with store.read() as connection:
            assert set(inspect(connection).get_table_names()) <= {"alembic_version"}
        store.upgrade()
        store.check_schema()
        with store.read() as connection:
            assert schema.differences(connection) == []


def test_names_of_migrations_are_in_order() -> None:
    revisions = list(ScriptDirectory.from_config(schema.alembic_config()).walk_revisions())[::-1]
    assert [revision.revision for revision in revisions] == [f"{number:04}" for number in range(1, len(revisions) + 1)]
    for revision in revisions:
        file = revision.path.rsplit("/", 1)[-1]
        assert re.fullmatch(rf"{revision.revision}_[a-z0-9_]+\.py", file)
        assert revision.doc


def test_an_empty_database_says_what_to_do(database_url: str) -> None:
    with Store.open(database_url) as store, pytest.raises(StoreError, match="empty") as caught:
        store.check_schema()
    assert "connector db upgrade" in caught.value.advice


@pytest.mark.parametrize("work", ["check", "upgrade"])
def test_a_newer_database_is_left_alone(database_url: str, work: str) -> None:
    with Store.open(database_url) as store:
        store.upgrade()
        store.write(lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'")))
        with pytest.raises(StoreError, match="9999") as caught:
            store.check_schema() if work == "check" else store.upgrade()
    assert "newer connector" in caught.value.advice


def test_an_older_database_says_what_to_do(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.open(database_url) as store:
        store.upgrade()
        monkeypatch.setattr(schema, "head", lambda: "0099")
        with pytest.raises(StoreError, match="needs 0099") as caught:
            store.check_schema()
    assert "connector db upgrade" in caught.value.advice


def test_threads_and_stores_upgrade_at_once(database_url: str) -> None:
    stores = [Store.open(database_url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(store.upgrade) for store in stores]:
            done.result()
    for store in stores:
        store.check_schema()
        store.close()


def test_processes_upgrade_at_once(database_url: str) -> None:
    code = "import sys; from connector.store.database import Store\nwith Store.open(sys.argv[1]) as s: s.upgrade(); s.check_schema()"
    running = [subprocess.Popen([sys.executable, "-W", "error", "-c", code, database_url], stderr=subprocess.PIPE) for _ in range(2)]
    for process in running:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said.decode()


class TestOwnRules:
    """From 0007 on the program's own rules bear a colon; rows of a file's rule that was named like one stay as they are."""

    ROWS = (  # rule, bundle, whether it is ours
        ("stages", "stages|7|agreement:3", True),
        ("rejection", "rejection|7|attempt:1", True),
        ("rejection", "rejection|7|attempt:1/reason", True),
        ("rejection", "rejection|7|attempt:1/response.1/warn", False),
        ("stages", "stages|7|spell:2", False),
        ("hot", "hot|7|spell:2", False),
    )

    def test_they_are_named_anew_and_back(self, database_url: str) -> None:
        with Store.open(database_url) as store:
            store.upgrade()
            self.go(store, "0006")
            store.write(self.fill)
            before = self.stands(store)
            store.upgrade()
            mark = {True: ":", False: ""}
            assert self.stands(store) == (
                [(mark[ours] + rule, f"{mark[ours]}{bundle}/key", mark[ours] + bundle) for rule, bundle, ours in self.ROWS],
                ['{":rejection/backward":{"held":1},":stages/set_stage":{"held":0},"hot/tasks":{"held":2}}', None],
                [("job", "stages"), ("rule", ":rejection"), ("rule", "hot")],
            )
            self.go(store, "0006")
            assert self.stands(store) == before

    @pytest.mark.parametrize("adopted", [True, False])
    def test_going_live_is_kept_where_it_is_over(self, database_url: str, adopted: bool) -> None:
        with Store.open(database_url) as store:
            store.upgrade()
            self.go(store, "0006")
            names = ["first_pass:live", *(["adopted:live"] if adopted else [])]
            store.write(lambda connection: connection.execute(metadata.tables["meta"].insert(), [{"name": n, "value": "x"} for n in names]))
            store.upgrade()
            assert runs.get_meta(store, "live_since") == ("x" if adopted else None)

    @staticmethod
    def go(store: Store, revision: str) -> None:
        store.write(lambda connection: command.downgrade(schema.alembic_config(connection), revision))

    def fill(self, connection: Connection) -> None:
        for number, (rule, bundle, _) in enumerate(self.ROWS, start=1):
            connection.execute(
                text(
                    "INSERT INTO ledger (id, plan, bundle, position, key, kind, rule, contact_id, crm, object, record_id, target, state,"
                    " backward, new, urgency, planned_at, fence, tries, config_version, code, message, next_step, correlation_id)"
                    " VALUES (:id, 1, :bundle, 0, :key, 'set_stage', :rule, 7, 'hubspot', 'contacts', '1', 's', 'applied',"
                    " false, true, 0, 0, 0, 0, '', '', '', '', '')"
                ),
                {"id": number, "bundle": bundle, "key": f"{bundle}/key", "rule": rule},
            )
        guard = '{"rejection/backward":{"held":1},"stages/set_stage":{"held":0},"hot/tasks":{"held":2}}'
        plan = "INSERT INTO plan (id, run, mode, created_at, config_version, guard) VALUES (:id, 1, 'live', 0, '', :guard)"
        connection.execute(text(plan), [{"id": 1, "guard": guard}, {"id": 2, "guard": None}])
        pauses = [{"scope": "rule", "name": "rejection"}, {"scope": "rule", "name": "hot"}, {"scope": "job", "name": "stages"}]
        connection.execute(text("INSERT INTO pause (scope, name, since) VALUES (:scope, :name, 0)"), pauses)

    @staticmethod
    def stands(store: Store) -> tuple[list[tuple[str, ...]], list[str | None], list[tuple[str, ...]]]:
        with store.read() as connection:
            return (
                [tuple(row) for row in connection.execute(text("SELECT rule, key, bundle FROM ledger ORDER BY id"))],
                list(connection.scalars(text("SELECT guard FROM plan ORDER BY id"))),
                sorted(tuple(row) for row in connection.execute(text("SELECT scope, name FROM pause"))),
            )


def test_the_wheel_carries_the_migrations() -> None:
    """In a wheel they lie inside the package, where `migrations_folder` looks first."""
    folder = schema.migrations_folder()
    assert (folder / "env.py").is_file()
    assert list((folder / "versions").glob("0001_*.py"))
