"""The record of a run: begun before anything is done, and finished whatever ends it. Every pass and job runs inside `recorded_run`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Literal, Protocol, TypeVar

from connector.errors import ConnectorError, Interrupted
from connector.pipeline.context import PassContext
from connector.store import runs

RunKind = Literal["run", "fast", "pull", "deletes", "reconcile"]


class RunResult(Protocol):
    """What a run came to. errors: what went wrong; empty where all went well."""

    run: int
    errors: list[ConnectorError]
    interrupted: bool

    def document(self) -> dict[str, Any]:
        """As JSON prints it, and as the record keeps it."""
        ...


R = TypeVar("R", bound=RunResult)


@contextmanager
def recorded_run(
    context: PassContext, kind: RunKind, result_of: Callable[[int], R], *, now: datetime, keep: Callable[[R], bool] = lambda _: True
) -> Iterator[R]:
    """The run's result, to be filled inside the block, and kept on record with how the run ended.

    Errors of the program's own tree go into the result; anything else comes out, with the run marked failed. result_of: makes the result
    for the run's number. keep: whether a run that broke off by no such error stays on record at all.
    """
    run = runs.start_run(context.store, kind, context.config.mode, now=now, config_version=context.config.version)
    result = result_of(run)
    try:
        yield result
    except Interrupted:
        result.interrupted = True
    except ConnectorError as error:
        result.errors.append(error)
    except BaseException as error:
        _finish(context, result, f"The run was broken off by an unexpected {type(error).__name__}.")
        raise
    result.interrupted = result.interrupted or context.stopped()
    if keep(result):
        _finish(context, result, _problem(result.errors))
    else:
        runs.drop_run(context.store, run)


def _finish(context: PassContext, result: RunResult, problem: str | None) -> None:
    state: Literal["failed", "done"] = "done" if problem is None else "failed"
    runs.finish_run(context.store, result.run, state, now=context.now(), summary=result.document(), problem=problem)


def _problem(errors: Iterable[ConnectorError]) -> str | None:
    """The errors as one text; None where all went well."""
    return " ".join(_sentence(error) for error in errors) or None


def _sentence(error: ConnectorError) -> str:
    stop = "" if error.message.endswith(".") else "."
    return f"{error.message}{stop} {error.advice}".strip()


def errors_document(errors: Iterable[ConnectorError]) -> list[dict[str, str]]:
    """What went wrong, and the way out, as JSON prints it."""
    return [{"message": error.message, "advice": error.advice} for error in errors]
