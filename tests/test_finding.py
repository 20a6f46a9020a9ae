"""Photos through a planted page network: what it sees comes out where it is and upright, and the rest has names."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from digitcore.detection import Detections, repeat_opinion
from digitcore.detector import InkKind
from digitcore.finding import MIN_DIGIT_RATIO, find_in_photo, turn_box, turn_box_back
from digitcore.merging import DetectionConfig
from digitcore.results import Box, Reason


def draw_paper(width=400, height=300) -> np.ndarray:
    return np.full((height, width, 3), 230, np.uint8)


class PlantedDetector:
    """Finds dark upright bars wherever they stand, as a network that knows but ones would."""

    config = DetectionConfig()

    def __init__(self, kinds: np.ndarray | None = None, score: float = 0.9) -> None:
        self.kinds, self.score = kinds, score
        self.n_calls = 0

    def detect(self, grey: np.ndarray, config: DetectionConfig | None = None) -> Detections:
        self.n_calls += 1
        dark = (grey < 100).astype(np.uint8)
        stats = cv2.connectedComponentsWithStats(dark)[2][1:]
        upright = stats[stats[:, 3] > 2 * stats[:, 2]]
        kinds = dark * np.uint8(InkKind.SCRIBBLE) if self.kinds is None else self.kinds
        if self.kinds is None:
            for x, y, w, h in upright[:, :4]:
                kinds[y : y + h, x : x + w] = InkKind.DIGIT
        probs = np.zeros((len(upright), 10), np.float32)
        probs[:, 1] = 1.0
        contrast = 255 - grey
        scores = np.full(len(upright), self.score, np.float32)
        return Detections(upright[:, :4].astype(np.float32), scores, probs, contrast, contrast, kinds)

    def look_closer(self, grey, found):
        return repeat_opinion(found)


BARS = [(40, 60), (120, 60), (200, 62), (280, 58)]


def draw_bars(picture: np.ndarray, places=BARS, wh=(8, 60)) -> np.ndarray:
    for x, y in places:
        cv2.rectangle(picture, (x, y), (x + wh[0] - 1, y + wh[1] - 1), (20, 20, 20), -1)
    return picture


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_turn_box_goes_where_the_pixels_go(rotation):
    mask = np.zeros((30, 50), np.uint8)
    box = Box(7, 4, 10, 3)
    mask[box.y : box.y + box.h, box.x : box.x + box.w] = 1
    turned = np.ascontiguousarray(np.rot90(mask, -rotation // 90))
    assert turn_box(box, rotation, mask.shape) == Box(*cv2.boundingRect(turned))
    assert turn_box_back(Box(*cv2.boundingRect(turned)), rotation, turned.shape) == box


def test_find_in_photo_gives_each_digit_its_box_crop_and_opinion():
    finding = find_in_photo(draw_bars(draw_paper()), PlantedDetector())
    assert sorted(c.box for c in finding.candidates) == sorted(Box(x, y, 8, 60) for x, y in BARS)
    for candidate in finding.candidates:
        assert (candidate.probs[:, 1] == 1.0).all() and candidate.scores == pytest.approx([0.9, 0.9])
    assert all((c.ink > 200).mean() > 0.2 for c in finding.candidates)
    assert finding.rotation == 0 and finding.rejected == ()
    assert finding.heatmap.shape == (300, 400)


@pytest.mark.parametrize("rotation", [90, 270])
def test_find_in_photo_turns_a_page_that_lies_on_its_side(rotation):
    upright = draw_bars(draw_paper())
    lying = np.ascontiguousarray(np.rot90(upright, rotation // 90))
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


def test_find_in_photo_looks_once_where_all_is_read():
    kinds = np.zeros((300, 400), np.uint8)
    kinds[60:120, 40:300] = InkKind.DIGIT
    detector = PlantedDetector(kinds)
    find_in_photo(draw_bars(draw_paper()), detector)
    assert detector.n_calls == 1


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (InkKind.LETTERS, Reason.LETTERS),
        (InkKind.PRINT, Reason.PRINT),
        (InkKind.RULE, Reason.RULED_LINE),
        (InkKind.SCRIBBLE, Reason.SCRIBBLE),
    ],
)
def test_find_in_photo_names_other_ink_as_one_mark(kind, reason):
    kinds = np.zeros((300, 400), np.uint8)
    for x in range(100, 160, 6):  # Letters of one word.
        kinds[200:220, x : x + 4] = kind
    kinds[20:22, 20:22] = kind  # A speck.
    finding = find_in_photo(draw_paper(), PlantedDetector(kinds))
    assert [each.reason for each in finding.rejected] == [reason]
    x, y, w, h = finding.rejected[0].box
    assert (x, y, w, h) == (100, 200, 58, 20)


@pytest.mark.parametrize(("n_rules", "n_named"), [(2, 2), (3, 3), (4, 1), (8, 1)])
def test_find_in_photo_names_many_rules_as_ruled_paper(n_rules, n_named):
    kinds = np.zeros((300, 400), np.uint8)
    for index in range(n_rules):
        kinds[40 + 30 * index : 42 + 30 * index, 20:380] = InkKind.RULE
    kinds[270:290, 100:140] = InkKind.SCRIBBLE
    rejected = find_in_photo(draw_paper(), PlantedDetector(kinds)).rejected
    rules = [each.box for each in rejected if each.reason is Reason.RULED_LINE]
    assert len(rules) == n_named and len(rejected) == n_named + 1
    assert min(box.y for box in rules) == 40
    assert max(box.y + box.h for box in rules) == 42 + 30 * (n_rules - 1)
    assert {box.x for box in rules} == {20} and {box.w for box in rules} == {360}


@pytest.mark.parametrize(
    ("where", "level", "reason"),
    [
        (np.s_[100:140, 100:120], 200, Reason.UNCLEAR),
        (np.s_[100:140, 0:20], 200, Reason.EDGE),
        (np.s_[100:104, 100:104], 200, Reason.TOO_SMALL),
        (np.s_[100:140, 100:120], 10, Reason.TOO_FAINT),
    ],
)
def test_find_in_photo_says_why_a_digits_ink_is_not_read(where, level, reason):
    kinds = np.zeros((300, 400), np.uint8)
    kinds[where] = InkKind.DIGIT
    picture = np.full((300, 400, 3), 255, np.uint8)
    picture[where] = 255 - level
    detector = PlantedDetector(kinds)
    whole = detector.detect(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))
    nothing = replace(whole, boxes=whole.boxes[:0], scores=whole.scores[:0], probs=whole.probs[:0])
    detector.detect = lambda grey, config=None: nothing
    assert [each.reason for each in find_in_photo(picture, detector).rejected] == [reason]


def test_find_in_photo_returns_what_is_found_but_too_small():
    size = 2000
    picture = draw_bars(draw_paper(size, 1500), [(500, 500)], (4, int(MIN_DIGIT_RATIO * size) - 2))
    kinds = np.zeros((1500, size), np.uint8)
    finding = find_in_photo(picture, PlantedDetector(kinds))
    assert finding.candidates == ()
    assert [each.reason for each in finding.rejected] == [Reason.TOO_SMALL]


def test_find_in_photo_of_nothing_is_nothing():
    finding = find_in_photo(draw_paper(), PlantedDetector())
    assert (finding.candidates, finding.rejected, finding.rotation) == ((), (), 0)
