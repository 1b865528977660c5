"""What the demo tells at its end, read from the store: who moved and why, which tasks there are, which SLAs, which rejections.

Names and addresses are in it: they are made up. Nothing else calls this.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, select

from connector.cli.names import Person, people
from connector.config.tables import Config
from connector.model import Kind, State
from connector.store.database import Store
from connector.store.ledger import VALUES_OF
from connector.store.tables import metadata
from connector.workflows.stages import StageMap

_LEDGER = metadata.tables["ledger"]
_VALUE = metadata.tables["action_value"]
_OWNER = metadata.tables["owner"]
_CLOCK = metadata.tables["clock"]
_REJECTION = metadata.tables["rejection"]
_DONE = (State.APPLIED, State.ALREADY_SO)

Document = dict[str, Any]
#: People named for each line of a table.
EXAMPLES = 3


def tell_story(store: Store, config: Config) -> Document:
    """{"moved", "tasks", "slas", "rejections", "try_email"}: each a list of lines with a count and a few people."""
    with store.read() as connection:
        moved = _moved(connection, config)
        tasks = _tasks(connection)
        clocks = _rows(connection, select(_CLOCK).order_by(_CLOCK.c.due_at))
        rejections = _rows(connection, select(_REJECTION).order_by(_REJECTION.c.at.desc()))
        names = {(row.crm, row.id): row.name for row in connection.execute(select(_OWNER.c.crm, _OWNER.c.id, _OWNER.c.name))}
    who = people(store, config, {row["contact_id"] for rows in (moved, tasks, clocks, rejections) for row in rows})
    return {
        "moved": _lines_of_moves(moved, who),
        "tasks": _lines_of_tasks(tasks, names, who),
        "slas": _lines_of_clocks(config, clocks, who),
        "rejections": _lines_of_rejections(rejections, who),
        "try_email": _email_to_try(moved, tasks, who),
    }


def _rows(connection: Connection, query: Select[Any]) -> list[Document]:
    return [dict(row) for row in connection.execute(query).mappings()]


def _person(contact: int, who: Mapping[int, Person]) -> Document:
    person = who.get(contact, Person())
    return {"contact": contact, "name": person.name, "email": person.email, "company": person.company}


# ── Who moved ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _moved(connection: Connection, config: Config) -> list[Document]:
    """One row a contact and bundle: the stage it left and the one it came to, by the file's names."""
    stages = StageMap(config)
    wanted = (_LEDGER.c.kind == Kind.SET_STAGE) & _LEDGER.c.state.in_(_DONE)
    columns = (_LEDGER.c.bundle, _LEDGER.c.rule, _LEDGER.c.contact_id, _LEDGER.c.crm, _LEDGER.c.urgency)
    values = (_VALUE.c.before, _VALUE.c.after, _VALUE.c.why)
    query = select(*columns, *values).join(_VALUE, VALUES_OF).where(wanted)
    moves: dict[str, Document] = {}
    for row in connection.execute(query.order_by(_LEDGER.c.id)):
        before, after = stages.name_of(row.crm, row.before), stages.name_of(row.crm, row.after)
        move = moves.get(row.bundle)
        if move is None or (move["from"] == move["to"] and before != after):
            names = {"rule": row.rule, "contact_id": row.contact_id, "urgency": row.urgency, "why": row.why or {}}
            moves[row.bundle] = {**names, "from": before, "to": after}
    return list(moves.values())


def _lines_of_moves(moved: Sequence[Document], who: Mapping[int, Person]) -> list[Document]:
    groups: dict[tuple[str, str | None, str | None], list[Document]] = defaultdict(list)
    for row in moved:
        groups[row["rule"], row["from"], row["to"]].append(row)
    lines = []
    for (rule, before, after), rows in sorted(groups.items(), key=lambda item: (item[0][0], -len(item[1]))):
        first = sorted(rows, key=lambda row: (-row["urgency"], row["contact_id"]))[:EXAMPLES]
        examples = [{**_person(row["contact_id"], who), "why": row["why"]} for row in first]
        lines.append({"rule": rule, "from": before, "to": after, "contacts": len(rows), "examples": examples})
    return lines


def _email_to_try(moved: Sequence[Document], tasks: Sequence[Document], who: Mapping[int, Person]) -> str | None:
    """Whose address is easily typed, among those to whom most happened."""
    called = {row["contact_id"] for row in tasks if row["state"] in _DONE}
    order = sorted(moved, key=lambda row: (row["contact_id"] not in called, -row["urgency"], row["contact_id"]))
    addresses = (who[row["contact_id"]].email for row in order if row["contact_id"] in who)
    return next((address for address in addresses if address.isascii() and address and "'" not in address), None)


# ── Tasks ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _tasks(connection: Connection) -> list[Document]:
    columns = (_LEDGER.c.rule, _LEDGER.c.target, _LEDGER.c.state, _LEDGER.c.crm, _LEDGER.c.contact_id, _LEDGER.c.urgency, _VALUE.c.task)
    query = select(*columns).join(_VALUE, VALUES_OF).where(_LEDGER.c.kind == Kind.CREATE_TASK)
    return _rows(connection, query.order_by(_LEDGER.c.urgency.desc(), _LEDGER.c.id))


def _lines_of_tasks(tasks: Sequence[Document], names: Mapping[tuple[str, str], str], who: Mapping[int, Person]) -> list[Document]:
    groups: dict[tuple[str, str], list[Document]] = defaultdict(list)
    for row in tasks:
        owner = (row["task"] or {}).get("owner_id") or ""
        groups[row["target"], names.get((row["crm"], owner), "nobody")].append(row)
    lines = []
    for (task, owner), rows in sorted(groups.items()):
        created = [row for row in rows if row["state"] in _DONE]
        examples = [
            {**_person(row["contact_id"], who), "subject": row["task"]["subject"], "due_at": row["task"]["due_at"], "rule": row["rule"]}
            for row in (created or rows)[:EXAMPLES]
        ]
        waiting = sum(1 for row in rows if row["state"] == State.WAITING)
        crms = dict(Counter(row["crm"] for row in created))
        lines.append({"task": task, "owner": owner, "created": len(created), "in": crms, "waiting": waiting, "examples": examples})
    return lines


# ── SLAs and rejections ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _lines_of_clocks(config: Config, clocks: Sequence[Document], who: Mapping[int, Person]) -> list[Document]:
    names = {rule.id: rule.name for rule in config.slas}
    groups: dict[tuple[str, str], list[Document]] = defaultdict(list)
    for row in clocks:
        groups[row["sla"], row["owner"] or "nobody"].append(row)
    lines = []
    for (sla, owner), rows in sorted(groups.items()):
        states = Counter(row["state"] for row in rows)
        late = [row for row in rows if row["state"] == "breached"]
        examples = [
            {**_person(row["contact_id"], who), "started_at": row["started_at"], "due_at": row["due_at"], "touches": row["touches"]}
            for row in late[-EXAMPLES:]
        ]
        counted = {state: states[state] for state in ("running", "warned", "met", "breached", "ended")}
        lines.append({"name": names.get(sla, sla), "owner": owner, **counted, "examples": examples})
    return lines


def _lines_of_rejections(rejections: Sequence[Document], who: Mapping[int, Person]) -> list[Document]:
    groups: dict[str | None, list[Document]] = defaultdict(list)
    for row in rejections:
        groups[row["reason"]].append(row)
    lines = []
    for reason, rows in sorted(groups.items(), key=lambda item: (item[0] is None, -len(item[1]), item[0] or "")):
        kinds = Counter(row["kind"] for row in rows)
        examples = [{**_person(row["contact_id"], who), "owner": row["owner"], "touches": row["touches"]} for row in rows[:EXAMPLES]]
        lines.append(
            {
                "reason": reason,
                "n": len(rows),
                "rejected": kinds["rejected"],
                "disqualified": kinds["disqualified"],
                "sent_back": sum(1 for row in rows if row["sent_back"]),
                "examples": examples,
            }
        )
    return lines
