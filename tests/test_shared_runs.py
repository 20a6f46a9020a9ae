import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from contextvars import ContextVar

import pytest

from digitcore.ui.shared_runs import SharedRuns

PATIENCE_S = 5.0


class Work:
    """Counts up when told to; notes how often it was started and closed."""

    def __init__(self, n: int = 5, is_open: bool = False) -> None:
        self.n = n
        self.n_started = 0
        self.steps: list[int] = []
        self.threads: set[int] = set()
        self.closed = threading.Event()
        self.gate = threading.Semaphore(10**6 if is_open else 0)

    def start(self) -> Iterator[int]:
        self.n_started += 1
        try:
            for i in range(self.n):
                assert self.gate.acquire(timeout=PATIENCE_S)
                self.threads.add(threading.get_ident())
                self.steps.append(i)
                yield i
        finally:
            self.closed.set()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def follow_in_thread(runs: SharedRuns, key: str, work: Work, is_stopped=lambda: False) -> tuple[threading.Thread, list]:
    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.extend(runs.follow(key, work.start, is_stopped)))
    thread.start()
    return thread, seen


def test_follow_alone_sees_the_work_to_its_end():
    work = Work(is_open=True)
    seen = list(SharedRuns().follow("a", work.start))
    assert seen == sorted(set(seen)) and seen[-1] == 4
    assert work.closed.is_set() and work.steps == [0, 1, 2, 3, 4]


def test_follow_works_in_the_context_of_who_asked_first():
    visitor = ContextVar("visitor")

    def start():
        yield visitor.get()
        yield visitor.get()

    runs = SharedRuns()
    for name in ("ada", "grace"):
        visitor.set(name)
        assert set(runs.follow("a", start)) == {name}


def test_follow_nothing():
    assert list(SharedRuns().follow("a", Work(0).start)) == []


def test_followers_of_one_key_share_the_work():
    runs, work = SharedRuns(), Work()
    followers = [follow_in_thread(runs, "a", work) for _ in range(8)]
    wait_until(lambda: runs.n_followers("a") == 8)
    work.gate.release(5)
    for thread, _ in followers:
        thread.join(PATIENCE_S)
    assert work.n_started == 1 and len(work.threads) == 1 and work.steps == [0, 1, 2, 3, 4]
    assert all(seen[-1] == 4 for _, seen in followers)
    assert runs.n_followers("a") == 0


def test_a_late_comer_gets_the_newest_item_at_once():
    runs, work = SharedRuns(), Work()
    thread, seen = follow_in_thread(runs, "a", work)
    work.gate.release(3)
    wait_until(lambda: seen and seen[-1] == 2)
    with closing(runs.follow("a", work.start)) as late:
        assert next(late) == 2
    work.gate.release(2)
    thread.join(PATIENCE_S)
    assert seen[-1] == 4 and work.n_started == 1


def test_after_the_end_the_work_is_done_anew():
    runs = SharedRuns()
    first, second = Work(is_open=True), Work(is_open=True)
    assert list(runs.follow("a", first.start))[-1] == 4
    assert list(runs.follow("a", second.start))[-1] == 4
    assert (first.n_started, second.n_started) == (1, 1)


def test_stop_of_one_does_not_stop_the_others():
    runs, work, stop = SharedRuns(), Work(), threading.Event()
    stopping, seen_before = follow_in_thread(runs, "a", work, stop.is_set)
    staying, seen = follow_in_thread(runs, "a", work)
    work.gate.release(2)
    wait_until(lambda: seen_before and seen_before[-1] == 1)
    started_at = time.monotonic()
    stop.set()
    stopping.join(PATIENCE_S)
    # The next item never came: stopping waits for nobody's batch.
    assert time.monotonic() - started_at < 1.0 and not stopping.is_alive()
    work.gate.release(3)
    staying.join(PATIENCE_S)
    assert seen[-1] == 4 and seen_before[-1] == 1


def test_the_work_ends_when_the_last_follower_leaves():
    runs, work = SharedRuns(), Work()
    followers = [runs.follow("a", work.start), runs.follow("a", work.start)]
    work.gate.release()
    assert [next(follower) for follower in followers] == [0, 0]
    followers[0].close()
    assert runs.n_followers("a") == 1
    followers[1].close()
    work.gate.release()  # the step that was under way
    assert work.closed.wait(PATIENCE_S)
    assert len(work.steps) <= 2 and runs.n_followers("a") == 0


def test_different_works_take_turns_step_by_step():
    """A long work that came first does not keep a short one waiting; never do two work at once."""
    runs = SharedRuns()
    order: list[str] = []
    n_at_work = [0]

    def work(name: str, n: int) -> Iterator[int]:
        for i in range(n):
            n_at_work[0] += 1
            assert n_at_work[0] == 1
            time.sleep(0.01)
            order.append(name)
            n_at_work[0] -= 1
            yield i

    threads = [
        threading.Thread(target=lambda name=name, n=n: list(runs.follow(name, lambda: work(name, n))))
        for name, n in (("long", 60), ("short", 5), ("other", 5))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert len(order) == 70
    last_short = max(i for i, name in enumerate(order) if name == "short")
    # Five turns among three, and what the long one did before the others had come.
    assert order[: last_short + 1].count("long") < 20


def test_an_error_reaches_every_follower_and_the_next_run_is_free_of_it():
    runs, gate = SharedRuns(), threading.Event()

    def fail() -> Iterator[int]:
        yield 0
        assert gate.wait(PATIENCE_S)
        raise RuntimeError("the network is gone")

    errors: list[str] = []

    def follow() -> None:
        try:
            list(runs.follow("a", fail))
        except RuntimeError as err:
            errors.append(str(err))

    threads = [threading.Thread(target=follow) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_until(lambda: runs.n_followers("a") == 3)
    gate.set()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert errors == ["the network is gone"] * 3
    assert list(runs.follow("a", Work(is_open=True).start))[-1] == 4


def test_an_error_on_starting_reaches_the_follower():
    def fail() -> Iterator[int]:
        raise ValueError("no such checkpoint")

    with pytest.raises(ValueError, match="no such checkpoint"):
        list(SharedRuns().follow("a", fail))


def test_stopped_before_it_began():
    work = Work()
    assert list(SharedRuns().follow("a", work.start, lambda: True)) == []
    work.gate.release(5)
