"""HubSpot through the port: what `check` finds, over an account in memory."""

from __future__ import annotations

from dataclasses import replace

from connector.model import Finding, Uses
from tests.adapters.hubspot.calls import NOW, crm_of
from tests.adapters.hubspot.fake_account import Account, Told, reply

SCOPES = ["crm.objects.contacts.read", "crm.objects.contacts.write", "crm.objects.companies.read", "crm.objects.owners.read",
          "crm.schemas.contacts.read", "crm.schemas.companies.read", "crm.objects.deals.read", "sales-email-read"]  # fmt: skip


USES = Uses(written={"contacts": ("lifecyclestage",)}, tasks=True, passes_a_day=288, live=True, daily_requests=1000, per_10_seconds=100)


def checked_account() -> Account:
    account = Account(scopes=list(SCOPES))
    account.properties = {"contacts": [{"name": "email", "type": "string"}]}
    account.put("contacts", "151", email="a@kunde.example")
    return account


class TestCheck:
    def checked(self, account: Account, uses: Uses = USES) -> list[Finding]:
        return crm_of(account).check(now=NOW, uses=uses)

    def wrong(self, account: Account, uses: Uses = USES) -> list[tuple[str, bool]]:
        return [(finding.topic, finding.warning) for finding in self.checked(account, uses) if not finding.ok]

    def test_all_is_well(self) -> None:
        findings = self.checked(checked_account(), replace(USES, daily_requests=1_000_000))
        assert self.wrong(checked_account(), replace(USES, daily_requests=1000, passes_a_day=10)) == []
        messages = " | ".join(finding.message for finding in findings)
        for part in (
            "4711",
            "990 of 1,000",
            "all scopes",
            "emails can be read: 0",
            "contacts can be read: 1",
            "a first pull reads 1 records",
        ):
            assert part in messages

    def test_what_is_needed_is_told_with_what_is_there(self) -> None:
        account = checked_account()
        account.scopes.remove("sales-email-read")
        account.scopes.remove("crm.objects.contacts.write")
        findings = [finding for finding in self.checked(account) if finding.topic == "hubspot: scopes"]
        assert [(finding.ok, finding.warning) for finding in findings] == [(False, False), (False, False)]
        assert "sales-email-read" in findings[0].advice
        has = {one.name: one.has for one in findings[0].permissions}
        assert (has["sales-email-read"], has["crm.objects.contacts.write"], has["crm.objects.owners.read"]) == (False, False, True)

    def test_the_right_to_write_is_a_warning_in_shadow_and_not_asked_where_nothing_is_written(self) -> None:
        account = checked_account()
        account.scopes.remove("crm.objects.contacts.write")
        assert ("hubspot: scopes", True) in self.wrong(account, replace(USES, live=False))
        assert "hubspot: scopes" not in dict(self.wrong(account, Uses()))

    def test_limits_that_the_account_does_not_have(self) -> None:
        told = [finding for finding in self.checked(checked_account(), replace(USES, daily_requests=650_000)) if not finding.ok]
        assert [(finding.topic, finding.message) for finding in told] == [
            ("hubspot: limits", "crm.hubspot.daily_requests is 650,000, but HubSpot allows this account 1,000"),
        ]

    def test_passes_that_take_too_much_of_the_day(self) -> None:
        assert self.wrong(checked_account()) == [("hubspot: limits", True)]

    def test_a_dead_token_is_one_finding_that_still_says_what_is_needed(self) -> None:
        account = checked_account()
        account.told = [Told("", reply({"category": "INVALID_AUTHENTICATION"}, 401), times=99)]
        (only,) = self.checked(account)
        assert (only.ok, only.topic) == (False, "hubspot: credentials")
        assert "access token" in only.advice
        assert {one.has for one in only.permissions} == {None}
        assert len(account.log) == 1

    def test_who_does_not_answer_is_asked_no_more(self) -> None:
        account = checked_account()
        account.told = [Told("", reply({}, 503), times=99)]
        (only,) = self.checked(account)
        assert (only.ok, only.topic, {one.has for one in only.permissions}) == (False, "hubspot: stopped", {None})
        assert len(account.log) < 10

    def test_an_object_that_may_not_be_read_is_named_and_the_rest_goes_on(self) -> None:
        account = checked_account()
        error = {"context": {"requiredGranularScopes": ["sales-email-read"]}}
        account.told = [Told("POST /crm/v3/objects/emails", reply({"category": "MISSING_SCOPES", "errors": [error]}, 403), times=9)]
        findings = self.checked(account)
        assert [finding.topic for finding in findings if "sales-email-read" in finding.message] == ["hubspot: emails"]
        assert any(finding.topic == "hubspot: tasks" and finding.ok for finding in findings)

    def test_a_token_of_which_nothing_is_told_is_a_warning(self) -> None:
        account = checked_account()
        account.told = [Told("access-token-info", reply({"category": "OBJECT_NOT_FOUND", "message": "no"}, 404))]
        assert ("hubspot: scopes", True) in self.wrong(account)

    def test_a_clock_that_is_wrong_is_told(self) -> None:
        account = checked_account()
        account.told = [Told("account-info", reply({"portalId": 4711}, date="Fri, 20 Nov 2026 09:05:00 GMT"))]
        (finding,) = [finding for finding in self.checked(account, Uses()) if not finding.ok]
        assert (finding.topic, finding.warning) == ("hubspot: clock", True)
        assert "300 seconds" in finding.message
