"""The configuration that points at a sandbox: the example file, with the sandbox's addresses and guard rails wide enough for all of it.

The example's own words and comments stay, so that the file is one to read and to change. Secrets are named, never written out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from connector.errors import ConnectorError

#: What opens the sandbox, and nothing else: environment variable → value.
SECRETS: Mapping[str, str] = {
    "HUBSPOT_ACCESS_TOKEN": "sandbox-token",
    "SALESFORCE_CLIENT_ID": "sandbox-client",
    "SALESFORCE_CLIENT_SECRET": "sandbox-secret",
}
_SECRET_KEYS = {
    ("crm.hubspot", "access_token"): "HUBSPOT_ACCESS_TOKEN",
    ("crm.salesforce", "client_id"): "SALESFORCE_CLIENT_ID",
    ("crm.salesforce", "client_secret"): "SALESFORCE_CLIENT_SECRET",
}
#: The made-up history is younger than this: every attempt in it counts.
_BEFORE_HISTORY = timedelta(days=200)
#: Rails that a whole made-up history fits through; each is stated, so that nobody takes the example's for the file's.
_RAILS = {
    "window": '"24 hours"',
    "stage_changes": "20000",
    "backward": "20000",
    "assign": "20000",
    "tasks": "20000",
    "rule_share": '"100%"',
    "shrink": '"10%"',
    "hold_for": '"2 days"',
}
#: The tasks of three months come in one day.
_TASKS_A_DAY = "200"

_TABLE = re.compile(r"^\[+\s*([^\]\[]+?)\s*\]+\s*(#.*)?$")
_VALUE = r'(?P<value>"(?:[^"\\]|\\.)*"|[^#\s][^#]*?)(?P<comment>\s+#.*)?'


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a sandbox answers, and where its files are. database: an SQLAlchemy URL."""

    hubspot_url: str
    salesforce_url: str
    ca_bundle: str
    database: str
    mode: Literal["shadow", "live"] = "shadow"
    secrets: Mapping[str, str] = field(default_factory=lambda: {name: f"env:{name}" for name in SECRETS})
    heading: str = "# The example's rules, pointed at a sandbox with made-up people."


def configuration(place: Place, *, now: datetime) -> str:
    """A whole file for `--config`. now: the moment for which the sandbox's world was made."""
    values = {
        ("", "mode"): _quoted(place.mode),
        ("database", "url"): _quoted(place.database),
        ("crm.hubspot", "base_url"): _quoted(place.hubspot_url),
        ("crm.salesforce", "instance_url"): _quoted(place.salesforce_url),
        ("crm.salesforce", "ca_bundle"): _quoted(place.ca_bundle),
        ("adopt", "clocks_from"): (now - _BEFORE_HISTORY).date().isoformat(),
    }
    values |= {key: _quoted(place.secrets[name]) for key, name in _SECRET_KEYS.items()}
    values |= {("guard", name): rail for name, rail in _RAILS.items()} | {("tasks", "a_day_an_owner"): _TASKS_A_DAY}
    return f"{place.heading}\n\n{with_values(example(), values)}"


def exports() -> list[str]:
    """The commands that set the sandbox's secrets in a shell."""
    return [f"export {name}={value}" for name, value in SECRETS.items()]


def example() -> str:
    """The text of config.example.toml: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package, package.parent):
        file = folder / "config.example.toml"
        if file.is_file():
            return file.read_text(encoding="utf-8")
    raise ConnectorError("config.example.toml is missing from this installation", advice="Install the connector again.")


def with_values(text: str, values: Mapping[tuple[str, str], str]) -> str:
    """The file with these values, (table, key) → TOML; a key that is commented out comes alive, comments beside values stay.

    The first place in the table counts. Raises KeyError for a key of which the file does not speak.
    """
    left = dict(values)
    lines, table = [], ""
    for line in text.splitlines():
        header = _TABLE.match(line)
        table = header[1] if header else table
        found = next((key for place, key in left if place == table and re.match(rf"^(# *)?{re.escape(key)}\s*=", line)), None)
        lines.append(line if found is None else _with_value(line, found, left.pop((table, found))))
    if left:
        raise KeyError(f"the file does not speak of {', '.join(f'[{place}] {key}' for place, key in left)}")
    return "\n".join(lines) + "\n"


def _with_value(line: str, key: str, value: str) -> str:
    match = re.fullmatch(rf"(?:# *)?(?P<key>{re.escape(key)}\s*=\s*){_VALUE}\s*", line)
    if match is None:
        return f"{key} = {value}"
    return f"{match['key']}{value}{match['comment'] or ''}"


def _quoted(text: str) -> str:
    """A TOML basic string: JSON's escapes are among TOML's."""
    return json.dumps(text, ensure_ascii=False)
