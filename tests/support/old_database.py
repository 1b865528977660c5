"""Makes tests/store/old/: a database as schema 0002 wrote it, what its CRMs held, and what that version concluded afterwards.

It was run once, in a checkout of commit 326aa5c, the last one with that schema (`python -m tests.support.old_database FOLDER`), and is
kept to say how the files came about. The company is that of `tests.support.company`; everybody in it is made up. Four files come of it:

    config.toml      the file of rules it ran under
    database.sql.gz  the SQLite database as statements, after twelve days of passes, in shadow first, then live
    crms.json.gz     what both CRMs held at that moment, so that passes can go on (`tests.support.old_database_crms` reads it)
    after.json.gz    what that version concluded in three more days of passes in which nobody did anything
"""

from __future__ import annotations

import gzip
import json
import sqlite3
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from connector.config.load import loads
from connector.model import ActivityKind, Deal, RecordRef, Surroundings
from connector.store.database import Store
from tests.support.company import ASSIGN, CRITERIA, CRMS, DIRECTOR, HEAD, LINKS, REJECTION, SCORE, SLA, STEPS, Company

START = datetime(2026, 11, 9, 9, 0, tzinfo=UTC)
NURTURE = """
[[transition]]
name = "nurture"
from = ["", "subscriber"]
to = "lead"
when = "interest >= 5"
"""
TASKS = """
[tasks]
a_day_an_owner = 4
"""
#: Passes after the database was kept: an hour apart, over a week-end.
LATER_PASSES = 72
#: What is told of the time after: statement by name. Numbers of rows differ where others are made in between, keys do not.
AFTER = {
    "contacts": "SELECT id, gone, ambiguous, stage, stage_since, spell, attempt, owner, assigned_at, touch_count, touch_channels, "
    "first_touch_at, last_touch_at, rejected_before, excluded, criteria_met, qualified, score FROM contact ORDER BY id",
    "spells": "SELECT contact_id, number, stage, entered_at, left_at, by FROM spell ORDER BY contact_id, number",
    "attempts": "SELECT contact_id, number, spell, began_at, ended_at, outcome, skipped, late, found, ignored_at FROM attempt "
    "ORDER BY contact_id, number",
    "clocks": "SELECT contact_id, attempt, kind, number, sla, owner, started_at, warn_at, due_at, state, met_at, ended_at, touches, "
    "channels FROM clock ORDER BY contact_id, attempt, kind, number",
    "rejections": "SELECT contact_id, attempt, kind, reason, accepted, sent_back, owner, touches, channels FROM rejection "
    "ORDER BY contact_id, attempt",
    "ledger": "SELECT contact_id, bundle, key, kind, crm, object, record_id, target, state FROM ledger WHERE state <> 'shadow' "
    "ORDER BY key, id",
}


def main(folder: Path) -> None:
    """Makes the files in this folder."""
    folder.mkdir(parents=True, exist_ok=True)
    text = config_text()
    (folder / "config.toml").write_text(text)
    shadow = loads(text, source="config.toml")
    live = loads(text.replace('mode = "shadow"', 'mode = "live"'), source="config.toml")
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "old.db"
        with Store.open(f"sqlite:///{file}") as store:
            store.upgrade()
            company = Company(store, shadow, START, {name: Surroundings(links=LINKS[name]) for name in LINKS})
            fortnight(company, live)
            _tell(company)
            store.apart("PRAGMA wal_checkpoint(TRUNCATE)")
            _write(folder / "database.sql.gz", _dump(file))
            _write(folder / "crms.json.gz", orjson.dumps(crms(company), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))
            for _ in range(LATER_PASSES):
                company.later(hours=1)
                company.run()
            after = {name: [list(row) for row in company.rows(statement)] for name, statement in AFTER.items()}
            _write(folder / "after.json.gz", orjson.dumps(after, option=orjson.OPT_INDENT_2))


def config_text() -> str:
    """The file: the parts of the tests' company, with rails that one rule goes beyond."""
    head = HEAD.replace('mode = "live"', 'mode = "shadow"').replace("stage_changes = 1000", "stage_changes = 16")
    assert "stage_changes = 16" in head
    return f'{head}\n{CRMS}\n[database]\nurl = "sqlite:///unused.db"\n{TASKS}{CRITERIA}{SCORE}{STEPS}{NURTURE}{ASSIGN}{SLA}{REJECTION}'


# ── What happened in the twelve days ─────────────────────────────────────────────────────────────────────────────────────────────────


def fortnight(company: Company, live: Any) -> None:
    """Who came, what sales did, and the passes in between; ends on a Friday afternoon with something under way everywhere."""
    early(company)
    for hours in (0, 1, 2):
        company.later(hours=hours)
        company.run()
    company.at("10 09:00")
    company.config = live
    company.settle()
    first_week(company)
    second_week(company)
    last_day(company)


def early(company: Company) -> None:
    """Those who are there when the connector comes."""
    for number in range(1, 7):
        director(company, number)
    for number in range(7, 11):  # others that marketing made MQL before
        company.person(f"{number}", firstname="Emil", lastname=f"Early{number}", stage="mql", owner="ben", hs_lead_status="NEW")
    for number in range(11, 14):
        company.person(f"{number}", firstname="Klara", lastname=f"Customer{number}", stage="customer", owner="chiara", interest="3")
    for number in range(14, 20):
        company.person(f"{number}", firstname="Sven", lastname=f"Subscriber{number}", stage="subscriber", interest="2", country="Austria")
    company.person("20", "info@betrieb.example", stage="lead", lastname="Mailbox")
    company.person("21", "twin@kunde.example", stage="lead", lastname="Twin", owner="anna")
    company.lead("00Q21", "twin@kunde.example", stage="Working", LastName="Twin", owner="ben")
    company.person("22", "boss@acme.example", stage="lead", lastname="Colleague")
    deal = Deal(
        crm="hubspot", object="deals", id="501", stage="closedwon", amount=12_000.0, currency="EUR", closed=True, won=True,
        contacts=(RecordRef(crm="hubspot", object="contacts", id="11"),), created_at=company.now, modified_at=company.now,
    )  # fmt: skip
    company.hubspot.put(deal)


def director(company: Company, number: int) -> None:
    """One who qualifies: a director of a software company, with a Lead, who converted two days ago."""
    converted = (company.now - timedelta(days=2)).isoformat()
    known = DIRECTOR | {"lastname": f"Director{number}", "recent_conversion_date": converted}
    company.person(f"{number}", f"d{number}@kunde.example", **known)
    company.lead(f"00Q{number}", f"d{number}@kunde.example", LastName=f"Director{number}", stage="Nurturing", Industry="Technology")


def passes(company: Company, *moments: str) -> None:
    for moment in moments:
        company.at(moment)
        company.run()


def first_week(company: Company) -> None:
    """Sales calls some, gives some back with a reason and without one, takes some on."""
    passes(company, "10 11:00")
    company.touch(on="1", by="anna")
    company.touch("10 11:30", on="2", by="ben", kind=ActivityKind.MEETING)
    passes(company, "10 12:00", "10 13:30", "10 15:00")
    company.edit("1", status="CONNECTED")  # accepted
    company.edit("3", status="UNQUALIFIED", rejection_reason="No need")  # rejected: nobody had called
    company.edit("2", status="UNQUALIFIED", rejection_reason="No need")  # disqualified: after a meeting
    passes(company, "10 15:30", "10 16:00", "11 09:00", "11 10:00")
    company.edit("4", status="UNQUALIFIED")  # without a reason
    passes(company, "11 11:00", "11 12:00", "12 09:30")
    for _ in range(3):
        company.touch(on="7", by="ben")
        company.later(minutes=40)
    company.edit("7", status="UNQUALIFIED", rejection_reason="Unreachable")  # after three calls: accepted
    passes(company, "12 13:00", "12 13:10", "13 09:30", "13 12:00")
    company.hubspot.archive("contacts", "9")  # withdrawn
    company.look()
    company.edit("12", interest="7", country="Germany")
    passes(company, "13 14:00", "13 16:00")


def second_week(company: Company) -> None:
    """More come; a lead is merged away, one moved back by hand; one is refused by the CRM for good."""
    company.at("16 09:00")
    for number in range(31, 37):
        director(company, number)
    company.hubspot.refuse("36", "the value is not one of the options", code="INVALID_OPTION")
    passes(company, "16 09:30", "16 09:45", "16 11:00")
    company.touch(on="31", by="chiara")
    company.touch("16 11:20", on="00Q32", by="anna")
    passes(company, "16 12:00", "16 15:00", "17 09:30")
    company.edit("32", stage="lead")  # moved back by a person: the evidence is used
    company.edit("10", stage="sql")  # accepted by hand
    passes(company, "17 10:00", "17 12:00")
    company.person("40", "second@kunde.example", stage="mql", lastname="Second", owner="anna", hs_lead_status="NEW")
    company.person("41", "other@kunde.example", stage="lead", lastname="Other")
    passes(company, "17 13:00", "17 15:00")
    company.hubspot.merge("contacts", "41", "40")
    passes(company, "18 09:30", "18 12:00")
    company.touch("18 08:50", on="33", by="ben")  # logged late, dated by due or not
    company.edit("34", status="OPEN", jobtitle="Clerk")
    passes(company, "18 15:00", "19 09:30")


def last_day(company: Company) -> None:
    """Friday: clocks that run, are warned and breached; a task that is parked; a rule that wants beyond its rail and is held."""
    company.at("20 09:00")
    for number in (51, 52):
        director(company, number)
    passes(company, "20 09:10", "20 09:20")
    company.at("20 10:00")
    for number in range(60, 69):  # more than the rail lets through
        company.person(f"{number}", firstname="Nora", lastname=f"Nurture{number}", stage="subscriber", interest="6", country="Germany")
        company.lead(f"00Q{number}", f"p{number}@kunde.example", LastName=f"Nurture{number}")
    for number in (55, 56, 57):
        director(company, number)
    passes(company, "20 10:10", "20 10:20", "20 12:30")
    company.at("20 13:00")
    for number in (53, 54):
        director(company, number)
    company.edit("61", stage="lead")  # one of those held got there by itself
    company.hubspot.busy("53", 3)
    passes(company, "20 13:10", "20 13:15")
    company.touch(on="52", by="ben")
    company.person("58", "mine@kunde.example", stage="mql", lastname="Last", owner="anna", hs_lead_status="NEW")
    company.touch("20 13:20", on="57", by="anna")
    passes(company, "20 13:40")


# ── What is kept ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def crms(company: Company) -> dict[str, Any]:
    """What both CRMs hold and remember, and the company's time."""
    told: dict[str, Any] = {"now": company.now}
    for name, crm in company.crms.items():
        told[name] = {
            "changes": crm._changes,
            "next_task": crm._next_task,
            "refused": crm._refused,
            "busy": dict(crm._busy),
            "stored": [
                {"number": number, "kind": type(thing).__name__, "stream": stream, "thing": asdict(thing)}
                for stream, held in crm._stored.items()
                for number, thing in held.values()
            ],
            "removed": [
                {"number": number, "stream": stream, "thing": asdict(removal)}
                for stream, held in crm._removed.items()
                for number, removal in held.values()
            ],
        }
    return told


def _dump(file: Path) -> bytes:
    with sqlite3.connect(file) as connection:
        connection.execute("VACUUM")
        return "\n".join(connection.iterdump()).encode()


def _write(file: Path, content: bytes) -> None:
    file.write_bytes(gzip.compress(content, 9, mtime=0))


def _tell(company: Company) -> None:
    """What there is of each kind: the maker looks whether the story holds all that it is kept for."""
    counts = {
        "attempts": "SELECT outcome, count(*) FROM attempt GROUP BY outcome",
        "clocks": "SELECT state, count(*) FROM clock GROUP BY state",
        "ledger": "SELECT state, count(*) FROM ledger GROUP BY state",
        "rules": "SELECT rule, kind, state, count(*) FROM ledger GROUP BY rule, kind, state",
        "rejections": "SELECT kind, accepted, sent_back, reason, count(*) FROM rejection GROUP BY kind, accepted, sent_back, reason",
        "rows": "SELECT (SELECT count(*) FROM contact), (SELECT count(*) FROM touch), (SELECT count(*) FROM evidence), "
        "(SELECT count(*) FROM plan), (SELECT count(*) FROM record_version), (SELECT count(*) FROM evidence WHERE moved_back_at > 0)",
    }
    for name, statement in counts.items():
        sys.stdout.write(f"{name} {json.dumps([list(row) for row in company.rows(statement)])}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
