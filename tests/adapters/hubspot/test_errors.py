"""What HubSpot's unhappy answers become: which error, how long to wait, what to do; and that none repeats personal data or the token."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC
from email.utils import format_datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.adapters.client import Answer, Caller, NoBudget, Request, Unreachable
from connector.adapters.hubspot.wire.errors import NO_BIN, RefusedWrite, judge, retry_after, scrub
from connector.adapters.hubspot.wire.records import decode, read_listing
from connector.adapters.hubspot.wire.requests import Api
from connector.errors import AnswerLost, CrmError, ObjectStopped, PassStopped, RateLimited, Rejected, Retriable

API = Api()
READ = API.list_page("contacts", ["email"], None)
SEARCH = Request(method="POST", path="/crm/v3/objects/contacts/search", about="looking for changed contacts", bucket="search")
UPDATE = API.batch_update("contacts", [])
CREATE = API.batch_create("tasks", [])
ONE = API.single("contacts", "151")
SENT = "Fri, 20 Nov 2026 09:00:00 GMT"
HTML = b"<html><head><title>Error 404 Resource not found</title></head></html>"


def answer(status: int, body: Any = b"", **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return Answer(status=status, headers={name.replace("_", "-"): value for name, value in headers.items()}, body=raw)


def judged(request: Request, given_answer: Answer) -> CrmError:
    error = judge(request, given_answer)
    assert error is not None
    assert error.message
    assert error.advice
    return error


def test_a_success_is_no_error() -> None:
    assert judge(READ, answer(200, b"{}")) is None
    assert judge(CREATE, answer(201, b"{}")) is None
    assert judge(UPDATE, answer(207, b"{}")) is None


# As recorded from the service; correlation ids shortened.
UNAUTHORISED = {
    "status": "error",
    "message": "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more details at …",
    "correlationId": "aa6d1f0e-1",
    "category": "INVALID_AUTHENTICATION",
}
LACKS_SCOPES = {
    "status": "error",
    "message": "This app hasn't been granted all required scopes to make this call.",
    "correlationId": "aa6d1f0e-2",
    "category": "MISSING_SCOPES",
    "errors": [{"message": "One or more of the scopes are required.", "context": {"requiredGranularScopes": ["sales-email-read"]}}],
}
LIMITED = {
    "status": "error",
    "message": "You have reached your ten_secondly_rolling limit.",
    "errorType": "RATE_LIMIT",
    "correlationId": "aa6d1f0e-3",
    "policyName": "TEN_SECONDLY_ROLLING",
    "requestId": "r",
}
NO_PAGING = {"status": "error", "message": "Paging through deleted objects is not yet supported for object type 0-47 (MEETING_EVENT)"}


@pytest.mark.parametrize(
    ("request_", "given_answer", "kind", "parts"),
    [
        (READ, answer(401, UNAUTHORISED), PassStopped, ["not valid", "401 INVALID_AUTHENTICATION", "aa6d1f0e-1"]),
        (READ, answer(401, {"category": "EXPIRED_AUTHENTICATION"}), PassStopped, ["has expired"]),
        (READ, answer(401, HTML), PassStopped, ["not valid"]),
        (READ, answer(403, LACKS_SCOPES), ObjectStopped, ["sales-email-read", "403 MISSING_SCOPES"]),
        (READ, answer(403, {"category": "BANNED"}), ObjectStopped, ["permission"]),
        (READ, answer(403, HTML), PassStopped, ["on the way"]),
        (READ, answer(404, HTML), ObjectStopped, ["404", "nothing at this address"]),
        (READ, answer(404, {"message": "resource not found"}), ObjectStopped, ["404", "nothing at this address"]),
        (READ, answer(410, b""), ObjectStopped, ["410", "nothing at this address"]),
        (READ, answer(405, HTML), ObjectStopped, ["405", "not with JSON"]),
        (ONE, answer(404, HTML), Rejected, ["404", "no such record"]),
        (ONE, answer(404, {"category": "OBJECT_NOT_FOUND"}), Rejected, ["404 OBJECT_NOT_FOUND", "no such record"]),
        (ONE, answer(410, HTML), ObjectStopped, ["nothing at this address"]),
        (READ, answer(400, NO_PAGING), ObjectStopped, ["MEETING_EVENT"]),
        (READ, answer(400, {"status": "error", "message": "Unable to infer object type from: x"}), ObjectStopped, ["Unable to infer"]),
        (READ, answer(414, HTML), ObjectStopped, ["414", "too long"]),
        (READ, answer(414, b""), ObjectStopped, ["414", "too long"]),
        (READ, answer(414, {"message": ""}), ObjectStopped, ["too long"]),
        (READ, answer(302, b"", location="https://login.example/"), PassStopped, ["redirected"]),
        (READ, answer(530, HTML), PassStopped, ["no account"]),
        (READ, answer(525, HTML), PassStopped, ["525"]),
        (READ, answer(526, b""), PassStopped, ["526"]),
        (READ, answer(429, {**LIMITED, "policyName": "DAILY"}), PassStopped, ["until midnight"]),
        (READ, answer(429, {"message": "You have reached your daily limit."}), PassStopped, ["until midnight"]),
        (READ, answer(429, {"category": "RATE_LIMITS", "policyName": "DAILY"}, retry_after="1"), PassStopped, ["429 RATE_LIMITS"]),
        (READ, answer(429, LIMITED, retry_after="86400"), PassStopped, ["24.0 hours"]),
        (READ, answer(477, b"", retry_after="3600"), PassStopped, ["being moved", "for 60 minutes more"]),
        (READ, answer(477, b"", retry_after="61"), PassStopped, ["being moved", "for 1 minutes more"]),
        (READ, answer(477, HTML, retry_after="86400", date=SENT), PassStopped, ["for 24.0 hours more, until 2026-11-21 09:00 UTC"]),
        (READ, answer(503, b"", retry_after="600", date=SENT), PassStopped, ["for 10 minutes more, until 2026-11-20 09:10 UTC"]),
        (READ, answer(503, b"", retry_after="1e300", date=SENT), PassStopped, ["hours more"]),
        (UPDATE, answer(400, {"category": "VALIDATION_ERROR", "message": "bad"}), RefusedWrite, ["VALIDATION_ERROR", "refused"]),
        (UPDATE, answer(409, {"category": "CONFLICT"}), RefusedWrite, ["CONFLICT"]),
        (UPDATE, answer(404, {"category": "OBJECT_NOT_FOUND"}), RefusedWrite, ["OBJECT_NOT_FOUND"]),
        (UPDATE, answer(404, HTML), ObjectStopped, ["nothing at this address"]),
    ],
)
def test_for_good(request_: Request, given_answer: Answer, kind: type[CrmError], parts: list[str]) -> None:
    error = judged(request_, given_answer)
    assert type(error) is kind
    for part in parts:
        assert part in error.message
    assert (error.crm, error.status) == ("hubspot", given_answer.status)


@pytest.mark.parametrize(
    ("request_", "given_answer", "kind", "wait"),
    [
        (READ, answer(429, LIMITED), RateLimited, 10.0),
        (READ, answer(429, LIMITED, retry_after="3"), RateLimited, 3.0),
        (READ, answer(429, b""), RateLimited, 10.0),
        (READ, answer(429, HTML, retry_after="0"), RateLimited, 10.0),
        (READ, answer(503, HTML, retry_after="0"), Retriable, None),
        (SEARCH, answer(429, {**LIMITED, "policyName": "SECONDLY", "message": "You have reached your secondly limit."}), RateLimited, 1.0),
        (SEARCH, answer(429, {"category": "RATE_LIMITS", "message": "You have reached your secondly limit."}), RateLimited, 1.0),
        (SEARCH, answer(429, b""), RateLimited, 1.0),
        (SEARCH, answer(429, LIMITED), RateLimited, 10.0),
        (READ, answer(423, b""), Retriable, 2.0),
        (READ, answer(423, b"", retry_after="7"), Retriable, 7.0),
        (READ, answer(423, HTML, retry_after="1"), Retriable, 2.0),
        (READ, answer(477, b"", retry_after="30"), Retriable, 30.0),
        (READ, answer(477, b"", retry_after="60"), Retriable, 60.0),
        (READ, answer(477, b""), Retriable, None),
        (READ, answer(429, {**LIMITED, "policyName": "SECONDLY"}), RateLimited, 1.0),
        (READ, answer(429, {"category": "RATE_LIMITS", "policyName": "TEN_SECONDLY_ROLLING"}), RateLimited, 10.0),
        (READ, answer(503, HTML, retry_after="5"), Retriable, 5.0),
        *[(READ, answer(status, HTML), Retriable, None) for status in (408, 500, 502, 503, 504, 520, 521, 522, 523, 524)],
    ],
)
def test_for_now(request_: Request, given_answer: Answer, kind: type[Retriable], wait: float | None) -> None:
    error = judged(request_, given_answer)
    assert isinstance(error, Retriable)
    assert type(error) is kind
    assert error.retry_after == wait


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (522, HTML, "contact hubspot's support"),
        (525, HTML, "contact hubspot's support"),
        (526, {}, "contact hubspot's support"),
        (404, HTML, "crm.hubspot.api_version"),
        (410, {}, "crm.hubspot.api_version"),
        (530, HTML, "crm.hubspot.access_token"),
        (414, HTML, "fewer hubspot properties"),
        (503, HTML, "status.hubspot.com"),
    ],
)
def test_says_what_to_do(status: int, body: Any, words: str) -> None:
    assert words in judged(READ, answer(status, body)).advice.lower()


def test_a_recycle_bin_that_cannot_be_listed_has_a_code_of_its_own() -> None:
    assert judged(READ, answer(400, NO_PAGING)).code == NO_BIN
    assert judged(READ, answer(400, {**NO_PAGING, "category": "VALIDATION_ERROR"})).code == NO_BIN
    assert judged(READ, answer(400, {"category": "VALIDATION_ERROR", "message": "other"})).code == "VALIDATION_ERROR"


@pytest.mark.parametrize(
    ("zone", "sent", "until"),
    [
        ("Europe/Berlin", SENT, " (Europe/Berlin): 2026-11-20 23:00 UTC"),
        ("America/New_York", "Fri, 20 Nov 2026 03:00:00 GMT", " (America/New_York): 2026-11-20 05:00 UTC"),
        ("America/New_York", "Sun, 01 Nov 2026 05:00:00 GMT", " (America/New_York): 2026-11-02 05:00 UTC"),  # a day of 25 hours
        ("Europe/Berlin", "yesterday", " (Europe/Berlin)"),
        ("Europe/Berlin", "Fri, 31 Dec 9999 23:59:59 GMT", " (Europe/Berlin)"),
        (None, SENT, ""),
    ],
)
def test_the_day_ends_at_midnight_of_the_account(zone: str | None, sent: str, until: str) -> None:
    error = judge(READ, answer(429, {**LIMITED, "policyName": "DAILY"}, date=sent), None if zone is None else ZoneInfo(zone))
    assert isinstance(error, PassStopped)
    assert error.message.endswith(f"until midnight in the HubSpot account's time zone{until}")


def test_scopes_are_named_in_the_advice() -> None:
    assert "sales-email-read" in judged(READ, answer(403, LACKS_SCOPES)).advice


def test_a_refused_write_names_properties_and_codes_but_no_values() -> None:
    """The message embeds JSON with the values; it is not repeated."""
    embedded = '[{"isValid":false,"message":"Dr. Ann Sample was not an allowed option","error":"INVALID_OPTION","name":"timeline"}]'
    body = {
        "category": "VALIDATION_ERROR",
        "message": f"Property values were not valid: {embedded}",
        "errors": [{"message": "x", "code": "PROPERTY_DOESNT_EXIST", "context": {"propertyName": ["pain_point"]}}],
    }
    error = judged(UPDATE, answer(400, body))
    assert isinstance(error, RefusedWrite)
    assert set(error.properties) == {"timeline", "pain_point"}
    assert "timeline" in error.message
    assert "INVALID_OPTION" in error.message
    assert "Ann" not in error.message + error.advice


def test_messages_lose_addresses_values_and_numbers() -> None:
    told = scrub('Contact ann.sample@kunde.example with phone +49 30 1234567 has "Dr. Sample" and [a, b]\n in property x')
    assert told == "Contact … with phone … has … and … in property x"


def test_a_date_in_retry_after_is_counted_from_the_answers_own_date() -> None:
    headers = {"retry_after": "Fri, 20 Nov 2026 09:00:30 GMT", "date": "Fri, 20 Nov 2026 09:00:00 GMT"}
    assert retry_after(answer(503, b"", **headers)) == 30.0
    assert retry_after(answer(503, b"", retry_after="Fri, 20 Nov 2026 09:00:30 GMT")) is None
    assert retry_after(answer(503, b"", retry_after="soon")) is None
    assert retry_after(answer(503, b"", retry_after="nan")) is None
    assert retry_after(answer(503, b"", retry_after="-3")) is None
    assert retry_after(answer(503, b"", retry_after=headers["date"], date=headers["date"])) is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "errors", "context", "name"]), inner, max_size=4),
    max_leaves=12,
)
_ENVELOPE = st.dictionaries(
    st.sampled_from(["category", "message", "errors", "context", "correlationId", "policyName", "errorType", "subCategory", "results"]),
    _JSON,
).map(lambda value: json.dumps(value).encode())


@given(
    status=st.integers(300, 599),
    body=st.binary(max_size=60) | _ENVELOPE,
    retry=st.none() | st.text(max_size=12) | st.floats().map(str),
    date=st.none() | st.text(max_size=12) | st.datetimes().map(lambda moment: format_datetime(moment.replace(tzinfo=UTC), usegmt=True)),
    request_=st.sampled_from([READ, ONE, SEARCH, UPDATE, CREATE]),
)
def test_any_answer_is_judged(status: int, body: bytes, retry: str | None, date: str | None, request_: Request) -> None:
    """ "Treat every field as optional": no status and no body makes the judge itself fail."""
    headers = {name: value for name, value in (("retry-after", retry), ("date", date)) if value is not None}
    error = judged(request_, Answer(status=status, headers=headers, body=body))
    assert len(error.message) < 600


@given(st.binary(max_size=80) | _ENVELOPE)
def test_any_body_of_a_success_is_read_or_may_come_again(body: bytes) -> None:
    for read in (decode, read_listing):
        with suppress(Retriable):
            assert read(Answer(status=200, headers={}, body=body)) is not None


class TestRepeating:
    """What a caller does with it: over a `send` that answers what it is told."""

    @staticmethod
    def caller(*answers: Answer | Unreachable) -> tuple[Caller, list[float]]:
        left = list(answers)
        slept: list[float] = []

        def send(request: Request) -> Answer:
            given_answer = left.pop(0)
            if isinstance(given_answer, Unreachable):
                raise given_answer
            return given_answer

        return Caller(crm="hubspot", send=send, judge=judge, budget=NoBudget(), sleep=slept.append), slept

    def test_waits_as_told_and_goes_on(self) -> None:
        caller, slept = self.caller(answer(429, LIMITED, retry_after="3"), answer(429, LIMITED), answer(200, {"results": []}))
        assert caller.ask(READ, read_listing).results == []
        assert slept == [3.0, 10.0]
        assert caller.count == 3

    def test_a_cut_body_is_asked_for_again(self) -> None:
        caller, slept = self.caller(answer(200, b'{"resu'), answer(200, b""), answer(200, {"results": [1]}))
        assert caller.ask(READ, read_listing).results == [1]
        assert len(slept) == 2

    def test_a_create_is_repeated_only_where_nothing_was_done(self) -> None:
        caller, _ = self.caller(Unreachable("refused", sent=False), answer(429, LIMITED), answer(423, b""), answer(201, {"results": []}))
        assert caller.ask(CREATE, read_listing).results == []
        for lost in (answer(500, b""), answer(408, b""), answer(201, b"<html>"), answer(503, b"", retry_after="1")):
            caller, slept = self.caller(lost)
            with pytest.raises(AnswerLost):
                caller.ask(CREATE, read_listing)
            assert slept == []

    def test_gives_up_with_the_last_error(self) -> None:
        caller, slept = self.caller(*[answer(502, HTML)] * 5)
        with pytest.raises(Retriable, match="502"):
            caller.call(READ)
        assert len(slept) == 4
