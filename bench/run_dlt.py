"""Runs dlt's HubSpot source against a sandbox: contacts into a DuckDB file. Started by `bench_others` in an environment of its own.

Standard input: {"url", "token", "properties", "folder"}; what it took is in the folder's result.json.
"""

import json
import os
import sys
import time
from pathlib import Path

import machine

machine.pin(0)
task = json.load(sys.stdin)
folder = Path(task["folder"])
os.environ.update(RUNTIME__DLTHUB_TELEMETRY="false", DLT_DATA_DIR=str(folder / "dlt"), RUNTIME__LOG_LEVEL="ERROR")

import dlt  # type: ignore[import-not-found,unused-ignore]  # noqa: E402 - after its settings
import duckdb  # type: ignore[import-not-found,unused-ignore]  # noqa: E402
from ingestr.src.hubspot import crm_objects, helpers  # type: ignore[import-not-found,unused-ignore]  # noqa: E402

helpers.BASE_URL = task["url"] + "/"
# What its source `hubspot` makes of contacts, and as it makes it; the source itself does not start with Python 3.11 and this release of dlt
# (a list stands as a parameter's default).
objects = crm_objects("contact", task["token"], include_history=False, props=task["properties"], include_custom_props=False)
contacts = dlt.resource(objects, name="contacts", write_disposition="replace", max_table_nesting=0)
database = folder / "contacts.duckdb"
kept = dlt.destinations.duckdb(str(database))
pipeline = dlt.pipeline("bench", destination=kept, dataset_name="crm", pipelines_dir=str(folder / "pipelines"))

wall, cpu, error = time.perf_counter(), time.process_time(), ""
try:
    pipeline.run(contacts)
except Exception as problem:  # noqa: BLE001 - told in the result, whatever it is
    error = f"{type(problem).__name__}: {problem}"[:200]
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
peak = machine.peak_megabytes()

rows = distinct = 0
if not error:
    with duckdb.connect(str(database)) as connection:
        rows, distinct = connection.execute("SELECT count(*), count(DISTINCT hs_object_id) FROM crm.contacts").fetchone()
result = {"wall": wall, "cpu": cpu, "peak": peak, "rows": rows, "distinct": distinct, "error": error}
(folder / "result.json").write_text(json.dumps(result))
