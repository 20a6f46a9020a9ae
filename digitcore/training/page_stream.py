"""Pages on the fly: worker processes compose them, and batches arrive in order, whoever made them."""

import hashlib
import signal
from collections.abc import Iterator
from typing import Protocol

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from digitcore.training.pages import Page
from digitcore.training.targets import PageBatch, make_batch

# Pages to learn from and pages to measure by come from the same seed, and never from the same random numbers.
TRAINING_STREAM, VALIDATION_STREAM = 0, 1
# Batches that each worker makes ahead.
PREFETCH = 2
DIGEST_LENGTH = 16


class Maker(Protocol):
    """Whatever makes pages: `PageMaker`, or a test's own."""

    def make(self, rng: np.random.Generator) -> Page:
        """One page, from these random numbers alone."""


def make_page(maker: Maker, seed: int, stream: int, index: int) -> Page:
    """The page of this number: always the same one."""
    return maker.make(np.random.default_rng((seed, stream, index)))


def digest_pages(maker: Maker, seed: int) -> str:
    """A mark of what a maker makes: of the first page that measures, which changes with the fonts and the settings."""
    page = make_page(maker, seed, VALIDATION_STREAM, 0)
    content = b"".join(np.ascontiguousarray(part).tobytes() for part in (page.image, page.boxes, page.labels))
    return hashlib.sha256(content).hexdigest()[:DIGEST_LENGTH]


def stream_batches(
    maker: Maker, seed: int, batch_size: int, first_step: int, n_steps: int, dtype: torch.dtype, n_workers: int
) -> Iterator[PageBatch]:
    """Batches of new pages, those of each step always the same.

    Args:
        maker: of the pages.
        seed: of the run.
        batch_size: pages a batch.
        first_step: from 0; the first one to come.
        n_steps: of the whole run.
        dtype: of the channels.
        n_workers: processes that make them; 0 for this one.
    """
    source = _PageSource(maker, seed, batch_size, first_step, n_steps, dtype)
    if not n_workers:
        return iter(source)
    # A forked process inherits OpenCV's pool without its threads, and would wait for them for ever: none at the fork.
    n_threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        return iter(
            DataLoader(
                source,
                batch_size=None,
                num_workers=n_workers,
                prefetch_factor=PREFETCH,
                worker_init_fn=_start_worker,
            )
        )
    finally:
        cv2.setNumThreads(n_threads)


class _PageSource(IterableDataset):
    """Each of n workers makes every n-th batch; the loader takes them in turn, so that they come in order."""

    def __init__(
        self, maker: Maker, seed: int, batch_size: int, first_step: int, n_steps: int, dtype: torch.dtype
    ) -> None:
        self.maker, self.seed, self.batch_size, self.dtype = maker, seed, batch_size, dtype
        self.steps = range(first_step, n_steps)

    def __iter__(self) -> Iterator[PageBatch]:
        worker = get_worker_info()
        steps = self.steps if worker is None else self.steps[worker.id :: worker.num_workers]
        for step in steps:
            numbers = range(step * self.batch_size, (step + 1) * self.batch_size)
            pages = [make_page(self.maker, self.seed, TRAINING_STREAM, number) for number in numbers]
            yield make_batch(pages, self.dtype)


def _start_worker(_: int) -> None:
    """One thread each; Ctrl-C is for the main process, which ends the workers."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
