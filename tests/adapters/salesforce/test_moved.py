"""An org that moved away from the instance which the last login named: a login tells where it is, and nothing is done twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
import responses
from urllib3.exceptions import MaxRetryError, NewConnectionError

from connector.adapters.salesforce import SalesforceCrm
from connector.adapters.salesforce.wire import requests as wire
from connector.errors import PassStopped, Retriable
from tests.adapters.salesforce.answers import HOST, TOKEN_URL, crm, mocked, pulled, users

OLD, NEW = "https://acme--old.my.salesforce.com", "https://acme--new.my.salesforce.com"


@pytest.fixture
def org() -> Iterator[responses.RequestsMock]:
    """Answers in place of the network: the first login names the old instance."""
    for mock in mocked():
        mock.post(TOKEN_URL, json={"access_token": "t1", "instance_url": OLD})
        mock.get(f"{OLD}{wire.BASE}/query", json=users())
        yield mock


def logged_in() -> SalesforceCrm:
    one = crm()
    assert pulled(one)
    return one


def unreachable() -> requests.exceptions.ConnectionError:
    """No such host any more."""
    cause = NewConnectionError(None, "Name or service not known")  # type: ignore[arg-type]  # no connection: there is none
    return requests.exceptions.ConnectionError(MaxRetryError(None, "/", reason=cause))  # type: ignore[arg-type]  # no pool either


@pytest.mark.parametrize("how", [301, 302, 307, 308, "gone"])
def test_it_is_found_by_a_login(org: responses.RequestsMock, how: int | str) -> None:
    shared = logged_in()
    url = f"{OLD}{wire.BASE}/query"
    org.replace(responses.GET, url, body=unreachable()) if how == "gone" else org.replace(responses.GET, url, status=int(how))
    org.replace(responses.POST, TOKEN_URL, json={"access_token": "t2", "instance_url": NEW})
    org.get(f"{NEW}{wire.BASE}/query", json=users())
    assert pulled(shared)
    assert shared.record_url("Lead", "00Q1").startswith(NEW)


def test_an_address_that_is_wrong_is_told_without_a_second_login(org: responses.RequestsMock) -> None:
    org.replace(responses.POST, TOKEN_URL, json={"access_token": "t1", "instance_url": HOST})
    org.get(f"{HOST}{wire.BASE}/query", status=302)
    with pytest.raises(PassStopped, match="points elsewhere"):
        pulled(crm())
    assert len(org.calls) == 2


def test_an_org_that_cannot_be_reached_at_all_is_for_later(org: responses.RequestsMock) -> None:
    shared = logged_in()
    org.replace(responses.GET, f"{OLD}{wire.BASE}/query", body=unreachable())
    org.replace(responses.POST, TOKEN_URL, body=unreachable())
    with pytest.raises(Retriable, match="did not answer"):
        pulled(shared)
    org.replace(responses.POST, TOKEN_URL, json={"access_token": "t2", "instance_url": OLD})
    org.replace(responses.GET, f"{OLD}{wire.BASE}/query", json=users())
    assert pulled(shared)
