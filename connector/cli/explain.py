"""`explain`: everything known and decided about one contact."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from connector.cli.actor import AsName, actor_of
from connector.cli.common import DEFAULT_CONFIG, AsJson, ConfigPath, ExitCode, logging_to_stderr
from connector.cli.explain_page import show_contact
from connector.cli.output import Output
from connector.cli.store import offline
from connector.config.load import load
from connector.model import Deed
from connector.reports.explain import explain as explain_contact
from connector.store.acts import note


def explain(
    who: Annotated[str, typer.Argument(metavar="WHO", help="An e-mail address, a CRM's record id, or a record's address.")],
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
    as_name: AsName = "",
) -> int:
    """Everything known and decided about one contact, and why; also why not."""
    settings, output = load(config), Output(as_json=as_json)
    with logging_to_stderr(), offline(settings) as app:
        explanation = explain_contact(app.store, settings, who, now=app.now())
        looked = partial(note, deed=Deed.LOOKED, about="contact", name=str(explanation["contact"]), actor=actor_of(as_name), now=app.now())
        app.store.write(looked)
    output.document(explanation)
    show_contact(output, explanation, settings)
    return ExitCode.DONE
