"""`sandbox`: two CRMs with made-up people on this machine, until it is asked to stop."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from connector.cli.common import AsJson, ExitCode, command, orderly
from connector.cli.output import Output
from connector.errors import ConnectorError
from connector.sandbox.configuration import SECRETS, Place, configuration, exports
from connector.sandbox.scenarios.catalogue import SCENARIOS, UnknownScenario, arm
from connector.sandbox.serve import Sandbox
from connector.sandbox.world.make import make_world

#: The word with which `--fault` shows what there is.
LIST = "list"

Port = Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")]


def sandbox(
    as_json: AsJson = False,
    hubspot_port: Port = 0,
    salesforce_port: Port = 0,
    seed: Annotated[int, typer.Option(help="The same seed makes up the same people.")] = 7,
    contacts: Annotated[int, typer.Option(min=1, help="How many contacts HubSpot has.")] = 5000,
    leads: Annotated[int, typer.Option(min=1, help="How many Leads Salesforce has.")] = 2000,
    write_config: Annotated[
        Path | None, typer.Option("--write-config", metavar="PATH", help="Write the configuration there instead of printing it.")
    ] = None,
    fault: Annotated[
        list[str] | None, typer.Option("--fault", metavar="NAME", help="What is to go wrong; may be repeated. `list` shows the names.")
    ] = None,
) -> int:
    """A HubSpot and a Salesforce with made-up people on this machine, until Ctrl-C, and a configuration that points at them."""
    output = Output(as_json=as_json)
    faults = _faults(fault or [])
    if LIST in faults:
        _show_faults(output)
        return ExitCode.DONE
    now = datetime.now(UTC)
    if write_config is not None and write_config.exists():
        raise ConnectorError(f"{write_config} exists already", advice="Name another file, or remove it first.")
    output.line(f"Making up {contacts:,} HubSpot contacts and {leads:,} Salesforce Leads …")
    world = make_world(seed=seed, now=now, hubspot_contacts=contacts, salesforce_leads=leads)
    box = Sandbox(world, hubspot_port=hubspot_port, salesforce_port=salesforce_port)
    for name in faults:
        arm(box, name)
    with orderly() as asked, _running(box):
        place = Place(
            hubspot_url=box.hubspot_url,
            salesforce_url=box.salesforce_url,
            ca_bundle=box.ca_bundle,
            database=_database(write_config, now),
        )
        _announce(output, place, configuration(place, now=now), write_config, faults)
        asked.event.wait()
    output.line("The sandbox has stopped; what was written to it is gone.")
    return ExitCode.DONE


def _faults(names: Sequence[str]) -> list[str]:
    """The names, each once. A name that is none is an error of the command line (2)."""
    for name in names:
        if name != LIST and name not in SCENARIOS:
            raise typer.BadParameter(f"{UnknownScenario(name)} `connector sandbox --fault {LIST}` shows them all.", param_hint="--fault")
    return list(dict.fromkeys(names))


def _show_faults(output: Output) -> None:
    output.document({"faults": {scenario.name: scenario.summary for scenario in SCENARIOS.values()}})
    output.table(("Fault", "What happens"), [(scenario.name, scenario.summary) for scenario in SCENARIOS.values()])


@contextmanager
def _running(box: Sandbox) -> Iterator[None]:
    """A sandbox's servers, for as long as the block lasts. Raises `ConnectorError` for a port that is taken."""
    with ExitStack() as opened:
        try:
            opened.enter_context(box)
        except OSError as error:
            raise ConnectorError(
                f"the sandbox cannot listen there: {error.strerror}", advice="Leave the ports out: free ones are taken."
            ) from error
        yield


def _database(write_config: Path | None, now: datetime) -> str:
    """A database of its own for each sandbox, since each is another world; beside the configuration, where that is written."""
    name = f"sandbox-{now:%Y%m%d-%H%M%S}.db"
    return f"sqlite:///{name if write_config is None else (write_config.resolve().parent / name)}"


def _announce(output: Output, place: Place, text: str, write_config: Path | None, faults: Sequence[str]) -> None:
    if write_config is not None:
        write_config.parent.mkdir(parents=True, exist_ok=True)
        write_config.write_text(text, encoding="utf-8")
    output.document(
        {
            "hubspot": place.hubspot_url,
            "salesforce": place.salesforce_url,
            "ca_bundle": place.ca_bundle,
            "environment": dict(SECRETS),
            "config": text if write_config is None else None,
            "config_file": None if write_config is None else str(write_config),
            "faults": list(faults),
        }
    )
    if output.as_json:
        return
    output.line(f"HubSpot answers at {place.hubspot_url}, Salesforce at {place.salesforce_url}.")
    if write_config is None:
        output.heading("This configuration points at them; save it as sandbox.toml:")
        sys.stdout.write(f"\n{text}\n")
    output.heading("In another terminal:")
    for line in exports():
        output.line("  ", line)
    output.line("  ", command("run", write_config or Path("sandbox.toml")))
    output.line("\nCtrl-C ends it.")
    sys.stdout.flush()
