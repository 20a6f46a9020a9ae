"""Photos through a planted page network: what it sees comes out where it is, and the rest has names."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from digitcore.detector import InkKind
from digitcore.finding import MIN_DIGIT_RATIO, find_in_photo
from digitcore.results import Box, Reason
from tests.planted_detector import BARS, PlantedDetector, draw_bars, draw_paper


def test_find_in_photo_gives_each_digit_its_box_crop_and_opinion():
    finding = find_in_photo(draw_bars(draw_paper()), PlantedDetector())
    assert sorted(c.box for c in finding.candidates) == sorted(Box(x, y, 8, 60) for x, y in BARS)
    for candidate in finding.candidates:
        assert (candidate.probs[:, 1] == 1.0).all() and candidate.scores == pytest.approx([0.9, 0.9])
    assert all((c.ink > 200).mean() > 0.2 for c in finding.candidates)
    assert finding.rotation == 0 and finding.rejected == ()
    assert finding.heatmap.shape == (300, 400)


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
