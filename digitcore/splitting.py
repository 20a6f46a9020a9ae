"""Touching digits: where a candidate may be cut, and which cuts to believe once the pieces are classified.

Cuts are seams: top-to-bottom paths that cross as little ink as they can, so that a slanted or curved gap is followed
and two digits part where they touch. Every stretch between two seams is a segment; the classifier reads all of them in
one batch, and the best way through the lattice wins.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from digitcore.results import Box, Candidate

# Seams are searched on ink of this height: fine enough for a stroke of 3 px, a millisecond of work.
WORK_HEIGHT_PX = 48
# A single digit is seldom wider than this share of its height; narrower ink is not cut at all.
MIN_SPLIT_ASPECT = 0.85
MAX_SEAMS = 6
# A digit is at least this wide, as a share of the height: a one drawn with a fine pen.
MIN_SEGMENT_WIDTH_RATIO = 0.08
# Seams nearer to each other than this share of the height cut at the same place.
MIN_SEAM_DISTANCE_RATIO = 0.12
# A path that leaves the straight line pays this for each pixel aside, in units of full ink.
SIDESTEP_COST = 0.05
# In nats: what a seam costs, since most ink is one digit; what each tenth of the height that it runs through ink
# costs; what a segment costs for being wider than a single digit, and for being much lower than the candidate. Chosen
# on single digits and touching pairs composed of MNIST's validation images (docs/experiments.md).
SEAM_COST = 1.0
SEAM_INK_COST = 1.0
FREE_ASPECT, ASPECT_COST = 0.9, 14.0
FREE_HEIGHT_RATIO, HEIGHT_COST = 0.7, 20.0
# Softmax confidences near 1 are all alike, and near 0 no worse than wrong.
MIN_CONFIDENCE = 1e-3


@dataclass(frozen=True, slots=True)
class Segment:
    """What lies between two seams of a candidate.

    Attributes:
        start: index of its left seam; 0 is the candidate's left edge.
        end: index of its right seam; the last is the candidate's right edge.
        candidate: its ink alone.
        cost: what speaks against it before it is classified, in nats; 0 for a candidate that is not cut.
    """

    start: int
    end: int
    candidate: Candidate
    cost: float


def propose_segments(candidate: Candidate) -> list[Segment]:
    """Cut a candidate wherever two digits may touch.

    Args:
        candidate: one connected piece of ink, perhaps of several digits.

    Returns:
        All segments between any two seams, the uncut candidate first; it alone if it is as narrow as one digit.
    """
    height, width = candidate.ink.shape
    if width < MIN_SPLIT_ASPECT * height:
        return [Segment(0, 1, candidate, 0.0)]
    seams, seam_costs = _find_seams(candidate.ink)
    n_edges = len(seams) + 2
    # The column at which each edge crosses each row: (n_edges, h).
    edges = np.vstack([np.zeros(height, int), *seams, np.full(height, width)])
    costs = [0.0, *seam_costs, 0.0]
    spans = [(start, end) for start in range(n_edges - 1) for end in range(start + 1, n_edges)]
    spans.sort(key=lambda span: span[0] - span[1])
    segments = []
    for start, end in spans:
        part = _cut(candidate, edges[start], edges[end])
        if part is None:
            continue
        # A seam has two sides; each pays half.
        segments.append(Segment(start, end, part, (costs[start] + costs[end]) / 2 + _shape_cost(part, height)))
    return segments


def choose_segments(segments: Sequence[Segment], confidences: Sequence[float]) -> list[int]:
    """Find the best way from a candidate's left edge to its right one.

    Args:
        segments: of one candidate, as `propose_segments` gives them.
        confidences: how sure the classifier is that each is one digit, 0 to 1.

    Returns:
        Indices into `segments`, from left to right; they cover the candidate.
    """
    last = max(segment.end for segment in segments)
    best: dict[int, tuple[float, list[int]]] = {0: (0.0, [])}
    for end in range(1, last + 1):
        arriving = [
            (best[segment.start][0] + segment.cost - float(np.log(max(confidence, MIN_CONFIDENCE))), i)
            for i, (segment, confidence) in enumerate(zip(segments, confidences, strict=True))
            if segment.end == end and segment.start in best
        ]
        if arriving:
            cost, i = min(arriving)
            best[end] = (cost, [*best[segments[i].start][1], i])
    return best[last][1]


def _shape_cost(part: Candidate, full_height: int) -> float:
    """What a segment's size says against its being one digit, in nats."""
    height, width = part.ink.shape
    too_wide = max(width / height - FREE_ASPECT, 0.0)
    too_low = max(FREE_HEIGHT_RATIO - height / full_height, 0.0)
    return ASPECT_COST * too_wide + HEIGHT_COST * too_low


def _find_seams(ink: npt.NDArray[np.uint8]) -> tuple[list[npt.NDArray[np.intp]], list[float]]:
    """Cheap paths through the ink, from left to right; each (h,) columns of the full-size ink, and its cost in nats."""
    height, width = ink.shape
    scale = WORK_HEIGHT_PX / height
    work_width = max(round(width * scale), 2)
    work = cv2.resize(ink, (work_width, WORK_HEIGHT_PX), interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
    total, came_from = _accumulate(work)
    margin = max(round(MIN_SEGMENT_WIDTH_RATIO * WORK_HEIGHT_PX), 1)
    distance = MIN_SEAM_DISTANCE_RATIO * WORK_HEIGHT_PX
    paths: list[npt.NDArray[np.intp]] = []
    costs: list[float] = []
    for column in np.argsort(total, kind="stable"):
        path = _trace(came_from, int(column))
        middle = path.mean()
        if not margin <= middle <= work_width - margin:
            continue
        if all(abs(middle - other.mean()) >= distance for other in paths):
            paths.append(path)
            crossed_ratio = float(work[np.arange(WORK_HEIGHT_PX), path].sum()) / WORK_HEIGHT_PX
            costs.append(SEAM_COST + SEAM_INK_COST * 10 * crossed_ratio)
        if len(paths) == MAX_SEAMS:
            break
    order = np.argsort([path.mean() for path in paths])
    rows = np.minimum((np.arange(height) * scale).astype(int), WORK_HEIGHT_PX - 1)
    full_size = [np.rint((paths[i][rows] + 0.5) / work_width * width).astype(int) for i in order]
    # Paths that touched on their way may cross by a pixel: push each to the right of its neighbour.
    for left, right in zip(full_size, full_size[1:], strict=False):
        np.maximum(right, left, out=right)
    return full_size, [costs[i] for i in order]


def _accumulate(work: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int8]]:
    """Cost of the cheapest path from the top to each bottom pixel, and each pixel's step from the row above."""
    came_from = np.zeros(work.shape, np.int8)
    total = work[0].copy()
    for row in range(1, len(work)):
        padded = np.pad(total, 1, constant_values=np.inf)
        ways = np.stack([padded[1:-1], padded[:-2] + SIDESTEP_COST, padded[2:] + SIDESTEP_COST])
        choice = ways.argmin(axis=0)
        came_from[row] = np.array([0, -1, 1], np.int8)[choice]
        total = ways.min(axis=0) + work[row]
    return total, came_from


def _trace(came_from: npt.NDArray[np.int8], column: int) -> npt.NDArray[np.intp]:
    """The path that ends at a bottom pixel: its column in each row."""
    path = np.empty(len(came_from), int)
    for row in range(len(came_from) - 1, -1, -1):
        path[row] = column
        column += int(came_from[row, column])
    return path


def _cut(candidate: Candidate, left: npt.NDArray[np.intp], right: npt.NDArray[np.intp]) -> Candidate | None:
    """The ink between two edges, tightly cropped; None if there is hardly any."""
    height, width = candidate.ink.shape
    columns = np.arange(width)
    inside = (columns >= left[:, None]) & (columns < right[:, None])
    ink = candidate.ink * inside
    strong = ink >= 128
    rows, columns = np.flatnonzero(strong.any(axis=1)), np.flatnonzero(strong.any(axis=0))
    if rows.size == 0 or columns.size < MIN_SEGMENT_WIDTH_RATIO * height:
        return None
    top, bottom, first, last = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    box = candidate.box
    x0, x1 = box.x + first * box.w // width, box.x + -(-last * box.w // width)
    y0, y1 = box.y + top * box.h // height, box.y + -(-bottom * box.h // height)
    return Candidate(Box(x0, y0, x1 - x0, y1 - y0), np.ascontiguousarray(ink[top:bottom, first:last]))
