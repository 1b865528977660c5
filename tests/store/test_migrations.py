"""The schema: migrations and declared tables agree, names are in order, processes that race do not hurt each other."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from sqlalchemy.engine.interfaces import ReflectedIndex

from connector.errors import StoreError
from connector.store import schema
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


def test_the_wheel_carries_the_migrations() -> None:
    """In a wheel they lie inside the package, where `migrations_folder` looks first."""
    folder = schema.migrations_folder()
    assert (folder / "env.py").is_file()
    assert list((folder / "versions").glob("0001_*.py"))
