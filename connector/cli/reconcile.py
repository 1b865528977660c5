"""`reconcile`: both CRMs and the mirror against each other; and what a look for removals came to."""

from __future__ import annotations

from collections.abc import Mapping

from connector.app import open_app
from connector.cli.common import (
    DEFAULT_CONFIG,
    AsJson,
    ConfigPath,
    ExitCode,
    Interruption,
    command,
    logging_to_stderr,
    make_tables,
    orderly,
    read_config,
)
from connector.cli.output import Output
from connector.cli.progress import NAMES, pass_progress
from connector.cli.pull_summary import show_errors
from connector.config.tables import Config
from connector.jobs.mirror_jobs import Reconciled
from connector.jobs.once import reconcile_once
from connector.pipeline.pull.removals import Looked

#: The buckets as people read them.
_BUCKETS = {
    "in_both": "In both CRMs",
    "only_hubspot": "Only in HubSpot",
    "only_salesforce": "Only in Salesforce",
    "ambiguous": "Ambiguous: never written to",
    "duplicates": "Duplicates: never written to",
    "excluded": "Excluded by [scope]",
    "gone": "Gone from the CRMs",
}


def reconcile(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> int:
    """Compares every record of the CRMs with the mirror, puts right what differs, and says who is where."""
    settings, output = read_config(config), Output(as_json=as_json)
    make_tables(settings)
    with (
        logging_to_stderr(),
        orderly() as asked,
        open_app(settings, stop=asked.event) as app,
        pass_progress(output.console, watched=output.watched) as progress,
    ):
        result = reconcile_once(app, progress=progress, stopped=asked)
    output.document(result.document())
    _show(output, result)
    show_errors(output, result.errors)
    _say_after(output, result, settings, asked)
    return asked.exit_code if asked() else ExitCode.FAILED if result.errors else ExitCode.DONE


def _show(output: Output, result: Reconciled) -> None:
    numbers = ("Seen", "Same", "Repaired", "Set aside", "Removed", "Calls")
    rows = [
        (NAMES[crm], name, one.seen, one.same, one.repaired, one.set_aside, one.removed, one.calls, "" if one.whole else "stopped")
        for crm, objects in result.objects.items()
        for name, one in objects.items()
    ]
    output.table(("CRM", "Object", *numbers, ""), rows, right=numbers, title="The mirror against the CRMs")
    if not result.buckets:
        return
    columns = ("People", *(f"{NAMES[crm]} records" for crm in result.buckets["totals"]))
    found = [(_BUCKETS[one["name"]], one["n"], *(one[crm] for crm in result.buckets["totals"])) for one in result.buckets["buckets"]]
    found.append(("All", sum(one["n"] for one in result.buckets["buckets"]), *result.buckets["totals"].values()))
    output.table(("", *columns), found, right=columns, title="Who is where")
    for name in ("ambiguous", "duplicates"):
        listed = [(one["contact"], [_record(row) for row in one["records"]], one["reason"]) for one in result.buckets[name]]
        output.table(("Contact", "Records", "Reason"), listed, right=["Contact"], title=_BUCKETS[name])


def _record(row: Mapping[str, str]) -> str:
    return f"{NAMES[row['crm']]} {row['object']} {row['id']}{' (its own)' if row['role'] == 'main' else ''}"


def _say_after(output: Output, result: Reconciled, config: Config, asked: Interruption) -> None:
    if asked():
        output.heading("Stopped as asked: what was compared is noted, and the next comparison goes on from there.")
    elif result.errors:
        output.heading("Nothing was lost: what was compared is noted, and the next comparison goes on from there.")
    else:
        output.line(f"\nNext: `{command('run', config)}` judges what was repaired.")


def show_removed(output: Output, removed: Mapping[str, Mapping[str, Looked]]) -> None:
    """What was found gone, back again, missing here or about other people, per CRM and object; quiet objects are left out."""
    names = ("archived", "merged", "deleted", "purged", "restored", "found", "relinked")
    rows = [
        (NAMES[crm], name, *(getattr(one, each) for each in names), "stopped" if one.error else "compared whole" if one.compared else "")
        for crm, objects in removed.items()
        for name, one in objects.items()
        if one.error or one.compared or any(getattr(one, each) for each in names)
    ]
    numbers = tuple(each.capitalize() for each in names)
    output.table(("CRM", "Object", *numbers, ""), rows, right=numbers, title="What no modified date tells")
    if not rows:
        output.line("\nNothing was removed, restored or linked anew.")
