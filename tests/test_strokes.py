import json

import numpy as np
import pytest

from digitcore.errors import DatasetError
from digitcore.strokes import draw_single, load_digit_strokes, load_strokes

ZERO = [[0, 50], [15, 5], [30, 0], [45, 5], [60, 50], [45, 95], [30, 100], [15, 95], [0, 50]]
SEVEN = [[0, 0], [60, 0], [20, 100]]
ENTRIES = [
    {"label": "0", "strokes": [ZERO]},
    {"label": 7, "strokes": [SEVEN, [[10, 50], [45, 50]]]},
    {"label": "q", "strokes": [ZERO, []]},
    {"label": "1", "strokes": []},
]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "strokes.json"
    path.write_text(json.dumps(ENTRIES))
    return path


def test_load_strokes_leaves_out_what_has_no_point(path):
    drawings = load_strokes(path)
    assert [drawing.label for drawing in drawings] == ["0", "7", "q"]
    assert [len(stroke) for stroke in drawings[1].strokes] == [3, 2]
    assert len(drawings[2].strokes) == 1


def test_load_digit_strokes_keeps_digits_only(path):
    assert [digit.label for digit in load_digit_strokes(path)] == ["0", "7"]


@pytest.mark.parametrize(
    "content", ["no json", '{"label": "1"}', "[]", '[{"label": "1"}]', '[{"label": "q", "strokes": []}]']
)
def test_load_strokes_refuses_with_a_sentence(tmp_path, content):
    path = tmp_path / "strokes.json"
    path.write_text(content)
    for load in (load_strokes, load_digit_strokes):
        with pytest.raises(DatasetError, match="strokes.json"):
            load(path)


def test_load_digit_strokes_without_a_digit(tmp_path):
    path = tmp_path / "letters.json"
    path.write_text(json.dumps([ENTRIES[2]]))
    with pytest.raises(DatasetError, match="holds no digit"):
        load_digit_strokes(path)


def test_load_strokes_says_what_is_missing(tmp_path):
    with pytest.raises(DatasetError, match="none.json"):
        load_strokes(tmp_path / "none.json")


@pytest.mark.parametrize("pen", [0.02, 0.06])
def test_draw_single_is_centred_and_of_the_stated_size(path, pen):
    canvas = draw_single(load_strokes(path)[0].strokes, pen)
    assert canvas.shape == (280, 280) and canvas.dtype == np.uint8
    rows, columns = np.flatnonzero((canvas < 128).any(axis=1)), np.flatnonzero((canvas < 128).any(axis=0))
    # The longest side of the stroke's middle line is 168 px; the pen adds its width.
    assert np.ptp(rows) + 1 == pytest.approx(168 + 280 * pen, abs=2)
    assert rows.mean() == pytest.approx(139.5, abs=2) and columns.mean() == pytest.approx(139.5, abs=2)
    assert len(np.unique(canvas)) > 5, "anti-aliased"
