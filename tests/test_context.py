"""Pages planted by hand: what surrounds a find is counted right."""

import numpy as np
import pytest

from digitcore.context import CONTEXT_FEATURES, N_CONTEXT, describe_context, is_mostly_other_writing
from digitcore.detection import Detections
from digitcore.detector import InkKind

SIZE, BEST, NEAR_SHARE, ALONG_SHARE, PAGE_SHARE, DENSITY, NEAR_OTHER, NEAR_DIGITS = range(8)
SHAPE = (200, 400)


def see(boxes, scores=None, ink=(), shape=SHAPE) -> np.ndarray:
    """Describe finds on a page with filled boxes of ink, (x, y, w, h, kind) each, worked on at the page's own size."""
    kinds = np.zeros(shape, np.uint8)
    for x, y, w, h, kind in ink:
        kinds[y : y + h, x : x + w] = kind
    blank = np.zeros(shape, np.uint8)
    n = len(boxes)
    scores = np.ones(n, np.float32) if scores is None else np.array(scores, np.float32)
    probs = np.full((n, 10), 0.1, np.float32)
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return describe_context(Detections(boxes, scores, probs, blank, blank, kinds), shape)


def test_each_find_has_every_feature():
    features = see([(10, 10, 20, 40), (60, 10, 20, 40)])
    assert features.shape == (2, N_CONTEXT) == (2, len(CONTEXT_FEATURES))
    assert features.dtype == np.float32 and np.isfinite(features).all()


def test_of_no_finds():
    assert see([]).shape == (0, N_CONTEXT)


def test_size_is_the_longer_side():
    assert np.exp(see([(10, 10, 20, 40), (60, 10, 50, 30)])[:, SIZE]) == pytest.approx([40, 50])


def test_size_is_that_of_the_level_worked_on():
    """A picture four times as large as what was worked on: its boxes count a quarter."""
    kinds = np.zeros((100, 100), np.uint8)
    boxes, score, probs = np.array([(40, 40, 80, 160)], np.float32), np.ones(1, np.float32), np.full((1, 10), 0.1)
    found = Detections(boxes, score, probs.astype(np.float32), kinds, kinds, kinds)
    assert np.exp(describe_context(found, (400, 400))[0, SIZE]) == pytest.approx(40)


def test_alone_there_is_no_company():
    features = see([(10, 10, 20, 40)])
    assert features[0, BEST] == 0


def test_company_is_sure_alike_and_near_on_the_line():
    me, near = (100, 50, 20, 40), (130, 50, 20, 40)
    best = see([me, near])[0, BEST]
    assert best > 0.8
    for other, score in (((260, 50, 20, 40), 1.0), ((130, 140, 20, 40), 1.0), ((130, 50, 10, 20), 1.0), (near, 0.4)):
        assert see([me, other], [1.0, score])[0, BEST] < 0.6 * best


def test_ink_beside_a_find_without_its_own():
    """20 × 40 px of its own ink; 10 × 40 of letters near it; further along the line 40 × 40 of digits."""
    ink = [
        (100, 50, 20, 40, InkKind.DIGIT),
        (130, 50, 10, 40, InkKind.LETTERS),
        (180, 50, 40, 40, InkKind.DIGIT),
        (0, 190, 400, 2, InkKind.RULE),
    ]
    features = see([(100, 50, 20, 40)], ink=ink)[0]
    # Counted at half the size: a quarter of the pixels.
    assert features[NEAR_SHARE] == pytest.approx(1 / 102)
    assert features[ALONG_SHARE] == pytest.approx(401 / 502)
    assert features[PAGE_SHARE] == pytest.approx(601 / 702)
    assert features[DENSITY] == pytest.approx(0, abs=1e-3)
    assert features[NEAR_OTHER] == pytest.approx(np.log1p(100 / 201))
    assert features[NEAR_DIGITS] == 0


def test_at_the_edge_and_without_area():
    features = see([(-5, -5, 20, 40), (395, 190, 20, 40), (50, 50, 0, 0)], ink=[(0, 0, 400, 200, InkKind.PRINT)])
    assert np.isfinite(features).all()


@pytest.mark.parametrize(("n_letters", "is_mostly_other"), [(0, False), (1, False), (2, True), (5, True)])
def test_what_most_of_the_ink_is(n_letters, is_mostly_other):
    digit = (10, 10, 20, 40)
    letters = [(60 + 30 * i, 10, 20, 39, InkKind.LETTERS) for i in range(n_letters)]
    assert is_mostly_other_writing(see([digit], ink=[(*digit, InkKind.DIGIT), *letters])) is is_mostly_other


def test_of_a_page_without_finds_nothing_is_known():
    assert not is_mostly_other_writing(see([], ink=[(60, 10, 20, 40, InkKind.LETTERS)]))
