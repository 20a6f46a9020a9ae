"""A synthetic page while it is written on: the ink so far, what kind of ink it is, and the digits to find."""

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from digitcore.detector import InkKind

Rng = np.random.Generator
Mask = npt.NDArray[np.uint8]

# Pixels of digits that nobody is asked to find: neither reward nor blame.
IGNORED_INK = 255
# Coverage from which a pixel counts as inked.
INKED = 90
# A digit may lose this share of its width or height beyond the border and still be asked for.
MAX_CUT_RATIO = 0.08
# Ink whose spread across its longest direction is less than this share of that along it is a stroke: a one, unless it
# lies flatter than this.
STROKE_RATIO, UPRIGHT_DEGREES = 0.24, 30.0
# What is smaller is left to the next larger copy of a picture, as is what is larger.
MIN_ASKED_PX, MAX_ASKED_PX = 10.0, 190.0
# Of a digit too large to be asked for only the middle is excused: a piece of its stroke is no one.
EXCUSED_MIDDLE_RATIO = 0.3


@dataclass(slots=True, eq=False)
class Canvas:
    """What was written on a page.

    Attributes:
        size_px: side of the square page.
        ink: (size_px, size_px) float32 opacity, 0 to 1.
        kinds: (size_px, size_px) uint8, an `InkKind` or `IGNORED_INK`.
        boxes: x, y, w, h of the digits to find.
        labels: theirs.
        masks: their own ink, each as it was put at its box's corner.
        ignored: x, y, w, h of what is neither asked for nor wrong.
        taken: x, y, w, h of everything written.
    """

    size_px: int
    ink: npt.NDArray[np.float32] = field(init=False)
    kinds: Mask = field(init=False)
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    masks: list[Mask] = field(default_factory=list)
    ignored: list[tuple[float, float, float, float]] = field(default_factory=list)
    taken: list[tuple[float, float, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Start blank."""
        self.ink = np.zeros((self.size_px, self.size_px), np.float32)
        self.kinds = np.zeros((self.size_px, self.size_px), np.uint8)

    def put(self, mask: Mask, x: float, y: float, strength: float, kind: int) -> None:
        """Write a mask, its top left corner at (x, y); what lies beyond the border is lost."""
        x, y = int(round(x)), int(round(y))
        height, width = mask.shape
        self.taken.append((x, y, width, height))
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + width, self.size_px), min(y + height, self.size_px)
        if left >= right or top >= bottom:
            return
        part = mask[top - y : bottom - y, left - x : right - x]
        ink = self.ink[top:bottom, left:right]
        np.maximum(ink, part * np.float32(strength / 255), out=ink)
        self.kinds[top:bottom, left:right][part > INKED] = kind

    def put_digit(self, mask: Mask, label: int, x: float, y: float, strength: float) -> None:
        """Write a digit, and ask for it if it can be read."""
        x, y = int(round(x)), int(round(y))
        height, width = mask.shape
        box = (float(x), float(y), float(width), float(height))
        seen_w = min(x + width, self.size_px) - max(x, 0)
        seen_h = min(y + height, self.size_px) - max(y, 0)
        is_whole = seen_w >= (1 - MAX_CUT_RATIO) * width and seen_h >= (1 - MAX_CUT_RATIO) * height
        longest = max(width, height)
        is_asked = is_whole and MIN_ASKED_PX <= longest <= MAX_ASKED_PX
        self.put(mask, x, y, strength, InkKind.DIGIT if is_asked else IGNORED_INK)
        if is_asked:
            self.boxes.append(box)
            self.labels.append(label)
            self.masks.append(mask)
        elif longest > MAX_ASKED_PX:
            w, h = EXCUSED_MIDDLE_RATIO * width, EXCUSED_MIDDLE_RATIO * height
            self.ignored.append((x + (width - w) / 2, y + (height - h) / 2, w, h))
        else:
            self.ignored.append(box)

    def put_ignored(self, mask: Mask, x: float, y: float, strength: float) -> None:
        """Write what a person might take for a digit."""
        self.put(mask, x, y, strength, IGNORED_INK)
        self.ignored.append((round(x), round(y), mask.shape[1], mask.shape[0]))

    def is_free(self, x: float, y: float, w: float, h: float, gap_px: float = 0.0) -> bool:
        """Whether nothing written so far comes as near as this."""
        if not self.taken:
            return True
        taken = np.array(self.taken)
        apart = (
            (taken[:, 0] > x + w + gap_px)
            | (taken[:, 0] + taken[:, 2] < x - gap_px)
            | (taken[:, 1] > y + h + gap_px)
            | (taken[:, 1] + taken[:, 3] < y - gap_px)
        )
        return bool(apart.all())

    def find_place(
        self, rng: Rng, w: float, h: float, gap_px: float, cut_ratio: float = 0.0
    ) -> tuple[float, float] | None:
        """A random free place for a box, at most this share of it beyond the border; None after some tries."""
        low_x, low_y = -cut_ratio * w, -cut_ratio * h
        high_x, high_y = self.size_px - (1 - cut_ratio) * w, self.size_px - (1 - cut_ratio) * h
        if high_x <= low_x or high_y <= low_y:
            return None
        for _ in range(12):
            x, y = rng.uniform(low_x, high_x), rng.uniform(low_y, high_y)
            if self.is_free(x, y, w, h, gap_px):
                return x, y
        return None


def is_like_one(ink: Mask) -> bool:
    """Whether ink, (h, w) uint8, is one stroke, more or less straight and upright, that may be read as a 1."""
    ys, xs = np.nonzero(ink > 127)
    if len(xs) < 3:
        return False
    (xx, xy), (_, yy) = np.cov(xs, ys)
    root = float(np.hypot(xx - yy, 2 * xy))
    narrow, long = max(xx + yy - root, 0.0), xx + yy + root
    steepness = np.rad2deg(np.arctan2(np.sqrt(max(yy - xx + root, 0.0)), np.sqrt(max(xx - yy + root, 0.0))))
    return bool(np.sqrt(narrow / max(long, 1e-9)) < STROKE_RATIO and steepness > UPRIGHT_DEGREES)


def draw_rules(rng: Rng, size_px: int, angle_degrees: float, spacing_px: float, is_squared: bool) -> Mask:
    """Printed lines over a whole page, or squares."""
    layer = np.zeros((size_px, size_px), np.uint8)
    directions = [angle_degrees, angle_degrees + 90] if is_squared else [angle_degrees]
    thickness = 1 if rng.random() < 0.75 else int(rng.integers(2, 4))
    for direction in directions:
        radians = np.deg2rad(direction)
        along = np.array([np.cos(radians), -np.sin(radians)]) * size_px
        across = np.array([np.sin(radians), np.cos(radians)])
        start = rng.uniform(0, spacing_px)
        for step in np.arange(-size_px, size_px, spacing_px) + start:
            middle = np.array([size_px / 2, size_px / 2]) + across * step
            (x0, y0), (x1, y1) = middle - along, middle + along
            _line(layer, x0, y0, x1, y1, thickness)
    return layer


def draw_scratches(rng: Rng, size_px: int) -> Mask:
    """Many straight marks that run much the same way over a whole page: scratches, cracks, posts, blades of grass."""
    layer = np.zeros((size_px, size_px), np.uint8)
    direction, spread = rng.uniform(0, np.pi), rng.uniform(0.02, 0.6)
    typical_px = np.exp(rng.uniform(np.log(8), np.log(90)))
    thickness = 1 if rng.random() < 0.6 else int(rng.integers(2, max(3, int(typical_px / 8) + 1)))
    for _ in range(int(rng.integers(8, 70))):
        angle = direction + rng.normal(0, spread)
        along = np.array([np.cos(angle), np.sin(angle)]) * typical_px * np.exp(rng.normal(0, 0.4)) / 2
        middle = rng.uniform(0, size_px, 2)
        (x0, y0), (x1, y1) = middle - along, middle + along
        _line(layer, x0, y0, x1, y1, thickness)
    return layer


def draw_scribble(rng: Rng, size_px: float, pen_px: float) -> Mask:
    """A doodle, zigzag, loop, dash, tick, blot or crossing-out about this large."""
    n = int(size_px + 2 * pen_px + 6)
    layer = np.zeros((n, n), np.uint8)
    kind = rng.choice(["curve", "zigzag", "dash", "blot", "bar", "hatch"], p=[0.34, 0.14, 0.2, 0.16, 0.06, 0.1])
    pen = max(1, round(pen_px))
    if kind == "blot":
        axes = (max(1, int(size_px / 2 * rng.uniform(0.3, 1))), max(1, int(size_px / 2 * rng.uniform(0.2, 0.9))))
        cv2.ellipse(layer, (n // 2, n // 2), axes, rng.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_AA)
    elif kind == "bar":
        (x0, y0), (x1, y1) = rng.uniform(0.1, 0.9, (2, 2)) * n
        _line(layer, x0, y0, x1, y1, max(1, int(size_px * rng.uniform(0.05, 0.4))))
    elif kind == "dash":
        angle = rng.normal(0, 0.25) + (np.pi / 4 if rng.random() < 0.2 else 0)
        dx, dy = np.cos(angle) * size_px / 2, np.sin(angle) * size_px / 2
        _line(layer, n / 2 - dx, n / 2 - dy, n / 2 + dx, n / 2 + dy, pen)
    else:
        points = rng.uniform(0.08, 0.92, (int(rng.integers(3, 9)), 2)) * n
        if kind == "zigzag":
            points[:, 0] = np.linspace(0.1 * n, 0.9 * n, len(points))
        elif kind == "hatch":
            count = int(rng.integers(6, 16))
            xs = np.linspace(0.1, 0.9, count) * n
            points = np.stack([xs, np.where(np.arange(count) % 2, 0.15, 0.85) * n], axis=1) + rng.normal(
                0, 1, (count, 2)
            )
        if kind == "curve":
            points = _smooth(points)
        cv2.polylines(layer, [np.round(points * 8).astype(np.int32)], False, 255, pen, cv2.LINE_AA, shift=3)
    return layer


def _smooth(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A Catmull-Rom curve through the points."""
    padded = np.vstack([points[:1], points, points[-1:]])
    t = np.linspace(0, 1, 12, endpoint=False)[:, None]
    parts = []
    for p0, p1, p2, p3 in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        cubic = 2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3
        parts.append(cubic / 2)
    return np.vstack(parts)


def _line(layer: Mask, x0: float, y0: float, x1: float, y1: float, thickness: int) -> None:
    """Anti-aliased, with eighths of a pixel."""
    start, end = (round(8 * x0), round(8 * y0)), (round(8 * x1), round(8 * y1))
    cv2.line(layer, start, end, 255, thickness, cv2.LINE_AA, shift=3)
