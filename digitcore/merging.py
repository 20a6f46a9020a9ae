"""Finds of several sizes of a picture → one list: what counts as one digit, as a part of one, and as agreed upon."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from digitcore.detector import SIZE_MULTIPLE
from digitcore.errors import ConfigError
from digitcore.results import N_CLASSES


@dataclass(frozen=True, slots=True)
class DetectionConfig:
    """How digits are picked from the network's maps.

    Attributes:
        level_sides_px: longest sides that a picture is looked at, smallest first; larger ones than its own are left
            out, but for the first.
        native_level_ratio: a picture this much longer than its largest level is also looked at as it is.
        enlargement: a small picture is also looked at this many times as large, where the largest level allows it.
        min_side_px: the largest level answers for digits whose longer side is from this, …
        min_coarse_px: … the others for those from this, since smaller ones are seen better a level higher, …
        max_side_px: … to this; the first level for larger ones too.
        missing_score: what a level is taken to say of a digit that others see and it does not, though it has the size.
        min_score: a digit is at least this likely.
        max_peaks: places that a level may propose, the likeliest first.
        max_overlap: two finds with a larger intersection over union are one digit; …
        slim_aspect: … two that are slimmer than this are taken to be this wide for it: ones that are found a stroke's
            width apart are one.
        max_contained: a find with more of its area within one that is much larger and likelier is a part of it …
        max_part_ratio: … if its longer side is at most this share of the other's.
        max_whole_ratio: a find around a likelier one, larger both ways by up to this, is that one seen too coarsely.
    """

    level_sides_px: tuple[int, ...] = (128, 256, 512, 1024)
    native_level_ratio: float = 1.25
    enlargement: float = 2.0
    min_side_px: float = 11.0
    min_coarse_px: float = 18.0
    max_side_px: float = 175.0
    min_score: float = 0.3
    max_peaks: int = 800
    max_overlap: float = 0.45
    slim_aspect: float = 0.4
    max_contained: float = 0.8
    max_part_ratio: float = 0.6
    max_whole_ratio: float = 2.2
    missing_score: float = 0.15

    def __post_init__(self) -> None:
        """Check the bounds."""
        sides = self.level_sides_px
        if not sides or sides[0] < SIZE_MULTIPLE or list(sides) != sorted(set(sides)):
            raise ConfigError(f"level_sides_px must rise, from {SIZE_MULTIPLE} on; got {sides}.")
        if not 0 < self.min_side_px < self.max_side_px:
            raise ConfigError(f"need 0 < min_side_px < max_side_px, got {self.min_side_px} and {self.max_side_px}.")
        for name in ("min_score", "max_overlap", "slim_aspect", "max_contained", "max_part_ratio"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be above 0 and at most 1, got {getattr(self, name)}.")
        if self.native_level_ratio < 1 or self.enlargement < 1 or self.max_peaks < 1:
            raise ConfigError("native_level_ratio, enlargement and max_peaks must be at least 1.")


@dataclass(frozen=True, slots=True, eq=False)
class Finds:
    """Boxes that may hold a digit.

    Attributes:
        boxes: (n, 4) float32 x, y, w, h.
        scores: (n,) float32, 0 to 1: how likely a digit is there.
        probs: (n, 10) float32: which digit, if one is there.
    """

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    probs: npt.NDArray[np.float32]

    def __len__(self) -> int:
        """How many."""
        return len(self.scores)

    def pick(self, chosen: npt.NDArray[np.bool_ | np.intp]) -> "Finds":
        """Those chosen by a mask or by their indices."""
        return Finds(self.boxes[chosen], self.scores[chosen], self.probs[chosen])


def merge_finds(
    levels: Sequence[Finds],
    config: DetectionConfig = DetectionConfig(),  # noqa: B008
    scales: Sequence[float] | None = None,
) -> Finds:
    """Make one list of several levels' finds: the likeliest box stays, those that overlap it add their opinion.

    Args:
        levels: boxes all in the same pixels.
        config: what counts as the same digit, and what as a part of one.
        scales: pixels of each level to a pixel of the boxes. A digit's score is then the mean over the levels that have
            it at a size that they know; None leaves it at the highest.

    Returns:
        Likeliest first; probabilities are the mean over the finds that were taken for the same digit, weighted by
        their scores.
    """
    boxes, scores, probs = (
        np.concatenate([getattr(level, name) for level in levels]) if levels else empty
        for name, empty in (
            ("boxes", np.zeros((0, 4), np.float32)),
            ("scores", np.zeros(0, np.float32)),
            ("probs", np.zeros((0, N_CLASSES), np.float32)),
        )
    )
    order = np.argsort(-scores, kind="stable")
    every = Finds(boxes, scores, probs).pick(order)
    intersections = intersect_boxes(every.boxes, every.boxes)
    areas = every.boxes[:, 2] * every.boxes[:, 3]
    is_slim = every.boxes[:, 2] < config.slim_aspect * every.boxes[:, 3]
    wide = _widen_boxes(every.boxes, config.slim_aspect)
    widened = _compare_areas(intersect_boxes(wide, wide), wide[:, 2] * wide[:, 3])
    overlaps = np.where(is_slim & is_slim[:, None], widened, _compare_areas(intersections, areas))
    is_same = overlaps > config.max_overlap
    longest = every.boxes[:, 2:].max(axis=1, initial=0)
    is_part = (intersections > config.max_contained * areas) & (longest <= config.max_part_ratio * longest[:, None])
    is_same |= _find_coarse(every.boxes, intersections, config)
    kept, members, is_free = [], [], np.ones(len(every), bool)
    for index in range(len(every)):
        if not is_free[index]:
            continue
        group = is_same[index] & is_free
        group[index] = True  # A box without area overlaps nothing, not even itself.
        kept.append(index)
        members.append(group * every.scores)
        is_free &= ~(group | is_part[index])
    if not kept:
        return every
    weights = np.stack(members)
    merged = Finds(every.boxes[kept], every.scores[kept], _average(weights, every.probs))
    if scales is None:
        return merged
    level_of = np.concatenate([np.full(len(level), index) for index, level in enumerate(levels)])[order]
    scores = _agree(merged.boxes, weights, level_of, scales, config)
    return Finds(merged.boxes, scores, merged.probs).pick(np.argsort(-scores, kind="stable"))


def _average(weights: npt.NDArray[np.float32], probs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(m, n) weights and (n, 10) → (m, 10) means."""
    shares = weights / np.maximum(weights.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return (shares @ probs).astype(np.float32)


def _find_coarse(
    boxes: npt.NDArray[np.float32], intersections: npt.NDArray[np.float32], config: DetectionConfig
) -> npt.NDArray[np.bool_]:
    """(n, n): whether the second box lies around the first, somewhat larger both ways."""
    areas = boxes[:, 2] * boxes[:, 3]
    ratios = boxes[None, :, 2:] / np.maximum(boxes[:, None, 2:], np.finfo(np.float32).tiny)  # (n, n, 2)
    longest = boxes[:, 2:].max(axis=1, initial=0)
    is_around = intersections > config.max_contained * areas[:, None]
    is_larger = (ratios > 1).all(axis=2) & (longest <= config.max_whole_ratio * longest[:, None])
    return is_around & is_larger & (areas > 0)[:, None]


def _agree(
    boxes: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    level_of: npt.NDArray[np.intp],
    scales: Sequence[float],
    config: DetectionConfig,
) -> npt.NDArray[np.float32]:
    """Mean score of m digits over the levels that know their size: (m, n) scores of finds, (n,) their levels → (m,)."""
    longest = boxes[:, 2:].max(axis=1)
    totals, counts = np.zeros(len(boxes), np.float32), np.zeros(len(boxes), np.float32)
    for index, scale in enumerate(scales):
        said = scores[:, level_of == index].max(axis=1, initial=0.0)
        # Near its limits a level may or may not see a digit; well within them it should.
        is_known = (longest * scale >= 1.2 * config.min_coarse_px) & (longest * scale <= config.max_side_px / 1.2)
        counts += is_known | (said > 0)
        totals += np.where(said > 0, said, np.where(is_known, config.missing_score, 0.0)).astype(np.float32)
    return totals / np.maximum(counts, 1.0)


def _widen_boxes(boxes: npt.NDArray[np.float32], aspect: float) -> npt.NDArray[np.float32]:
    """Boxes about the same middles, at least this wide for their height."""
    widths = np.maximum(boxes[:, 2], aspect * boxes[:, 3])
    return np.stack([boxes[:, 0] + (boxes[:, 2] - widths) / 2, boxes[:, 1], widths, boxes[:, 3]], axis=1)


def _compare_areas(intersections: npt.NDArray[np.float32], areas: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(n, n) and (n,) → (n, n) intersections over unions; 0 for boxes without area."""
    unions = areas[:, None] + areas[None] - intersections
    return intersections / np.maximum(unions, np.finfo(np.float32).tiny)


def intersect_boxes(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(n, 4) and (m, 4) xywh → (n, m) areas that the boxes share."""
    widths, heights = (
        np.minimum(first[:, None, axis] + first[:, None, axis + 2], second[:, axis] + second[:, axis + 2])
        - np.maximum(first[:, None, axis], second[:, axis])
        for axis in (0, 1)
    )
    return np.maximum(widths, 0) * np.maximum(heights, 0)
