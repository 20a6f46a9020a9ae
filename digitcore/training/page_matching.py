"""Which find is about which digit of a synthetic page: the only copy, for validation, the fusion and the benchmark."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from digitcore.merging import intersect_boxes
from digitcore.training.pages import Page

# A find is in its place if it covers this share of what it and the digit cover together.
MIN_IOU = 0.5
# A find with this share of its area within an ignored box is neither right nor wrong.
MIN_EXCUSED = 0.5
# Of a digit too large to be asked for only the middle is ignored: a find over this share of that, and centred in it, is
# excused too.
MIN_COVERED = 0.8
NO_DIGIT = -1


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """What became of n finds.

    Attributes:
        digits: (n,) int64 index of the page's digit that each is about, or `NO_DIGIT`.
        is_excused: (n,) bool: about no digit, where neither a find nor a miss counts.
    """

    digits: npt.NDArray[np.int64]
    is_excused: npt.NDArray[np.bool_]

    @property
    def is_found(self) -> npt.NDArray[np.bool_]:
        """(n,): whether each is about a digit."""
        return self.digits != NO_DIGIT

    @property
    def is_false(self) -> npt.NDArray[np.bool_]:
        """(n,): whether each stands where no digit is, or where another find took the digit."""
        return ~self.is_found & ~self.is_excused

    def find_right(self, labels: npt.NDArray[np.int64], page: Page) -> npt.NDArray[np.bool_]:
        """(n,): whether each is about a digit and, by its (n,) label, read right."""
        is_right = self.is_found
        is_right[is_right] = labels[is_right] == page.labels[self.digits[is_right]]
        return is_right


def match_finds(boxes: npt.NDArray[np.float32], scores: npt.NDArray[np.float32], page: Page) -> Matches:
    """Match finds and digits, the likeliest find first, each to the free digit that it overlaps most.

    Args:
        boxes: (n, 4) x, y, w, h in the page's pixels.
        scores: (n,): how likely each is.
        page: what there is.
    """
    intersections = intersect_boxes(boxes, page.boxes)
    areas = boxes[:, 2:].prod(axis=1)
    overlaps = intersections / np.maximum(areas[:, None] + page.boxes[:, 2:].prod(axis=1) - intersections, 1e-6)
    digits = np.full(len(boxes), NO_DIGIT, np.int64)
    for index in np.argsort(-scores, kind="stable") if len(page.boxes) else ():
        best = overlaps[index].argmax()
        if overlaps[index, best] >= MIN_IOU:
            overlaps[:, best] = 0
            digits[index] = best
    return Matches(digits, (digits == NO_DIGIT) & _find_excused(boxes, page.ignored))


def _find_excused(boxes: npt.NDArray[np.float32], ignored: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """(n,): whether boxes lie within an ignored one, or around the middle of a digit that is too large."""
    shared = intersect_boxes(boxes, ignored)
    is_within = shared >= MIN_EXCUSED * np.maximum(boxes[:, 2:].prod(axis=1)[:, None], 1e-6)
    middles = boxes[:, None, :2] + boxes[:, None, 2:] / 2
    is_centred = ((middles >= ignored[:, :2]) & (middles <= ignored[:, :2] + ignored[:, 2:])).all(axis=2)
    is_around = is_centred & (shared >= MIN_COVERED * np.maximum(ignored[:, 2:].prod(axis=1), 1e-6))
    return (is_within | is_around).any(axis=1)
