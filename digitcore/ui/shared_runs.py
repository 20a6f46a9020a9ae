"""Work that several visitors ask for at once is done once; different works take turns, step by step.

Each run has a thread of its own that draws items from an iterator. Whoever asks for the same key while it runs follows
it and sees the newest item; since items are cumulative, a late comer misses nothing. When the last follower has left,
the run ends. Runs with different keys do one step each in rotation, so that a long one does not keep a short one
waiting, and all of them together use no more of the machine than one.
"""

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

# How long a follower who wants to stop may go unnoticed; half of it on average.
POLL_S = 0.1
# Sketches and photos come first: their threads have niceness 0. In single runs of benchmarks/load.py on two busy
# cores, four visitors evaluating took a sketch's median from 50 to 87 ms at 0, from 37 to 48 at 5, and no further at
# 10; but at 10 whatever else runs on the machine starves the evaluations.
NICENESS = 5

Item = TypeVar("Item")


class _Turns:
    """A lock that is handed on in the order in which it was asked for."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def take(self) -> Iterator[None]:
        """Wait for one's turn; it ends with the block."""
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            self._changed.wait_for(lambda: self._waiting[0] is ticket)
        try:
            yield
        finally:
            with self._changed:
                self._waiting.popleft()
                self._changed.notify_all()


class _Run(Generic[Item]):
    """One work under way: its newest item, how it ended, and how many follow it."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self.changed = threading.Condition()
        self.n_followers = 0
        self.n_items = 0
        self.newest: Item | None = None
        self.is_over = False
        self.error: BaseException | None = None


class SharedRuns(Generic[Item]):
    """All works under way, by key."""

    def __init__(self) -> None:
        """Nothing runs."""
        self._lock = threading.Lock()
        self._runs: dict[Hashable, _Run[Item]] = {}
        self._turns = _Turns()

    def follow(
        self,
        key: Hashable,
        start: Callable[[], Iterator[Item]],
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> Iterator[Item]:
        """Follow the work of that key, starting it if nobody does it yet.

        Args:
            key: two callers with equal keys share one work.
            start: makes the iterator of a new work; called in the work's own thread. It is closed when the last
                follower has left.
            is_stopped: asked every `POLL_S`; True ends this follower, and no other.

        Returns:
            A generator of the newest items; those that came while the caller was busy are passed over, the last never.
            It ends after the last item, or when it is stopped. Closing it leaves the work too.

        Raises:
            Exception: what the work raised, in each of its followers.
        """
        run = self._join(key, start)
        n_seen = 0
        try:
            while not is_stopped():
                with run.changed:
                    if run.n_items == n_seen and not run.is_over:
                        run.changed.wait(POLL_S)
                    item, n_items, is_over, error = run.newest, run.n_items, run.is_over, run.error
                if n_items > n_seen:
                    n_seen = n_items
                    yield item
                elif error is not None:
                    raise error
                elif is_over:
                    return
        finally:
            self._leave(run)

    def n_followers(self, key: Hashable) -> int:
        """How many follow the work of that key; 0 if there is none."""
        with self._lock:
            run = self._runs.get(key)
            return run.n_followers if run else 0

    def _join(self, key: Hashable, start: Callable[[], Iterator[Item]]) -> _Run[Item]:
        with self._lock:
            run = self._runs.get(key)
            if run is None:
                run = self._runs[key] = _Run()
                # In the context of the first to ask: ZeroGPU finds there whose request, and quota, it is.
                work = partial(copy_context().run, self._work, key, run, start)
                threading.Thread(target=work, name="shared run", daemon=True).start()
            run.n_followers += 1
            return run

    def _leave(self, run: _Run[Item]) -> None:
        with self._lock:
            run.n_followers -= 1

    def _work(self, key: Hashable, run: _Run[Item], start: Callable[[], Iterator[Item]]) -> None:
        """The run's thread: a step whenever it is its turn, until it is done or nobody follows."""
        _yield_to_others()
        items = None
        error = None
        try:
            while True:
                with self._turns.take():
                    if self._end_if_left(key, run):
                        return
                    if items is None:
                        items = start()
                    item = next(items)
                with run.changed:
                    run.newest, run.n_items = item, run.n_items + 1
                    run.changed.notify_all()
        except StopIteration:
            pass
        except Exception as err:
            error = err
        finally:
            if items is not None and hasattr(items, "close"):
                items.close()
            self._end(key, run)
            with run.changed:
                run.is_over, run.error = True, error
                run.changed.notify_all()

    def _end_if_left(self, key: Hashable, run: _Run[Item]) -> bool:
        """Whether nobody follows any more; nobody can join it then."""
        with self._lock:
            if run.n_followers:
                return False
            self._runs.pop(key, None)
            return True

    def _end(self, key: Hashable, run: _Run[Item]) -> None:
        """Whoever asks from now on gets a new run; by then another may stand there."""
        with self._lock:
            if self._runs.get(key) is run:
                del self._runs[key]


def _yield_to_others() -> None:
    """Lower this thread's priority; Linux counts it by thread, and PyTorch's threads for it inherit it."""
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
    except (AttributeError, OSError) as err:
        logger.info("runs keep their priority: %s", err)
