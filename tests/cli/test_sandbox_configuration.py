"""The configuration that points at a sandbox: the example's words with other values."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from connector.config.load import loads
from connector.sandbox.configuration import SECRETS, Place, configuration, example, exports, with_values

NOW = datetime(2026, 11, 18, 10, 0, tzinfo=UTC)
PLACE = Place(
    hubspot_url="http://127.0.0.1:4001",
    salesforce_url="https://127.0.0.1:4002",
    ca_bundle='C:\\made up\\"ca".pem',
    database="sqlite:///sandbox.db",
)

TEXT = """\
mode = "shadow"   # a word
[one]
# key = 1
key2  = "a # b"   # why
[[two]]
key = [1, 2]
[one.more]
key = 3
"""


def test_the_whole_file_loads_and_says_what_was_asked() -> None:
    config = loads(configuration(PLACE, now=NOW), source="sandbox.toml")
    assert config.mode == "shadow"
    assert config.crm.hubspot is not None
    assert config.crm.salesforce is not None
    assert config.crm.hubspot.base_url == "http://127.0.0.1:4001"
    assert config.crm.salesforce.instance_url == "https://127.0.0.1:4002"
    assert config.crm.salesforce.ca_bundle == PLACE.ca_bundle
    assert str(config.crm.salesforce.client_secret) == "env:SALESFORCE_CLIENT_SECRET"
    assert config.database.url == "sqlite:///sandbox.db"
    assert config.guard.rule_share == 1.0
    assert config.adopt.clocks_from is not None
    assert (NOW - config.adopt.clocks_from).days == 200


def test_the_rules_are_the_examples() -> None:
    made, given = loads(configuration(PLACE, now=NOW), source=""), loads(example(), source="")
    for part in ("teams", "fields", "stages", "qualification", "score", "transitions", "assigns", "tasks", "slas", "rejection", "examples"):
        assert getattr(made, part) == getattr(given, part), part


def test_no_secret_stands_in_it() -> None:
    text = configuration(PLACE, now=NOW)
    assert [value for value in SECRETS.values() if value in text] == []
    assert exports()[0] == "export HUBSPOT_ACCESS_TOKEN=sandbox-token"


def test_values_are_set_where_their_table_speaks_of_them() -> None:
    values = {("", "mode"): '"live"', ("one", "key"): "2", ("one", "key2"): '"c"', ("two", "key"): "[]", ("one.more", "key"): "4"}
    assert with_values(TEXT, values) == (
        'mode = "live"   # a word\n[one]\nkey = 2\nkey2  = "c"   # why\n[[two]]\nkey = []\n[one.more]\nkey = 4\n'
    )


@pytest.mark.parametrize("key", [("one", "key3"), ("three", "key"), ("", "key")])
def test_a_key_of_which_the_file_does_not_speak_is_an_error(key: tuple[str, str]) -> None:
    with pytest.raises(KeyError, match=key[1]):
        with_values(TEXT, {key: "1"})
