"""Runs tap-hubspot against a sandbox: contacts as Singer messages into a file. Started by `bench_others` in an environment of its own.

Standard input: {"url", "token", "properties", "folder"}; what it took is in the folder's result.json.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import machine

machine.pin(0)
task = json.load(sys.stdin)
folder = Path(task["folder"])

import tap_hubspot  # type: ignore[import-not-found,unused-ignore]  # noqa: E402 - after the core is chosen
from singer import metadata  # type: ignore[import-not-found,unused-ignore]  # noqa: E402

tap_hubspot.BASE_URL = task["url"]
tap_hubspot.CONFIG.update(api_key=task["token"], start_date="2000-01-01T00:00:00Z", select_fields_by_default=False)


def catalogue() -> dict[str, Any]:
    """Contacts, with the wanted properties selected."""
    stream = next(each for each in tap_hubspot.STREAMS if each.tap_stream_id == "contacts")
    schema, found = tap_hubspot.load_discovered_schema(stream)
    entries = metadata.to_map(found)
    entries = metadata.write(entries, (), "selected", True)
    for name in task["properties"]:
        entries = metadata.write(entries, ("properties", f"property_{name}"), "selected", True)
    entry = {"stream": "contacts", "tap_stream_id": "contacts", "schema": schema, "metadata": metadata.to_list(entries)}
    return {"streams": [entry]}


messages = folder / "contacts.jsonl"
wall, cpu, error = time.perf_counter(), time.process_time(), ""
with messages.open("w") as out:
    sys.stdout = out
    try:
        tap_hubspot.do_sync({}, catalogue())
    except Exception as problem:  # noqa: BLE001 - told in the result, whatever it is
        error = f"{type(problem).__name__}: {problem}"[:200]
    sys.stdout = sys.__stdout__
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
peak = machine.peak_megabytes()

ids = []
with messages.open() as lines:
    for line in lines:
        message = json.loads(line)
        if message["type"] == "RECORD":
            ids.append(message["record"]["id"])
result = {"wall": wall, "cpu": cpu, "peak": peak, "rows": len(ids), "distinct": len(set(ids)), "error": error}
(folder / "result.json").write_text(json.dumps(result))
