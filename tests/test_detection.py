import math

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from digitcore.checkpoint import CheckpointConfig, load_checkpoint, save_checkpoint
from digitcore.detection import (
    PageDetector,
    choose_levels,
    clip_boxes,
    detect,
    find_peaks,
    fold_norms,
    scale_to_sides,
)
from digitcore.detector import N_INK_KINDS, InkKind, PageMaps, PageNet
from digitcore.errors import CheckpointError, ConfigError, ImageError
from digitcore.merging import DetectionConfig, Finds, intersect_boxes, merge_finds
from digitcore.model import DigitNet

CPU = torch.device("cpu")
SILENT = -12.0


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _empty_maps(height, width, n_pages=1):
    h, w = height // 4, width // 4
    return PageMaps(
        torch.full((n_pages, 1, h, w), SILENT),
        torch.zeros(n_pages, 10, h, w),
        torch.zeros(n_pages, 2, h, w),
        torch.zeros(n_pages, 2, h, w),
        torch.zeros(n_pages, N_INK_KINDS, height // 2, width // 2),
    )


def _plant(maps, box, digit, score, page=0):
    """Say that there is a digit, as a network that knows would."""
    x, y, w, h = box
    column, row = int((x + w / 2) // 4), int((y + h / 2) // 4)
    maps.center[page, 0, row, column] = math.log(score / (1 - score))
    maps.classes[page, digit, row, column] = 10
    maps.size[page, :, row, column] = torch.tensor([w / 4, h / 4]).log()
    maps.offset[page, :, row, column] = torch.tensor([(x + w / 2) / 4 - column, (y + h / 2) / 4 - row])


# Planted maps come back as planted boxes.


def test_planted_boxes_are_found():
    maps = _empty_maps(96, 128, n_pages=2)
    planted = [((10.5, 20.25, 13, 30), 3, 0.9), ((60, 8, 40.5, 62), 7, 0.7), ((100, 70, 6, 22), 1, 0.8)]
    for box, digit, score in planted:
        _plant(maps, box, digit, score, page=1)
    nothing, finds = find_peaks(maps, 0.3, 100)
    assert len(nothing) == 0 and nothing.boxes.shape == (0, 4) and nothing.probs.shape == (0, 10)
    order = sorted(planted, key=lambda item: -item[2])
    np.testing.assert_allclose(finds.boxes, [box for box, _, _ in order], atol=1e-3)
    np.testing.assert_allclose(finds.scores, [score for _, _, score in order], atol=1e-5)
    assert finds.probs.argmax(axis=1).tolist() == [digit for _, digit, _ in order]
    np.testing.assert_allclose(finds.probs.sum(axis=1), 1, atol=1e-5)


def test_a_neighbour_that_is_less_likely_is_no_peak():
    maps = _empty_maps(64, 64)
    maps.center[0, 0, 5, 5], maps.center[0, 0, 5, 6], maps.center[0, 0, 5, 8] = 3.0, 2.0, 1.0
    finds = find_peaks(maps, 0.3, 100)[0]
    np.testing.assert_allclose(finds.scores, torch.tensor([3.0, 1.0]).sigmoid())


@pytest.mark.parametrize(("min_score", "max_peaks", "n"), [(0.3, 100, 3), (0.75, 100, 2), (0.3, 1, 1), (0.95, 100, 0)])
def test_find_peaks_limits(min_score, max_peaks, n):
    maps = _empty_maps(64, 64)
    for index, score in enumerate((0.5, 0.9, 0.8)):
        _plant(maps, (20 * index, 20, 10, 10), index, score)
    assert len(find_peaks(maps, min_score, max_peaks)[0]) == n


def test_temperature_flattens_the_probabilities():
    maps = _empty_maps(32, 32)
    _plant(maps, (4, 4, 10, 10), 3, 0.9)
    sharp, flat = (find_peaks(maps, 0.3, 10, temperature)[0].probs[0, 3] for temperature in (1.0, 10.0))
    assert sharp == pytest.approx(math.exp(10) / (math.exp(10) + 9))
    assert flat == pytest.approx(math.exp(1) / (math.exp(1) + 9))


def test_a_size_beyond_belief_stays_finite():
    maps = _empty_maps(32, 32)
    maps.center[0, 0, 3, 3], maps.size[0, :, 3, 3] = 2.0, 500.0
    assert np.isfinite(find_peaks(maps, 0.3, 10)[0].boxes).all()


# Merging.


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


def test_boxes_are_cut_at_the_edges():
    boxes = np.array([(-5, 3, 20, 10), (90, 45, 20, 20), (10, 10, 5, 5)], np.float32)
    assert clip_boxes(boxes, (50, 100)).tolist() == [[0, 3, 15, 10], [90, 45, 10, 5], [10, 10, 5, 5]]
    assert clip_boxes(boxes[:0], (50, 100)).shape == (0, 4)


# The ladder.


@pytest.mark.parametrize(
    ("longest", "expected"),
    [
        (20, [128]),
        (64, [128]),
        (128, [128, 256]),
        (150, [128, 300]),
        (200, [128, 200, 400]),
        (256, [128, 256, 512]),
        (512, [128, 256, 512, 1024]),
        (513, [128, 256, 512]),
        (600, [128, 256, 512]),
        (700, [128, 256, 512, 700]),
        (1023, [128, 256, 512, 1023]),
        (1024, [128, 256, 512, 1024]),
        (4000, [128, 256, 512, 1024]),
    ],
)
def test_choose_levels(longest, expected):
    assert choose_levels(longest, DetectionConfig()) == expected


def test_scale_to_sides_is_the_picture_shrunk_whatever_the_steps():
    rng = np.random.default_rng(0)
    grey = cv2.GaussianBlur(rng.integers(0, 256, (300, 400)).astype(np.uint8), (0, 0), 2)
    copies = scale_to_sides(grey, [100, 200, 400, 800])
    assert [copy.shape for copy in copies] == [(75, 100), (150, 200), (300, 400), (600, 800)]
    assert np.array_equal(copies[2], grey)
    at_once = cv2.resize(grey, (100, 75), interpolation=cv2.INTER_AREA)
    assert np.abs(copies[0].astype(int) - at_once).max() <= 1


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


class _SquareFinder(nn.Module):
    """Knows dark squares: what a perfect network would say, whatever the picture's size."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def forward(self, images):
        assert images.shape[2] % 32 == 0 and images.shape[3] % 32 == 0
        self.sizes.append(tuple(images.shape[:1:-1]))
        maps = _empty_maps(*images.shape[2:])
        dark = (images[0, 1].float().numpy() < -0.5).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(dark)
        for x, y, w, h, _ in stats[1:]:
            _plant(maps, (x, y, w, h), 5, 0.9)
        maps.ink[0, InkKind.DIGIT] = torch.from_numpy(dark[::2, ::2] * 2.0)
        maps.ink[0, InkKind.PAPER] = 1.0
        return maps


def _draw_squares(shape, boxes):
    grey = np.full(shape, 230, np.uint8)
    for x, y, w, h in boxes:
        grey[y : y + h, x : x + w] = 20
    return grey


@pytest.mark.parametrize(
    ("shape", "boxes"),
    [
        ((64, 64), [(8, 8, 20, 30)]),
        ((300, 200), [(20, 30, 16, 24), (90, 160, 60, 90)]),
        ((768, 1024), [(100, 100, 14, 20), (300, 200, 60, 80), (500, 100, 400, 600)]),
        ((1000, 1500), [(100, 100, 24, 36), (300, 100, 1100, 850)]),
        ((3000, 1400), [(200, 300, 150, 200)]),
        ((90, 1000), [(200, 10, 40, 60)]),
    ],
)
def test_detect_finds_squares_of_every_size(shape, boxes):
    found = detect(_SquareFinder(), _draw_squares(shape, boxes), CPU)
    order = np.argsort(found.boxes[:, 2])
    # A pixel of the largest level that may speak of it.
    for box, expected in zip(found.boxes[order], boxes, strict=True):
        np.testing.assert_allclose(box, expected, atol=max(max(expected) / 60, max(shape) / 512, 1.0))
    assert (found.probs.argmax(axis=1) == 5).all()
    assert found.heatmap.shape == found.contrast.shape == found.ink_kinds.shape
    height, width = found.heatmap.shape
    assert width / height == pytest.approx(shape[1] / shape[0], rel=0.02)
    for x, y, w, h in boxes:
        row, column = (int((low + size / 2) * height / shape[0]) for low, size in ((y, h), (x, w)))
        column = int((x + w / 2) * width / shape[1])
        assert found.ink_kinds[row, column] == InkKind.DIGIT
        assert found.contrast[row, column] > 30 or max(w, h) > 65
        assert found.heatmap[max(row - 9, 0) : row + 9, max(column - 9, 0) : column + 9].max() > 100
    assert found.ink_kinds[0, 0] == InkKind.PAPER


def test_levels_answer_for_their_own_sizes():
    """A square that every level sees whole comes from those that may speak of it."""
    net = _SquareFinder()
    detect(net, _draw_squares((768, 1024), [(500, 100, 400, 600)]), CPU)
    assert net.sizes == [(128, 96), (256, 192), (512, 384), (1024, 768)]


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (40, 7)])
def test_a_tiny_picture_has_nothing(shape):
    found = detect(_SquareFinder(), np.full(shape, 200, np.uint8), CPU)
    assert found.boxes.shape == (0, 4) and found.probs.shape == (0, 10)


@pytest.mark.parametrize("picture", [np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9)), np.zeros((0, 9), np.uint8)])
def test_detect_refuses_what_is_no_grey_picture(picture):
    with pytest.raises(ImageError, match="grey picture"):
        detect(_SquareFinder(), picture, CPU)


# The door.


def _make_net(seed=0):
    """Random, norms included, and talkative."""
    torch.manual_seed(seed)
    net = PageNet(width=8)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    nn.init.normal_(net.head.weight, std=0.3)
    net.head.bias.data[0] = 0
    return net.eval()


def _load(folder, net, architecture, arguments):
    save_checkpoint(folder, net, CheckpointConfig(architecture, arguments), {}, "")
    return load_checkpoint(folder)


def test_folding_the_norms_changes_nothing():
    net = _make_net()
    folded = fold_norms(net)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in net.modules())
    images = torch.randn(1, 2, 64, 96)
    with torch.inference_mode():
        for name in ("center", "classes", "size", "offset", "ink"):
            torch.testing.assert_close(getattr(folded(images), name), getattr(net(images), name), atol=1e-4, rtol=1e-3)


def test_a_detector_has_no_memory(tmp_path):
    detector = PageDetector(_load(tmp_path / "page", _make_net(), "PageNet", {"width": 8}), "cpu")
    rng = np.random.default_rng(0)
    first, second = (rng.integers(0, 256, shape).astype(np.uint8) for shape in ((150, 200), (90, 70)))
    before = detector.detect(first)
    detector.detect(second)
    after = detector.detect(first)
    assert len(before.boxes) and np.array_equal(before.boxes, after.boxes) and np.array_equal(before.probs, after.probs)
    assert detector.label.startswith("page@")


def test_the_detector_refuses_a_digit_network(tmp_path):
    checkpoint = _load(tmp_path / "digits", DigitNet(8), "DigitNet", {"width": 8})
    with pytest.raises(CheckpointError, match="digits@.* is a DigitNet, which reads single digits.*PageNet"):
        PageDetector(checkpoint, "cpu")
