"""`connector check` for Salesforce: login, permissions, limits, clock, tasks, histories, who else writes.

Fields, their types and values are looked at through `schema`, for all CRMs alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connector.adapters.check_run import CheckRun, Question, days_needed
from connector.adapters.client import Caller
from connector.adapters.salesforce.check_rights import Rights
from connector.adapters.salesforce.client import SalesforceClient
from connector.adapters.salesforce.streams import STREAMS
from connector.adapters.salesforce.wire import access as wire_access
from connector.adapters.salesforce.wire import login as wire_login
from connector.adapters.salesforce.wire import records as wire_records
from connector.adapters.salesforce.wire import requests as wire
from connector.adapters.salesforce.wire import tasks as wire_tasks
from connector.errors import CrmError, PassStopped
from connector.model import Finding, Uses

#: Seconds that this machine's clock and Salesforce's may differ: deadlines are reckoned by ours, events stamped by Salesforce's.
_CLOCK_TOLERANCE = 60.0
#: What a pass takes where nothing changed: a query a stream.
_QUIET_CALLS = len(STREAMS)


def check(client: SalesforceClient, uses: Uses, wanted: Mapping[str, Sequence[str]], *, now: datetime) -> list[Finding]:
    """All that can be found out of one org."""
    rights = Rights(client=client, caller=client.caller(), uses=uses, wanted=wanted)
    run = CheckRun(crm="salesforce", label="Salesforce", uses=uses, now=now, needed=lambda: tuple(rights.permissions(None)))
    return run.findings(_Questions(client=client, caller=rights.caller, run=run, uses=uses, rights=rights).all())


@dataclass(slots=True, kw_only=True)
class _Questions:
    client: SalesforceClient
    caller: Caller
    run: CheckRun
    uses: Uses
    rights: Rights

    def all(self) -> Iterator[Question]:
        """In the order in which one repairs what is wrong."""
        yield Question("credentials", self._org, vital=True)
        yield from self.rights.questions(self.run)
        yield Question("Task", self._task)
        yield Question("LeadHistory", self._history)
        yield Question("native sync", self._native)
        yield Question("limits", self._costs)

    # ── The org ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _org(self) -> Iterator[Finding]:
        """What the first answer tells."""
        answer = self.caller.call(wire.limits())
        self.run.answered = True
        whose = f", as user {self.client.user_id}" if self.client.user_id else ""
        yield self.run.good("credentials", f"logged in to {self.client.instance} by {self.client.access.auth}{whose}")
        yield from self._flow()
        yield self._limits(wire.value_of(answer))
        yield from self.run.clock(
            wire.server_date(answer.headers),
            tolerance=_CLOCK_TOLERANCE,
            apart=lambda ahead: f"this machine's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} Salesforce's",
            advice="Let this machine keep its time by NTP: deadlines are reckoned by it.",
        )

    def _flow(self) -> Iterator[Finding]:
        ending = wire_login.ENDING.get(self.client.access.auth)
        if ending is not None:
            advice = 'Create an External Client App with the client credentials flow, and set auth = "client-credentials".'
            yield self.run.warning("credentials", ending, advice)
        if lost := self.client.unkept:
            message = f"the app rotates refresh tokens, and the newest is not kept ({lost}): the next start cannot log in"
            advice = (
                'Let crm.salesforce.refresh_token be a file that the connector may write ("file:…"), switch refresh token rotation '
                'off in the External Client App\'s policies, or set auth = "client-credentials".'
            )
            yield self.run.warning("credentials", message, advice)

    def _limits(self, limits: Any) -> Finding:
        daily = limits.get("DailyApiRequests") if isinstance(limits, dict) else None
        if not isinstance(daily, dict) or not isinstance(daily.get("Max"), int) or not isinstance(daily.get("Remaining"), int):
            return self.run.warning("limits", "the org does not tell its daily API calls", "Look them up in Setup.")
        allowed, left, configured = daily["Max"], daily["Remaining"], self.client.access.daily_requests
        if configured > allowed:
            message = f"crm.salesforce.daily_requests is {configured}, but the org allows {allowed}"
            return self.run.limit_too_high("daily_requests", allowed, message)
        if left < allowed * self.client.access.headroom:
            message = f"{left} of {allowed} API calls are left, less than the headroom kept for others: passes stop until more are free"
            advice = "Find the integration that uses them up (Setup, System Overview, API Usage), or lower crm.salesforce.headroom."
            return self.run.warning("limits", message, advice)
        return self.run.good("limits", f"{left} of {allowed} API calls of the last 24 hours are left")

    # ── Who else writes, and what passes take ────────────────────────────────────────────────────────────────────────────────────────

    def _native(self) -> Iterator[Finding]:
        """HubSpot's own integration, by its package; whether it runs shows in HubSpot."""
        names = wire_access.hubspot_objects(self.caller.call(wire_access.all_objects()))
        if not names:
            message = "the package of HubSpot's own integration is not installed, or the user does not see it"
            yield self.run.good("native sync", message)
            return
        message = f"the package of HubSpot's own integration is installed ({names[0]} …)"
        if self.uses.native_sync:
            yield self.run.good("native sync", message)
            return
        advice = 'If it does, set native_sync = "hubspot" in [crm]: else both create Leads, and each takes the other for a person.'
        yield self.run.warning("native sync", f"{message}, and the file says that it does not run", advice)

    def _costs(self) -> Iterator[Finding]:
        """What passes and the first pull take of the file's own share."""
        counts = wire_access.counted(self.caller.call(wire_access.record_counts(STREAMS)))
        ours = int(self.client.access.daily_requests * (1 - self.client.access.headroom))
        advice = "Let passes come less often ([schedule] pass), or buy calls: what changes comes on top."
        yield from self.run.quiet_passes(_QUIET_CALLS, ours, unit="calls", advice=advice)
        if counts:
            calls = sum(math.ceil(count / wire.READ_BATCH) for count in counts.values()) + len(STREAMS)
            message = f"a first pull reads {sum(counts.values()):,} records in at most {calls:,} calls, fewer by Bulk API"
            yield self.run.good("first pull", message + days_needed(calls, ours, unit="calls"))

    # ── Tasks and histories ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _task(self) -> Iterator[Finding]:
        """Whether tasks can be created, each once; asked also where no rule creates any, since files change."""
        described = self.rights.described.get("Task")
        if not isinstance(described, dict):
            return
        if described.get("createable") is True:
            yield self.run.good("Task", "tasks can be created")
        else:
            finding = self.run.wrong if self.uses.tasks and self.uses.live else self.run.warning
            yield finding("Task", "the connector's user may not create tasks", "Give it the permissions Edit Tasks and Access Activities.")
        yield self._key_field(described)

    def _key_field(self, described: Mapping[str, Any]) -> Finding:
        name = self.client.access.task_key_field
        field = wire_access.external_id(described, name)
        length = field.get("length") if field else None
        if field is None or field.get("createable") is not True or (isinstance(length, int) and length < wire_tasks.MARKER_LENGTH):
            message = (
                f"Task has no usable External Id field {name}: a lost answer is looked up by the description, not made good by the CRM"
            )
            advice = (
                f"Create the field {name} on Activity: Text, length {wire_tasks.MARKER_LENGTH} or more, External ID and Unique ticked, "
                "editable for the connector's user."
            )
            return self.run.warning("Task", message, advice)
        if field.get("unique") is not True:
            message = f"Task.{name} is an External Id, but not unique: two processes at once could create a task twice"
            return self.run.warning("Task", message, "Tick Unique on the field.")
        return self.run.good("Task", f"{name} makes each task exactly once")

    def _history(self) -> Iterator[Finding]:
        """Whether the org keeps what the pull reads of it: when a Lead's status and owner changed."""
        try:
            self.caller.call(wire.query("SELECT Id FROM LeadHistory LIMIT 1", all_rows=False, about="reading LeadHistory"))
        except PassStopped:
            raise
        except CrmError as error:
            code = error.code or error.status or "no answer"
            message = f"the history of Leads cannot be read ({code}): when a status or owner changed is {_PULLS_ALONE}"
            yield self.run.warning("LeadHistory", message, f"{_TRACK}, and give the user access to Leads.")
            return
        try:
            rows = self.rights.first_rows(wire_access.LEADS_TRACKED, "reading which fields are tracked")
        except PassStopped:
            raise
        except CrmError:
            rows = []  # nothing is known then, and said to be
        tracked = {str(row.get("QualifiedApiName")): row.get("IsFieldHistoryTracked") is True for row in rows}
        lacking = [name for field, name in wire_records.HISTORY_PROPERTIES.items() if not (tracked.get(field) or tracked.get(name))]
        if not tracked:
            yield self.run.good("LeadHistory", "the history of Leads can be read; whether it tracks Status and Owner cannot be seen")
        elif lacking:
            message = f"the history of Leads does not track {', '.join(lacking)}: when it changed is {_PULLS_ALONE}"
            yield self.run.warning("LeadHistory", message, f"{_TRACK}: it tells from then on.")
        else:
            yield self.run.good("LeadHistory", "the history of Leads tracks Status and Owner")


_TRACK = "Track Status and Owner (Setup, Object Manager, Lead, Fields, Set History Tracking)"
_PULLS_ALONE = "known only from the pulls"
