"""A pull that goes on where an earlier one was stopped: it ends now, not where the earlier one would have ended."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from connector.app import App
from connector.jobs.mirror_jobs import pull_only
from connector.sandbox.serve import Sandbox
from connector.store.mirror import pages
from tests.system.support import NOW, config_for, rows, running, small_sandbox

_PEOPLE = {"hubspot": "contacts", "salesforce": "Lead"}


class Account:
    """Both CRMs, the connector beside them, and its clock."""

    def __init__(self, box: Sandbox) -> None:
        self.box = box
        self.at = NOW
        self.app: App

    def stopped_pull(self) -> None:
        """A pull of the people of both CRMs that ends behind its first page, as a killed process does."""
        for name, crm in self.app.crms.items():
            stream = _PEOPLE[name]
            page = next(crm.pull(stream, pages.get_cursor(self.app.store, name, stream), now=self.at))
            assert not page.last
            pages.commit_page(self.app.store, page, now=self.at)

    def title(self, crm: str, one: str) -> str | None:
        name = "$.jobtitle" if crm == "hubspot" else "$.Title"
        found = rows(self.app, "SELECT json_extract(properties, :name) AS title FROM record WHERE id = :id", name=name, id=one)
        return found[0].title if found else None


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    made: list[Account] = []
    with small_sandbox(lambda: made[0].at if made else NOW, contacts=1200, leads=60, page_size=20) as box:
        made.append(Account(box))
        config = config_for(box, f"sqlite:///{tmp_path}/store.db", mode="shadow")
        with running(config, now=lambda: made[0].at) as app:
            made[0].app = app
            yield made[0]


def changed_and_new(account: Account, name: str) -> list[tuple[str, str]]:
    """What people did in both CRMs; (CRM, id), all with this title."""
    contact, lead = min(account.box.hubspot.ids("contacts")), min(account.box.salesforce.live("Lead"))
    account.box.hubspot.edit("contacts", contact, jobtitle=name)
    account.box.salesforce.edit("Lead", lead, Title=name)
    one = account.box.hubspot.create("contacts", email=f"{name}@new.example", jobtitle=name)
    two = account.box.salesforce.create("Lead", LastName=name, Company="New GmbH", Title=name)
    return [("hubspot", contact), ("hubspot", one), ("salesforce", lead), ("salesforce", two)]


def test_a_first_pull_that_goes_on_a_day_later_brings_what_changed_meanwhile(account: Account) -> None:
    account.stopped_pull()
    account.at += timedelta(days=1)
    done = changed_and_new(account, "meanwhile")
    account.at += timedelta(minutes=30)
    pulled = pull_only(account.app.context()).pulled
    assert [account.title(*one) for one in done] == ["meanwhile"] * 4
    assert all(stream.whole for streams in pulled.values() for stream in streams.values())


def test_so_does_one_of_what_changed(account: Account) -> None:
    pull_only(account.app.context())
    account.at += timedelta(days=1)
    account.box.hubspot.stamp_alike("contacts", sorted(account.box.hubspot.ids("contacts")), account.at)
    account.box.salesforce.stamp_alike("Lead", sorted(account.box.salesforce.live("Lead")), account.at)
    account.at += timedelta(hours=1)
    account.stopped_pull()
    account.at += timedelta(days=1)
    done = changed_and_new(account, "later")
    account.at += timedelta(minutes=30)
    pull_only(account.app.context())
    assert [account.title(*one) for one in done] == ["later"] * 4
