"""What RegionNet is shown: the right square, the find's frame, whatever light and size."""

import cv2
import numpy as np
import pytest
import torch

from digitcore.errors import ImageError
from digitcore.regions import REGION_PX, REGION_RATIO, cut_greys, cut_regions, prepare_regions


def boxes_of(*boxes) -> np.ndarray:
    return np.array(boxes, np.float32).reshape(-1, 4)


def test_cut_greys_puts_the_find_in_the_middle():
    grey = np.full((300, 400), 200, np.uint8)
    cv2.rectangle(grey, (150, 100), (169, 149), 0, -1)  # 20×50 at (150, 100)
    (region,) = cut_greys(grey, boxes_of((150, 100, 20, 50)))
    ys, xs = np.nonzero(region < 100)
    tall = REGION_PX / REGION_RATIO
    assert (ys.max() - ys.min() + 1, xs.max() - xs.min() + 1) == pytest.approx((tall, 0.4 * tall), abs=2)
    assert (ys.mean(), xs.mean()) == pytest.approx((31.5, 31.5), abs=1)


@pytest.mark.parametrize("size", [8, 60, 700])
def test_cut_greys_of_any_size_looks_the_same(size):
    side = 3 * size
    grey = np.full((side, side), 220, np.uint8)
    cv2.circle(grey, (side // 2, side // 2), size // 2, 30, -1)
    (region,) = cut_greys(grey, boxes_of((size, size, size, size)))
    assert (region < 120).mean() == pytest.approx(np.pi / 4 / REGION_RATIO**2, rel=0.15)


@pytest.mark.parametrize(
    "box", [(-10, -10, 30, 30), (90, 40, 30, 30), (200, 200, 10, 10), (-50, 20, 5, 9), (3, 3, 0, 0)]
)
def test_cut_greys_beyond_the_border_repeats_it(box):
    grey = np.tile(np.arange(100, dtype=np.uint8), (60, 1)) + 50
    (region,) = cut_greys(grey, boxes_of(box))
    assert region.shape == (REGION_PX, REGION_PX) and region.min() >= 50 and region.max() <= 149


def test_cut_greys_of_no_find_is_empty():
    assert cut_greys(np.zeros((9, 9), np.uint8), boxes_of()).shape == (0, REGION_PX, REGION_PX)
    assert cut_regions(np.zeros((9, 9), np.uint8), boxes_of()).shape == (0, 2, REGION_PX, REGION_PX)


@pytest.mark.parametrize("grey", [np.zeros((0, 5), np.uint8), np.zeros((5, 5, 3), np.uint8), np.zeros((5, 5))])
def test_cut_greys_refuses_other_pictures(grey):
    with pytest.raises(ImageError, match="a uint8 array of shape"):
        cut_greys(grey, boxes_of((0, 0, 2, 2)))


def test_prepare_regions_takes_the_light_away():
    rng = np.random.default_rng(0)
    levels = torch.from_numpy(rng.integers(100, 200, (1, REGION_PX, REGION_PX)))
    sides = torch.tensor([[10.0, 20.0]])
    bright, dark = (prepare_regions(greys, sides)[0, 0] for greys in (levels, 0.5 * levels + 3))
    torch.testing.assert_close(bright, dark, atol=1e-4, rtol=1e-4)
    assert bright.mean().item() == pytest.approx(0, abs=1e-4) and bright.square().mean().item() == pytest.approx(
        1, abs=1e-3
    )


def test_prepare_regions_does_not_blow_up_noise():
    levels = 200 + torch.rand(1, REGION_PX, REGION_PX)
    assert prepare_regions(levels, torch.ones(1, 2))[0, 0].abs().max() < 0.1


def test_the_frame_is_the_box():
    frame = prepare_regions(torch.zeros(1, REGION_PX, REGION_PX), torch.tensor([[12.0, 30.0]]))[0, 1]
    tall = REGION_PX / REGION_RATIO
    assert frame.sum().item() == pytest.approx(tall * 0.4 * tall, rel=0.01)
    assert frame[31, 31] == 1 and frame[31, 5] == 0 and frame[5, 31] == 0
    torch.testing.assert_close(frame, frame.flip(0).flip(1))


@pytest.mark.parametrize("rotation", [-24, 10, 24])
def test_cut_regions_turns_clockwise_about_the_middle(rotation):
    grey = np.full((300, 400), 220, np.uint8)
    cv2.rectangle(grey, (198, 60), (202, 149), 30, -1)  # From the middle upwards.
    boxes = boxes_of((180, 110, 40, 80))
    (levels, frame), (_, straight) = (cut_regions(grey, boxes, angle)[0] for angle in (rotation, 0))
    ys, xs = np.nonzero(levels.numpy() < levels.min().item() / 2)
    away = np.hypot(xs - 31.5, ys - 31.5) > 8
    lean = np.degrees(np.arctan2(xs - 31.5, 31.5 - ys))[away]
    assert lean.mean() == pytest.approx(rotation, abs=2) and np.ptp(lean) < 25
    torch.testing.assert_close(frame, straight)


def test_cut_regions_turned_of_no_find_is_empty():
    assert cut_regions(np.zeros((9, 9), np.uint8), boxes_of(), 24).shape == (0, 2, REGION_PX, REGION_PX)


def test_a_box_without_a_size_has_a_frame():
    frame = prepare_regions(torch.zeros(1, REGION_PX, REGION_PX), torch.zeros(1, 2))[0, 1]
    assert torch.isfinite(frame).all()
