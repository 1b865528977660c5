"""Options of the sandbox's HubSpot: how it behaves where accounts differ, or where nobody knows what the real one does."""

from __future__ import annotations

from dataclasses import dataclass

#: The families of paths: v3 and v4 as they were, and the dated ones (developers.hubspot.com/docs/developer-tooling/platform/versioning).
VERSIONS = frozenset({"v3", "v4", "2026-03", "2026-09"})


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSpotOptions:
    """How one HubSpot behaves. Other options may take their place while it runs; a request reads them when it comes.

    requests_per_10_seconds, searches_per_second, daily: the account's limits. token: an access token that never expires; token_seconds: how
    long those live that OAuth gives, by the sandbox's clock; rotate_refresh_tokens: each refresh gives another refresh token and ends the
    one before.
    search_lag_seconds: how long a write stays unseen by search, by the sandbox's clock: till then it finds the record as it was.
    ids_as_text: search compares and sorts hs_object_id as text; ids_sort_as_text: it only sorts so, and filters by number (what HubSpot
    does is not documented). short_pages: some list pages bring less than asked for, or nothing, and go on all the same. search_page:
    records of one page of search at most, whatever was asked for, so that a small account has many pages. merge_keeps_id: a merged record
    keeps the primary's id; else it has a new one. links_touch: a new or removed association moves the modified date of both records.
    versions: the paths that are served; the others are unknown.
    """

    requests_per_10_seconds: int = 190
    searches_per_second: int = 5
    daily: int = 650_000
    token: str = "sandbox-token"  # noqa: S105 - opens nothing but this sandbox
    token_seconds: float = 1800.0
    rotate_refresh_tokens: bool = False
    search_lag_seconds: float = 0.0
    ids_as_text: bool = False
    ids_sort_as_text: bool = False
    short_pages: bool = False
    search_page: int = 200
    merge_keeps_id: bool = False
    links_touch: bool = False
    versions: frozenset[str] = VERSIONS
