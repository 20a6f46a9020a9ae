import math
from dataclasses import replace

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
    scale_to_sides,
)
from digitcore.detector import N_INK_KINDS, InkKind, PageMaps, PageNet
from digitcore.errors import CheckpointError, ImageError
from digitcore.merging import DetectionConfig
from digitcore.model import DigitNet, fold_norms
from digitcore.orientation import Pose, turn_box
from digitcore.results import Box

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
SILENT = -12.0


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


def _make_net(seed=0, **arguments):
    """Random, norms included, and talkative."""
    torch.manual_seed(seed)
    net = PageNet(width=8, **arguments)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    nn.init.normal_(net.head.weight, std=0.3)
    net.head.bias.data[0] = 0
    if net.regions is not None:
        nn.init.normal_(net.regions.fc.weight, std=0.2)
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


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_look_closer_turns_each_find_in_its_place(tmp_path, rotation):
    checkpoint = _load(tmp_path / "page", _make_net(region_width=8), "PageNet", {"width": 8, "region_width": 8})
    detector = PageDetector(checkpoint, "cpu")
    grey = np.random.default_rng(0).integers(180, 220, (160, 200)).astype(np.uint8)
    grey[55:100, 62:66] = grey[58:64, 60:120] = 30
    # Sides of which a region's, 2.2 times as long, is even: no box is half a pixel off once it is turned.
    boxes = np.array([(60, 50, 20, 10), (100, 70, 10, 40)], np.float32)
    found = replace(detector.detect(grey), boxes=boxes, scores=np.ones(2, np.float32), probs=np.eye(2, 10, 0, "f4"))
    turned_boxes = np.array([turn_box(Box(*box), rotation, grey.shape) for box in boxes], np.float32)
    in_place = detector.look_closer(grey, found, rotation)
    of_the_page = detector.look_closer(Pose(grey.shape, rotation).turn(grey), replace(found, boxes=turned_boxes))
    np.testing.assert_allclose(in_place.scores, of_the_page.scores, atol=2e-4)
    np.testing.assert_allclose(in_place.probs, of_the_page.probs, atol=2e-4)
    if rotation:
        assert np.abs(in_place.probs - detector.look_closer(grey, found).probs).max() > 5e-3


def test_pick_first_keeps_the_page(tmp_path):
    detector = PageDetector(_load(tmp_path / "page", _make_net(), "PageNet", {"width": 8}), "cpu")
    found = detector.detect(np.random.default_rng(0).integers(0, 256, (150, 200)).astype(np.uint8))
    assert len(found.boxes) > 2
    first = found.pick_first(2)
    assert np.array_equal(first.boxes, found.boxes[:2]) and np.array_equal(first.scores, found.scores[:2])
    assert first.probs.shape == (2, 10) and first.ink_kinds is found.ink_kinds
    assert len(found.pick_first(10_000).boxes) == len(found.boxes)


def test_the_detector_refuses_a_digit_network(tmp_path):
    checkpoint = _load(tmp_path / "digits", DigitNet(8), "DigitNet", {"width": 8})
    with pytest.raises(CheckpointError, match="digits@.* is a DigitNet, which reads single digits.*PageNet"):
        PageDetector(checkpoint, "cpu")
