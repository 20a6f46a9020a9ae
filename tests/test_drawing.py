"""Annotated pictures: the colours stand where the boxes are, and nothing leaves the picture."""

import numpy as np
import pytest

from digitcore.drawing import (
    DOUBTFUL_COLOR,
    FAIR_COLOR,
    MIN_SIDE_PX,
    REJECTED_COLOR,
    SURE_COLOR,
    draw_reading,
)
from digitcore.results import Box, Digit, Reading, Reason, Rejected

GREY = 128


def blank(width=800, height=600):
    return np.full((height, width, 3), GREY, np.uint8)


def digit(box, confidence=0.99, value=7, line=0):
    probs = [(1 - confidence) / 9] * 10
    probs[value] = confidence
    return Digit(value, confidence, Box(*box), line, tuple(probs))


def reading(digits=(), rejected=(), size=(800, 600)):
    return Reading(tuple(digits), tuple(rejected), size, "digitnet@0000000", "components")


def has_color(area, color):
    return bool((area == np.array(color, np.uint8)).all(axis=-1).any())


def test_draw_reading_empty_leaves_the_picture():
    rgb = blank()
    drawn = draw_reading(rgb, reading())
    assert np.array_equal(drawn, rgb)
    assert drawn is not rgb


def test_draw_reading_does_not_touch_its_input():
    rgb = blank()
    draw_reading(rgb, reading([digit((300, 200, 60, 90))]))
    assert (rgb == GREY).all()


@pytest.mark.parametrize(
    ("confidence", "color"), [(1.0, SURE_COLOR), (0.96, SURE_COLOR), (0.85, FAIR_COLOR), (0.5, DOUBTFUL_COLOR)]
)
def test_draw_reading_color_tells_confidence(confidence, color):
    drawn = draw_reading(blank(), reading([digit((300, 200, 60, 90), confidence)]))
    for side in (drawn[230:260, 294:301], drawn[230:260, 359:366], drawn[289:296, 310:350]):
        assert has_color(side, color)


def test_draw_reading_leaves_the_ink_alone():
    drawn = draw_reading(blank(), reading([digit((300, 200, 60, 90))]))
    assert (drawn[202:288, 302:358] == GREY).all()


def test_draw_reading_box_scales_with_the_picture():
    drawn = draw_reading(blank(3200, 2400), reading([digit((1200, 800, 240, 360))], size=(3200, 2400)))
    assert drawn.shape == (1200, 1600, 3)
    assert has_color(drawn[450:500, 590:601], SURE_COLOR)
    assert has_color(drawn[450:500, 719:731], SURE_COLOR)


@pytest.mark.parametrize(
    ("size", "max_side_px", "expected"),
    [
        ((4000, 1000), 1600, (400, 1600, 3)),
        ((1600, 1200), 1600, (1200, 1600, 3)),
        ((1000, 2000), 500, (500, 250, 3)),
        ((64, 32), 1600, (MIN_SIDE_PX // 2, MIN_SIDE_PX, 3)),
        ((64, 32), 100, (50, 100, 3)),
    ],
)
def test_draw_reading_size(size, max_side_px, expected):
    assert draw_reading(blank(*size), reading(size=size), max_side_px).shape == expected


def test_draw_reading_rejected_is_dashed_and_without_label():
    drawn = draw_reading(blank(), reading(rejected=[Rejected(Box(300, 200, 200, 100), Reason.RULED_LINE)]))
    changed = (drawn != GREY).any(axis=-1)
    assert has_color(drawn, REJECTED_COLOR)
    top = changed[198:202, 300:500].any(axis=0)
    assert 0.3 < top.mean() < 0.7
    rows, columns = np.nonzero(changed)
    assert (rows.min(), columns.min()) >= (196, 296) and rows.max() <= 303 and columns.max() <= 503


@pytest.mark.parametrize(
    "box", [(0, 0, 40, 60), (760, 0, 40, 60), (0, 540, 40, 60), (760, 540, 40, 60), (0, 0, 800, 600), (400, 0, 3, 600)]
)
def test_draw_reading_label_stays_inside(box):
    """The label's area is the same wherever the box stands: nothing of it is cut off."""
    inside = draw_reading(blank(), reading([digit((300, 200, 40, 60))]))
    drawn = draw_reading(blank(), reading([digit(box)]))
    assert drawn.shape == inside.shape
    # White text of the label is whole if as many pixels of it are there as in the middle of the picture.
    rim = 2 * (box[2] + box[3]) * 4
    assert has_color(drawn, SURE_COLOR)
    assert (drawn == 255).all(axis=-1).sum() >= 0.5 * (inside == 255).all(axis=-1).sum() - rim


def test_draw_reading_labels_cover_no_other_box():
    boxes = [(60 + i * 70, 300, 50, 80) for i in range(10)]
    drawn = draw_reading(blank(), reading([digit(box) for box in boxes]))
    for x, y, w, h in boxes:
        assert (drawn[y + 3 : y + h - 3, x + 3 : x + w - 3] == GREY).all()


def test_draw_reading_many_digits_in_two_lines():
    boxes = [(60 + i * 70, 100 + 200 * line, 50, 80) for line in range(2) for i in range(10)]
    lines = [digit(box, value=i % 10, line=i // 10) for i, box in enumerate(boxes)]
    assert has_color(draw_reading(blank(), reading(lines)), SURE_COLOR)
