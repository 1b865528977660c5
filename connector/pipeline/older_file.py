"""A file that was in force before, and was replaced since: no pass goes by it until somebody says that it is meant (`check --apply`).

Whoever starts an old copy of the program, or deploys a revision of last month, would undo what was changed since without a word.
"""

from __future__ import annotations

from connector.config.tables import Config
from connector.errors import OlderFile
from connector.store import rule_texts
from connector.store.database import Store


def file_of(config: Config) -> rule_texts.File:
    """The file as the store keeps it."""
    return rule_texts.File(config.text, config.version, config.rules)


def older_file(store: Store, config: Config) -> OlderFile | None:
    """That the file was in force before, and another one replaced it since; None where it may be applied."""
    with store.read() as connection:
        older = rule_texts.older(connection, file_of(config))
    if older is None:
        return None
    use, successor = older
    until, by = f"{successor.since:%Y-%m-%d %H:%M} UTC", f" by {successor.by}" if successor.by else ""
    return OlderFile(
        f"{config.source} is an older file: in force from {use.since:%Y-%m-%d %H:%M} UTC to {until}, when version {successor.version} was"
        f" applied{by}",
        source=config.source,
        advice="Start with the file that replaced it; or, where this one is meant, `connector check --apply` says so.",
    )


def refuse_older_file(store: Store, config: Config) -> None:
    """Raises `OlderFile` where another file replaced this one, and nobody said that this one is meant."""
    older = older_file(store, config)
    if older is not None:
        raise older
