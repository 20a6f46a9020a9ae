"""Worker processes that compose what is learnt from: one thread each, and what they make arrives in order."""

import signal
from collections.abc import Iterator
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader, Dataset

# Items that each worker makes ahead.
PREFETCH = 2


def iterate_in_order(source: Dataset, n_workers: int) -> Iterator[Any]:
    """Give a dataset's items one by one, always in the same order.

    Args:
        source: by number, or iterable; an iterable one shares its items among its workers by itself.
        n_workers: processes that make them; 0 for this one.
    """
    options: dict[str, Any] = {"batch_size": None, "collate_fn": _leave, "generator": torch.Generator()}
    if not n_workers:
        return iter(DataLoader(source, **options))
    options |= {"num_workers": n_workers, "prefetch_factor": PREFETCH, "worker_init_fn": _start_worker}
    # A forked process inherits OpenCV's pool without its threads, and would wait for them for ever: none at the fork.
    n_threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        return iter(DataLoader(source, **options))
    finally:
        cv2.setNumThreads(n_threads)


def _leave(item: Any) -> Any:
    """Arrays stay arrays; as tensors, each would hold a file open for as long as it is kept."""
    return item


def _start_worker(_: int) -> None:
    """One thread each; Ctrl-C is for the main process, which ends the workers."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
