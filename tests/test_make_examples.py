"""The example pictures: drawn the same each time, as they lie in the repository, and read as they say."""

import cv2
import numpy as np
import pytest

from digitcore.imaging import load_image
from digitcore.reader import DigitReader
from examples.make_examples import EXAMPLES, FELT_PEN, FOLDER, SIZE_WH, Page, draw_example
from examples.strokes import STROKES, smooth_stroke

MAX_BYTES = 150_000


@pytest.fixture(scope="module")
def reader():
    return DigitReader.from_pretrained(device="cpu")


def test_strokes_cover_the_digits_within_their_box():
    assert sorted(STROKES) == list("0123456789")
    points = np.array([p for styles in STROKES.values() for style in styles for stroke in style for p in stroke])
    assert points.min() >= 0 and points[:, 0].max() <= 0.7 and points[:, 1].max() <= 1
    assert all(len(styles) >= 2 for styles in STROKES.values())


def test_smooth_stroke_goes_through_its_points_and_keeps_corners():
    points = np.array([(0.0, 0.0), (1.0, 0.0), (1.0, 0.0), (1.0, 1.0)])
    curve = smooth_stroke(points)
    for point in points:
        assert np.abs(curve - point).sum(axis=1).min() < 1e-9
    # With a corner in the middle, both legs are straight.
    assert np.minimum(np.abs(curve[:, 1]), np.abs(curve[:, 0] - 1)).max() < 1e-9


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_in_the_repository_is_what_the_script_draws(name):
    path = FOLDER / name
    assert path.stat().st_size <= MAX_BYTES
    shipped, drawn = load_image(path), draw_example(name)
    assert shipped.shape == drawn.shape == (SIZE_WH[1], SIZE_WH[0], 3)
    # JPEG and the picture's noise apart.
    assert np.abs(cv2.blur(shipped, (5, 5)).astype(float) - cv2.blur(drawn, (5, 5))).mean() < 2.0


def test_draw_example_is_the_same_each_time():
    name = "empty_sheet.jpg"
    assert np.array_equal(draw_example(name), draw_example(name))


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_is_read_as_it_says(name, reader):
    assert reader.read_photo(FOLDER / name).lines == EXAMPLES[name][1]


def test_page_write_leaves_ink_where_it_should():
    page = Page((300, 200), (240, 240, 240), 1)
    before = page.canvas.copy()
    page.write("8", 100, 150, 90, FELT_PEN)
    rows, columns = np.nonzero(np.abs(page.canvas - before).max(axis=2) > 60)
    # The canvas is twice the page's size; the digit stands on y = 150, from x = 100 on, 90 high, a little slanted.
    assert 2 * 50 <= rows.min() and rows.max() <= 2 * 160
    assert 2 * 90 <= columns.min() and columns.max() <= 2 * 175
    assert rows.max() - rows.min() >= 2 * 75


def test_page_write_nothing_changes_nothing():
    page = Page((100, 80), (240, 240, 240), 1)
    before = page.canvas.copy()
    page.write(" ", 10, 60, 40, FELT_PEN)
    assert np.array_equal(page.canvas, before)
