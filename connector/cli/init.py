"""`init`: a starter configuration, from the live CRMs' own fields and stages where they can be reached."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from connector.app import utc_now
from connector.cli.accounts import look_around, permissions_needed
from connector.cli.common import CRM_NAMES, DEFAULT_CONFIG, AsJson, ExitCode, command, logging_to_stderr
from connector.cli.output import Output
from connector.config.load import loads
from connector.config.starter import Side, starter
from connector.errors import ConfigError, ConnectorError, Problem
from connector.model import CrmName
from connector.sandbox.configuration import example

#: Where the app's credentials are looked for, if nobody says otherwise.
_CLIENT_ID, _CLIENT_SECRET = "env:SALESFORCE_CLIENT_ID", "env:SALESFORCE_CLIENT_SECRET"


def init(
    hubspot_token: Annotated[
        str | None, typer.Option("--hubspot-token", metavar="REF", help="HubSpot's access token: env:NAME or file:PATH.")
    ] = None,
    salesforce: Annotated[
        str | None, typer.Option("--salesforce", metavar="URL", help="The org's My Domain, https://….my.salesforce.com.")
    ] = None,
    client_id: Annotated[str, typer.Option("--client-id", metavar="REF", help="Of the External Client App.")] = _CLIENT_ID,
    client_secret: Annotated[str, typer.Option("--client-secret", metavar="REF", help="Of the same app.")] = _CLIENT_SECRET,
    base_url: Annotated[str | None, typer.Option("--base-url", metavar="URL", help="HubSpot's address, where it is not its own.")] = None,
    ca_bundle: Annotated[
        str | None, typer.Option("--ca-bundle", metavar="PATH", help="Certificates to trust in place of the usual ones.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", metavar="PATH", help="The file to write; never one that is there.")] = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> int:
    """A starter file from the CRMs' own fields and stages; without any credentials the example, to be filled in."""
    shown = Output(as_json=as_json)
    if output.exists():
        raise _already_there(output)
    _refuse_unused_options(hubspot_token, salesforce, client_id, client_secret, base_url, ca_bundle)
    tables = _tables(hubspot_token, salesforce, client_id, client_secret, base_url, ca_bundle)
    with logging_to_stderr():
        text = _from_accounts(tables) if tables else example()
    config = loads(text, source=str(output))
    _write(output, text)
    shown.document({"config": str(output), "from": list(tables), "stages": [stage.name for stage in config.stages],
                    "fields": [rule.name for rule in config.fields if not rule.builtin]})  # fmt: skip
    if tables:
        shown.line(f"{output} is made from what {' and '.join(CRM_NAMES[crm] for crm in tables)} told; its guesses are marked.")
    else:
        shown.line(f"{output} is the example, with both CRMs: no credentials were named, so nothing was asked.")
        shown.line("With --hubspot-token env:NAME, --salesforce URL or both it is made from the CRMs' own fields and stages.")
    needed = sum(len(permissions) for permissions in permissions_needed(config, now=utc_now()).values())
    shown.heading(f"Next: `{command('check', output)}` compares it with the CRMs, and lists the {needed} permissions that it needs.")
    return ExitCode.DONE


def _refuse_unused_options(
    token: str | None, instance_url: str | None, client_id: str, client_secret: str, base_url: str | None, ca_bundle: str | None
) -> None:
    """An option of a CRM that is not to be asked would be lost without a word."""
    app = client_id != _CLIENT_ID or client_secret != _CLIENT_SECRET
    for option, given, needs, there in (
        ("--base-url", base_url is not None, "--hubspot-token", token is not None),
        ("--client-id and --client-secret", app, "--salesforce", instance_url is not None),
        ("--ca-bundle", ca_bundle is not None, "--hubspot-token or --salesforce", token is not None or instance_url is not None),
    ):
        if given and not there:
            raise typer.BadParameter(f"without {needs} nobody is asked, and the example is written. Add {needs}.", param_hint=option)


def _already_there(output: Path) -> ConfigError:
    return ConfigError([Problem(path=str(output), found="is there already", expected="--output PATH names another")], source=str(output))


def _tables(
    token: str | None, instance_url: str | None, client_id: str, client_secret: str, base_url: str | None, ca_bundle: str | None
) -> dict[CrmName, dict[str, str]]:
    """[crm.…] of each CRM that was asked for: key → TOML. Secrets by reference alone: the file refuses anything else."""
    tables: dict[CrmName, dict[str, str]] = {}
    bundle = {} if ca_bundle is None else {"ca_bundle": _toml_string(ca_bundle)}
    if token is not None:
        address = {} if base_url is None else {"base_url": _toml_string(base_url), **bundle}
        tables["hubspot"] = {"access_token": _toml_string(token), **(address or bundle)}
    if instance_url is not None:
        login = {"client_id": _toml_string(client_id), "client_secret": _toml_string(client_secret)}
        tables["salesforce"] = {"auth": '"client-credentials"', "instance_url": _toml_string(instance_url), **login, **bundle}
    return tables


def _from_accounts(tables: dict[CrmName, dict[str, str]]) -> str:
    """The file, from what the CRMs say now. Raises `ConfigError` for a secret that is not there, `CrmError` for a CRM that refuses."""
    text = "".join(f"[crm.{crm}]\n" + "".join(f"{key} = {value}\n" for key, value in table.items()) for crm, table in tables.items())
    with ExitStack() as opened:
        accounts = look_around(loads(text, source="the command line"), opened)
    sides = {
        crm: Side(
            table={**tables[crm], **account.limits},
            schema=account.schema,
            owners=[owner for owner in account.owners if owner.id not in account.own_users],
            locked=account.locked,
        )
        for crm, account in accounts.items()
    }
    return starter(sides, timezone="UTC", native_sync=any(account.native_sync for account in accounts.values()))


def _write(output: Path, text: str) -> None:
    """All of it or nothing, and never over another file."""
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise _already_there(output) from error
    except OSError as error:
        raise ConnectorError(f"{output} cannot be written: {error.strerror}", advice="--output PATH names another place.") from error


def _toml_string(text: str) -> str:
    """A TOML basic string."""
    return json.dumps(text, ensure_ascii=False)
