"""Secrets of the adapters' tests: values that stand where a reference would."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PlainSecret:
    """A `SecretReference` that holds its value itself."""

    value: str
    source: str = "env"
    name: str = "OF_A_TEST"

    def read(self) -> str:
        return self.value

    def read_all(self) -> str:
        return self.value
