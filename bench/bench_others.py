"""The connector, dlt's HubSpot source and tap-hubspot on the same sandbox, in turn and again: contacts alone, the same properties.

HubSpot's limits are in force; the others know none. Each of them runs in a process and a virtual environment of its own, which is made here
under .others from pinned files. What each keeps: the connector its mirror (SQLite), dlt a DuckDB file, the tap a file of Singer messages.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apart
import first_pull
import orjson
from apart import Server
from rich.table import Table

from connector.adapters.hubspot.wire.requests import properties_to_ask
from connector.sandbox.configuration import SECRETS
from connector.workflows.fields import properties_wanted

HERE = Path(__file__).parent
#: Name → its driver; requirements-NAME.txt is what it needs.
OTHERS = {"dlt": "run_dlt.py", "tap": "run_tap.py"}
SHOWN = {"connector": "the connector", "dlt": "dlt 1.31.0, its HubSpot source", "tap": "tap-hubspot 4.5.0"}
_TIMEOUT = 1_800

Result = dict[str, Any]


def compare(folder: str, contacts: int, *, latencies: Sequence[float], rounds: int) -> list[Result]:
    """One result for each run, in the order in which they ran."""
    pythons = {name: environment(name) for name in OTHERS}
    results = []
    with apart.sandbox(hubspot_contacts=contacts, salesforce_leads=0) as server:
        config = first_pull.config_of(server.place, "unused.db")
        asked = properties_to_ask("contacts", properties_wanted(config, "hubspot")["contacts"])
        for latency in latencies:
            for turn in range(rounds):
                for name in ("connector", *OTHERS):
                    place = f"{folder}/{name}-{latency}-{turn}"
                    Path(place).mkdir()
                    server.restart(latency=latency)
                    ours = name == "connector"
                    found = _connector(server, place) if ours else _other(pythons[name], OTHERS[name], server, place, asked)
                    results.append(_result(name, latency, turn, contacts, found, server))
    return results


def _connector(server: Server, folder: str) -> Result:
    measured = apart.apart(first_pull.connect_and_pull, server.place, f"{folder}/mirror.db", ["contacts"], False)
    rows = measured.result["streams"]["hubspot"]["contacts"]["stored"]
    return {"wall": measured.wall, "cpu": measured.cpu, "peak": measured.peak, "rows": rows, "distinct": rows, "error": ""}


def _other(python: Path, driver: str, server: Server, folder: str, asked: Sequence[str]) -> Result:
    task = {"url": server.place.hubspot_url, "token": SECRETS["HUBSPOT_ACCESS_TOKEN"], "properties": list(asked), "folder": folder}
    ended = subprocess.run(
        [str(python), str(HERE / driver)], input=orjson.dumps(task), capture_output=True, timeout=_TIMEOUT, check=False, cwd=folder
    )
    result = Path(folder, "result.json")
    if not result.exists():
        lines = ended.stderr.decode(errors="replace").strip().splitlines()
        problem = lines[-1][:200] if lines else f"ended {ended.returncode}"
        return {"wall": 0.0, "cpu": 0.0, "peak": 0.0, "rows": 0, "distinct": 0, "error": problem}
    found: Result = orjson.loads(result.read_bytes())
    return found


def _result(name: str, latency: float, turn: int, contacts: int, found: Result, server: Server) -> Result:
    counts = server.counts()
    return {
        "who": name,
        "latency": latency,
        "turn": turn,
        "contacts": contacts,
        **found,
        "records_a_second": found["rows"] / found["wall"] if found["wall"] else 0.0,
        "calls": counts.calls["hubspot"],
        "refused": sum(counts.refused.values()),
    }


def environment(name: str) -> Path:
    """The interpreter of a virtual environment with what its file pins; made where there is none, or the file changed."""
    folder, pinned = HERE / ".others" / name, HERE / f"requirements-{name}.txt"
    python, stamp, digest = folder / "bin" / "python", folder / ".installed", hashlib.sha256(pinned.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet"]
        subprocess.run([*pip, "install", "--no-deps", "--require-hashes", "-r", str(pinned)], check=True, stdout=sys.stderr)
        stamp.write_text(digest)
    return python


def tables(results: Sequence[Result]) -> Iterator[Table]:
    """One table for each latency."""
    for latency in dict.fromkeys(one["latency"] for one in results):
        ones = [one for one in results if one["latency"] == latency]
        title = f"{ones[0]['contacts']:,} contacts, {latency * 1000:.0f} ms added to every answer"
        table = Table("who", "contacts/s", "s", "calls", "429", "cpu s", "µs a contact", "peak MB", "rows", "missing", "twice", title=title)
        for column in table.columns[1:]:
            column.justify = "right"
        for one in ones:
            missing, twice = one["contacts"] - one["distinct"], one["rows"] - one["distinct"]
            times = (f"{one['records_a_second']:,.0f}", f"{one['wall']:.1f}", f"{one['calls']:,}", str(one["refused"]), f"{one['cpu']:.1f}")
            size = (f"{one['cpu'] / max(1, one['rows']) * 1e6:.0f}", f"{one['peak']:.0f}", f"{one['rows']:,}", str(missing), str(twice))
            table.add_row(SHOWN[one["who"]] + (f": {one['error']}" if one["error"] else ""), *times, *size)
        yield table
