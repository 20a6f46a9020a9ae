import numpy as np
import pytest

from digitcore.errors import ConfigError
from digitcore.merging import DetectionConfig, Finds, intersect_boxes, merge_finds


def _random_finds(rng, n):
    boxes = np.hstack([rng.uniform(0, 60, (n, 2)), rng.uniform(3, 40, (n, 2))]).astype(np.float32)
    probs = rng.dirichlet(np.ones(10), n).astype(np.float32)
    return Finds(boxes, rng.permutation(np.linspace(0.3, 1, n)).astype(np.float32), probs)


def _intersect(a, b):
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(w, 0) * max(h, 0)


def _overlap(a, b, slim_aspect):
    """Intersection over union; two slim boxes are widened first."""
    if all(box[2] < slim_aspect * box[3] for box in (a, b)):
        a, b = ((x + w / 2 - slim_aspect * h / 2, y, slim_aspect * h, h) for x, y, w, h in (a, b))
    shared = _intersect(a, b)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def _merge_naively(levels, config):
    """The rule in plain Python, one find at a time."""
    left = [find for level in levels for find in zip(level.boxes.tolist(), level.scores, level.probs, strict=True)]
    left.sort(key=lambda find: -find[1])
    merged = []
    while left:
        leader, *others = left
        box = leader[0]
        area = box[2] * box[3]
        group, left = [leader], []
        for other in others:
            shared, other_area = _intersect(box, other[0]), other[0][2] * other[0][3]
            is_around = shared > config.max_contained * area and area > 0
            grows = [theirs / ours for ours, theirs in zip(box[2:], other[0][2:], strict=True)]
            is_coarse = is_around and min(grows) > 1 and max(other[0][2:]) <= config.max_whole_ratio * max(box[2:])
            if _overlap(box, other[0], config.slim_aspect) > config.max_overlap or is_coarse:
                group.append(other)
            elif not (
                shared > config.max_contained * other_area and max(other[0][2:]) <= config.max_part_ratio * max(box[2:])
            ):
                left.append(other)
        weights = np.array([find[1] for find in group])
        probs = (weights[:, None] * np.array([find[2] for find in group])).sum(axis=0) / weights.sum()
        merged.append((box, leader[1], probs))
    return merged


@pytest.mark.parametrize("seed", range(8))
def test_merge_equals_the_rule_in_plain_python(seed):
    rng = np.random.default_rng(seed)
    levels = [_random_finds(rng, n) for n in (0, 12, 60)]
    config = DetectionConfig(max_overlap=0.3 + 0.05 * seed)
    ours, naive = merge_finds(levels, config), _merge_naively(levels, config)
    np.testing.assert_allclose(ours.boxes, [box for box, _, _ in naive])
    np.testing.assert_allclose(ours.scores, [score for _, score, _ in naive])
    np.testing.assert_allclose(ours.probs, [probs for _, _, probs in naive], atol=1e-5)
    assert len(ours) < 72


@pytest.mark.parametrize("levels", [[], [_random_finds(np.random.default_rng(0), 0)] * 2])
def test_merging_nothing(levels):
    merged = merge_finds(levels)
    assert (merged.boxes.shape, merged.scores.shape, merged.probs.shape) == ((0, 4), (0,), (0, 10))


def _finds(*rows):
    """(box, score, digit) each."""
    boxes = np.array([row[0] for row in rows], np.float32).reshape(-1, 4)
    probs = np.eye(10, dtype=np.float32)[[row[2] for row in rows]].reshape(-1, 10)
    return Finds(boxes, np.array([row[1] for row in rows], np.float32), probs)


def test_levels_that_agree_on_the_place_share_their_opinion():
    merged = merge_finds([_finds(((10, 10, 20, 30), 0.9, 4)), _finds(((11, 10, 20, 30), 0.3, 9))])
    assert len(merged) == 1
    np.testing.assert_allclose(merged.boxes, [(10, 10, 20, 30)])
    assert merged.probs[0, 4] == pytest.approx(0.75) and merged.probs[0, 9] == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("second", "n"),
    [
        (((20, 12, 12, 14), 0.8, 0), 1),  # An 8's upper loop.
        (((20, 12, 12, 14), 0.99, 0), 2),  # Likelier than the whole: not a part to be dropped.
        (((34, 10, 20, 40), 0.8, 1), 2),  # A neighbour that touches.
        (((14, 10, 6, 40), 0.8, 1), 2),  # A slim 1 within a wide 4's box, as tall.
    ],
)
def test_parts_of_a_digit_are_dropped_and_neighbours_are_not(second, n):
    assert len(merge_finds([_finds(((10, 10, 30, 40), 0.9, 8)), _finds(second)])) == n


def test_ones_found_beside_their_stroke_are_one_and_two_ones_are_two():
    one = ((10, 10, 4, 40), 0.9, 1)
    assert len(merge_finds([_finds(one), _finds(((15, 10, 4, 40), 0.8, 1))])) == 1
    assert len(merge_finds([_finds(one), _finds(((23, 10, 4, 40), 0.8, 1))])) == 2


def test_a_digit_seen_too_coarsely_is_the_one_within():
    fine, coarse = ((20, 20, 20, 30), 0.8, 5), ((14, 10, 34, 52), 0.5, 3)
    assert len(merge_finds([_finds(fine), _finds(coarse)])) == 1
    # Beside it, or much larger, it is another.
    assert len(merge_finds([_finds(fine), _finds(((35, 10, 34, 52), 0.5, 3))])) == 2
    assert len(merge_finds([_finds(fine), _finds(((0, 0, 90, 120), 0.5, 0))])) == 2


def test_levels_that_should_see_a_digit_and_do_not_count_against_it():
    config = DetectionConfig(missing_score=0.1)
    one = ((10, 10, 40, 60), 0.9, 4)
    both = merge_finds([_finds(one), _finds(((10, 10, 40, 60), 0.7, 4))], config, [1.0, 0.5])
    alone = merge_finds([_finds(one), _finds()], config, [1.0, 0.5])
    too_small_there = merge_finds([_finds(one), _finds()], config, [1.0, 0.1])
    scores = [float(merged.scores[0]) for merged in (both, alone, too_small_there)]
    assert scores == pytest.approx([0.8, 0.5, 0.9])


def test_boxes_without_area_do_not_stop_the_merge():
    merged = merge_finds([_finds(((5, 5, 0, 0), 0.9, 1), ((5, 5, 0, 0), 0.8, 1), ((30, 5, 9, 9), 0.7, 1))])
    assert len(merged) == 3


def test_intersections_equal_those_by_hand():
    rng = np.random.default_rng(1)
    first, second = _random_finds(rng, 9).boxes, _random_finds(rng, 7).boxes
    expected = [[_intersect(a, b) for b in second.tolist()] for a in first.tolist()]
    np.testing.assert_allclose(intersect_boxes(first, second), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"level_sides_px": ()}, "level_sides_px"),
        ({"level_sides_px": (256, 128)}, "level_sides_px"),
        ({"min_side_px": 200.0}, "min_side_px < max_side_px"),
        ({"min_score": 0.0}, "min_score must be above 0"),
        ({"max_overlap": 1.5}, "max_overlap"),
        ({"max_peaks": 0}, "max_peaks"),
    ],
)
def test_bad_settings_are_refused(changes, words):
    with pytest.raises(ConfigError, match=words):
        DetectionConfig(**changes)
