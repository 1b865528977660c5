"""The store on both databases: one transaction a write, reads that cannot write, errors with a way out."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from connector.errors import StoreError
from connector.store import database
from connector.store.database import Store

INSERT = text("INSERT INTO turn (name, position) VALUES (:name, 0)")


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with Store.open(database_url) as store:
        store.upgrade()
        yield store


def names(store: Store) -> list[str]:
    with store.read() as connection:
        return list(connection.scalars(text("SELECT name FROM turn ORDER BY name")))


def add(name: str, connection: Connection) -> str:
    connection.execute(INSERT, {"name": name})
    return name


class TestWrite:
    def test_returns_what_the_work_returned(self, store: Store) -> None:
        assert store.write(lambda connection: add("a", connection)) == "a"
        assert names(store) == ["a"]

    def test_an_exception_rolls_back_and_comes_out(self, store: Store) -> None:
        def work(connection: Connection) -> None:
            add("a", connection)
            raise LookupError("on purpose")

        with pytest.raises(LookupError, match="on purpose"):
            store.write(work)
        assert names(store) == []
        store.write(lambda connection: add("b", connection))
        assert names(store) == ["b"]

    def test_a_violated_constraint_is_a_bug_not_advice(self, store: Store) -> None:
        store.write(lambda connection: add("a", connection))
        with pytest.raises(IntegrityError):
            store.write(lambda connection: add("a", connection))

    def test_errors_hold_no_values(self, store: Store) -> None:
        secret = "person@example.org"
        with pytest.raises(DBAPIError) as caught:
            store.write(lambda connection: connection.execute(text("INSERT INTO nothing VALUES (:value)"), {"value": secret}))
        assert secret not in str(caught.value)

    def test_does_not_nest(self, store: Store) -> None:
        with pytest.raises(RuntimeError, match="inside a write"):
            store.write(lambda _: store.write(lambda connection: add("a", connection)))

    def test_many_threads_and_two_stores_lose_nothing(self, database_url: str, store: Store) -> None:
        def count_up(each: Store) -> None:
            def work(connection: Connection) -> None:
                lock = " FOR UPDATE" if each.dialect == "postgresql" else ""
                position = connection.scalar(text(f"SELECT position FROM turn WHERE name = 'n'{lock}"))
                connection.execute(text("UPDATE turn SET position = :next WHERE name = 'n'"), {"next": (position or 0) + 1})

            for _ in range(10):
                each.write(work)

        store.write(lambda connection: add("n", connection))
        with Store.open(database_url) as other, ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(count_up, (store, other)[n % 2]) for n in range(8)]:
                done.result(timeout=60)
        with store.read() as connection:
            assert connection.scalar(text("SELECT position FROM turn")) == 80

    def test_sqlite_writes_on_one_thread(self, tmp_path: Path) -> None:
        with Store.open(f"sqlite:///{tmp_path / 'a.db'}") as store, ThreadPoolExecutor(4) as pool:
            threads = {done.result() for done in [pool.submit(store.write, lambda _: threading.current_thread().name) for _ in range(8)]}
        assert threads == {"store-writer_0"}

    def test_postgresql_runs_a_transaction_again_that_lost_a_deadlock(self, postgres_url: str) -> None:
        tried: list[str] = []
        both = threading.Barrier(2)

        def work(first: str, second: str, connection: Connection) -> None:
            tried.append(first)
            connection.execute(text("UPDATE turn SET position = position + 1 WHERE name = :name"), {"name": first})
            if len(tried) <= 2:
                both.wait(timeout=20)
            connection.execute(text("UPDATE turn SET position = position + 1 WHERE name = :name"), {"name": second})

        with Store.open(postgres_url) as store, ThreadPoolExecutor(2) as pool:
            store.upgrade()
            store.write(lambda connection: (add("a", connection), add("b", connection)))
            one = pool.submit(store.write, lambda connection: work("a", "b", connection))
            two = pool.submit(store.write, lambda connection: work("b", "a", connection))
            one.result(timeout=30)
            two.result(timeout=30)
            assert len(tried) == 3
            with store.read() as connection:
                assert list(connection.scalars(text("SELECT position FROM turn"))) == [2, 2]


class TestRead:
    def test_cannot_write(self, store: Store) -> None:
        with pytest.raises((StoreError, DBAPIError)), store.read() as connection:
            add("a", connection)
        assert names(store) == []

    def test_sees_one_moment(self, store: Store) -> None:
        with store.read() as connection:
            assert connection.scalar(text("SELECT count(*) FROM turn")) == 0
            store.write(lambda writing: add("a", writing))
            assert connection.scalar(text("SELECT count(*) FROM turn")) == 0
        assert names(store) == ["a"]

    def test_a_slow_query_is_broken_off(self, store: Store) -> None:
        slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000000) SELECT count(*) FROM n"
        with pytest.raises(StoreError, match=r"longer than 0\.05 s"), store.read(time_limit=0.05) as connection:
            connection.execute(text(slow))
        with store.read(time_limit=60) as connection:
            assert connection.scalar(text("SELECT 1")) == 1

    def test_many_at_once(self, store: Store) -> None:
        store.write(lambda connection: add("a", connection))
        with ThreadPoolExecutor(16) as pool:
            assert {tuple(done.result(timeout=30)) for done in [pool.submit(names, store) for _ in range(64)]} == {("a",)}


class TestOpen:
    def test_makes_the_folder_and_a_file_for_its_owner_only(self, tmp_path: Path) -> None:
        file = tmp_path / "new" / "folder" / "a.db"
        with Store.open(f"sqlite:///{file}") as store:
            assert store.dialect == "sqlite"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_sqlite_is_set_up_as_promised(self, tmp_path: Path) -> None:
        with Store.open(f"sqlite:///{tmp_path / 'a.db'}") as store, store.read() as connection:
            told = [connection.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "foreign_keys", "synchronous", "query_only")]
        assert told == ["wal", 1, 1, 1]

    @pytest.mark.parametrize(
        ("url", "message"),
        [
            ("connector.db", "no URL"),
            ("sqlite://", "in memory"),
            ("sqlite:///:memory:", "in memory"),
            ("mysql://user@host/db", "mysql"),
        ],
    )
    def test_refuses_what_it_cannot_use(self, url: str, message: str) -> None:
        with pytest.raises(StoreError, match=message) as caught:
            Store.open(url)
        assert caught.value.advice

    def test_a_server_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="cannot be used") as caught:
            Store.open(f"postgresql://user@/db?host={tmp_path}", password="hunter2")
        assert "hunter2" not in str(caught.value)
        assert "[database]" in caught.value.advice

    def test_a_plain_postgresql_url_is_spoken_to_by_psycopg(self, postgres_url: str) -> None:
        with Store.open(postgres_url.replace("+psycopg", "")) as store:
            assert store.dialect == "postgresql"

    def test_a_file_that_is_no_database(self, tmp_path: Path) -> None:
        file = tmp_path / "a.db"
        file.write_bytes(b"no database " * 1000)
        with pytest.raises(StoreError, match="no SQLite database"):
            Store.open(f"sqlite:///{file}")

    def test_a_closed_store_says_so(self, tmp_path: Path) -> None:
        store = Store.open(f"sqlite:///{tmp_path / 'a.db'}")
        store.close()
        store.close()
        with pytest.raises(StoreError, match="closed"):
            store.write(lambda _: None)


def test_another_process_that_holds_the_lock_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 10)
    monkeypatch.setattr(database, "_SQLITE_PRAGMAS", ("PRAGMA busy_timeout = 10", *database._SQLITE_PRAGMAS[1:]))
    monkeypatch.setattr(database, "BUSY_ATTEMPTS", 2)
    file = tmp_path / "a.db"
    with Store.open(f"sqlite:///{file}") as store:
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another process"):
            store.write(lambda _: None)
        other.execute("COMMIT")
        other.close()
        store.write(lambda _: None)


def test_a_killed_process_leaves_its_transaction_undone(database_url: str, store: Store) -> None:
    code = """
import os, signal, sys
from sqlalchemy import text
from connector.store.database import Store
store = Store.open(sys.argv[1])
def work(connection):
    connection.execute(text("INSERT INTO turn (name, position) VALUES ('half', 0)"))
    os.kill(os.getpid(), signal.SIGKILL)
store.write(work)
"""
    done = subprocess.run([sys.executable, "-c", code, database_url], check=False, env=dict(os.environ), timeout=60)
    assert done.returncode == -9
    store.write(lambda connection: add("whole", connection))
    assert names(store) == ["whole"]
