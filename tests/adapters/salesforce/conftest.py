"""Answers in place of Salesforce's network, for the tests of recorded answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import responses

from tests.adapters.salesforce.answers import granted, mocked


@pytest.fixture
def org() -> Iterator[responses.RequestsMock]:
    """Answers in place of the network."""
    yield from mocked()


@pytest.fixture
def login(org: responses.RequestsMock) -> responses.BaseResponse:
    """A login that works."""
    return granted(org)
