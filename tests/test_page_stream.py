import cv2
import numpy as np
import pytest
import torch

from digitcore.training.page_stream import (
    TRAINING_STREAM,
    VALIDATION_STREAM,
    digest_pages,
    make_page,
    stream_batches,
)
from tests.drawn_pages import LAYOUTS, DrawnPages

MAKER = DrawnPages()


def _channels(first_step, n_workers, seed=0):
    batches = stream_batches(MAKER, seed, 2, first_step, 7, torch.float32, n_workers)
    return [batch.channels.clone() for batch in batches]


@pytest.mark.parametrize("n_workers", [1, 2])
def test_workers_change_nothing(n_workers):
    alone, together = _channels(0, 0), _channels(0, n_workers)
    assert len(alone) == len(together) == 7
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


def test_a_later_start_is_the_rest_of_the_same_stream():
    assert all(torch.equal(a, b) for a, b in zip(_channels(0, 0)[4:], _channels(4, 2), strict=True))
    assert _channels(7, 1) == []


def test_no_two_pages_are_the_same():
    pages = torch.cat(_channels(0, 0))
    assert len(torch.unique(pages, dim=0)) == 14
    assert not torch.equal(_channels(0, 0)[0], _channels(0, 0, seed=1)[0])


def test_streams_have_nothing_in_common():
    first, second = (make_page(MAKER, 0, stream, 5).image for stream in (TRAINING_STREAM, VALIDATION_STREAM))
    assert not np.array_equal(first, second)
    assert np.array_equal(first, make_page(MAKER, 0, TRAINING_STREAM, 5).image)


def test_the_digest_knows_other_pages():
    assert digest_pages(MAKER, 0) == digest_pages(DrawnPages(), 0)
    assert digest_pages(MAKER, 0) != digest_pages(DrawnPages(LAYOUTS[:1] * 2), 3)


def test_workers_start_while_opencv_has_threads():
    """A fork takes OpenCV's pool along, but not its threads."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(4)
    try:
        for _ in range(3):
            cv2.resize(np.zeros((2000, 2000), np.uint8), (1500, 1500), interpolation=cv2.INTER_AREA)
        assert len(_channels(5, 2)) == 2
        assert cv2.getNumThreads() == 4
    finally:
        cv2.setNumThreads(before)
