"""The jobs that see to the mirror: whom a pull brings is a contact afterwards, and nothing is concluded of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from connector.errors import PassStopped
from connector.jobs.mirror_jobs import Mirrored, look_for_removals, pull_only
from connector.pipeline.context import PassContext
from connector.reports.find_contact import find
from tests.support.company import FUNNEL, Company, new_company

Job = Callable[[PassContext], Mirrored]


@pytest.mark.parametrize("job", [pull_only, look_for_removals], ids=["pull", "deletes"])
def test_whom_it_brought_is_known_at_once(either_url: str, job: Job) -> None:
    with new_company(either_url, FUNNEL) as company:
        company.person("1", "dora@kunde.example")
        company.lead("00Q1", "dora@kunde.example")
        assert job(company.context()).errors == []
        assert who(company, "dora@kunde.example") == who(company, "00Q1") == company.contact().id
        assert company.contact().judged_at is None
        company.later(minutes=5)
        company.person("2", "new@kunde.example")
        job(company.context())
        assert who(company, "new@kunde.example") == company.contact("2").id
        assert company.rows("SELECT command FROM run WHERE command NOT IN ('pull', 'deletes')") == []


def test_a_pull_that_was_stopped_unifies_nobody(either_url: str) -> None:
    with new_company(either_url, FUNNEL) as company:
        company.person("1")
        pull_only(company.context(stopped=lambda: True))
        assert company.rows("SELECT count(*) FROM contact") == [(0,)]


def test_a_pull_that_could_not_read_everybody_unifies_nobody(either_url: str) -> None:
    """Who belongs together is told by both CRMs; the next whole pull does it."""
    with new_company(either_url, FUNNEL) as company:
        company.person("1")
        company.salesforce.fail("pull", PassStopped("the day's share is spent", crm="salesforce"), times=100)
        assert [type(error) for error in pull_only(company.context()).errors] == [PassStopped]
        assert company.rows("SELECT count(*) FROM contact") == [(0,)]
        company.salesforce._faults.clear()
        assert pull_only(company.context()).errors == []
        assert company.rows("SELECT count(*) FROM contact") == [(6,)]


def who(company: Company, words: str) -> int:
    with company.store.read() as connection:
        return find(connection, words)
