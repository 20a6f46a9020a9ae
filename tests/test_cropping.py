import cv2
import numpy as np
import pytest

from digitcore.cropping import WORK_SIDE_PX, cut_digit
from digitcore.errors import ImageError

BOX = (60, 40, 50, 80)


def draw_seven(paper: float, ink: float, slope: float = 0.0) -> np.ndarray:
    """A 7 that fills BOX, on paper that gets brighter to the right."""
    picture = np.full((160, 200), paper, np.float32) + slope * np.arange(200, dtype=np.float32)[None]
    mask = np.zeros((160, 200), np.uint8)
    cv2.polylines(mask, [np.array([[63, 43], [107, 43], [80, 117]])], False, 255, 6, cv2.LINE_AA)
    return np.clip(picture + (ink - paper) * (mask.astype(np.float32) / 255), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("paper", "ink", "slope"), [(250, 20, 0.0), (90, 70, 0.0), (10, 240, 0.0), (60, 20, 0.7), (120, 200, 0.3)]
)
def test_cut_digit_gives_the_same_ink_on_any_paper(paper, ink, slope):
    plain = cut_digit(draw_seven(250, 20), BOX)
    other = cut_digit(draw_seven(paper, ink, slope), BOX)
    assert other.shape == plain.shape
    agreement = ((other > 127) == (plain > 127)).mean()
    assert agreement > 0.97
    assert 0.08 < (other > 127).mean() < 0.4


def test_cut_digit_works_at_one_size():
    picture = draw_seven(250, 20)
    double = cv2.resize(picture, None, fx=2, fy=2)
    small, large = cut_digit(picture, BOX), cut_digit(double, tuple(2 * v for v in BOX))
    assert abs(small.shape[0] - WORK_SIDE_PX) <= 3
    assert abs(small.shape[0] - large.shape[0]) <= 1


def test_cut_digit_thickens_a_hair_line():
    picture = np.full((200, 200), 255, np.uint8)
    cv2.line(picture, (100, 20), (100, 180), 0, 1)
    ink = cut_digit(picture, (95, 20, 10, 160)) > 127
    widths = ink.sum(axis=1)
    assert np.median(widths[widths > 0]) >= 3  # A third of a pixel at that size.


def test_cut_digit_of_even_paper_is_empty():
    assert not cut_digit(np.full((100, 100), 180, np.uint8), (20, 20, 30, 40)).any()


def test_cut_digit_may_reach_beyond_the_picture():
    assert cut_digit(draw_seven(250, 20), (60, 40, 150, 150)).size


@pytest.mark.parametrize("box", [(10, 10, 0, 5), (300, 10, 5, 5), (-20, 0, 10, 10)])
def test_cut_digit_refuses_a_box_outside(box):
    with pytest.raises(ImageError, match="outside the picture of 200 by 160"):
        cut_digit(draw_seven(250, 20), box)


def test_cut_digit_refuses_colour():
    with pytest.raises(ImageError, match="2-D uint8"):
        cut_digit(np.zeros((10, 10, 3), np.uint8), (1, 1, 5, 5))
