"""Pages on the fly: worker processes compose them, and batches arrive in order, whoever made them."""

import hashlib
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from digitcore.training.pages import Page
from digitcore.training.targets import PageBatch, make_batch
from digitcore.training.workers import iterate_in_order

# Pages to learn from and pages to measure by come from the same seed, and never from the same random numbers.
TRAINING_STREAM, VALIDATION_STREAM = 0, 1
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
    return iterate_in_order(_PageSource(maker, seed, batch_size, first_step, n_steps, dtype), n_workers)


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
