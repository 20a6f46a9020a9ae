import json

import cv2
import numpy as np
import pytest

from benchmarks.sketches import draw_numbers, draw_touching_pairs
from digitcore.strokes import load_digit_strokes

ZERO = [[0, 50], [15, 5], [30, 0], [45, 5], [60, 50], [45, 95], [30, 100], [15, 95], [0, 50]]
SEVEN = [[0, 0], [60, 0], [20, 100]]


@pytest.fixture
def digits(tmp_path):
    entries = [
        {"label": "0", "strokes": [ZERO]},
        {"label": 7, "strokes": [SEVEN, [[10, 50], [45, 50]]]},
        {"label": "q", "strokes": [ZERO]},
        {"label": "1", "strokes": []},
    ]
    path = tmp_path / "strokes.json"
    path.write_text(json.dumps(entries))
    return load_digit_strokes(path)


def test_draw_numbers_keeps_digits_apart(digits):
    for canvas, text in draw_numbers(digits, 5, 0.03):
        # A seven's bar crosses its leg: each digit is one component.
        n_labels, _ = cv2.connectedComponents((canvas < 128).astype(np.uint8))
        assert n_labels - 1 == len(text) >= 3


def test_draw_touching_pairs_touch(digits):
    for canvas, text in draw_touching_pairs(digits, 8, 0.05):
        n_labels, _ = cv2.connectedComponents((canvas < 160).astype(np.uint8), connectivity=8)
        assert n_labels - 1 == 1 and len(text) == 2
