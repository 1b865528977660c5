"""What the file says of the installation and not of its rules: the database, the CRMs, the schedule, what is kept for how long.

None of it changes a judgement. `Values` is the base of every table, also of those in `connector.config.tables`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from connector.config.kinds import (
    AddressText,
    ConditionText,
    DurationText,
    ElapsedDuration,
    HttpAddress,
    Percent,
    ScheduleText,
    SecretText,
)
from connector.config.secrets import Secret

__all__ = ["DurationText", "Secret"]

AtLeastOne = Annotated[int, Field(ge=1)]
NotEmpty = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
SalesforceField = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]


class Values(BaseModel):
    """The base of every table: strict, frozen, an unknown key is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True, populate_by_name=True, allow_inf_nan=False
    )


class Database(Values):
    """[database]: where the mirror and the ledger lie."""

    url: AddressText = Field(default="sqlite:///connector.db", repr=False)  # an address from the environment may hold a password
    password: SecretText | None = None


class HubSpotSettings(Values):
    """[crm.hubspot]: its address, its token, the account's own limits."""

    access_token: SecretText | None = None  # a service key's or private app's; else the three of OAuth
    client_id: SecretText | None = None
    client_secret: SecretText | None = None
    refresh_token: SecretText | None = None  # "file:…": a newer one that HubSpot hands out is written there
    api_version: Literal["v3", "2026-03", "2026-09"] = "v3"
    base_url: HttpAddress = "https://api.hubapi.com"
    requests_per_10_seconds: AtLeastOne = 190
    searches_per_second: AtLeastOne = 5
    daily_requests: AtLeastOne = 650_000
    headroom: Percent = 0.2  # written "20%"
    ca_bundle: NotEmpty | None = None


class SalesforceSettings(Values):
    """[crm.salesforce]: the login flow, the org's address and limits."""

    auth: Literal["client-credentials", "jwt", "refresh-token", "password"] = "client-credentials"
    instance_url: HttpAddress
    client_id: SecretText | None = None
    client_secret: SecretText | None = None
    username: AddressText | None = None
    private_key: SecretText | None = None  # a file of several lines: `Secret.read_all`
    password: SecretText | None = None
    security_token: SecretText | None = None
    refresh_token: SecretText | None = None
    ca_bundle: NotEmpty | None = None
    daily_requests: AtLeastOne = 100_000
    headroom: Percent = 0.2
    run_assignment_rules: bool = False
    task_key_field: SalesforceField = "Handoff_Key__c"  # the External Id field on Task by which a task is created exactly once
    hubspot_id_field: SalesforceField | None = None  # the field on Lead and Contact that holds the HubSpot contact's id: who is who, by id


class CrmTable(Values):
    """[crm]: the CRMs there are; one of them may be missing."""

    hubspot: HubSpotSettings | None = None
    salesforce: SalesforceSettings | None = None
    native_sync: Literal["none", "hubspot"] = "none"


class FastLane(Values):
    """schedule.fast: a small pass for a few contacts alone."""

    every: ElapsedDuration
    when: ConditionText


class Schedule(Values):
    """[schedule]: when jobs run. None: only when somebody runs the command."""

    pass_: ScheduleText = Field(default="every 5 minutes", alias="pass")
    fast: FastLane | None = None
    deletes: ScheduleText | None = "every 6 hours"
    reconcile: ScheduleText | None = "0 3 * * sun"


class Retention(Values):
    """[retention]: how long what is past is kept. None: for ever."""

    versions: ElapsedDuration | None = None
    ledger: ElapsedDuration | None = None
    plans: ElapsedDuration | None = None
