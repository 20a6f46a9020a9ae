"""What went wrong in a picture: digits missed, false, misread, out of order; and the matching that tells.

Where both sides have boxes, a read digit is about the labelled one that its box meets; elsewhere the strings are
aligned, so that a digit that is missed at one place and read too much at another counts as out of order.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass

from benchmarks.photo_labels import BoxedDigit, PhotoLabel, PhotoText
from digitcore.results import Box

# Boxes that meet by so much are about the same digit: less than for a good box, where the half is asked.
MIN_CAUSE_IOU = 0.3


@dataclass(frozen=True, slots=True)
class Causes:
    """Digits by what went wrong with them.

    Attributes:
        missed: labelled and not read.
        false: read where there is none.
        misread: read as another digit.
        misordered: read at another place of the text; of pictures with an order, the fewest whose moving puts it right.
    """

    missed: int = 0
    false: int = 0
    misread: int = 0
    misordered: int = 0

    def __add__(self, other: "Causes") -> "Causes":
        """Cause by cause."""
        return Causes(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def n_errors(self) -> int:
        """All of them."""
        return sum(astuple(self))

    def __str__(self) -> str:
        """As "2 missed, 1 misread"; "none" if there are none."""
        return ", ".join(f"{n} {cause}" for cause, n in asdict(self).items() if n) or "none"


def count_causes(label: PhotoLabel, text: PhotoText) -> Causes:
    """Compare what was read in a picture with what is there.

    Args:
        label: the truth.
        text: what was read.

    Returns:
        The causes; none where everything is right.
    """
    if text.boxes is not None and (label.boxes or not label.text):
        return _count_by_box(label, text.boxes)
    if not label.has_order:
        return _count_by_digits(label.text, text.text)
    return _count_by_alignment(label.text, text.text)


def match_boxes(
    labelled: Sequence[BoxedDigit], read: Sequence[BoxedDigit], min_iou: float = MIN_CAUSE_IOU
) -> list[tuple[int, int]]:
    """Pairs (index of a labelled box, index of a read one) that meet, the best first, each box once.

    Among boxes that meet equally well, one with the right digit goes before one with a wrong one.
    """
    overlaps = sorted(
        (-intersection_over_union(a, b), digit_a != digit_b, i, j)
        for i, (a, digit_a) in enumerate(labelled)
        for j, (b, digit_b) in enumerate(read)
    )
    used_labelled, used_read, pairs = set(), set(), []
    for negative_iou, _, i, j in overlaps:
        if -negative_iou >= min_iou and i not in used_labelled and j not in used_read:
            used_labelled.add(i)
            used_read.add(j)
            pairs.append((i, j))
    return pairs


def intersection_over_union(a: Box, b: Box) -> float:
    """Shared area of two boxes as a part of the area that they cover together, 0 to 1."""
    width = min(a.x + a.w, b.x + b.w) - max(a.x, b.x)
    height = min(a.y + a.h, b.y + b.h) - max(a.y, b.y)
    shared = max(width, 0) * max(height, 0)
    return shared / max(a.w * a.h + b.w * b.h - shared, 1)


def align(want: str, got: str) -> list[tuple[str, str]]:
    """Pairs of digits of two strings, "" beside a digit without partner: the fewest edits, among those most matches.

    Source: Wagner & Fischer, J. ACM 21(1), 1974.
    """
    # costs[i][j]: (edits, −matches) of the first i digits of `want` and j of `got`.
    costs = [[(i + j, 0) for j in range(len(got) + 1)] for i in range(len(want) + 1)]
    for i, a in enumerate(want, 1):
        for j, b in enumerate(got, 1):
            costs[i][j] = min(_step(costs, i, j, a, b))[0]
    pairs: list[tuple[str, str]] = []
    i, j = len(want), len(got)
    while i and j:
        _, (back_i, back_j) = min(_step(costs, i, j, want[i - 1], got[j - 1]))
        pairs.append((want[back_i:i], got[back_j:j]))
        i, j = back_i, back_j
    pairs += [(a, "") for a in reversed(want[:i])] + [("", b) for b in reversed(got[:j])]
    return pairs[::-1]


def _step(
    costs: list[list[tuple[int, int]]], i: int, j: int, a: str, b: str
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """The three ways to (i, j): what each costs, and from where it comes."""
    (edits, matches), (up, up_matches), (left, left_matches) = costs[i - 1][j - 1], costs[i - 1][j], costs[i][j - 1]
    return [
        ((edits + (a != b), matches - (a == b)), (i - 1, j - 1)),
        ((up + 1, up_matches), (i - 1, j)),
        ((left + 1, left_matches), (i, j - 1)),
    ]


def _count_by_box(label: PhotoLabel, read: Sequence[BoxedDigit]) -> Causes:
    pairs = match_boxes(label.boxes, read)
    order = [i for i, _ in sorted(pairs, key=lambda pair: pair[1])]
    return Causes(
        missed=len(label.boxes) - len(pairs),
        false=len(read) - len(pairs),
        misread=sum(label.boxes[i][1] != read[j][1] for i, j in pairs),
        misordered=len(order) - _longest_rise(order) if label.has_order else 0,
    )


def _count_by_alignment(want: str, got: str) -> Causes:
    pairs = align(want, got)
    missed = Counter(a for a, b in pairs if not b)
    false = Counter(b for a, b in pairs if not a)
    n_moved = (missed & false).total()
    n_misread = sum(a != b for a, b in pairs if a and b)
    return Causes(missed.total() - n_moved, false.total() - n_moved, n_misread, n_moved)


def _count_by_digits(want: str, got: str) -> Causes:
    """Without an order, a digit too few and one too many are one that was misread."""
    n_lacking, n_surplus = (Counter(want) - Counter(got)).total(), (Counter(got) - Counter(want)).total()
    n_misread = min(n_lacking, n_surplus)
    return Causes(n_lacking - n_misread, n_surplus - n_misread, n_misread)


def _longest_rise(numbers: Sequence[int]) -> int:
    """Length of the longest rising subsequence: patience sorting."""
    tails: list[int] = []
    for number in numbers:
        place = bisect_left(tails, number)
        tails[place : place + 1] = [number]
    return len(tails)
