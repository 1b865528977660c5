"""First pulls over real HTTP against the sandbox: how quick, by how many calls, at what cost. Run by `make bench-pull`.

latency  contacts alone, 200 ms added to every answer, HubSpot's limits in force
big      everything of both CRMs, HubSpot's limits in force; beside the floor, which reads the same pages (`floor_pull`)
others   contacts alone beside dlt's HubSpot source and tap-hubspot, one after the other, twice (`bench_others`)

The sandbox runs in a process of its own, on another core where there are two. Times differ from machine to machine, ratios little.
"""

from __future__ import annotations

import argparse
import platform
import sqlite3
import sys
import tempfile
from datetime import UTC, datetime
from typing import Any

import apart
import bench_others
import first_pull
import floor_pull
import formula
import machine
import orjson
import profiled
from apart import Counts, Measured, Server
from rich.console import Console
from rich.table import Table

from connector.adapters.salesforce.streams import STREAMS
from connector.workflows.fields import properties_wanted

#: HubSpot's requests a second less the headroom.
ALLOWED = first_pull.REQUESTS * (1 - first_pull.HEADROOM) / 10
LATENCY = 0.2
PARTS = ("latency", "big", "others")

Report = dict[str, Any]


def main() -> None:
    """Measures what is asked for and prints it."""
    asked = _arguments()
    report: Report = {"machine": where(), "scale": asked.scale}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        if "latency" in asked.parts:
            report["latency"] = latency(folder, round(100_000 * asked.scale))
        if "big" in asked.parts:
            report["big"] = big(folder, asked.scale, profile=asked.profile)
        if "others" in asked.parts:
            report["others"] = bench_others.compare(folder, round(20_000 * asked.scale), latencies=asked.latencies, rounds=asked.rounds)
    if asked.json:
        sys.stdout.buffer.write(orjson.dumps(report, option=orjson.OPT_INDENT_2) + b"\n")
    else:
        show(report)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"which of {', '.join(PARTS)}; left out: all")
    parser.add_argument("--scale", type=float, default=1.0, help="a part of the records: 0.1 for a try")
    parser.add_argument("--rounds", type=int, default=2, help="how often each is run in turn, of the others")
    parser.add_argument("--latencies", type=float, nargs="*", default=[0.0, 0.05], help="seconds added to every answer, of the others")
    parser.add_argument("--profile", action="store_true", help="the big pull under a profiler: where its processor time goes")
    parser.add_argument("--json", action="store_true", help="one JSON document in place of tables")
    asked = parser.parse_args()
    unknown = set(asked.parts) - set(PARTS)
    if unknown:
        parser.error(f"no part {min(unknown)!r}; there are {', '.join(PARTS)}")
    asked.parts = asked.parts or list(PARTS)
    return asked


def where() -> Report:
    """Where and with what it was measured."""
    versions = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    return {"date": datetime.now(UTC).date().isoformat(), "cores": machine.cores(), **versions}


# ── Parts ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def latency(folder: str, contacts: int) -> Report:
    """HubSpot's contacts, every answer 200 ms late."""
    with apart.sandbox(hubspot_contacts=contacts, salesforce_leads=0) as server:
        server.restart(latency=LATENCY)
        measured = apart.apart(first_pull.connect_and_pull, server.place, f"{folder}/latency.db", ["contacts"], False)
        counts = server.counts()
    return {
        **_common(measured, counts, measured.result["stored"]),
        "contacts": contacts,
        "complete": measured.result["streams"]["hubspot"]["contacts"]["stored"] == contacts,
        "contacts_a_second": measured.result["stored"] / measured.wall,
        "share_of_rate": _share(counts),
    }


def big(folder: str, scale: float, *, profile: bool) -> Report:
    """Everything of both CRMs, and the same by the floor."""
    people = {"hubspot_contacts": round(100_000 * scale), "salesforce_leads": round(50_000 * scale)}
    with apart.sandbox(**people) as server:
        server.restart()
        measured = apart.apart(first_pull.connect_and_pull, server.place, f"{folder}/big.db", None, profile)
        counts = server.counts()
        ways = _ways(server, counts)
        server.restart(limited=False)
        least = apart.apart(first_pull.floor_of, server.place, ways, f"{folder}/floor.db")
        floor_calls = server.counts().calls
    stored, streams = measured.result["stored"], measured.result["streams"]
    compared = sum(streams[crm][name]["stored"] for crm, found in least.result.items() for name in found)
    floor_seen = sum(sum(found.values()) for found in least.result.values())
    needed = formula.needed(server.sizes, ways.lists)
    ours, theirs = measured.cpu / stored, least.cpu / floor_seen
    return {
        **_common(measured, counts, stored),
        "streams": {crm: {name: one | {"needed": needed[crm][name]} for name, one in found.items()} for crm, found in streams.items()},
        "needed": {crm: sum(found.values()) for crm, found in needed.items()},
        "share_of_rate": _share(counts),
        "floor": {"cpu": least.cpu, "records": floor_seen, "same_records_here": compared, "calls": floor_calls, "cpu_a_record": theirs},
        "ratio_to_floor": ours / theirs,
        "ratio_of_calls": sum(one["calls"] for found in streams.values() for one in found.values())
        / sum(sum(found.values()) for found in needed.values()),
        "profile": measured.result["profile"],
    }


def _common(measured: Measured, counts: Counts, records: int) -> Report:
    return {
        "seconds": measured.wall,
        "records": records,
        "records_a_second": records / measured.wall,
        "cpu": measured.cpu,
        "cpu_a_record": measured.cpu / records,
        "peak_megabytes": measured.peak,
        "calls": dict(counts.calls),
        "refused": sum(counts.refused.values()),
    }


def _share(counts: Counts) -> Report:
    """Of the calls that HubSpot allows less the headroom, between its first and its last; and after the first ten seconds, since as much as
    ten seconds allow may go out at once in the beginning."""
    whole = len(counts.moments) / max(0.001, counts.last - counts.first) / ALLOWED
    later = [moment for moment in counts.moments if moment >= counts.first + 10]
    lasting = len(later) > 1 and later[-1] - later[0] >= 10
    return {"whole": whole, "after_10_seconds": (len(later) - 1) / (later[-1] - later[0]) / ALLOWED if lasting else None}


def _ways(server: Server, counts: Counts) -> floor_pull.Ways:
    """How the connector read, by what the sandbox saw."""
    paths = counts.paths["hubspot"]
    config = first_pull.config_of(server.place, "unused.db")
    jobs = [name for name in STREAMS if formula.by_job(server.sizes["salesforce"][name])]
    return floor_pull.Ways(
        lists={name: paths.get(f"GET /crm/v3/objects/{name}", 0) for name in ("contacts", "companies")},
        jobs=jobs,
        wanted={"hubspot": properties_wanted(config, "hubspot"), "salesforce": properties_wanted(config, "salesforce")},
    )


# ── Shown ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def show(report: Report) -> None:
    """Tables."""
    console = Console() if Console().is_terminal else Console(width=140)
    console.print("; ".join(f"{name} {value}" for name, value in report["machine"].items()))
    if "latency" in report:
        console.print(_figures("First pull of contacts, 200 ms added to every answer", report["latency"], _latency_rows))
    if "big" in report:
        console.print(_streams(report["big"]))
        console.print(_figures("The big pull" + (", under the profiler" if report["big"]["profile"] else ""), report["big"], _big_rows))
        if report["big"]["profile"]:
            console.print(profiled.text(report["big"]["profile"]))
    for table in bench_others.tables(report.get("others", [])):
        console.print(table)


def _figures(title: str, found: Report, rows: Any) -> Table:
    table = Table("", "measured", "aim", title=title)
    for name, value, aim in rows(found):
        table.add_row(name, value, aim)
    return table


def _latency_rows(found: Report) -> list[tuple[str, str, str]]:
    return [
        ("contacts", f"{found['contacts']:,}, {'all stored' if found['complete'] else 'SOME MISSING'}", "all stored"),
        ("contacts a second", f"{found['contacts_a_second']:,.0f}", ">= 1,100"),
        *_shared_rows(found, ""),
    ]


def _big_rows(found: Report) -> list[tuple[str, str, str]]:
    return [
        ("records", f"{found['records']:,}", ""),
        ("records a second", f"{found['records_a_second']:,.0f}", ""),
        ("calls, of what is needed", f"{found['ratio_of_calls']:.3f}", "<= 1.02"),
        *_shared_rows(found, ">= 85%"),
        ("processor time, of the floor's", f"{found['ratio_to_floor']:.2f}", "<= 2"),
        ("floor, µs a record", f"{found['floor']['cpu_a_record'] * 1e6:.0f}", ""),
    ]


def _shared_rows(found: Report, aim: str) -> list[tuple[str, str, str]]:
    share = found["share_of_rate"]
    later = "" if share["after_10_seconds"] is None else f" ({share['after_10_seconds']:.0%} after the first ten seconds)"
    return [
        ("seconds", f"{found['seconds']:.1f}", ""),
        ("calls", ", ".join(f"{crm} {count:,}" for crm, count in found["calls"].items() if count), ""),
        ("answers of 429", str(found["refused"]), "0"),
        ("of the allowed rate", f"{share['whole']:.0%}{later}", aim),
        ("peak memory, MB", f"{found['peak_megabytes']:.0f}", "< 250"),
        ("processor time, µs a record", f"{found['cpu_a_record'] * 1e6:.0f}", ""),
    ]


def _streams(found: Report) -> Table:
    table = Table("stream", "read", "stored", "calls", "needed", "ratio", title="Calls, by stream")
    for column in table.columns[1:]:
        column.justify = "right"
    for crm, streams in found["streams"].items():
        for name, one in streams.items():
            ratio = f"{one['calls'] / one['needed']:.3f}"
            table.add_row(f"{crm} {name}", f"{one['seen']:,}", f"{one['stored']:,}", f"{one['calls']:,}", f"{one['needed']:,}", ratio)
        table.add_section()
    return table


if __name__ == "__main__":
    main()
