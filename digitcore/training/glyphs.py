"""MNIST's training digits as distance fields: drawn again at any size, with any pen.

Each image is thinned to its middle line once; what is stored is the distance of every point of the field from that
line. One warp of the field and one threshold then give clean strokes of any width, which scaled images cannot.
"""

import hashlib
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

from digitcore.data import LabeledImages

# A field has two points for each pixel of MNIST, thinning works on four: at one a loop of 2 px would close.
FIELD_PX = 56
THINNING_SCALE = 4
# Distances are stored in 32nds of a field point, up to 7.97 of them: pens are drawn up to twice that wide.
DISTANCE_STEPS = 32
INK_LEVEL = 96
N_THINNED_AT_ONCE = 512
CACHE_FORMAT = 3

# Wider strokes, as a share of the height, fill the loops and bays of a digit of each class.
MAX_PEN_RATIOS = (0.22, 0.4, 0.2, 0.2, 0.2, 0.2, 0.18, 0.28, 0.16, 0.18)

Fields = npt.NDArray[np.uint8]


class DigitGlyphs:
    """Digits to draw with.

    Attributes:
        fields: (n, 56, 56) uint8 distances from the middle line.
        labels: (n,) int64.
    """

    def __init__(self, fields: Fields, labels: npt.NDArray[np.int64]) -> None:
        """Take ready fields; `from_images` makes them."""
        self.fields, self.labels = fields, labels
        self._by_label = [np.flatnonzero(labels == label) for label in range(10)]
        self._present = [label for label, members in enumerate(self._by_label) if len(members)]

    @classmethod
    def from_images(cls, dataset: LabeledImages, cache_folder: Path | None = None) -> Self:
        """Thin every image; about a millisecond each, so the result can be kept.

        Args:
            dataset: (n, 28, 28) uint8 images, white on black, and their labels.
            cache_folder: where to keep the fields for the next time; None for nowhere.
        """
        if cache_folder is None:
            return cls(make_fields(dataset.images), dataset.labels)
        key = hashlib.sha256(dataset.digest().encode()).hexdigest()[:12]
        path = cache_folder / f"glyphs-{CACHE_FORMAT}-{key}.npy"
        if not path.exists():
            cache_folder.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part.npy")
            np.save(part, make_fields(dataset.images))
            part.replace(path)
        # Mapped, so that the processes that make pages share one copy.
        return cls(np.load(path, mmap_mode="r"), dataset.labels)

    def pick(self, rng: np.random.Generator, label: int | None = None) -> int:
        """Index of a random digit; without a label, each class is as likely as the others."""
        members = self._by_label[self._present[rng.integers(len(self._present))] if label is None else label]
        return int(members[rng.integers(len(members))])

    def draw(
        self,
        rng: np.random.Generator,
        index: int,
        height_px: float,
        pen_px: float,
        slant: float = 0.0,
        rotation_degrees: float = 0.0,
        aspect: float = 1.0,
    ) -> npt.NDArray[np.uint8]:
        """Draw one digit with a pen.

        Args:
            rng: for its waver: bent strokes, changing pressure.
            index: which digit.
            height_px: of the ink, before rotation; the pen is part of it.
            pen_px: width of the strokes, at least about 1.
            slant: x moved by this share of the height above the middle, to the right.
            rotation_degrees: counter-clockwise.
            aspect: width multiplied by this.

        Returns:
            (h, w) uint8 coverage, 255 for ink, cropped to it.
        """
        field = self.fields[index]
        x0, y0, x1, y1 = _line_extent(field)
        pen_px = min(pen_px, MAX_PEN_RATIOS[int(self.labels[index])] * height_px)
        # Even the line of a one is as long as the digit is high, less the pen; a dash must not become a giant.
        longest = max(y1 - y0, 0.75 * (x1 - x0), 4.0)
        scale = max(height_px - pen_px, 2.0) / longest
        margin = pen_px + 0.12 * height_px + 3.0
        angle = np.deg2rad(rotation_degrees)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        forward = turn @ np.array([[aspect, -slant], [0.0, 1.0]]) * scale
        half = np.array([(x1 - x0) / 2, (y1 - y0) / 2])
        reach = np.abs(forward) @ half + margin
        size_wh = np.ceil(2 * reach).astype(int)
        middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
        (a, b), (c, d) = forward
        backward = np.array([[d, -b], [-c, a]]) / (a * d - b * c)
        offset = middle - backward @ (size_wh / 2 - 0.5)
        distance = _warp(rng, field, np.hstack([backward, offset[:, None]]), size_wh, height_px, scale)
        distance *= scale / DISTANCE_STEPS
        pen = np.float32(pen_px / 2) * (_pressure(rng, distance.shape) if pen_px > 2 else np.float32(1.0))
        # Beyond the largest distance that a field can hold there is no ink.
        pen = np.minimum(pen, np.float32(scale * 254 / DISTANCE_STEPS - 0.5))
        coverage = np.clip((pen - distance) + 0.5, 0.0, 1.0)
        return crop_to_ink((255 * coverage).astype(np.uint8))


def make_fields(images: npt.NDArray[np.uint8]) -> Fields:
    """Distances from the middle lines of digits.

    Args:
        images: (n, 28, 28) uint8, white on black.

    Returns:
        (n, 56, 56) uint8, in 32nds of a field point, 255 for further away.
    """
    fields = np.empty((len(images), FIELD_PX, FIELD_PX), np.uint8)
    side = images.shape[-1] * THINNING_SCALE
    for start in range(0, len(images), N_THINNED_AT_ONCE):
        part = images[start : start + N_THINNED_AT_ONCE]
        large = [cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC) for image in part]
        lines = thin(np.stack(large) > INK_LEVEL)
        for i, line in enumerate(lines):
            distance = cv2.distanceTransform((~line).astype(np.uint8), cv2.DIST_L2, 5)
            distance = cv2.GaussianBlur(distance, (0, 0), 1.5)
            small = cv2.resize(distance, (FIELD_PX, FIELD_PX), interpolation=cv2.INTER_AREA)
            small *= FIELD_PX / side * DISTANCE_STEPS
            # The blur, which rounds the corners that thinning leaves, lifts a V to about sqrt(d² + lift²).
            small = np.sqrt(np.maximum(small**2 - small.min() ** 2, 0))
            fields[start + i] = np.clip(small, 0, 255)
    return fields


def thin(masks: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Reduce strokes to lines one pixel wide.

    Args:
        masks: (n, h, w) bool; the outermost pixels are taken as empty.

    Returns:
        (n, h, w) bool.

    Source: Zhang & Suen, Communications of the ACM 27(3), 1984.
    """
    masks = masks.astype(np.uint8)
    masks[:, [0, -1]] = 0
    masks[:, :, [0, -1]] = 0
    tables = [_deletable(step) for step in (0, 1)]
    active = np.arange(len(masks))
    while len(active):
        current = masks[active]
        before = current.sum(axis=(1, 2), dtype=np.int64)
        for table in tables:
            current[:, 1:-1, 1:-1] &= ~table[_neighbour_codes(current)] & 1
        masks[active] = current
        active = active[current.sum(axis=(1, 2), dtype=np.int64) < before]
    return masks.astype(bool)


# Clockwise from north, as P2 … P9 in the source: (row, column).
_NEIGHBOURS = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))


def _neighbour_codes(masks: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(n, h, w) of 0 and 1 → (n, h-2, w-2): the eight neighbours as bits."""
    height, width = masks.shape[1:]
    codes = np.zeros((len(masks), height - 2, width - 2), np.uint8)
    for bit, (row, column) in enumerate(_NEIGHBOURS):
        codes |= masks[:, 1 + row : height - 1 + row, 1 + column : width - 1 + column] << bit
    return codes


def _deletable(step: int) -> npt.NDArray[np.uint8]:
    """(256,) of 0 and 1: whether a pixel with these neighbours goes in sub-iteration 0 or 1."""
    table = np.zeros(256, np.uint8)
    for code in range(256):
        p = [code >> bit & 1 for bit in range(8)]
        n_changes = sum(p[i] == 0 and p[(i + 1) % 8] == 1 for i in range(8))
        north, east, south, west = p[0], p[2], p[4], p[6]
        sides = (
            (north * east * south, east * south * west) if step == 0 else (north * east * west, north * south * west)
        )
        table[code] = 2 <= sum(p) <= 6 and n_changes == 1 and not any(sides)
    return table


def crop_to_ink(mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The smallest part that holds all ink above a tenth; (1, 1) of zero without any."""
    x, y, w, h = cv2.boundingRect((mask > 25).astype(np.uint8))
    return mask[y : y + h, x : x + w] if w else np.zeros((1, 1), np.uint8)


def _line_extent(field: Fields) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the middle line, in field points."""
    x, y, w, h = cv2.boundingRect((field < DISTANCE_STEPS).astype(np.uint8))
    return x, y, x + max(w, 1), y + max(h, 1)


def _warp(
    rng: np.random.Generator,
    field: Fields,
    backward: npt.NDArray[np.float64],
    size_wh: npt.NDArray[np.int64],
    height_px: float,
    scale: float,
) -> npt.NDArray[np.float32]:
    """Read the field through an affine map, and for larger digits through a slightly bent one."""
    size = (int(size_wh[0]), int(size_wh[1]))
    # In place of lines the map leaves the field: nothing is drawn there.
    if height_px < 20 or rng.random() < 0.3:
        return cv2.warpAffine(
            field,
            backward,
            size,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=255.0,
        ).astype(np.float32)
    bend = rng.normal(0.0, 1.2, (2, 4, 4)).astype(np.float32)  # Field points: about half a pixel of MNIST.
    x, y = np.meshgrid(np.arange(size[0], dtype=np.float32), np.arange(size[1], dtype=np.float32))
    maps = [
        (row[0] * x + row[1] * y + row[2]).astype(np.float32) + cv2.resize(b, size, interpolation=cv2.INTER_CUBIC)
        for row, b in zip(backward, bend, strict=True)
    ]
    how = cv2.INTER_CUBIC if scale > 2 else cv2.INTER_LINEAR
    return cv2.remap(field.astype(np.float32), maps[0], maps[1], how, borderMode=cv2.BORDER_CONSTANT, borderValue=255.0)


def _pressure(rng: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """How the pen's width changes over a digit: a smooth factor around 1."""
    strength = rng.uniform(0.0, 0.22)
    nodes = (1.0 + strength * rng.normal(0.0, 1.0, (3, 3))).astype(np.float32)
    return np.clip(cv2.resize(nodes, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), 0.5, 1.6)
