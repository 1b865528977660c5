"""Bundles that a CRM refused: they stand while their cause does, and go by a try that works, or when somebody drops them."""

from __future__ import annotations

from connector.reports.status import status
from connector.store import refused
from connector.store.refused import StoppedBundle
from tests.support.company import EVERYTHING, QUALIFY, THEN, Company, config_of, running_company

TOLD = "the field is locked for this user"


def stopped(company: Company, plan: int | None = None) -> list[StoppedBundle]:
    with company.store.read() as connection:
        return refused.stopped_bundles(connection, plan=plan)


def test_it_stands_with_its_next_step_until_it_is_tried_again_and_works(either_url: str) -> None:
    """The stage was refused: owner and task are blocked behind it. Mended, all of them go, in their order."""
    with running_company(either_url, EVERYTHING) as company:
        company.person("1", stage="lead", interest="20")
        company.lead("00Q1", stage="Nurturing")
        company.hubspot.refuse("1", TOLD)
        company.run()
        company.run()
        (row,) = status(company.store, company.config, now=company.now)["refused"]["rows"]
        assert (row["rule"], row["target"], row["id"], row["message"], row["blocked"] > 0) == ("qualify", "lifecyclestage", "1", TOLD, True)
        assert row["next_step"]
        assert stopped(company, row["plan"] + 1000) == []
        company.store.write(lambda connection: refused.try_again(connection, stopped(company), now=company.now))
        company.run()  # not mended: refused once more
        assert [bundle.first["message"] for bundle in stopped(company)] == [TOLD]
        company.hubspot.refuse("1", TOLD, times=0)
        company.store.write(lambda connection: refused.try_again(connection, stopped(company, row["plan"]), now=company.now))
        company.run()
        assert stopped(company) == []
        assert (company.shows("1"), len(company.tasks("alert"))) == ("mql", 1)


def test_dropped_it_is_done_with_for_this_cause(either_url: str) -> None:
    with running_company(either_url, QUALIFY + THEN.replace('{ assign = "inbound" }, ', "")) as company:
        company.person("1", stage="lead", interest="20", owner="anna")
        company.hubspot.refuse("1", TOLD)
        company.run()
        assert company.store.write(lambda connection: refused.drop(connection, stopped(company), now=company.now)) == 2
        company.hubspot.refuse("1", TOLD, times=0)
        company.settle()
        assert stopped(company) == []
        assert company.shows("1") == "lead"
        assert {row.state for row in company.rows("SELECT state FROM ledger")} == {"dropped"}


def test_it_goes_when_its_cause_ends(either_url: str) -> None:
    """Somebody takes the contact on by hand, twice: the step that was refused is none any more."""
    with running_company(either_url, QUALIFY) as company:
        company.person("1", stage="lead", interest="20")
        company.hubspot.refuse("1", TOLD)
        company.run()
        assert len(stopped(company)) == 1
        for stage in ("mql", "sql"):
            company.later(minutes=5)
            company.edit("1", stage=stage)
            company.run()
        assert stopped(company) == []
        assert {row.state for row in company.rows("SELECT state FROM ledger")} == {"refused"}


def test_a_stage_that_a_crm_would_not_take_goes_with_the_next_agreement(either_url: str) -> None:
    with running_company(either_url, config_of("")) as company:
        company.person("1", stage="lead")
        company.lead("00Q1", stage="Nurturing")
        company.run()
        company.later(minutes=5)
        company.salesforce.refuse("00Q1", TOLD)
        company.edit("1", stage="mql")
        company.run()
        assert [(bundle.first["rule"], bundle.blocked) for bundle in stopped(company)] == [(":stages", 0)]
        company.later(minutes=5)
        company.salesforce.refuse("00Q1", TOLD, times=0)
        company.edit("1", stage="sql")
        company.run()
        assert company.shows("00Q1") == "Qualified"
        assert stopped(company) == []


def test_a_contact_that_is_gone_wants_nothing(either_url: str) -> None:
    with running_company(either_url, QUALIFY) as company:
        company.person("1", stage="lead", interest="20")
        company.hubspot.refuse("1", TOLD)
        company.run()
        company.hubspot.archive("contacts", "1")
        company.look()
        company.run()
        assert stopped(company) == []
