"""The store's promise: what is handed to a write has no effect but on the connection, since it may be run again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, text

from connector.store.database import Store
from tests.support.stores import empty_store, rerunning


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    with empty_store(request.getfixturevalue("url" if request.param == "sqlite" else "kept_postgres")) as store:
        yield store


def add_turn(connection: Connection) -> None:
    connection.execute(text("INSERT INTO turn (name, position) VALUES ('a', 0)"))


class TestTheHelper:
    def test_runs_a_write_twice_and_keeps_the_second(self, store: Store) -> None:
        runs: list[int] = []

        def work(connection: Connection) -> int:
            add_turn(connection)  # a second row of this name would not go in
            runs.append(len(runs))
            return len(runs)

        assert rerunning(store).write(work) == 2
        with store.read() as connection:
            assert connection.scalar(text("SELECT count(*) FROM turn")) == 1

    def test_lets_an_error_out_after_the_second_run(self, store: Store) -> None:
        runs: list[int] = []

        def work(_: Connection) -> None:
            runs.append(len(runs))
            raise LookupError("on purpose")

        with pytest.raises(LookupError, match="on purpose"):
            rerunning(store).write(work)
        assert runs == [0, 1]
