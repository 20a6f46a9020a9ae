import cv2
import numpy as np
import pytest

from digitcore.detector import InkKind
from digitcore.training.canvas import (
    EXCUSED_MIDDLE_RATIO,
    IGNORED_INK,
    MAX_ASKED_PX,
    Canvas,
    draw_scratches,
    draw_scribble,
)
from digitcore.training.glyphs import DigitGlyphs, make_fields
from digitcore.training.page_writer import _touch_distance
from digitcore.training.pages import PageConfig, PageMaker, _excuse_illegible
from digitcore.training.writing import Writing


def draw_digits() -> DigitGlyphs:
    """A one and a nought, as MNIST would have them."""
    one, zero = np.zeros((2, 28, 28), np.uint8)
    cv2.line(one, (14, 5), (14, 23), 255, 3)
    cv2.ellipse(zero, (14, 14), (6, 9), 0, 0, 360, 255, 3)
    return DigitGlyphs(make_fields(np.stack([one, zero])), np.array([1, 0]))


@pytest.fixture(scope="module")
def maker() -> PageMaker:
    return PageMaker(draw_digits(), Writing.from_folder(None))


@pytest.mark.parametrize("seed", range(40))
def test_make_gives_a_page_whose_parts_agree(maker, seed):
    page = maker.make(np.random.default_rng(seed))
    assert page.image.shape == page.ink.shape == (384, 384)
    assert page.image.dtype == page.ink.dtype == np.uint8
    assert page.boxes.shape == (len(page.labels), 4) and page.boxes.dtype == np.float32
    assert page.ignored.shape[1:] == (4,)
    assert set(np.unique(page.ink)) <= {*InkKind, IGNORED_INK}
    for x, y, w, h in page.boxes:
        own = page.ink[max(int(y), 0) : int(y + h), max(int(x), 0) : int(x + w)]
        assert (own == InkKind.DIGIT).any()
        assert 10 <= max(w, h) <= MAX_ASKED_PX


def test_make_repeats_itself(maker):
    first, again = (maker.make(np.random.default_rng([7, 3])) for _ in range(2))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.boxes, again.boxes)


def test_digits_asked_for_can_be_seen(maker):
    # Ink and its surroundings differ in the photo; in a steep shadow the two means may meet by chance.
    differences = []
    for seed in range(30):
        page = maker.make(np.random.default_rng(seed))
        for x, y, w, h in page.boxes.astype(int):
            own = np.s_[max(y - 2, 0) : y + h + 2, max(x - 2, 0) : x + w + 2]
            inked, bare = (page.ink[own] == kind for kind in (InkKind.DIGIT, InkKind.PAPER))
            if inked.sum() > 20 and bare.sum() > 20:
                differences.append(abs(page.image[own][inked].mean() - page.image[own][bare].mean()))
    assert len(differences) > 100
    assert np.mean(np.array(differences) < 1.0) < 0.02


def draw_ring() -> np.ndarray:
    mask = np.zeros((30, 20), np.uint8)
    cv2.ellipse(mask, (9, 14), (8, 13), 0, 0, 360, 255, 3)
    return mask


def finish(canvas: Canvas, light: np.ndarray, **options: float) -> np.ndarray:
    change = -0.8 * canvas.ink * light
    image = (255 * (light + change)).clip(0, 255).astype(np.uint8)
    _excuse_illegible(canvas, image, light, change, **{"noise_levels": 2.0, **options})
    return image


def test_a_digit_half_in_the_dark_is_excused():
    canvas = Canvas(64)
    canvas.put_digit(draw_ring(), 0, 4, 10, 1.0)
    canvas.put_digit(draw_ring(), 0, 40, 10, 1.0)
    light = np.ones((64, 64), np.float32)
    light[:26, :32] = 0.001
    finish(canvas, light)
    assert canvas.boxes == [(40.0, 10.0, 20.0, 30.0)] and canvas.ignored == [(4.0, 10.0, 20.0, 30.0)]
    assert len(canvas.masks) == len(canvas.labels) == 1


def test_a_digit_that_others_are_written_over_is_excused():
    canvas = Canvas(64)
    canvas.put_digit(draw_ring(), 0, 4, 10, 1.0)
    canvas.put_digit(draw_ring(), 0, 40, 10, 1.0)
    scrawl = np.zeros((30, 24), np.uint8)
    for x in range(0, 60, 5):
        cv2.line(scrawl, (x, 0), (x - 30, 30), 255, 2)
    canvas.put(scrawl, 2, 10, 1.0, InkKind.SCRIBBLE)
    finish(canvas, np.ones((64, 64), np.float32))
    assert canvas.boxes == [(40.0, 10.0, 20.0, 30.0)]
    assert (canvas.kinds[10:40, 40:60] == InkKind.DIGIT).any() and not (
        canvas.kinds[10:40, 4:24] == InkKind.DIGIT
    ).any()


def test_pages_of_words_ask_for_nothing(maker):
    for seed in range(10):
        page = maker.make(np.random.default_rng(seed), "words")
        assert len(page.boxes) == 0 and (page.ink == InkKind.LETTERS).any()


def test_touching_pairs_come_in_twos_and_most_meet(maker):
    n_pairs = n_met = 0
    for seed in range(12):
        page = maker.make(np.random.default_rng(seed), "touching")
        n_pieces = cv2.connectedComponents((page.ink == InkKind.DIGIT).astype(np.uint8))[0] - 1
        n_pairs += len(page.boxes) // 2
        n_met += len(page.boxes) - n_pieces
    assert n_pairs > 20
    assert n_met > 0.5 * n_pairs


def test_turned_pages_ask_for_nothing():
    maker = PageMaker(draw_digits(), Writing.from_folder(None), PageConfig(turned_ratio=1.0, inset_ratio=0.0))
    assert all(len(maker.make(np.random.default_rng(seed)).boxes) == 0 for seed in range(8))


def test_inset_pages_excuse_what_is_cut_and_repeat_their_last_column():
    maker = PageMaker(draw_digits(), Writing.from_folder(None), PageConfig(inset_ratio=1.0, nothing=0.0, words=0.0))
    n_narrow = 0
    for seed in range(10):
        page = maker.make(np.random.default_rng(seed))
        if (page.ink[:, -2:] == IGNORED_INK).all():
            n_narrow += 1
            np.testing.assert_array_equal(page.image[:, -1], page.image[:, -2])
        assert (page.boxes[:, 0] + page.boxes[:, 2] <= 384).all()
    assert n_narrow >= 8


def bar(height: int, width: int) -> np.ndarray:
    return np.full((height, width), 255, np.uint8)


@pytest.mark.parametrize(
    ("x", "size", "is_asked", "n_ignored"),
    [(50, 40, True, 0), (-3, 40, True, 0), (-8, 40, False, 1), (50, 8, False, 1), (20, 300, False, 1)],
)
def test_put_digit_asks_for_what_can_be_read(x, size, is_asked, n_ignored):
    canvas = Canvas(384)
    canvas.put_digit(bar(size, size), 3, x, 30, 1.0)
    assert (canvas.labels == [3]) == is_asked
    assert len(canvas.ignored) == n_ignored
    assert (canvas.kinds == (InkKind.DIGIT if is_asked else IGNORED_INK)).any()


def test_put_digit_excuses_but_the_middle_of_a_giant():
    canvas = Canvas(384)
    canvas.put_digit(bar(300, 200), 3, 20, 30, 1.0)
    assert canvas.ignored[0][2:] == (EXCUSED_MIDDLE_RATIO * 200, EXCUSED_MIDDLE_RATIO * 300)


def test_find_place_keeps_apart():
    canvas, rng = Canvas(384), np.random.default_rng(0)
    for _ in range(30):
        if place := canvas.find_place(rng, 40, 40, 10.0):
            assert canvas.is_free(*place, 40, 40, 10.0)
            canvas.put(bar(40, 40), *place, 1.0, InkKind.SCRIBBLE)
    lefts = np.array(canvas.taken)
    assert len(lefts) > 10
    for i, (x, y, w, h) in enumerate(lefts):
        others = np.delete(lefts, i, axis=0)
        gap = np.maximum(np.abs(others[:, 0] - x) - w, np.abs(others[:, 1] - y) - h)
        assert (gap >= 8).all()  # 10 less the rounding of both.


@pytest.mark.parametrize("shift", [0, 3, -4])
def test_touch_distance_brings_ink_together(shift):
    left, right = np.zeros((20, 16), np.uint8), np.zeros((20, 16), np.uint8)
    cv2.line(left, (2, 19), (12, 0), 255, 2)
    cv2.line(right, (3, 0), (13, 19), 255, 2)
    distance = int(_touch_distance(left, right, shift))
    canvas = np.zeros((40, 60), int)
    canvas[10:30, :16] += left > 90
    canvas[10 + shift : 30 + shift, distance : distance + 16] += right > 90
    assert canvas.max() == 1
    assert cv2.connectedComponents((canvas > 0).astype(np.uint8))[0] == 2


def test_draw_scratches_covers_the_page():
    for seed in range(20):
        scratches = draw_scratches(np.random.default_rng(seed), 192)
        assert scratches.shape == (192, 192) and scratches.dtype == np.uint8
        assert 4 <= len(cv2.connectedComponentsWithStats((scratches > 90).astype(np.uint8))[2]) - 1
        assert (scratches > 90).mean() < 0.5


def test_find_place_of_what_does_not_fit_is_none():
    assert Canvas(100).find_place(np.random.default_rng(0), 200, 20, 0) is None


@pytest.mark.parametrize("seed", range(30))
def test_draw_scribble_draws(seed):
    assert draw_scribble(np.random.default_rng(seed), 30.0, 3.0).any()
