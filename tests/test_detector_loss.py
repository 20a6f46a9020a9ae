import numpy as np
import pytest
import torch

from digitcore.detector import PageMaps, PageNet
from digitcore.training.detector_config import DetectorConfig
from digitcore.training.detector_loss import compute_losses, generalized_iou
from digitcore.training.targets import make_batch
from tests.drawn_pages import DrawnPages, draw_page

PAGES = DrawnPages().pages


def _perfect(batch):
    """What a network that knows everything would say."""
    n, _, h, w = batch.centers.shape
    maps = PageMaps(*(torch.zeros(n, c, h, w) for c in (1, 10, 2, 2)), torch.zeros(n, 6, 2 * h, 2 * w))
    maps.center[:] = torch.where(batch.centers == 1, 15.0, -15.0)
    page, row, column = batch.places.T
    maps.classes[page, batch.labels, row, column] = 30
    maps.offset[page, :, row, column] = batch.boxes[:, :2]
    maps.size[page, :, row, column] = batch.boxes[:, 2:].log()
    maps.ink.scatter_(1, batch.ink.long().clamp(max=5)[:, None], 30)
    return maps


def test_perfect_maps_cost_nothing():
    batch = make_batch(PAGES)
    losses = compute_losses(_perfect(batch), batch)
    for part in (losses.center, losses.classes, losses.box, losses.ink):
        assert part.item() == pytest.approx(0, abs=1e-4)
    assert losses.total(DetectorConfig()).item() == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("part", ["center", "classes", "size", "offset", "ink"])
def test_each_map_matters(part):
    batch = make_batch(PAGES)
    maps = _perfect(batch)
    getattr(maps, part)[:] = getattr(maps, part).flip(1) if part in ("classes", "ink") else 1.0
    assert compute_losses(maps, batch).total(DetectorConfig()).item() > 0.5


def test_what_is_ignored_costs_nothing():
    layout = ((7, (8, 10, 20, 34)),)
    batch = make_batch([draw_page(layout, ignored=[(48, 48, 40, 40)])])
    maps = _perfect(batch)
    maps.center[:, :, 12:22, 12:22] = 10.0
    assert compute_losses(maps, batch).center.item() == pytest.approx(0, abs=1e-4)
    maps.center[:, :, 2, 20] = 10.0
    assert compute_losses(maps, batch).center.item() > 5


def test_ink_that_does_not_count():
    page = draw_page(((7, (8, 10, 20, 34)),))
    page.ink[:] = 255
    batch = make_batch([page])
    maps = _perfect(batch)
    maps.ink.uniform_(-5, 5)
    assert compute_losses(maps, batch).ink.item() == 0


def test_a_page_without_digits_teaches_the_centres_alone():
    batch = make_batch([draw_page(())])
    torch.manual_seed(0)
    net = PageNet(width=8)
    losses = compute_losses(net(batch.channels), batch)
    losses.total(DetectorConfig()).backward()
    assert losses.center > 0 and losses.classes == 0 and losses.box == 0
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())


def test_wild_sizes_keep_the_loss_finite():
    batch = make_batch(PAGES)
    maps = _perfect(batch)
    maps.size[:] = 400.0
    assert torch.isfinite(compute_losses(maps, batch).box)


def _giou_naively(a, b):
    (ax0, ay0), (ax1, ay1) = ([a[i] + s * a[i + 2] / 2 for i in (0, 1)] for s in (-1, 1))
    (bx0, by0), (bx1, by1) = ([b[i] + s * b[i + 2] / 2 for i in (0, 1)] for s in (-1, 1))
    shared = max(min(ax1, bx1) - max(ax0, bx0), 0) * max(min(ay1, by1) - max(ay0, by0), 0)
    union = a[2] * a[3] + b[2] * b[3] - shared
    hull = (max(ax1, bx1) - min(ax0, bx0)) * (max(ay1, by1) - min(ay0, by0))
    return shared / union - (hull - union) / hull


def test_generalized_iou_equals_the_formula():
    rng = np.random.default_rng(0)
    first, second = (np.hstack([rng.uniform(0, 9, (50, 2)), rng.uniform(1, 6, (50, 2))]) for _ in range(2))
    expected = [_giou_naively(a, b) for a, b in zip(first, second, strict=True)]
    found = generalized_iou(torch.from_numpy(first), torch.from_numpy(second))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert min(expected) < 0 < max(expected)


@pytest.mark.parametrize("box", [(5.0, 5.0, 2.0, 3.0), (0.0, 0.0, 100.0, 1.0)])
def test_generalized_iou_of_a_box_with_itself(box):
    box = torch.tensor([box])
    assert generalized_iou(box, box).item() == pytest.approx(1)
