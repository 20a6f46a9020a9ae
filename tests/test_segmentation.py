import cv2
import numpy as np
import pytest

from digitcore.segmentation import find_sketch_candidates, find_sketch_ink

# Strokes as (x, y) points in a 60×100 cell, drawn by hand for these tests.
SHAPES = {
    "one": [[(30, 0), (30, 100)]],
    "zero": [[(30, 0), (5, 30), (5, 70), (30, 100), (55, 70), (55, 30), (30, 0)]],
    "five_with_a_loose_flag": [[(10, 12), (8, 45), (40, 45), (55, 70), (35, 98), (5, 92)], [(18, -4), (58, -8)]],
    "four_of_two_strokes": [[(30, 0), (5, 60), (50, 60)], [(40, 30), (40, 100)]],
    "one_with_a_loose_foot": [[(30, 0), (30, 84)], [(5, 100), (55, 100)]],
}


def _pad(placed: list[tuple[str, int, int]], size_wh=(640, 280), paper=255, pen=0) -> np.ndarray:
    """A pad with shapes at (x, y)."""
    canvas = np.full((size_wh[1], size_wh[0]), paper, np.uint8)
    for name, x, y in placed:
        for stroke in SHAPES[name]:
            points = (np.array(stroke) + (x, y)).astype(np.int32).reshape(-1, 1, 2)
            cv2.polylines(canvas, [points], False, pen, 9, cv2.LINE_AA)
    return np.dstack([canvas] * 3)


@pytest.mark.parametrize(("paper", "pen"), [(255, 0), (0, 255), (240, 90), (30, 120)])
def test_find_sketch_ink_finds_either_polarity(paper, pen):
    expected = find_sketch_ink(_pad([("zero", 100, 80)]))
    ink = find_sketch_ink(_pad([("zero", 100, 80)], paper=paper, pen=pen))
    assert ink.max() == 255 and ink[0, 0] == 0
    assert np.abs(ink.astype(int) - expected).max() <= 6


def test_find_sketch_ink_finds_a_coloured_pen_of_the_grounds_brightness():
    rgb = np.full((100, 100, 3), (120, 120, 120), np.uint8)
    rgb[40:60, 40:60] = (200, 90, 60)
    assert np.array_equal(find_sketch_ink(rgb) == 255, (rgb != 120).any(axis=2))


@pytest.mark.parametrize("level", [0, 128, 255])
def test_find_sketch_ink_blank_pad_with_noise(level):
    noise = np.random.default_rng(0).integers(-8, 9, (90, 120, 3))
    rgb = (level + noise).clip(0, 255).astype(np.uint8)
    assert not find_sketch_ink(rgb).any()
    assert find_sketch_candidates(find_sketch_ink(rgb)) == []


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_find_sketch_candidates_joins_the_pieces_of_one_digit(name):
    candidates = find_sketch_candidates(find_sketch_ink(_pad([(name, 250, 90)])))
    assert len(candidates) == 1
    points = np.concatenate([np.array(stroke) for stroke in SHAPES[name]]) + (250, 90)
    x, y, w, h = candidates[0].box
    assert abs(x - (points[:, 0].min() - 4)) <= 2 and abs(x + w - (points[:, 0].max() + 5)) <= 2
    assert abs(y - (points[:, 1].min() - 4)) <= 2 and abs(y + h - (points[:, 1].max() + 5)) <= 2


def test_find_sketch_candidates_keeps_digits_apart():
    placed = [(name, 40 + 90 * i, 90) for i, name in enumerate(sorted(SHAPES))]
    candidates = find_sketch_candidates(find_sketch_ink(_pad(placed)))
    assert len(candidates) == len(placed)
    # Rows above each other stay two digits, however near.
    rows = find_sketch_candidates(find_sketch_ink(_pad([("zero", 90, 20), ("zero", 95, 140)])))
    assert len(rows) == 2


def test_find_sketch_candidates_gives_each_its_own_ink():
    # A one that leans into the zero's box: its ink must not show in the zero's crop.
    canvas = _pad([("zero", 100, 90)])
    cv2.line(canvas, (168, 15), (152, 95), (0, 0, 0), 7)
    ink = find_sketch_ink(canvas)
    zero = max(find_sketch_candidates(ink), key=lambda candidate: candidate.box.h)
    alone = find_sketch_candidates(find_sketch_ink(_pad([("zero", 100, 90)])))[0]
    assert abs(int(zero.ink.sum(dtype=np.int64)) - int(alone.ink.sum(dtype=np.int64))) < 0.02 * alone.ink.sum()


def test_find_sketch_candidates_drops_slips_of_the_pen():
    canvas = _pad([("zero", 100, 90)])
    cv2.circle(canvas, (400, 50), 2, (0, 0, 0), -1)
    assert len(find_sketch_candidates(find_sketch_ink(canvas))) == 1
