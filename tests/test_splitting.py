import itertools
import math

import cv2
import numpy as np
import pytest

from digitcore.results import Box, Candidate
from digitcore.splitting import MIN_CONFIDENCE, Segment, choose_segments, propose_segments


def _candidate(ink: np.ndarray, box: Box | None = None) -> Candidate:
    return Candidate(box or Box(10, 20, ink.shape[1], ink.shape[0]), ink)


def _touching_rings(slant: int = 0) -> np.ndarray:
    """Two rings of 80×120, a hair apart and joined by a drop of ink, the gap between them leaning by `slant` px."""
    canvas = np.zeros((140, 200), np.uint8)
    for x in (50, 142):
        cv2.ellipse(canvas, (x, 70), (40, 60), 0, 0, 360, 255, 8, cv2.LINE_AA)
    cv2.circle(canvas, (96, 70), 4, 255, -1)
    shear = np.array([[1, slant / 140, -slant / 2 + 20], [0, 1, 0]], np.float32)
    ink = cv2.warpAffine(canvas, shear, (240, 140))
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def test_propose_segments_leaves_narrow_ink_alone():
    candidate = _candidate(np.full((100, 40), 255, np.uint8))
    (segment,) = propose_segments(candidate)
    assert segment.candidate is candidate and (segment.start, segment.end, segment.cost) == (0, 1, 0.0)


@pytest.mark.parametrize("slant", [0, 30, -30])
def test_propose_segments_parts_digits_where_they_touch(slant):
    ink = _touching_rings(slant)
    segments = propose_segments(_candidate(ink))
    last = max(segment.end for segment in segments)
    assert (segments[0].start, segments[0].end) == (0, last), "the uncut candidate comes first"
    # Believe only segments of a ring's shape: the choice must then be the two rings.
    confidences = [1.0 if 0.65 < s.candidate.box.w / s.candidate.box.h < 0.77 else 0.01 for s in segments]
    chosen = [segments[i] for i in choose_segments(segments, confidences)]
    assert len(chosen) == 2
    left, right = (segment.candidate.ink for segment in chosen)
    # Each has its own ring: half of the ink, none of it twice, and (nearly) none lost.
    whole = float((ink >= 128).sum())
    parts = [(part >= 128).sum() / whole for part in (left, right)]
    assert all(abs(part - 0.5) < 0.05 for part in parts) and sum(parts) == pytest.approx(1.0, abs=0.02)


def test_propose_segments_maps_boxes_to_the_picture():
    # The candidate was found at half scale: its box is twice its ink's size.
    ink = _touching_rings()
    height, width = ink.shape
    for segment in propose_segments(_candidate(ink, Box(100, 50, 2 * width, 2 * height))):
        box = segment.candidate.box
        assert abs(box.w - 2 * segment.candidate.ink.shape[1]) <= 2
        assert abs(box.h - 2 * segment.candidate.ink.shape[0]) <= 2
        assert 100 <= box.x and box.x + box.w <= 100 + 2 * width + 1


def _brute_force(segments: list[Segment], confidences: list[float]) -> float:
    """The cheapest chain of segments, by trying all subsets."""
    last = max(segment.end for segment in segments)
    cheapest = math.inf
    for n in range(1, last + 1):
        for chain in itertools.permutations(range(len(segments)), n):
            ends = [0] + [segments[i].end for i in chain]
            if ends[-1] == last and all(segments[i].start == end for i, end in zip(chain, ends, strict=False)):
                cost = sum(segments[i].cost - math.log(max(confidences[i], MIN_CONFIDENCE)) for i in chain)
                cheapest = min(cheapest, cost)
    return cheapest


@pytest.mark.parametrize("seed", range(5))
def test_choose_segments_finds_the_cheapest_chain(seed):
    rng = np.random.default_rng(seed)
    blank = _candidate(np.full((4, 4), 255, np.uint8))
    spans = [(start, end) for start in range(4) for end in range(start + 1, 5)]
    # One span is missing, as where there is hardly any ink between two seams.
    del spans[int(rng.integers(1, len(spans) - 1))]
    segments = [Segment(start, end, blank, float(rng.uniform(0, 3))) for start, end in spans]
    confidences = rng.uniform(0, 1, len(segments)).tolist()
    chosen = choose_segments(segments, confidences)
    cost = sum(segments[i].cost - math.log(max(confidences[i], MIN_CONFIDENCE)) for i in chosen)
    assert cost == pytest.approx(_brute_force(segments, confidences))
    assert segments[chosen[0]].start == 0 and segments[chosen[-1]].end == 4
    assert all(segments[a].end == segments[b].start for a, b in itertools.pairwise(chosen))


def test_choose_segments_keeps_a_sure_single():
    segments = propose_segments(_candidate(_touching_rings()))
    sure_of_the_whole = [0.99] + [0.3] * (len(segments) - 1)
    # Sure or not, two digits side by side are too wide for one: the costs speak as well as the confidences.
    narrow = [Segment(s.start, s.end, s.candidate, 0.0) for s in segments]
    assert choose_segments(narrow, sure_of_the_whole) == [0]
