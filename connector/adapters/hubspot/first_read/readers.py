"""Concurrent readers: each in a thread of its own, what they bring in a bounded queue, worked on in another thread.

Whoever iterates over `run` gets what is ready, while what comes next is on its way; when it stops, every thread ends.

Why not `queue.Queue` and `ThreadPoolExecutor`: a put that waits for a place cannot be called off (before Python 3.13), and the interpreter
joins the executor's threads at its end, so that a generator that nobody closed would hold up the process for ever.
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

#: Seconds after which a waiting caller looks again whether the reading was stopped.
_POLL = 1.0


class ReadingStopped(Exception):
    """The reading is not wanted any more; ends the thread that meets it, and is seen by nobody else."""


class BoundedQueue(Generic[T]):
    """Items from some threads to one, in the order in which they were put; at most `length` wait in it. puts: how many threads put."""

    def __init__(self, length: int, puts: int) -> None:
        self._length = length
        self._puts = puts
        self._items: deque[T] = deque()
        self._error: BaseException | None = None
        self._stopped = False
        self._changed = Condition()

    def put(self, item: T) -> None:
        """Waits for a place. Raises `ReadingStopped` where the queue was stopped, or another thread has failed."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < self._length or self._stopped or self._error is not None)
            if self._stopped or self._error is not None:
                raise ReadingStopped
            self._items.append(item)
            self._changed.notify_all()

    def leave(self, error: BaseException | None = None) -> None:
        """One thread puts no more; with an error, none does, and the taker gets it after what was put before."""
        with self._changed:
            self._puts -= 1
            self._error = self._error or error
            self._changed.notify_all()

    def stop(self) -> None:
        """The queue is closed by its taker: every waiting or later `put` raises."""
        with self._changed:
            self._stopped = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        """The items, until all threads have left. Raises the first error of theirs, `ReadingStopped` where it was stopped."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._items) or self._stopped or self._error is not None or self._puts == 0)
                if self._stopped:
                    raise ReadingStopped
                if not self._items:
                    if self._error is not None:
                        raise self._error
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item


class ReaderThreads:
    """The threads of one reading, which are stopped together."""

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
                like.sleep(min(seconds, _POLL))
                seconds -= _POLL

        return replace(like, send=send, sleep=sleep, count=0)

    def _go_on(self) -> None:
        if self._stopping.is_set():
            raise ReadingStopped

    def run(self, sources: Sequence[Reader[T]], work: Callable[[BoundedQueue[T]], Reader[U]]) -> Generator[U, None, None]:
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


def _run(items: Reader[T], queue: BoundedQueue[T], afterwards: Callable[[], None]) -> None:
    """One thread's work: all the items onto the queue. The generator is closed here, so that nobody waits for what it has yet to say."""
    try:
        for item in items:
            queue.put(item)
    except ReadingStopped:
        queue.leave()
    except BaseException as error:  # noqa: BLE001 - raised again in the thread that takes
        queue.leave(error)
    else:
        queue.leave()
    finally:
        items.close()
        afterwards()
