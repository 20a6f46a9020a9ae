"""Which way up: pages through planted networks that know which way up a mark stands, or do not."""

import cv2
import numpy as np
import pytest

from digitcore.detection import PlaceOpinions
from digitcore.detector import InkKind
from digitcore.finding import find_in_photo
from digitcore.orientation import detect_upright, turn, turn_box, turn_box_back
from digitcore.results import Box, Reason
from tests.planted_detector import BARS, PlantedDetector, draw_bars, draw_paper

FLAG_WH = (18, 14)


class FlagDetector(PlantedDetector):
    """Its second stage knows that a bar's flag belongs at the top; the first stage finds bars either way."""

    def __init__(self, upright: float = 0.95, on_its_head: float = 0.7, **options) -> None:
        super().__init__(**options)
        self.sureness = {True: upright, False: on_its_head}
        self.n_turned_looks = 0

    def look_closer(self, grey, found, rotation=0):
        self.n_turned_looks += rotation == 180
        scores = [self.sureness[is_flag_on_top(grey, box) == (rotation == 0)] for box in found.boxes]
        probs = np.repeat(found.probs[:, None], 2, axis=1)
        return PlaceOpinions(np.column_stack([found.scores, np.array(scores, np.float32)]), probs)


def is_flag_on_top(grey: np.ndarray, box: np.ndarray) -> bool:
    x, y, w, h = box.astype(int)
    dark = grey[y : y + h, x : x + w] < 100
    return bool(dark[: h // 2].sum() > dark[h // 2 :].sum())


def draw_flags(places=BARS) -> np.ndarray:
    """Bars with a flag at the top on paper, (300, 400) grey."""
    picture = draw_bars(draw_paper(), places)
    for x, y in places:
        cv2.rectangle(picture, (x, y), (x + FLAG_WH[0] - 1, y + FLAG_WH[1] - 1), (20, 20, 20), -1)
    return picture[..., 0].copy()


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_turn_box_goes_where_the_pixels_go(rotation):
    mask = np.zeros((30, 50), np.uint8)
    box = Box(7, 4, 10, 3)
    mask[box.y : box.y + box.h, box.x : box.x + box.w] = 1
    turned = turn(mask, rotation)
    assert turn_box(box, rotation, mask.shape) == Box(*cv2.boundingRect(turned))
    assert turn_box_back(Box(*cv2.boundingRect(turned)), rotation, turned.shape) == box


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_detect_upright_turns_a_page_whichever_way_it_lies(rotation):
    upright = draw_flags()
    sighting = detect_upright(turn(upright, -rotation % 360), FlagDetector())
    assert sighting.rotation == rotation
    # Boxes and opinions are those of the page as it is read.
    assert sorted(map(tuple, sighting.detections.boxes.tolist())) == [(x, y, FLAG_WH[0], 60) for x, y in sorted(BARS)]
    assert sighting.opinions.scores[:, 1] == pytest.approx([0.95] * 4)
    assert sighting.sureness == pytest.approx([0.95] * 4)


@pytest.mark.parametrize(
    ("upright", "on_its_head"),
    [
        (0.9, 0.9),  # Noughts and ones look the same either way: no reason to turn.
        (0.95, 0.94),  # Hardly more to read.
        (0.6, 0.3),  # Words on their heads have a few that look like digits, none surely.
    ],
)
def test_detect_upright_leaves_a_page_unless_it_is_sure(upright, on_its_head):
    lying = turn(draw_flags(), 180)
    assert detect_upright(lying, FlagDetector(upright, on_its_head)).rotation == 0


def test_detect_upright_leaves_digits_among_words():
    lying = turn(draw_flags(), 180)
    kinds = np.full(lying.shape, InkKind.LETTERS, np.uint8)
    kinds[:40] = InkKind.DIGIT  # A sixth of the writing.
    detector = FlagDetector(kinds=kinds)
    assert detect_upright(lying, detector).rotation == 0
    assert detector.n_calls == 5  # All ways up were tried.


def test_detect_upright_looks_once_where_all_is_read():
    kinds = np.zeros((300, 400), np.uint8)
    kinds[60:120, 40:300] = InkKind.DIGIT
    detector = FlagDetector(kinds=kinds)
    assert detect_upright(draw_flags(), detector).rotation == 0
    assert (detector.n_calls, detector.n_turned_looks) == (1, 1)


def test_detect_upright_asks_no_further_about_two_finds():
    detector = FlagDetector()
    assert detect_upright(turn(draw_flags(BARS[:2]), 180), detector).rotation == 0
    assert detector.n_turned_looks == 0


def test_detect_upright_of_nothing_is_upright():
    sighting = detect_upright(draw_paper()[..., 0], FlagDetector())
    assert sighting.rotation == 0 and sighting.sureness.shape == (0,)


@pytest.mark.parametrize("rotation", [90, 270])
def test_find_in_photo_turns_a_page_that_lies_on_its_side(rotation):
    lying = np.ascontiguousarray(np.rot90(draw_bars(draw_paper()), rotation // 90))
    finding = find_in_photo(lying, PlantedDetector())
    # A bar upside down is still a bar: both quarter turns do.
    assert finding.rotation in (90, 270)
    assert len(finding.candidates) == 4
    for candidate in finding.candidates:
        x, y, w, h = candidate.box
        assert (w, h) == (60, 8)
        assert (lying[y : y + h, x : x + w] < 100).all()


def test_find_in_photo_leaves_fewer_than_three_digits_as_they_lie():
    lying = np.ascontiguousarray(np.rot90(draw_bars(draw_paper(), BARS[:2])))
    finding = find_in_photo(lying, PlantedDetector())
    assert finding.rotation == 0 and finding.candidates == ()
    assert {each.reason for each in finding.rejected} == {Reason.SCRIBBLE}
