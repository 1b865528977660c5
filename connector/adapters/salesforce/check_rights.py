"""The part of `connector check` that compares what the connector's user may do with what the configuration needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from connector.adapters.check_run import CheckRun, Question
from connector.adapters.client import Caller
from connector.adapters.salesforce.client import SalesforceClient
from connector.adapters.salesforce.wire import access as wire_access
from connector.adapters.salesforce.wire import query as wire_query
from connector.adapters.salesforce.wire import requests as wire
from connector.adapters.salesforce.wire.requests import Row
from connector.errors import CrmError, PassStopped, Retriable
from connector.model import Finding, Permission, Uses


@dataclass(slots=True, kw_only=True)
class Rights:
    """What the connector's user may do. described: object → its description, None where it cannot be had; the first questions fill it."""

    client: SalesforceClient
    caller: Caller
    uses: Uses
    wanted: Mapping[str, Sequence[str]]
    described: dict[str, Any] = field(default_factory=dict)

    def questions(self, run: CheckRun) -> Iterator[Question]:
        """The objects that can be seen, the permissions, the fields that are hidden."""
        for name in wire_access.objects(self.uses):
            yield Question(name, lambda name=name: self._object(run, name))  # type: ignore[misc]  # bound now, not at the end of the loop
        yield Question("permissions", lambda: self._permissions(run))
        yield Question("permissions", lambda: self._hidden(run))

    def permissions(
        self, described: Mapping[str, Any] | None, view_all: Mapping[str, bool | None] | None = None, transfers: bool | None = None
    ) -> Iterator[Permission]:
        """All that is needed, against what is known of the user."""
        key_field = self.client.access.task_key_field
        return wire_access.needed(self.uses, self.wanted, described, key_field=key_field, view_all=view_all, transfers=transfers)

    def first_rows(self, soql: str, about: str) -> list[Row]:
        """The first page of a query: 2,000 rows, which is more than a user has permission sets."""
        page = wire.query_page(self.caller.call(wire.query(soql, all_rows=False, about=about)), about)
        return [row for row in page.rows if isinstance(row, dict)]

    def _object(self, run: CheckRun, name: str) -> Iterator[Finding]:
        """Whether an object can be seen. Of what can be done without, only a word."""
        self.described[name] = None
        try:
            self.described[name] = wire.value_of(self.caller.call(wire.describe(name)))
        except (PassStopped, Retriable):
            raise
        except CrmError as error:
            spare = name in wire_access.SPARE
            message = f"{name} cannot be seen ({error.code or error.status or 'no answer'})"
            advice = f"Give the connector's user {wire_access.right_to_read(name)} (Setup, Permission Sets)."
            yield run.warning(name, f"{message}: nothing of it is mirrored", advice) if spare else run.wrong(name, message, advice)

    def _permissions(self, run: CheckRun) -> Iterator[Finding]:
        """All that is needed, against what the user has. Fields that cannot be read are told elsewhere, with the nearest name."""
        sets = self._sets()
        view_all = self._view_all(sets)
        needed = tuple(self.permissions(self.described, view_all, self._transfers(sets)))
        lacking = [right.name for right in needed if right.has is False and right.to_write and not right.name.startswith("Task.")]
        if lacking:
            live = self.uses.live
            advice = f"{'Give' if live else 'Before the mode is live, give'} them to it (Setup, Permission Sets, Object Settings)."
            yield (run.wrong if live else run.warning)("permissions", f"the connector's user lacks {', '.join(lacking)}", advice)
        missing = sum(1 for right in needed if right.has is False)
        message = f"{len(needed) - missing} of {len(needed)} permissions that the file needs are there, or cannot be told"
        yield replace(run.good("permissions", message), permissions=needed)
        yield from _sharing(run, view_all)

    def _hidden(self, run: CheckRun) -> Iterator[Finding]:
        """What the pulls do without, since field-level security hides it."""
        for name, (_, tells) in wire_access.OPTIONAL.items():
            lacking = wire_access.hidden(self.described, name)
            if lacking:
                message = f"of {name} the connector's user does not see {', '.join(lacking)}: {tells}"
                advice = "Give it Read access to them (Setup, Permission Sets, Object Settings, Field Permissions)."
                yield run.warning(name, message, advice)

    # ── Permission sets ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _sets(self) -> list[str]:
        """The user's permission sets, its profile's among them; none where it may not read them."""
        soql = wire_access.assignments(self.client.user_id)
        rows = [] if soql is None else self._rows_of_sets([soql])
        return [str(row.get("PermissionSetId")) for row in rows or ()]

    def _view_all(self, sets: Sequence[str]) -> dict[str, bool | None]:
        """Whether the user sees past sharing, by its permission sets; None where it may not read them."""
        everything = wire_query.by_values("PermissionSet", ("Id",), "Id", sets, where="PermissionsViewAllData = true")
        asked = ("SobjectType", "PermissionsViewAllRecords")
        if sets and self._rows_of_sets(everything):
            return dict.fromkeys(wire_access.SHARED, True)
        rows = self._rows_of_sets(wire_query.by_values("ObjectPermissions", asked, "ParentId", sets)) if sets else None
        if rows is None:
            return dict.fromkeys(wire_access.SHARED)
        viewed = {row.get("SobjectType") for row in rows if row.get("PermissionsViewAllRecords") is True}
        return {name: name in viewed for name in wire_access.SHARED}

    def _transfers(self, sets: Sequence[str]) -> bool | None:
        """True where a permission set lets the user hand on Leads; else None: sharing may let it, too."""
        if not sets or "OwnerId" not in self.uses.written.get("Lead", ()):
            return None
        return bool(self._rows_of_sets(wire_query.by_values("PermissionSet", ("Id",), "Id", sets, where=wire_access.TRANSFERS))) or None

    def _rows_of_sets(self, queries: Iterable[str]) -> list[Row] | None:
        """What stands in permission sets; None where the user may not read it, which the caller says."""
        try:
            return [row for soql in queries for row in self.first_rows(soql, "reading permission sets")]
        except PassStopped:
            raise
        except CrmError:
            return None


def _sharing(run: CheckRun, view_all: Mapping[str, bool | None]) -> Iterator[Finding]:
    hidden = [name for name, has in view_all.items() if has is False]
    unknown = [name for name, has in view_all.items() if has is None]
    where = "(Setup, Permission Sets, Object Settings)"
    advice = f"Give the user {wire_access.VIEW_ALL} on them {where}: a hidden record looks like a deleted one."
    if hidden:
        yield run.warning("sharing", f"the connector's user sees only what is shared with it of {', '.join(hidden)}", advice)
    if unknown:
        message = f"whether the connector's user sees all of {', '.join(unknown)} cannot be proved: it may not read its own permission sets"
        yield run.warning("sharing", message, f"Look yourself, or let it View Setup. {advice}")
    if not hidden and not unknown:
        yield run.good("sharing", f"the connector's user sees all of {', '.join(view_all)}")
