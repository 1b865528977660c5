"""The least that the same work could cost: what the connector's times are divided by.

Reading: HTTP client, orjson, and one upsert a page, of the same columns into a table with the same indexes; no check, no fingerprint, no
retry, no budget. Judging: the example's rules as one statement, written by hand for SQLite.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import orjson
import urllib3

from connector.adapters.client import Request
from connector.adapters.hubspot.wire import requests as wire

_COLUMNS = (
    "crm", "object", "id", "properties", "fingerprint", "created_at", "modified_at", "seen_at", "company_id", "email", "archived", "unify",
)  # fmt: skip
_UPSERT = (
    f"INSERT INTO record ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) ON CONFLICT (crm, object, id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS[3:])
)
_PRAGMAS = ("journal_mode = WAL", "synchronous = NORMAL", "cache_size = -32768")
#: Pages that the connector stores, and reads the associations of, at once.
_PAGES_AT_ONCE = wire.ASSOCIATION_LIMIT // wire.LIST_LIMIT


def connect(path: str) -> sqlite3.Connection:
    """The database as the connector opens it."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    return connection


def pull_contacts(base_url: str, token: str, properties: Sequence[str], path: str) -> int:
    """Reads HubSpot's contacts and their companies into table `record`, by the same requests as the connector; how many."""
    http = urllib3.PoolManager()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    api = wire.Api()
    asked = wire.properties_to_ask("contacts", properties)

    def call(request: Request) -> Any:
        query = dict(request.query) or None
        answer = http.request(request.method, base_url + request.path, fields=query, body=request.body, headers=headers)
        return orjson.loads(answer.data)

    connection = connect(path)
    count, after, more = 0, None, True
    while more:
        results = []
        for _ in range(_PAGES_AT_ONCE):
            page = call(api.list_page("contacts", asked, after))
            results += page["results"]
            after = page.get("paging", {}).get("next", {}).get("after")
            more = after is not None
            if not more:
                break
        links = call(api.associations("contacts", "companies", [(each["id"], None) for each in results]))["results"]
        companies = {link["from"]["id"]: str(link["to"][0]["toObjectId"]) for link in links if link["to"]}
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(_UPSERT, _rows(results, companies))
        connection.execute("COMMIT")
        count += len(results)
    connection.close()
    return count


def _rows(results: Sequence[Any], companies: dict[str, str]) -> Iterator[tuple[Any, ...]]:
    for raw in results:
        properties = raw["properties"]
        created, modified = _micros(raw["createdAt"]), _micros(raw["updatedAt"])
        company, email = companies.get(raw["id"]), properties.get("email")
        yield "hubspot", "contacts", raw["id"], orjson.dumps(properties).decode(), b"", created, modified, 0, company, email, 0, 1


def _micros(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1_000_000)


JUDGE = """
CREATE TABLE by_hand AS
WITH facts AS (
  SELECT *, nullif(substr(f_email_folded, instr(f_email_folded, '@') + 1), '') AS domain FROM contact WHERE NOT gone
), criteria AS (
  SELECT *,
    coalesce(f_industry_folded IN ('software', 'logistics') OR f_naics_folded LIKE '5112%', 0) AS c0,
    coalesce(f_employees BETWEEN 50 AND 5000 AND f_country_folded IN ('germany', 'austria', 'switzerland'), 0) AS c1,
    coalesce(f_roles_folded LIKE '%decision_maker%', 0) OR coalesce(f_roles_folded LIKE '%champion%', 0)
      OR coalesce(f_job_title_folded LIKE '%director%', 0) OR coalesce(f_job_title_folded LIKE '%head of%', 0) AS c2,
    coalesce(domain NOT IN ('gmail.com', 'outlook.com', 'web.de'), 0) AS c3,
    (SELECT count(*) FROM activity_link l WHERE l.contact_id = facts.id AND l.counts = 1 AND l.kind = 'meeting'
      AND l.at BETWEEN :now - 7776000000000 AND :now) >= 1 AS c4,
    f_pain_point_folded IS NOT NULL AS c5,
    coalesce(f_budget > 0, 0) AS c6,
    f_competitor_in_use_folded IS NOT NULL AS c7,
    coalesce(f_timeline_folded IN ('now', 'this quarter'), 0) AS c8,
    coalesce(domain IN ('acme.example', 'competitor.example') OR f_job_title_folded LIKE '%student%', 0) AS excluded_now
  FROM facts
), scores AS (
  SELECT *, c0 + c1 + c2 + c3 + c4 + c5 + c6 + c7 + c8 AS met, c0 || c1 || c2 || c3 || c4 || c5 || c6 || c7 || c8 AS marks,
    CASE WHEN f_job_title_folded LIKE '%director%' OR f_job_title_folded LIKE '%vp%' OR f_job_title_folded LIKE '%chief%'
      THEN 20.0 ELSE 0.0 END
    + coalesce(40.0 * pow(0.5, max(0, (:now + 3600000000) / 86400000000 - (f_last_conversion_at + 3600000000) / 86400000000) / 30.0), 0.0)
    + coalesce(min(2.0 * f_page_views, 30.0), 0.0)
    - CASE WHEN domain IN ('gmail.com', 'outlook.com', 'web.de') THEN 15.0 ELSE 0.0 END AS points
  FROM criteria
)
SELECT id, excluded_now, marks, met, met >= 4 AS qualified, points,
  met >= 4 AND points >= 50 AS mql,
  coalesce(h_lead_status_folded = 'connected' OR s_lead_status_folded = 'qualified', 0) AS accepted,
  coalesce(stage_since < :now - 7776000000000 AND (last_touch_at IS NULL OR last_touch_at < :now - 5184000000000), 0) AS cold,
  coalesce(h_lead_status_folded = 'unqualified' OR s_lead_status_folded = 'closed - not converted', 0) AS rejecting
FROM scores
"""


def judge(path: str, now_micros: int) -> None:
    """Judges every contact by the statement above and stores what it says in table `by_hand`."""
    connection = connect(path)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(JUDGE, {"now": now_micros})
    connection.execute("COMMIT")
    connection.close()


def disagreements(path: str) -> int:
    """Contacts of which the connector and the statement say different criteria."""
    connection = connect(path)
    (count,) = connection.execute("SELECT count(*) FROM by_hand JOIN contact USING (id) WHERE marks <> criteria").fetchone()
    connection.close()
    return int(count)
