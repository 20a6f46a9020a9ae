"""What surrounds a find on its page: digits stand in company, and what looks like one within a word is a letter.

The figures go into the decision whether a find is a digit (fusion.py); what they mean is learnt from synthetic pages.
So nothing is among them that depends on how full a page is: those are full of digits, and a photo has a few.
"""

import numpy as np
import numpy.typing as npt

from digitcore.detection import Detections
from digitcore.detector import INK_STRIDE, InkKind

# What a pen or a press wrote that is no digit; rules are paper.
OTHER_KINDS = (InkKind.LETTERS, InkKind.PRINT, InkKind.SCRIBBLE)
_PAGE_SHARE = "digits' share of the page's ink"
CONTEXT_FEATURES = (
    "log of the longer side in pixels of the largest level",
    "the best other find near by on the same line, by score and likeness in height",
    "digits' share of the ink beside it, near",
    "digits' share of the ink beside it, further along the line",
    _PAGE_SHARE,
    "log of the inked share of its box",
    "log of 1 and other ink near it by ink in its box",
    "log of 1 and digits' ink near it by ink in its box",
)
N_CONTEXT = len(CONTEXT_FEATURES)
# Margins around a box in which ink is near it, and further along its line, as shares of its longer side: x, y.
NEAR, ALONG = (1.2, 0.2), (3.0, 0.5)
# Company counts for less with each two sides of distance along the line, and each 0.7 across it.
COMPANY_REACH = (2.0, 0.7)


def describe_context(detections: Detections, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Describe where each find stands.

    Args:
        detections: n finds, and the kinds of ink on their page.
        shape: (H, W, …) of the picture that the boxes are in.

    Returns:
        (n, `N_CONTEXT`) float32, columns as `CONTEXT_FEATURES` says.
    """
    boxes = detections.boxes.astype(np.float64)
    if not len(boxes):
        return np.zeros((0, N_CONTEXT), np.float32)
    kinds = np.ascontiguousarray(detections.ink_kinds[::INK_STRIDE, ::INK_STRIDE])
    scale = max(kinds.shape) / max(shape[:2])
    # A dot and a hair have a side of a pixel at least.
    sides = np.maximum(boxes[:, 2:], 1.0)
    longest = sides.max(axis=1)
    is_digit, is_other = kinds == InkKind.DIGIT, np.isin(kinds, OTHER_KINDS)
    sums = [_sum_up(mask) for mask in (is_digit, is_other)]
    own = np.array([_count(table, scale * boxes) for table in sums])  # (digits and others, n)
    near, along = (
        np.array([_count(table, scale * _grow(boxes, longest, margins)) for table in sums]) - own
        for margins in (NEAR, ALONG)
    )
    own_ink = own.sum(axis=0)
    features = [
        np.log(INK_STRIDE * scale * longest),
        _find_company(boxes, sides, detections.scores.astype(np.float64)),
        _share(*near),
        _share(*along),
        np.full(len(boxes), _share(is_digit.sum(), is_other.sum())),
        np.log((own_ink + 1) / (np.prod(scale * sides, axis=1) + 1)),
        np.log1p(near[1] / (own_ink + 1)),
        np.log1p(near[0] / (own_ink + 1)),
    ]
    return np.column_stack(features).astype(np.float32)


def is_mostly_other_writing(context: npt.NDArray[np.float32]) -> bool:
    """Whether most of the ink on a page is letters', print's or a scribble's.

    Args:
        context: (n, `N_CONTEXT`) of its finds; where there are none, nothing is known and it is not.
    """
    return bool((context[:, CONTEXT_FEATURES.index(_PAGE_SHARE)] < 0.5).any())


def _find_company(
    boxes: npt.NDArray[np.float64], sides: npt.NDArray[np.float64], scores: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """(n,) 0 to 1: the best other find by its score, its likeness in height, and how near it is on the line."""
    heights = sides[:, 1]
    likeness = np.minimum(heights[:, None], heights) / np.maximum(heights[:, None], heights)  # (n, n)
    company = scores * likeness**2
    np.fill_diagonal(company, 0.0)
    middles = boxes[:, :2] + boxes[:, 2:] / 2
    away = (middles[:, None] - middles) / (sides.max(axis=1)[:, None, None] * np.array(COMPANY_REACH))  # (n, n, 2)
    return (company * np.exp(-(away**2).sum(axis=2))).max(axis=1)


def _grow(
    boxes: npt.NDArray[np.float64], longest: npt.NDArray[np.float64], margins: tuple[float, float]
) -> npt.NDArray[np.float64]:
    """Boxes with margins all around, each a share of the box's longer side."""
    by = longest[:, None] * np.array(margins)  # (n, 2)
    return np.hstack([boxes[:, :2] - by, boxes[:, 2:] + 2 * by])


def _sum_up(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """(H, W) → its summed area table, (H + 1, W + 1)."""
    height, width = mask.shape
    sums = np.zeros((height + 1, width + 1), np.int64)
    sums[1:, 1:] = mask.cumsum(axis=0).cumsum(axis=1)
    return sums


def _count(sums: npt.NDArray[np.int64], boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Pixels of a mask within boxes, (n, 4) x, y, w, h in its pixels → (n,)."""
    limits = np.array(sums.shape[::-1]) - 1
    left, top = np.clip(np.floor(boxes[:, :2]), 0, limits).astype(int).T
    right, bottom = np.clip(np.ceil(boxes[:, :2] + boxes[:, 2:]), 0, limits).astype(int).T
    return (sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]).astype(np.float64)


def _share(digits: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Of digits' ink; a half where there is next to none."""
    return (digits + 1) / (digits + others + 2)
