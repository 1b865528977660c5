"""Answers that are none: each kind by its name, as both CRMs may give it, and the error that stands for it in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from connector.errors import CrmError, RateLimited, Retriable


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFault:
    """A fault by name: what the next answers are, and what error stands for it in memory."""

    name: str
    answer: Mapping[str, Any]
    memory: Callable[[str], CrmError]


JSON = {"content-type": "application/json"}
_HTML = {"content-type": "text/html"}


def limit(policy: str, retry_after: str | None) -> dict[str, Any]:
    body = f'{{"status":"error","message":"limit","errorType":"RATE_LIMIT","policyName":"{policy}"}}'
    return {"status": 429, "headers": JSON | ({} if retry_after is None else {"retry-after": retry_after}), "body": body.encode()}


def _later(crm: str) -> CrmError:
    return Retriable("later", crm=crm)


def _limited(crm: str) -> CrmError:
    return RateLimited("too many", crm=crm, retry_after=1.0)


ANSWER_FAULTS = (
    AnswerFault(name="500", answer={"status": 500}, memory=_later),
    AnswerFault(name="502 HTML", answer={"status": 502, "headers": _HTML, "body": b"<html>Bad Gateway</html>"}, memory=_later),
    AnswerFault(name="503 empty", answer={"status": 503, "headers": {"retry-after": "2"}}, memory=_later),
    AnswerFault(name="504", answer={"status": 504, "headers": _HTML, "body": b"<html></html>"}, memory=_later),
    AnswerFault(name="200 HTML", answer={"status": 200, "headers": _HTML, "body": b"<html>maintenance</html>"}, memory=_later),
    AnswerFault(name="200 empty", answer={"status": 200, "headers": JSON, "body": b""}, memory=_later),
    AnswerFault(name="truncated", answer={"kind": "truncate"}, memory=_later),
    AnswerFault(name="slow", answer={"kind": "slow", "seconds": 0.6}, memory=_later),
    AnswerFault(name="lost", answer={"kind": "lost"}, memory=_later),
    AnswerFault(name="429 ten seconds", answer=limit("TEN_SECONDLY_ROLLING", "1"), memory=_limited),
    AnswerFault(name="429 search", answer=limit("SECONDLY", None), memory=_limited),
    AnswerFault(name="423", answer={"status": 423, "headers": JSON, "body": b'{"category":"LOCKED","message":"locked"}'}, memory=_later),
    AnswerFault(name="477", answer={"status": 477, "headers": {"retry-after": "2"}}, memory=_later),
)  # fmt: skip
