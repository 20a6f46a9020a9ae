import numpy as np
import pytest
import torch

from digitcore.detector import PageNet
from digitcore.merging import Finds
from digitcore.training.detector_validation import PageScore, measure_pages, score_page
from tests.drawn_pages import DrawnPages, draw_page

LAYOUT = ((7, (8, 10, 20, 34)), (0, (50, 12, 26, 30)))
RIGHT = ((8, 10, 20, 34), 0.9, 7), ((50, 12, 26, 30), 0.8, 0)


def _finds(*rows):
    boxes = np.array([row[0] for row in rows], np.float32).reshape(-1, 4)
    probs = np.eye(10, dtype=np.float32)[[row[2] for row in rows]].reshape(-1, 10)
    return Finds(boxes, np.array([row[1] for row in rows], np.float32), probs)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ((), (2, 0, 0, 0)),
        (RIGHT, (2, 2, 2, 0)),
        (RIGHT[:1], (2, 1, 1, 0)),
        ((RIGHT[0], ((50, 12, 26, 30), 0.8, 6)), (2, 2, 1, 0)),
        ((*RIGHT, ((9, 10, 20, 34), 0.7, 7)), (2, 2, 2, 1)),
        ((*RIGHT, ((70, 70, 20, 20), 0.7, 3)), (2, 2, 2, 1)),
        ((RIGHT[0], ((50, 12, 26, 12), 0.8, 0)), (2, 1, 1, 1)),
        ((*RIGHT, ((4, 60, 20, 20), 0.7, 3)), (2, 2, 2, 0)),
    ],
    ids=["nothing", "all", "one missed", "misread", "twice", "false", "half a box", "excused"],
)
def test_score_page(rows, expected):
    page = draw_page(LAYOUT, ignored=[(0, 56, 30, 40)])
    assert score_page(_finds(*rows), page) == PageScore(1, *expected)


def test_score_of_an_empty_page():
    assert score_page(_finds(), draw_page(())) == PageScore(1)
    assert score_page(_finds(RIGHT[0]), draw_page(())) == PageScore(1, n_false=1)


def test_figures():
    score = PageScore(2, 10, 8, 6, 2) + PageScore(2)
    assert (score.recall, score.false_per_page) == (0.8, 0.5)
    # Precision 6 of 10 finds, recall 6 of 10 digits.
    assert score.f1 == pytest.approx(0.6)
    assert (PageScore().f1, PageScore().recall, PageScore().false_per_page) == (1.0, 1.0, 0.0)


def test_measure_pages_counts_every_page():
    net = PageNet(width=8).eval()
    pages = DrawnPages().pages * 9
    score = measure_pages(net, pages, torch.device("cpu"))
    assert (score.n_pages, score.n_digits, score.n_found) == (18, 63, 0)
