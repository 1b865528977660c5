"""The rows of one account in the table `budget`: one a limit, and one of the account itself (its cool-down, and who waits)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import orjson
from sqlalchemy import Connection, bindparam, select, update

from connector.store.budget_limits import LANES, CrmCount, Lane, Limit
from connector.store.bulk import add_missing, plain

#: The name of the account's own row.
ACCOUNT = "account"
#: How long after the moment at which he hoped for a permit a waiting request holds those of lower lanes back.
_PATIENCE_SECONDS = 0.5


class LimitRow(NamedTuple):
    """What stands of a limit. grants: JSON of [slot, permits], of the account [place of a lane, until when in milliseconds].

    told_used, told_of: what the CRM itself counted last, at `told_at`; None: nothing yet.
    """

    bucket: str
    grants: str | None
    not_before: float
    told_used: int | None
    told_of: int | None
    told_at: float | None

    @property
    def crm_count(self) -> CrmCount | None:
        """What the CRM itself counted last."""
        if self.told_at is None or self.told_used is None or self.told_of is None:
            return None
        return CrmCount(self.told_at, self.told_used, self.told_of)


_BUDGET = plain("budget")
# Made once: they run for every few requests, and SQLAlchemy would think them over each time.
_ROWS = (
    select(*(_BUDGET.c[name] for name in LimitRow._fields))
    .where(_BUDGET.c.account == bindparam("of_account"))
    .order_by(_BUDGET.c.bucket)
    .with_for_update()
)
_SAVE = (
    update(_BUDGET)
    .where(_BUDGET.c.account == bindparam("of_account"), _BUDGET.c.bucket == bindparam("of_limit"))
    .values({name: bindparam(f"new_{name}") for name in ("grants", "used", "window_start")})
)


class AccountRows:
    """One account's rows. account: a HubSpot account's or a Salesforce org's id."""

    def __init__(self, account: str) -> None:
        self._account = account

    def lock(self, connection: Connection, limits: Sequence[str]) -> dict[str, LimitRow]:
        """The account's rows, locked in the order of their names; those of these limits are made where they are missing."""
        names = sorted([ACCOUNT, *limits])
        rows = self._read(connection)
        if not rows.keys() >= set(names):
            fresh = {"account": self._account, "window_start": 0.0, "used": 0, "not_before": 0.0, "grants": None}  # told_…: nothing yet
            add_missing(connection, _BUDGET, [fresh | {"bucket": name} for name in names])
            rows = self._read(connection)
        return rows

    def _read(self, connection: Connection) -> dict[str, LimitRow]:
        return {row.bucket: LimitRow._make(row) for row in connection.execute(_ROWS, {"of_account": self._account})}

    def read_grants(self, connection: Connection) -> dict[str, dict[int, int]]:
        """What each limit's slots gave out, without a lock."""
        query = select(_BUDGET.c.bucket, _BUDGET.c.grants).where(_BUDGET.c.account == self._account)
        return {bucket: parsed(grants) for bucket, grants in connection.execute(query)}

    def save_grants(self, connection: Connection, grants: Mapping[Limit, Mapping[int, int]], rows: Mapping[str, LimitRow]) -> None:
        """Writes down what is granted, where it is other than in the rows."""
        news = []
        for limit, slots in grants.items():
            text = _text(slots)
            if text != rows[limit.name].grants:
                used, start = sum(slots.values()), min(slots, default=0) * limit.slot
                keys = {"of_account": self._account, "of_limit": limit.name}
                news.append(keys | {"new_grants": text, "new_used": used, "new_window_start": start})
        if news:
            connection.execute(_SAVE, news)

    def leave_word(self, connection: Connection, waiting: Mapping[int, int], lane: Lane, free_at: float) -> None:
        """Lanes below this one wait until it had its turn. waiting: place of a lane → until when, in milliseconds."""
        place, until = LANES.index(lane), int((free_at + _PATIENCE_SECONDS) * 1000)
        self._set(connection, ACCOUNT, grants=_text({**waiting, place: max(until, waiting.get(place, 0))}))

    def save_count(self, connection: Connection, limit: str, count: CrmCount) -> None:
        """Writes down what the CRM itself counted."""
        self.lock(connection, [limit])
        self._set(connection, limit, told_used=count.used, told_of=count.of, told_at=count.at)

    def cool_down(self, connection: Connection, until: Callable[[], float]) -> None:
        """No permit is given before then, nor before what stands there. until: asked once the rows are locked."""
        row = self.lock(connection, [])[ACCOUNT]
        self._set(connection, ACCOUNT, not_before=max(until(), row.not_before))

    def _set(self, connection: Connection, bucket: str, **values: object) -> None:
        connection.execute(update(_BUDGET).where(_BUDGET.c.account == self._account, _BUDGET.c.bucket == bucket).values(values))


def parsed(stored: str | None) -> dict[int, int]:
    """The pairs of a row's `grants`."""
    return {} if stored is None else {int(slot): int(permits) for slot, permits in orjson.loads(stored)}


def _text(pairs: Mapping[int, int]) -> str:
    return orjson.dumps(sorted(pairs.items())).decode()
