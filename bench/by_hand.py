"""What the example's rules say, written by hand in SQL for both databases: the least that judging could cost, and what its results must be.

Three independent statements. `UNIFIED` counts contacts whose fields, stage or owner are not what the records say. `JUDGE` is one INSERT …
SELECT of all that evaluation stores beside a contact; with `Touches.ANEW` it counts touches from activities, as a first evaluation must,
with `Touches.KEPT` it reads them where they stand. `DIFFERENCES` compares it with what the connector stored, row by row.

Nothing here is made from the file: a change of config.example.toml that concerns rules must be made here too, or the bench says it lies.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

#: Where the two databases differ: text → its two forms, SQLite's and PostgreSQL's.
_FORMS = {
    "LEAST(": ("min(", "least("),
    "H_JSON(": ("json_extract(h.properties, '$.'||", "(h.properties::json->>"),
    "S_JSON(": ("json_extract(s.properties, '$.'||", "(s.properties::json->>"),
    "C_JSON(": ("json_extract(c.properties, '$.'||", "(c.properties::json->>"),
}
_DAY = 86_400_000_000
#: Winter time began on 25 October 2026 at 01:00 UTC; nothing that is compared by midnights is older than that summer.
_WINTER = 1_792_890_000_000_000


class Touches(StrEnum):
    """Where the statement has its touches from."""

    ANEW = "anew"
    KEPT = "kept"


_TOUCHED = """
logged AS (
  SELECT l.contact_id, a.at, o.email, a.kind, lag(a.at) OVER (PARTITION BY l.contact_id, o.email, a.kind ORDER BY a.at) AS earlier
  FROM activity_link l
  JOIN activity a ON a.crm = l.crm AND a.object = l.object AND a.id = l.id
  JOIN owner o ON o.crm = a.crm AND o.id = a.owner_id
  WHERE o.email IN ('anna@acme.example', 'ben@acme.example', 'chiara@acme.example') AND a.at <= :now AND a.happened
    AND (a.kind = 'meeting' OR (a.kind IN ('call', 'email') AND a.direction = 'outgoing')) AND NOT a.automatic AND NOT a.archived
), touched AS (
  SELECT c.id AS contact_id, count(*) AS touches, count(DISTINCT g.kind) AS channels, min(g.at) AS first_at, max(g.at) AS last_at
  FROM logged g JOIN contact c ON c.id = g.contact_id
  LEFT JOIN attempt t ON t.contact_id = c.id AND t.number = c.attempt
  WHERE (g.earlier IS NULL OR g.at - g.earlier > 600000000) AND (t.began_at IS NULL OR g.at >= t.began_at)
  GROUP BY c.id
)"""
_STORED = """
touched AS (
  SELECT id AS contact_id, touch_count AS touches, touch_channels AS channels, first_touch_at AS first_at, last_touch_at AS last_at
  FROM contact
)"""

COLUMNS = (
    "id", "excluded", "criteria", "criteria_met", "qualified", "score", "engaged", "accepted", "cold", "rejecting", "touch_count",
    "touch_channels", "first_touch_at", "last_touch_at", "turns_at",
)  # fmt: skip
TABLE = """
CREATE TABLE by_hand (id BIGINT PRIMARY KEY, excluded INTEGER, criteria TEXT, criteria_met INTEGER, qualified INTEGER,
  score DOUBLE PRECISION, engaged INTEGER, accepted INTEGER, cold INTEGER, rejecting INTEGER,
  touch_count INTEGER, touch_channels INTEGER, first_touch_at BIGINT,
  last_touch_at BIGINT, turns_at BIGINT)
"""
_JUDGE = """
INSERT INTO by_hand (COLUMNS)
WITH TOUCHED, facts AS (
  SELECT c.*, coalesce(t.touches, 0) AS touches, coalesce(t.channels, 0) AS channels, t.first_at, t.last_at,
    CASE WHEN f_email_folded LIKE '%@gmail.com' OR f_email_folded LIKE '%@outlook.com' OR f_email_folded LIKE '%@web.de'
      THEN 1 WHEN f_email_folded LIKE '%@%' THEN 0 END AS free_mail,
    (SELECT max(l.at) FROM activity_link l WHERE l.contact_id = c.id AND l.kind = 'meeting' AND l.counts
      AND l.at BETWEEN :now - 90 * DAY AND :now) AS met_at,
    (SELECT min(l.at) FROM activity_link l WHERE l.contact_id = c.id AND l.counts AND l.at > :now) AS coming_at,
    (:now + 3600000000) / DAY - (f_last_conversion_at + CASE WHEN f_last_conversion_at < WINTER THEN 7200000000 ELSE 3600000000 END) / DAY
      AS midnights
  FROM contact c LEFT JOIN touched t ON t.contact_id = c.id WHERE NOT c.gone
), criteria AS (
  SELECT *,
    CASE WHEN f_industry_folded IN ('software', 'logistics') OR f_naics_folded LIKE '5112%' THEN 1 ELSE 0 END AS c0,
    CASE WHEN f_employees BETWEEN 50 AND 5000 AND f_country_folded IN ('germany', 'austria', 'switzerland') THEN 1 ELSE 0 END AS c1,
    CASE WHEN f_roles_folded LIKE '%;decision_maker;%' OR f_roles_folded LIKE '%;champion;%' OR f_job_title_folded LIKE '%director%'
      OR f_job_title_folded LIKE '%head of%' THEN 1 ELSE 0 END AS c2,
    CASE WHEN free_mail = 0 THEN 1 ELSE 0 END AS c3,
    CASE WHEN met_at IS NOT NULL THEN 1 ELSE 0 END AS c4,
    CASE WHEN f_pain_point_folded IS NOT NULL THEN 1 ELSE 0 END AS c5,
    CASE WHEN f_budget > 0 THEN 1 ELSE 0 END AS c6,
    CASE WHEN f_competitor_in_use_folded IS NOT NULL THEN 1 ELSE 0 END AS c7,
    CASE WHEN f_timeline_folded IN ('now', 'this quarter') THEN 1 ELSE 0 END AS c8,
    CASE WHEN f_email_folded LIKE '%@acme.example' OR f_email_folded LIKE '%@competitor.example' OR f_job_title_folded LIKE '%student%'
      THEN 1 ELSE 0 END AS out_of_scope
  FROM facts
), parts AS (
  SELECT *, c0 + c1 + c2 + c3 + c4 + c5 + c6 + c7 + c8 AS met,
    CASE WHEN f_job_title_folded LIKE '%director%' OR f_job_title_folded LIKE '%vp%' OR f_job_title_folded LIKE '%chief%'
      THEN 20.0 ELSE 0.0 END
    + CASE WHEN f_page_views > 15 THEN 30.0 WHEN f_page_views > 0 THEN 2.0 * f_page_views ELSE 0.0 END
    - CASE WHEN free_mail = 1 THEN 15.0 ELSE 0.0 END AS lasting,
    CASE WHEN midnights IS NULL THEN 0.0 WHEN midnights > 0 THEN 40.0 * pow(CAST(0.5 AS DOUBLE PRECISION), midnights / 30.0) ELSE 40.0 END
      AS faded
  FROM criteria
), judged AS (
  SELECT *, lasting + CASE WHEN faded >= 0.5 THEN faded ELSE 0.0 END AS points,
    CASE WHEN stage = 'mql' AND stage_since IS NOT NULL THEN 1 ELSE 0 END AS selling,
    CASE WHEN last_at + 60 * DAY > stage_since + 90 * DAY THEN last_at + 60 * DAY ELSE stage_since + 90 * DAY END AS cools_at
  FROM parts
)
SELECT id, out_of_scope, CRITERIA, met, CASE WHEN met >= :minimum THEN 1 ELSE 0 END, points,
  CASE WHEN met >= :minimum AND points >= :least THEN 1 ELSE 0 END,
  CASE WHEN h_lead_status_folded = 'connected' OR s_lead_status_folded = 'qualified' THEN 1 ELSE 0 END,
  CASE WHEN stage_since < :now - 90 * DAY AND (last_at IS NULL OR last_at < :now - 60 * DAY) THEN 1 ELSE 0 END,
  CASE WHEN h_lead_status_folded = 'unqualified' OR s_lead_status_folded = 'closed - not converted' THEN 1 ELSE 0 END,
  touches, channels, first_at, last_at,
  nullif(LEAST(coalesce(met_at + 90 * DAY, NEVER), LEAST(coalesce(coming_at, NEVER), LEAST(
    CASE WHEN selling = 1 AND cools_at >= :now THEN cools_at ELSE NEVER END,
    CASE WHEN met >= :minimum AND points >= :least AND lasting < :least AND coalesce(stage, '') IN ('', 'subscriber', 'lead')
      THEN ((:now + 3600000000) / DAY + 1 + CAST(floor(30.0 * ln(40.0 / CAST(:least - lasting AS DOUBLE PRECISION)) / ln(2.0)) AS BIGINT)
        - midnights) * DAY - 3600000000 ELSE NEVER END))), NEVER)
FROM judged
"""
#: Contacts of which the two say something else, by what: a column → a condition on `c` (contact) and `b` (by_hand).
_COMPARED = {
    "criteria": "c.criteria IS DISTINCT FROM b.criteria",
    "excluded": "c.excluded <> (b.excluded = 1)",
    "criteria_met": "c.criteria_met IS DISTINCT FROM b.criteria_met",
    "qualified": "c.qualified IS DISTINCT FROM (b.qualified = 1)",
    "score": "c.score IS NULL OR abs(c.score - b.score) > 0.000001",
    "rejecting": "c.rejecting IS DISTINCT FROM (b.rejecting = 1)",
    "touch_count": "c.touch_count <> b.touch_count",
    "touch_channels": "c.touch_channels <> b.touch_channels",
    "first_touch_at": "c.first_touch_at IS DISTINCT FROM b.first_touch_at",
    "last_touch_at": "c.last_touch_at IS DISTINCT FROM b.last_touch_at",
    "due_at, too late": "NOT c.excluded AND b.turns_at IS NOT NULL AND (c.due_at IS NULL OR c.due_at > b.turns_at + 1)",
    "not judged": "c.judged_at IS NULL",
}
#: The criteria of the file by the place of their column, in the order of their ids, as a contact keeps those that it meets.
CRITERIA = {
    4: "a documented decision process", 5: "a known, unsolved problem", 6: "budget available", 1: "company size and place",
    7: "competition known", 2: "decision maker or important role", 0: "industry we serve", 3: "the right environment", 8: "urgency",
}  # fmt: skip
DIFFERENCES = (
    "SELECT count(*) AS contacts, "
    + ", ".join(f'sum(CASE WHEN {condition} THEN 1 ELSE 0 END) AS "{name}"' for name, condition in _COMPARED.items())
    + " FROM contact c JOIN by_hand b ON b.id = c.id WHERE NOT c.gone"
)
#: How many meet what: a world in which nobody meets a condition, or everybody, tests nothing.
SHARES = (
    "SELECT count(*) AS contacts, "
    + ", ".join(f"sum(CASE WHEN criteria LIKE '%\"{name}\"%' THEN 1 ELSE 0 END) AS c{place}" for place, name in CRITERIA.items())
    + ", sum(excluded) AS excluded, sum(qualified) AS qualified, sum(engaged) AS engaged, sum(accepted) AS accepted, sum(cold) AS cold, "
    "sum(rejecting) AS rejecting, sum(CASE WHEN touch_count > 0 THEN 1 ELSE 0 END) AS touched, "
    "sum(CASE WHEN score > 0 THEN 1 ELSE 0 END) AS scored, sum(CASE WHEN turns_at > 0 THEN 1 ELSE 0 END) AS turning, "
    "sum(score) AS score FROM by_hand"
)
#: Whom the transitions must move, by rule: the plan's independent count. Who was given back goes by [rejection], and by no transition.
MOVED = """
SELECT sum(CASE WHEN engaged = 1 AND coalesce(stage, '') IN ('', 'subscriber', 'lead') THEN 1 ELSE 0 END) AS "engaged and qualified",
  sum(CASE WHEN b.accepted = 1 AND stage = 'mql' THEN 1 ELSE 0 END) AS "sales accepted",
  sum(CASE WHEN b.accepted = 0 AND b.cold = 1 AND stage = 'mql' THEN 1 ELSE 0 END) AS "went cold"
FROM contact c JOIN by_hand b ON b.id = c.id
LEFT JOIN rejection r ON r.contact_id = c.id AND r.attempt = c.attempt
WHERE NOT c.gone AND b.excluded = 0 AND c.ambiguous IS NULL AND r.contact_id IS NULL
"""
#: What the records say of a contact beside what the contact says.
UNIFIED = """
SELECT count(*) AS contacts,
  sum(CASE WHEN c1.f_email IS DISTINCT FROM H_JSON('email') THEN 1 ELSE 0 END) AS email,
  sum(CASE WHEN c1.f_country IS DISTINCT FROM coalesce(S_JSON('Country'), H_JSON('country')) THEN 1 ELSE 0 END) AS country,
  sum(CASE WHEN c1.f_job_title IS DISTINCT FROM coalesce(S_JSON('Title'), H_JSON('jobtitle')) THEN 1 ELSE 0 END) AS job_title,
  sum(CASE WHEN c1.f_page_views IS DISTINCT FROM CAST(H_JSON('hs_analytics_num_page_views') AS BIGINT) THEN 1 ELSE 0 END) AS page_views,
  sum(CASE WHEN c1.f_budget IS DISTINCT FROM coalesce(CAST(S_JSON('Budget__c') AS DOUBLE PRECISION),
    CAST(H_JSON('budget_amount') AS DOUBLE PRECISION)) THEN 1 ELSE 0 END) AS budget,
  sum(CASE WHEN c1.f_employees IS DISTINCT FROM coalesce(CAST(S_JSON('NumberOfEmployees') AS BIGINT),
    CAST(C_JSON('numberofemployees') AS BIGINT)) THEN 1 ELSE 0 END) AS employees,
  sum(CASE WHEN c1.f_industry IS DISTINCT FROM coalesce(
    CASE S_JSON('Industry') WHEN 'Technology' THEN 'software' ELSE S_JSON('Industry') END,
    CASE C_JSON('industry') WHEN 'COMPUTER_SOFTWARE' THEN 'software' WHEN 'LOGISTICS_AND_SUPPLY_CHAIN' THEN 'logistics'
    ELSE C_JSON('industry') END) THEN 1 ELSE 0 END) AS industry,
  sum(CASE WHEN c1.stage IS DISTINCT FROM CASE H_JSON('lifecyclestage') WHEN 'marketingqualifiedlead' THEN 'mql'
    WHEN 'salesqualifiedlead' THEN 'sql' ELSE H_JSON('lifecyclestage') END THEN 1 ELSE 0 END) AS stage,
  sum(CASE WHEN c1.owner IS DISTINCT FROM o.email THEN 1 ELSE 0 END) AS owner,
  sum(CASE WHEN c1.in_salesforce <> (s.id IS NOT NULL) THEN 1 ELSE 0 END) AS in_salesforce
FROM contact c1
JOIN record h ON h.contact_id = c1.id AND h.object = 'contacts'
LEFT JOIN record s ON s.contact_id = c1.id AND s.object = 'Lead'
LEFT JOIN record c ON c.crm = 'hubspot' AND c.object = 'companies' AND c.id = h.company_id
LEFT JOIN owner o ON o.crm = 'hubspot' AND o.id = h.owner_id
WHERE NOT c1.gone
"""


def judge(dialect: str, touches: Touches) -> str:
    """The statement of all results; parameters now (microseconds since 1970), minimum (criteria), least (points)."""
    met = " || ".join(f"CASE WHEN c{place} = 1 THEN '\"{name}\",' ELSE '' END" for place, name in CRITERIA.items())
    text = _JUDGE
    for name, value in {
        "CRITERIA": f"rtrim('[' || {met}, ',') || ']'",
        "COLUMNS": ", ".join(COLUMNS),
        "TOUCHED": _TOUCHED if touches is Touches.ANEW else _STORED,
        "NEVER": "4611686018427387904",
        "WINTER": str(_WINTER),
        "DAY": str(_DAY),
    }.items():
        text = text.replace(name, value)
    return in_dialect(dialect, text)


def in_dialect(dialect: str, text: str) -> str:
    """The text in this database's words."""
    for form, (sqlite, postgresql) in _FORMS.items():
        text = text.replace(form, sqlite if dialect == "sqlite" else postgresql)
    return text


def lies(shares: Mapping[str, float], names: Mapping[str, float]) -> list[str]:
    """Conditions that fewer than this share, or more than all but this share, of the contacts meet. names: column → the share."""
    contacts = shares["contacts"]
    return [
        f"{name}: {shares[name]:,.0f} of {contacts:,.0f} contacts"
        for name, least in names.items()
        if not least * contacts <= shares[name] <= (1 - least) * contacts
    ]
