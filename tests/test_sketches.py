import json

import cv2
import numpy as np
import pytest

from benchmarks.sketches import draw_numbers, draw_single, draw_touching_pairs, load_strokes
from digitcore.errors import ConfigError

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
    return load_strokes(path)


def test_load_strokes_keeps_digits_only(digits):
    assert [digit.label for digit in digits] == ["0", "7"]
    assert [len(stroke) for stroke in digits[1].strokes] == [3, 2]


@pytest.mark.parametrize(
    "content", ["no json", '{"label": "1"}', "[]", '[{"label": "1"}]', '[{"label": "q", "strokes": []}]']
)
def test_load_strokes_refuses_with_a_sentence(tmp_path, content):
    path = tmp_path / "strokes.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match="strokes.json"):
        load_strokes(path)


@pytest.mark.parametrize("pen", [0.02, 0.06])
def test_draw_single_is_centred_and_of_the_stated_size(digits, pen):
    canvas = draw_single(digits[0].strokes, pen)
    assert canvas.shape == (280, 280) and canvas.dtype == np.uint8
    rows, columns = np.flatnonzero((canvas < 128).any(axis=1)), np.flatnonzero((canvas < 128).any(axis=0))
    # The longest side of the stroke's middle line is 168 px; the pen adds its width.
    assert np.ptp(rows) + 1 == pytest.approx(168 + 280 * pen, abs=2)
    assert rows.mean() == pytest.approx(139.5, abs=2) and columns.mean() == pytest.approx(139.5, abs=2)
    assert len(np.unique(canvas)) > 5, "anti-aliased"


def test_draw_numbers_keeps_digits_apart(digits):
    for canvas, text in draw_numbers(digits, 5, 0.03):
        # A seven's bar crosses its leg: each digit is one component.
        n_labels, _ = cv2.connectedComponents((canvas < 128).astype(np.uint8))
        assert n_labels - 1 == len(text) >= 3


def test_draw_touching_pairs_touch(digits):
    for canvas, text in draw_touching_pairs(digits, 8, 0.05):
        n_labels, _ = cv2.connectedComponents((canvas < 160).astype(np.uint8), connectivity=8)
        assert n_labels - 1 == 1 and len(text) == 2
