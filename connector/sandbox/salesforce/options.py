"""Options of the sandbox's Salesforce: how it behaves where orgs differ, or where a test wants what is rare."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SalesforceOptions:
    """How one org behaves. Other options may take their place while it runs, but for the first three.

    client_id, client_secret: of the connected app. multi_currency: whether amounts have a CurrencyIsoCode. daily: calls in any 24 hours.
    page_size: rows of a query's page at most. late_commits: seconds between an action's stamp and the moment others see it.
    query_timeout_rows: what would find more takes too long (QUERY_TIMEOUT). cursor_pages: a query's locator dies after so many pages.
    session_calls: a session dies after so many calls. rotate_refresh_tokens: each can be used once, its successor comes with the answer.
    bulk_polls, bulk_seconds: a job is done when it was asked for so often and is so old. bulk_page: rows of one page of results at most.
    bulk_jobs: query jobs a day. most_ids: what getDeleted and getUpdated tell at once. soap_login: whether it is open.
    """

    client_id: str = "sandbox-client"
    client_secret: str = "sandbox-secret"  # noqa: S105 - the made-up app's made-up secret
    multi_currency: bool = False
    daily: int = 100_000
    page_size: int = 2000
    late_commits: float = 0.0
    query_timeout_rows: int | None = None
    cursor_pages: int | None = None
    session_calls: int | None = None
    rotate_refresh_tokens: bool = False
    bulk_polls: int = 2
    bulk_seconds: float = 0.0
    bulk_page: int = 50_000
    bulk_jobs: int = 10_000
    most_ids: int = 600_000
    soap_login: bool = True
