"""A database from before the past was kept: it is migrated, and goes on; what nobody kept is marked as seen later."""

from __future__ import annotations

from typing import Any

from alembic import command
from sqlalchemy import Connection, text

from connector.store import schema, snapshots
from connector.store.database import Store
from connector.store.tables import to_micros
from tests.support.company import DIRECTOR, LEAD, Company, funnel, moment, new_company

EMAIL = "dora@kunde.example"


def as_before(store: Store) -> None:
    """The database as the version before made it; with what it kept of an attempt's beginning, had it kept any."""

    def work(connection: Connection) -> None:
        command.downgrade(schema.alembic_config(connection), "0002")
        connection.execute(text("""UPDATE attempt SET snapshot = '{"criteria_met": 2, "score": 60.5}' WHERE outcome = 'accepted'"""))

    store.write(work)


def kept(company: Company, record_id: str) -> dict[str, dict[str, Any]]:
    contact = company.contact(record_id).id
    with company.store.read() as connection:
        told = snapshots.snapshots_of(connection, [contact])
    return told.get((contact, 1), {})


def test_it_goes_on(database_url: str) -> None:
    with new_company(database_url, funnel()) as company:
        company.run()
        company.later(minutes=5)
        company.person("1", EMAIL, **DIRECTOR, hs_analytics_source="PAID_SEARCH", owner="anna")
        company.lead(LEAD, EMAIL, Industry="Technology", owner="ben")
        company.person("2", stage="mql", owner="desk")
        company.person("3", stage="subscriber", owner="queue")
        company.settle()
        company.later(hours=1)
        company.edit("2", stage="sql")
        company.run()
        assert (company.outcomes("1"), company.outcomes("2")) == (["open"], ["accepted"])
        as_before(company.store)
        company.store.upgrade()
        assigned = company.contact().assigned_at
        first_seen = {number: company.contact(number).first_seen_at for number in ("1", "3")}
        owned = {(row.contact_id, row.crm): row for row in company.rows("SELECT * FROM ownership")}
        one, three = company.contact("1").id, company.contact("3").id
        anna, queue, ben = owned[one, "hubspot"], owned[three, "hubspot"], owned[one, "salesforce"]
        assert (anna.owner, anna.since, bool(anna.stated), anna.until) == ("anna@acme.example", first_seen["1"], False, None)
        assert (queue.owner_id, queue.owner, queue.since, bool(queue.stated)) == ("queue", None, first_seen["3"], False)
        assert (ben.owner, ben.since, bool(ben.stated)) == ("ben@acme.example", assigned, False)  # whom the rules believe
        assert [row.config_version for row in company.clocks()] == [None]
        assert kept(company, "1") == {}

        company.later(minutes=5)
        company.run()
        begin = kept(company, "1")["begin"]
        assert (begin["late"], begin["taken_at"], begin["criteria"], begin["score"]) == (True, company.now, ["industry", "role"], 60.0)
        assert (begin["lead_source"], begin["points"]) == ("PAID_SEARCH", {"conversion": 40.0, "director": 20.0})
        over = kept(company, "2")
        assert {which: (values["criteria_met"], values["score"], values["late"]) for which, values in over.items()} == {
            "begin": (2, 60.5, False)
        }
        (use,) = company.rows("SELECT since, until FROM rule_use")
        assert (moment(use.since), use.until) == (company.now, None)

        company.later(hours=1)
        company.edit("1", stage="sql", owner="chiara")
        company.run()
        end = kept(company, "1")["end"]
        assert (end["outcome"], end["late"], end["at"]) == ("accepted", False, company.now)
        assert [row.owner for row in company.rows("SELECT owner FROM ownership WHERE contact_id = :id AND crm = 'hubspot'", id=one)] == [
            "anna@acme.example", "chiara@acme.example",
        ]  # fmt: skip


def test_an_installation_that_never_ran_has_nothing_to_mark(database_url: str) -> None:
    with Store.open(database_url) as store:
        store.upgrade()
        store.write(lambda connection: command.downgrade(schema.alembic_config(connection), "0002"))
        store.upgrade()
        with store.read() as connection:
            assert connection.execute(text("SELECT value FROM meta WHERE name = 'snapshots_from'")).all() == []


def test_what_began_after_the_last_run_is_not_late(url: str) -> None:
    with new_company(url, funnel()) as company:
        company.run()
        company.store.write(
            lambda connection: connection.execute(
                text("INSERT INTO meta (name, value) VALUES ('snapshots_from', :at)"), {"at": str(to_micros(company.now))}
            )
        )
        company.later(minutes=5)
        company.person("1", stage="lead")
        company.run()
        company.later(minutes=5)
        company.edit("1", stage="mql")
        company.run()
        begin = kept(company, "1")["begin"]
        assert (begin["late"], begin["at"]) == (False, company.now)
