"""Which way up: pages through planted networks that know which way up a mark stands, or do not."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from benchmarks.photo_causes import intersection_over_union
from digitcore.detection import PlaceOpinions
from digitcore.detector import InkKind
from digitcore.finding import find_in_photo
from digitcore.orientation import MIN_TILT, Pose, detect_upright, turn_box
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


def turn(picture: np.ndarray, rotation: int) -> np.ndarray:
    return Pose(picture.shape, rotation).turn(picture)


class LeaningDetector(PlantedDetector):
    """Its second stage is the surer of a bar the less it leans."""

    def __init__(self, best: float = 0.97, loss_per_degree: float = 0.012, **options) -> None:
        super().__init__(**options)
        self.best, self.loss_per_degree = best, loss_per_degree
        self.configs = []

    def detect(self, grey, config=None):
        self.configs.append((config or self.config, max(grey.shape)))
        return super().detect(grey, config)

    def look_closer(self, grey, found, rotation=0):
        leans = np.array([measure_lean(grey, box) for box in found.boxes])
        # Upside down a bar is a bar.
        away = np.abs((leans + rotation + 90) % 180 - 90)
        scores = np.clip(self.best - self.loss_per_degree * away, 0.01, 1).astype(np.float32)
        return PlaceOpinions(np.column_stack([found.scores, scores]), np.repeat(found.probs[:, None], 2, axis=1))


def measure_lean(grey: np.ndarray, box: np.ndarray) -> float:
    """Degrees clockwise from upright of the longest axis of what is dark in a box."""
    x, y, w, h = box.astype(int)
    ys, xs = np.nonzero(grey[y : y + h, x : x + w] < 100)
    (_, _), vectors = np.linalg.eigh(np.cov(xs, ys))
    dx, dy = vectors[:, 1]
    return float(np.degrees(np.arctan2(-dx * np.sign(dy), abs(dy))))


def tilt_clockwise(picture: np.ndarray, degrees: float) -> np.ndarray:
    height, width = picture.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -degrees, 1.0)
    return cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_turn_box_and_put_back_go_where_the_pixels_go(rotation):
    mask = np.zeros((30, 50), np.uint8)
    box = Box(7, 4, 10, 3)
    mask[box.y : box.y + box.h, box.x : box.x + box.w] = 1
    pose = Pose(mask.shape, rotation)
    turned = pose.turn(mask)
    assert turn_box(box, rotation, mask.shape) == Box(*cv2.boundingRect(turned))
    assert pose.put_back(cv2.boundingRect(turned)) == box


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("tilt", [-20.0, -9.0, 13.0])
def test_put_back_finds_what_was_straightened(rotation, tilt):
    picture = np.zeros((300, 400), np.uint8)
    cv2.ellipse(picture, (130, 90), (16, 40), 0, 0, 360, 255, -1)
    pose = Pose(picture.shape, rotation, tilt)
    turned = pose.turn(picture)
    assert min(turned.shape) > 300  # Nothing is cut off.
    x, y, w, h = pose.put_back(cv2.boundingRect((turned > 127).astype(np.uint8)))
    assert (x + w / 2, y + h / 2) == pytest.approx((130.5, 90.5), abs=1.5)
    # The box of a box is wider than that of what is in it, by less than a fifth each way.
    assert 30 <= w <= 1.5 * 33 and 70 <= h <= 1.2 * 81


def test_put_back_of_what_reaches_beyond_the_border_lies_within():
    pose = Pose((100, 200), 0, 15.0)
    height, width = pose.turn(np.zeros((100, 200), np.uint8)).shape
    for corner in ((-30, -30), (width, -5), (width + 9, height + 9), (0, height)):
        x, y, w, h = pose.put_back((*corner, 20, 20))
        assert x >= 0 and y >= 0 and w >= 1 and h >= 1 and x + w <= 200 and y + h <= 100


@pytest.mark.parametrize("degrees", [-18, -12, 12, 18])
def test_detect_upright_straightens_a_tilted_page(degrees):
    tilted = tilt_clockwise(draw_bars(draw_paper())[..., 0].copy(), degrees)
    truth = PlantedDetector().detect(tilted).boxes
    sighting = detect_upright(tilted, LeaningDetector())
    assert sighting.pose.rotation == 0 and sighting.pose.tilt == pytest.approx(-degrees, abs=8)
    assert len(sighting.detections.boxes) == 4 and sighting.sureness.min() > 0.85
    placed = [sighting.pose.put_back(tuple(box)) for box in sighting.detections.boxes]
    for box in (Box(*map(int, box)) for box in truth):
        assert max(intersection_over_union(box, other) for other in placed) > 0.5


@pytest.mark.parametrize("degrees", [-15, 15])
def test_finds_of_a_straightened_page_lie_where_they_were_seen_before(degrees):
    tilted = tilt_clockwise(draw_bars(draw_paper())[..., 0].copy(), degrees)
    detector = LeaningDetector()
    truth = {Box(*map(int, box)) for box in detector.detect(tilted).boxes}
    sighting = detect_upright(tilted, detector)
    assert sighting.pose.tilt and set(sighting.locate_finds()) == truth
    candidates = find_in_photo(cv2.cvtColor(tilted, cv2.COLOR_GRAY2RGB), detector).candidates
    assert {candidate.box for candidate in candidates} == truth
    # Each by itself: the order of the finds, which is by score, may be another.
    for place, box in zip(sighting.locate_finds(), sighting.detections.boxes, strict=True):
        assert intersection_over_union(place, sighting.pose.put_back(tuple(box))) > 0.5


def test_a_find_that_was_not_seen_before_lies_where_its_box_is_put_back():
    tilted = tilt_clockwise(draw_bars(draw_paper())[..., 0].copy(), 15)
    sighting = detect_upright(tilted, LeaningDetector())
    wide = replace(sighting.before, boxes=sighting.before.boxes * np.array([1, 1, 2, 1], np.float32))  # Two in one.
    for before in (sighting.before.pick_first(0), wide):
        others = replace(sighting, before=before)
        assert others.locate_finds() == [sighting.pose.put_back(tuple(box)) for box in sighting.detections.boxes]


def test_detect_upright_looks_at_a_straightened_page_as_large_as_before():
    detector = LeaningDetector()
    sighting = detect_upright(tilt_clockwise(draw_bars(draw_paper())[..., 0].copy(), 15), detector)
    (before, longest), *_, (after, longest_straight) = detector.configs
    growth = longest_straight / longest
    assert growth == pytest.approx(sighting.pose.growth) and growth > 1.1
    assert after.level_sides_px == pytest.approx([growth * side for side in before.level_sides_px], abs=1)


@pytest.mark.parametrize(
    ("degrees", "detector", "places"),
    [
        (0, LeaningDetector(), BARS),  # It stands upright,
        (3, LeaningDetector(), BARS),  # or nearly so.
        (15, LeaningDetector(best=1.0, loss_per_degree=0.001), BARS),  # It is read as it is.
        (15, LeaningDetector(best=0.6), BARS),  # Nothing is likely a digit.
        (15, LeaningDetector(), BARS[:2]),  # There are two digits.
    ],
)
def test_detect_upright_leaves_other_pages_their_tilt(degrees, detector, places):
    page = tilt_clockwise(draw_bars(draw_paper(), places)[..., 0].copy(), degrees)
    sighting = detect_upright(page, detector)
    assert (sighting.pose.rotation, sighting.pose.tilt) == (0, 0.0)
    assert MIN_TILT > 3


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_detect_upright_turns_a_page_whichever_way_it_lies(rotation):
    upright = draw_flags()
    sighting = detect_upright(turn(upright, -rotation % 360), FlagDetector())
    assert (sighting.pose.rotation, sighting.pose.tilt) == (rotation, 0.0)
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
    assert detect_upright(lying, FlagDetector(upright, on_its_head)).pose.rotation == 0


@pytest.mark.parametrize(("n_digits", "rotation"), [(3, 0), (4, 180)])
def test_detect_upright_asks_more_of_three_digits(n_digits, rotation):
    lying = turn(draw_flags(BARS[:n_digits]), 180)
    assert detect_upright(lying, FlagDetector(0.85, 0.3)).pose.rotation == rotation


def test_detect_upright_leaves_digits_among_words():
    lying = turn(draw_flags(), 180)
    kinds = np.full(lying.shape, InkKind.LETTERS, np.uint8)
    kinds[:40] = InkKind.DIGIT  # A sixth of the writing.
    detector = FlagDetector(kinds=kinds)
    assert detect_upright(lying, detector).pose.rotation == 0
    assert detector.n_calls == 5  # All ways up were tried.


def test_detect_upright_looks_once_where_all_is_read():
    kinds = np.zeros((300, 400), np.uint8)
    kinds[60:120, 40:300] = InkKind.DIGIT
    detector = FlagDetector(kinds=kinds)
    assert detect_upright(draw_flags(), detector).pose.rotation == 0
    assert (detector.n_calls, detector.n_turned_looks) == (1, 1)


def test_detect_upright_asks_no_further_about_two_finds():
    detector = FlagDetector()
    assert detect_upright(turn(draw_flags(BARS[:2]), 180), detector).pose.rotation == 0
    assert detector.n_turned_looks == 0


def test_detect_upright_of_nothing_is_upright():
    sighting = detect_upright(draw_paper()[..., 0], FlagDetector())
    assert sighting.pose.rotation == 0 and sighting.sureness.shape == (0,)


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
