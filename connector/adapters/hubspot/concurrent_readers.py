"""Readers beside each other: each in a thread of its own, what they bring on a belt of bounded length, worked on in another thread.

Whoever takes from `beside` gets what is ready, while what comes next is on its way; when it stops taking, every thread ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from threading import Condition, Event, Thread
from typing import Generic, TypeVar

from connector.adapters.client import Answer, Caller, Request

T = TypeVar("T")
U = TypeVar("U")
Reader = Generator[T, None, None]

#: Seconds between two looks at whether a waiting caller is still wanted.
_LOOK = 1.0


class Ended(Exception):
    """Nobody takes any more; ends the thread that meets it, and is seen by nobody else."""


class BoundedQueue(Generic[T]):
    """Carries items from some threads to one, in the order in which they were put; at most `length` wait on it."""

    def __init__(self, length: int, puts: int) -> None:
        self._length = length
        self._puts = puts
        self._items: deque[T] = deque()
        self._error: BaseException | None = None
        self._stopped = False
        self._changed = Condition()

    def put(self, item: T) -> None:
        """Waits for a place. Raises `Ended` where the belt has stopped, or another thread has failed."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < self._length or self._stopped or self._error is not None)
            if self._stopped or self._error is not None:
                raise Ended
            self._items.append(item)
            self._changed.notify_all()

    def leave(self, error: BaseException | None = None) -> None:
        """One thread puts no more; with an error, none does, and the taker gets it after what was put before."""
        with self._changed:
            self._puts -= 1
            self._error = self._error or error
            self._changed.notify_all()

    def stop(self) -> None:
        """Nobody takes any more."""
        with self._changed:
            self._stopped = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        """The items, until all threads have left. Raises the first error of theirs, `Ended` where the belt was stopped."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._items) or self._stopped or self._error is not None or self._puts == 0)
                if self._stopped:
                    raise Ended
                if not self._items:
                    if self._error is not None:
                        raise self._error
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item


class ReaderThreads:
    """The threads of one reading, and whether they are still wanted."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._stopping = Event()

    def caller(self, like: Caller) -> Caller:
        """A caller of its own, with its own count; it sends, waits and retries no more once the reading has stopped."""

        def send(request: Request) -> Answer:
            self._go_on()
            return like.send(request)

        def sleep(seconds: float) -> None:
            while seconds > 0:
                self._go_on()
                like.sleep(min(seconds, _LOOK))
                seconds -= _LOOK

        return replace(like, send=send, sleep=sleep, count=0)

    def _go_on(self) -> None:
        if self._stopping.is_set():
            raise Ended

    def beside(self, sources: Sequence[Reader[T]], work: Callable[[BoundedQueue[T]], Reader[U]]) -> Generator[U, None, None]:
        """What `work` makes of all that the sources bring, in the order in which it came; each source and `work` in a thread of its own.

        An error of any of them (whatever its kind) is raised here, after what was ready before it. When this generator ends, is closed or
        raises, all threads have ended: at the latest when the requests that they had sent are answered.
        """
        brought, made = BoundedQueue[T](1, len(sources)), BoundedQueue[U](1, 1)
        # As daemons, so that a generator that nobody closed does not hold up the end of the process.
        threads = [Thread(target=_run, args=(source, brought, _nothing), name=self._name, daemon=True) for source in sources]
        threads.append(Thread(target=_run, args=(work(brought), made, brought.stop), name=self._name, daemon=True))
        try:
            for thread in threads:
                thread.start()
            yield from made
        finally:
            self._stopping.set()
            brought.stop()
            made.stop()
            for thread in threads:
                if thread.ident is not None:
                    thread.join()


def _nothing() -> None:
    pass


def _run(items: Reader[T], belt: BoundedQueue[T], afterwards: Callable[[], None]) -> None:
    """One thread's work: all the items onto the belt. The generator is closed here, so that nobody waits for what it has yet to say."""
    try:
        for item in items:
            belt.put(item)
    except Ended:
        belt.leave()
    except BaseException as error:  # noqa: BLE001 - raised again in the thread that takes
        belt.leave(error)
    else:
        belt.leave()
    finally:
        items.close()
        afterwards()
