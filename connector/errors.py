"""Every error of the program, by what the caller can do about it.

    ConnectorError
    ├── ConfigError            the file or the command line is wrong (exit 2); carries all problems at once
    │   └── OlderFile          … since the file was in force before, and another has replaced it
    ├── StoreError             the database: wrong schema version, older file, unreachable
    ├── SafetyStop             something that would be a mass change by mistake: a side that suddenly shrank
    ├── LeaseLost              another process does this job now
    ├── Paused                 somebody pressed the kill switch
    └── CrmError               a CRM's answer, judged by a wire module
        ├── Retriable          the same request may be sent again, not before `retry_after`
        │   └── RateLimited    … since a limit of the CRM was reached
        ├── AnswerLost         a write was sent and its answer never came: look it up, never repeat blindly
        ├── Rejected           this record only; the others go on
        ├── ObjectStopped      this object cannot be read or written (a scope, a property); the other objects go on
        └── PassStopped        nothing of this CRM can go on (credentials, the day's limit, an address that is none)
            └── Interrupted    … since somebody asked to end while a request waited for its turn: no failure

Only `connector.cli.main` (and the console) turn them into words and exit codes.
"""

from __future__ import annotations

from dataclasses import dataclass


class ConnectorError(Exception):
    """Something went wrong.

    `message` says what happened and where, `advice` what to do about it. Neither ever holds a secret or personal data.
    """

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong in the configuration.

    `path` is where it stands (``transition[2].to``), `found` what stands there, `expected` what would be right.
    """

    path: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.path}: {self.found}; {self.expected}"


class ConfigError(ConnectorError):
    """The configuration cannot be used; every problem is in `problems`."""

    def __init__(self, problems: list[Problem], *, source: str = "") -> None:
        where = f" in {source}" if source else ""
        super().__init__(f"{len(problems)} problem{'s' if len(problems) != 1 else ''}{where}")
        self.problems = problems
        self.source = source


class OlderFile(ConfigError):
    """The file was in force before, another has replaced it since, and nobody said that it is meant."""

    def __init__(self, message: str, *, source: str, advice: str) -> None:
        ConnectorError.__init__(self, message, advice=advice)
        self.problems = []
        self.source = source


class StoreError(ConnectorError):
    """The connector's own database cannot be used as it is."""


class SafetyStop(ConnectorError):
    """Stopped before a mass change that looks like a mistake."""


class LeaseLost(ConnectorError):
    """Another process holds this job's lease now."""


class Paused(ConnectorError):
    """Writing is paused."""


#: The code of a `PassStopped` by the connector's own share of the day.
DAY_SPENT = "DAILY_SHARE"


class CrmError(ConnectorError):
    """A CRM could not be reached, or refused."""

    def __init__(
        self,
        message: str,
        *,
        crm: str,
        advice: str = "",
        status: int | None = None,
        code: str = "",
        correlation_id: str = "",
    ) -> None:
        super().__init__(message, advice=advice)
        self.crm = crm
        self.status = status
        self.code = code
        self.correlation_id = correlation_id


class Retriable(CrmError):
    """The same request may succeed later; `retry_after` is in seconds, None where the CRM did not say."""

    def __init__(self, message: str, *, retry_after: float | None = None, **facts: object) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]  # the keywords of CrmError, passed through
        self.retry_after = retry_after


class RateLimited(Retriable):
    """A limit of the CRM was reached."""


class AnswerLost(CrmError):
    """A write was sent, its answer never came: whether it took effect is unknown."""


class Rejected(CrmError):
    """The CRM refused this record; others are not concerned."""


class ObjectStopped(CrmError):
    """This kind of object cannot be read or written with these credentials and fields."""


class PassStopped(CrmError):
    """Nothing of this CRM can go on in this pass."""


class Interrupted(PassStopped):
    """Somebody asked to end while a request waited for its turn; it was not sent."""
