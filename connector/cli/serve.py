"""`serve`: the jobs of [schedule], until it is asked to stop."""

from __future__ import annotations

import logging

from connector.app import open_app
from connector.cli.actor import AsName, actor_of
from connector.cli.common import DEFAULT_CONFIG, AsJson, ConfigPath, ExitCode, logging_to_stderr, orderly
from connector.cli.output import Output
from connector.cli.store import make_tables
from connector.config.load import load
from connector.jobs.service import Service
from connector.pipeline.older_file import refuse_older_file


def serve(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False, as_name: AsName = "") -> int:
    """The jobs of [schedule], a pass at once, until Ctrl-C or SIGTERM; what is in hand is finished then."""
    settings, output = load(config), Output(as_json=as_json)
    make_tables(settings)
    with logging_to_stderr(logging.INFO), orderly() as asked, open_app(settings, stop=asked.event, actor=actor_of(as_name)) as app:
        refuse_older_file(app.store, settings)
        served = Service(app, stop=asked.event).run()
    output.document(served.document())
    return ExitCode.DONE
