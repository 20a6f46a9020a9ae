"""What PageNet should say of a page: the truth, drawn on the grid of its maps."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from digitcore.detector import INK_STRIDE, STRIDE, prepare_channels
from digitcore.training.pages import Page

# The bump around a centre: a standard deviation of a tenth of the box (a third of the radius within which a box still
# overlaps the truth by .7: Law & Deng, CornerNet, 2018, section 3.2), and no thinner than half a place.
BUMP_RATIO, MIN_BUMP = 0.1, 0.45
# Class, size and offset are also learnt at the places around a centre, as far as they lie in the box.
NEIGHBOUR_OFFSETS = np.array([(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
MIN_BOX_PX = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class PageBatch:
    """Pages as PageNet takes them, and what it should say; h and w are the pages' sides divided by `STRIDE`.

    Attributes:
        channels: (B, 2, H, W) float.
        centers: (B, 1, h, w) float: 1 at the centres of digits, falling off around them.
        center_mask: (B, 1, h, w) bool: the places that count.
        places: (n, 3) int64 page, row and column of the places that know their digit.
        weights: (n,) float: those of one digit sum to 1.
        labels: (n,) int64.
        boxes: (n, 4) float: offset x, y of the box's middle from the place's corner and its width and height, in
            units of `STRIDE` px.
        ink: (B, H/2, W/2) uint8: an `InkKind` each, 255 where it does not count.
    """

    channels: Tensor
    centers: Tensor
    center_mask: Tensor
    places: Tensor
    weights: Tensor
    labels: Tensor
    boxes: Tensor
    ink: Tensor

    def to(self, device: torch.device) -> "PageBatch":
        """On a device, the channels laid out as convolutions like them."""
        fields = {name: getattr(self, name).to(device, non_blocking=True) for name in self.__dataclass_fields__}
        fields["channels"] = fields["channels"].contiguous(memory_format=torch.channels_last)
        return PageBatch(**fields)


def make_batch(pages: list[Page], dtype: torch.dtype = torch.float32) -> PageBatch:
    """Put pages of one size together.

    Args:
        pages: at least one; sides multiples of 32.
        dtype: of the channels.
    """
    channels = np.stack([prepare_channels(page.image) for page in pages])
    centers, masks = zip(*(draw_centers(page) for page in pages), strict=True)
    places, weights, labels, boxes = zip(*(assign_places(page) for page in pages), strict=True)
    indices = np.repeat(np.arange(len(pages)), [len(rows) for rows in places])
    return PageBatch(
        channels=torch.from_numpy(channels).to(dtype),
        centers=torch.from_numpy(np.stack(centers))[:, None],
        center_mask=torch.from_numpy(np.stack(masks))[:, None],
        places=torch.from_numpy(np.column_stack([indices, np.concatenate(places)])),
        weights=torch.from_numpy(np.concatenate(weights)),
        labels=torch.from_numpy(np.concatenate(labels)),
        boxes=torch.from_numpy(np.concatenate(boxes)),
        ink=torch.from_numpy(np.stack([shrink_ink(page.ink) for page in pages])),
    )


def draw_centers(page: Page) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """The heatmap that a page should give, and where it counts: (h, w) float32 in 0..1 and (h, w) bool."""
    height, width = (side // STRIDE for side in page.image.shape)
    heatmap = np.zeros((height, width), np.float32)
    mask = np.ones((height, width), bool)
    for x, y, w, h in page.ignored / STRIDE:
        mask[max(int(y), 0) : max(int(np.ceil(y + h)), 0), max(int(x), 0) : max(int(np.ceil(x + w)), 0)] = False
    rows, columns = _center_places(page)
    for row, column, (w, h) in zip(rows, columns, page.boxes[:, 2:] / STRIDE, strict=True):
        down = np.exp(-0.5 * ((np.arange(height) - row) / max(BUMP_RATIO * h, MIN_BUMP)) ** 2)
        across = np.exp(-0.5 * ((np.arange(width) - column) / max(BUMP_RATIO * w, MIN_BUMP)) ** 2)
        np.maximum(heatmap, np.outer(down, across), out=heatmap)
    heatmap[rows, columns] = 1.0
    mask[rows, columns] = True
    return heatmap, mask


def assign_places(
    page: Page,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """The places that know a digit: its centre and the neighbours in its box; each knows the nearest digit only.

    Returns:
        (n, 2) rows and columns, (n,) weights, (n,) labels and (n, 4) boxes as in `PageBatch`.
    """
    height, width = (side // STRIDE for side in page.image.shape)
    n_digits = len(page.boxes)
    wh = np.maximum(page.boxes[:, 2:], MIN_BOX_PX) / STRIDE
    middles = page.boxes[:, :2] / STRIDE + wh / 2  # (n_digits, 2) x, y
    centers = np.stack(_center_places(page), axis=1)  # (n_digits, 2) row, column
    places = (centers[:, None] + NEIGHBOUR_OFFSETS).reshape(-1, 2)
    digits = np.repeat(np.arange(n_digits), len(NEIGHBOUR_OFFSETS))
    distances = places[:, ::-1] + 0.5 - middles[digits]  # x, y from the box's middle to the place's
    is_center = np.tile((NEIGHBOUR_OFFSETS == 0).all(axis=1), n_digits)
    is_good = (is_center | (np.abs(distances) <= wh[digits] / 2).all(axis=1)) & (places >= 0).all(axis=1)
    is_good &= (places < (height, width)).all(axis=1)
    # Nearest first, centres before all: of several claims to a place the first is heard.
    order = np.lexsort((np.hypot(*distances.T), ~is_center))
    order = order[is_good[order]]
    _, first = np.unique(places[order] @ (width, 1), return_index=True)
    chosen = order[first]
    digits = digits[chosen]
    weights = 1 / np.maximum(np.bincount(digits, minlength=n_digits), 1)[digits]
    boxes = np.hstack([middles[digits] - places[chosen][:, ::-1], wh[digits]])
    return places[chosen], weights.astype(np.float32), page.labels[digits], boxes.astype(np.float32)


def shrink_ink(ink: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(H, W) → (H/2, W/2): ink wins over paper, and 255 over all, so that thin strokes stay."""
    height, width = ink.shape
    blocks = ink.reshape(height // INK_STRIDE, INK_STRIDE, width // INK_STRIDE, INK_STRIDE)
    return blocks.max(axis=(1, 3))


def _center_places(page: Page) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows and columns of the places that hold the boxes' middles."""
    height, width = (side // STRIDE for side in page.image.shape)
    middles = (page.boxes[:, :2] + page.boxes[:, 2:] / 2) / STRIDE
    columns, rows = np.floor(middles).astype(np.int64).T
    return np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
