import numpy as np
import pytest
import torch

from digitcore.detection import find_peaks
from digitcore.detector import PageMaps, prepare_channels
from digitcore.training.pages import Page
from digitcore.training.targets import assign_places, draw_centers, make_batch, shrink_ink
from tests.drawn_pages import DrawnPages, draw_page

PAGES = DrawnPages().pages
EMPTY = draw_page(())


def _page(boxes, side=96, ignored=()):
    image = np.full((side, side), 200, np.uint8)
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    ignored = np.array(ignored, np.float32).reshape(-1, 4)
    return Page(image, boxes, np.arange(len(boxes)), ignored, np.zeros((side, side), np.uint8))


def test_targets_decode_to_the_boxes_they_came_from():
    """The truth, put where the network's answer goes, is read back by the serving side."""
    batch = make_batch(PAGES)
    n, _, h, w = batch.centers.shape
    maps = PageMaps(*(torch.zeros(n, c, h, w) for c in (1, 10, 2, 2)), torch.zeros(n, 6, 2 * h, 2 * w))
    maps.center[:] = (batch.centers.clamp(1e-6, 1 - 1e-6)).logit()
    page, row, column = batch.places.T
    maps.classes[page, batch.labels, row, column] = 20
    maps.offset[page, :, row, column] = batch.boxes[:, :2]
    maps.size[page, :, row, column] = batch.boxes[:, 2:].log()
    for finds, truth in zip(find_peaks(maps, 0.99, 100), PAGES, strict=True):
        order, expected = np.lexsort(finds.boxes.T), np.lexsort(truth.boxes.T)
        np.testing.assert_allclose(finds.boxes[order], truth.boxes[expected], atol=1e-3)
        assert finds.probs.argmax(axis=1)[order].tolist() == truth.labels[expected].tolist()


def test_batches_have_the_promised_shapes():
    batch = make_batch([*PAGES, EMPTY], torch.bfloat16)
    assert batch.channels.shape == (3, 2, 96, 96) and batch.channels.dtype == torch.bfloat16
    assert batch.centers.shape == batch.center_mask.shape == (3, 1, 24, 24)
    assert batch.ink.shape == (3, 48, 48) and batch.ink.dtype == torch.uint8
    assert len(batch.places) == len(batch.weights) == len(batch.labels) == len(batch.boxes)
    assert set(batch.places[:, 0].tolist()) == {0, 1}


def test_training_and_serving_prepare_pictures_alike():
    np.testing.assert_array_equal(make_batch(PAGES).channels[1], prepare_channels(PAGES[1].image))


def test_an_empty_page_has_nothing_to_find():
    batch = make_batch([EMPTY])
    assert batch.places.shape == (0, 3) and batch.boxes.shape == (0, 4)
    assert batch.centers.max() == 0 and batch.center_mask.all()


def test_the_heatmap_falls_off_from_the_centre():
    heatmap, _ = draw_centers(_page([(20, 20, 40, 40)]))
    assert heatmap[10, 10] == 1 and (heatmap == 1).sum() == 1
    assert heatmap[10, 10] > heatmap[10, 11] > heatmap[10, 12] > heatmap[10, 14]
    assert heatmap[10, 16] < 0.01


def test_wide_boxes_have_wide_bumps():
    heatmap, _ = draw_centers(_page([(10, 40, 80, 20)]))
    assert heatmap[12, 15] > 5 * heatmap[15, 12]


@pytest.mark.parametrize("box", [(-4, 8, 6, 20), (90, 90, 14, 14), (0, 0, 96, 96), (40.2, 40.2, 0.1, 0.1)])
def test_boxes_at_the_edge_have_a_centre_in_the_page(box):
    page = _page([box])
    heatmap, _ = draw_centers(page)
    places, weights, _, boxes = assign_places(page)
    assert (heatmap == 1).sum() == 1 and np.isfinite(np.log(boxes[:, 2:])).all()
    assert weights.sum() == pytest.approx(1) and ((places >= 0) & (places < 24)).all()


@pytest.mark.parametrize("ignored", [(8, 8, 20, 20), (9.5, 9.5, 17, 17)])
def test_ignored_boxes_do_not_count(ignored):
    _, mask = draw_centers(_page([(60, 60, 20, 20)], ignored=[ignored]))
    assert not mask[2:7, 2:7].any()
    assert mask.sum() == 24 * 24 - 25


def test_ignored_boxes_beyond_the_page():
    _, mask = draw_centers(_page([], ignored=[(-30, -30, 20, 20), (80, -10, 99, 99), (200, 200, 9, 9)]))
    assert mask[:, :20].all() and not mask[:22, 20:].any()


def test_a_centre_counts_in_an_ignored_box():
    _, mask = draw_centers(_page([(20, 20, 20, 20)], ignored=[(0, 0, 96, 96)]))
    assert mask.sum() == 1 and mask[7, 7]


def test_each_digit_weighs_the_same():
    page = _page([(4, 4, 60, 60), (70, 10, 3, 12), (72, 40, 10, 10)])
    places, weights, labels, _ = assign_places(page)
    assert [weights[labels == digit].sum() for digit in range(3)] == pytest.approx([1, 1, 1])
    assert (labels == 0).sum() == 9 and 1 <= (labels == 1).sum() <= 3
    assert len(np.unique(places, axis=0)) == len(places)


def test_neighbours_know_the_nearest_digit():
    """Two slim digits side by side share a fence, and no place claims both."""
    page = _page([(20, 20, 9, 30), (29, 20, 9, 30)])
    places, _, labels, boxes = assign_places(page)
    middles = places[:, ::-1] + boxes[:, :2]
    np.testing.assert_allclose(middles, page.boxes[labels, :2] / 4 + page.boxes[labels, 2:] / 8, atol=1e-5)
    own = np.abs(boxes[:, 0] - 0.5)
    other = np.abs(middles[:, 0] - 9 / 4 * (2 * labels - 1) - places[:, 1] - 0.5)
    assert (own <= other + 1e-6).all()


def test_thin_ink_survives_shrinking():
    ink = np.zeros((8, 8), np.uint8)
    ink[:, 3] = 1
    ink[6, 6] = 255
    assert shrink_ink(ink).tolist() == [[0, 1, 0, 0]] * 3 + [[0, 1, 0, 255]]
