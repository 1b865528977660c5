"""`reconcile`: both CRMs and the mirror against each other."""

from __future__ import annotations

from collections.abc import Mapping

from connector.app import open_app
from connector.cli.actor import AsName, actor_of
from connector.cli.common import CRM_NAMES, DEFAULT_CONFIG, AsJson, ConfigPath, ExitCode, Interruption, command, logging_to_stderr, orderly
from connector.cli.older_file import show_older_file
from connector.cli.output import Output
from connector.cli.progress import pass_progress
from connector.cli.pull_summary import show_errors
from connector.cli.store import make_tables, offline
from connector.config.load import load
from connector.config.tables import Config
from connector.jobs.mirror_jobs import Reconciled
from connector.jobs.once import reconcile_once

#: The buckets as people read them.
_BUCKETS = {
    "in_both": "In both CRMs",
    "only_hubspot": "Only in HubSpot",
    "only_salesforce": "Only in Salesforce",
    "ambiguous": "Ambiguous: never written to",
    "duplicates": "Duplicates: never written to",
    "excluded": "Excluded by [scope]",
}


def reconcile(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False, as_name: AsName = "") -> int:
    """Compares every record of the CRMs with the mirror, puts right what differs, and says who is where."""
    settings, output = load(config), Output(as_json=as_json)
    make_tables(settings)
    with (
        logging_to_stderr(),
        orderly() as asked,
        open_app(settings, stop=asked.event, actor=actor_of(as_name)) as app,
        pass_progress(output.console, watched=output.watched) as progress,
    ):
        result = reconcile_once(app, progress=progress, stopped=asked)
    output.document(result.document())
    _show(output, result)
    show_errors(output, result.errors)
    with offline(settings) as stored:
        show_older_file(output, stored)
    _say_after(output, result, settings, asked)
    return asked.exit_code if asked() else ExitCode.FAILED if result.errors else ExitCode.DONE


def _show(output: Output, result: Reconciled) -> None:
    counts = ("seen", "same", "repaired", "set_aside", "removed", "calls")
    numbers = ("Seen", "Same", "Repaired", "Set aside", "Removed", "Calls")
    rows = [
        (CRM_NAMES[crm], name, *(getattr(compared, count) for count in counts), "" if compared.whole else "stopped")
        for crm, objects in result.objects.items()
        for name, compared in objects.items()
    ]
    output.table(("CRM", "Object", *numbers, ""), rows, right=numbers, title="The mirror against the CRMs")
    if not result.buckets:
        return
    buckets, totals = result.buckets["buckets"], result.buckets["totals"]
    columns = ("People", *(f"{CRM_NAMES[crm]} records" for crm in totals))
    people = [(_BUCKETS[bucket["name"]], bucket["n"], *(bucket[crm] for crm in totals)) for bucket in buckets]
    people.append(("All", sum(bucket["n"] for bucket in buckets), *totals.values()))
    output.table(("", *columns), people, right=columns, title="Who is where")
    for name in ("ambiguous", "duplicates"):
        listed = [(person["contact"], [_record(row) for row in person["records"]], person["reason"]) for person in result.buckets[name]]
        output.table(("Contact", "Records", "Reason"), listed, right=["Contact"], title=_BUCKETS[name])


def _record(row: Mapping[str, str]) -> str:
    return f"{CRM_NAMES[row['crm']]} {row['object']} {row['id']}{' (its own)' if row['role'] == 'main' else ''}"


def _say_after(output: Output, result: Reconciled, config: Config, asked: Interruption) -> None:
    if asked():
        output.heading("Stopped as asked: what was compared is noted, and the next comparison goes on from there.")
    elif result.errors:
        output.heading("Nothing was lost: what was compared is noted, and the next comparison goes on from there.")
    else:
        output.line(f"\nNext: `{command('run', config)}` judges what was repaired.")
