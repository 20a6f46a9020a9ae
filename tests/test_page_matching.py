import numpy as np
import pytest

from digitcore.training.page_matching import NO_DIGIT, match_finds
from tests.drawn_pages import draw_page

LAYOUT = ((7, (8, 10, 20, 34)), (0, (50, 12, 26, 30)))


def _match(boxes, scores=None, ignored=()):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    scores = np.linspace(0.9, 0.5, len(boxes), dtype=np.float32) if scores is None else np.array(scores, np.float32)
    return match_finds(boxes, scores, draw_page(LAYOUT, ignored=ignored))


def test_match_finds_without_finds():
    matches = _match([])
    assert matches.digits.shape == matches.is_excused.shape == matches.is_false.shape == (0,)


def test_match_finds_gives_each_digit_to_the_likeliest():
    near, exact = (9, 11, 20, 34), (8, 10, 20, 34)
    matches = _match([exact, near, (50, 12, 26, 30)], scores=[0.6, 0.8, 0.3])
    assert matches.digits.tolist() == [NO_DIGIT, 0, 1]
    assert matches.is_false.tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("box", "is_excused"),
    [
        ((12, 60, 10, 20), True),
        ((0, 62, 20, 20), True),
        ((30, 50, 40, 40), False),
        # Around the ignored middle of a digit that is too large, and a large find that only has it in a corner.
        ((0, 46, 45, 50), True),
        ((5, 55, 80, 40), False),
    ],
    ids=["within", "half within", "beside", "around", "in a corner"],
)
def test_match_finds_excuses(box, is_excused):
    matches = _match([box], ignored=[(10, 60, 20, 22)])
    assert matches.is_excused.tolist() == [is_excused]
    assert matches.is_false.tolist() == [not is_excused]


def test_match_finds_does_not_excuse_what_is_right():
    matches = _match([(8, 10, 20, 34)], ignored=[(0, 0, 96, 96)])
    assert matches.digits.tolist() == [0] and not matches.is_excused.any()


def test_find_right():
    matches = _match([(8, 10, 20, 34), (50, 12, 26, 30), (70, 70, 20, 20)])
    right = matches.find_right(np.array([7, 6, 7]), draw_page(LAYOUT))
    assert right.tolist() == [True, False, False]
