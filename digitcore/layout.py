"""Boxes → text lines in reading order, from the boxes alone: lines may slope and curve, and stand in columns.

    slopes      the page's slope by vote of all pairs of neighbours, then each place's own from the lines found so far
    chains      each digit gets its right neighbour, the surest pairs first; chains of neighbours are the lines
    columns     where upright gutters part the lines evidently, the lines are cut there
    order       columns from left to right, in each the lines from top to bottom, judged where they are nearest

What counts as columns: lists of numbers side by side, with strips without any digit between them that run through at
least `MIN_COLUMN_LINES` lines, are `MIN_GUTTER_RATIO` digit heights wide and `MIN_GUTTER_TO_GAP` times as wide as the
widest gap within the numbers. Digits at equal distances, as in a table or a form, are therefore read row by row, and
so is a single line with a gap, however wide. Lists of one digit a line beside each other have no gaps within numbers
to compare with: they are columns only if they stand much nearer below than beside each other.

Coordinates are pixels of the upright picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from digitcore.results import Box

Floats = npt.NDArray[np.float64]

# Lengths are in digit heights: of the page's median one, unless a line says otherwise.

# Steepest slope of a page that is considered, in degrees: 20 are promised, handwriting adds its own.
MAX_SLOPE_DEGREES = 26
# Pairs nearer or further apart than this, in their own heights, do not tell of the slope.
MIN_PAIR_DISTANCE = 0.2
MAX_PAIR_DISTANCE = 6.0
# On full pages every second, third … pair votes, so that no more do than this.
MAX_VOTES = 4000
# Tolerance of a vote: the scatter of handwritten digits about their line.
VOTE_TOLERANCE = 0.15
# Votes that a level page has beforehand over the steepest one: a pair at 1.2 heights has .6.
LEVEL_PRIOR = 0.6
# Each place's slope: from the digits' neighbours and the next but one, so far around it …
N_NEIGHBOURS = 2
SLOPE_REACH = 4.0
# … and the page's own slope counts there as so many squared heights of distance between neighbours.
PAGE_SLOPE_WEIGHT = 4.0
# Lines found anew with the slopes of the lines found before; a second time changed none of 3,600 planted pages.
SLOPE_PASSES = 1

# A box on a line shares at least this part of the lower one's height with it, the slope taken off. Of several lines
# it goes to the one with which it shares most, less what each height of drop and of distance costs.
MIN_LINE_OVERLAP = 0.35
DROP_COST = 0.5
DISTANCE_COST = 0.1
MAX_DISTANCE = 3.0
# A line's level is told by so many of its last boxes.
N_LAST = 3
# Over a gap a level is less sure: lines are joined that differ by this much in level, more with each height of gap.
MAX_LEVEL_DROP = 0.5
GAP_TOLERANCE = 0.05
MAX_GAP_DROP = 0.9

MIN_COLUMN_LINES = 3
MIN_GUTTER_RATIO = 1.5
MIN_GUTTER_TO_GAP = 1.8
# Gutters of one page are alike: narrower than this share of the widest, a strip is a gap.
MIN_GUTTER_TO_WIDEST = 0.5
# For columns of single digits: their distance sideways over that downwards, and in digit heights.
MIN_ASIDE_TO_BELOW = 3.0
MIN_SINGLE_GUTTER_RATIO = 3.0
# A heading or a footer of so many lines may cross the gutters.
MAX_CROSSING_LINES = 3


@dataclass(frozen=True, slots=True)
class _Page:
    """Boxes in units of the median height: arrays of (n,), and of (n, n) for what two have to do with each other.

    Attributes:
        x: centres, to the right.
        y: centres, downwards.
        w: widths.
        h: heights.
        dx: how far the column's box lies right of the row's.
        dy: how far it lies below.
        scale: the mean height of the two.
    """

    x: Floats
    y: Floats
    w: Floats
    h: Floats
    dx: Floats
    dy: Floats
    scale: Floats

    @classmethod
    def from_boxes(cls, boxes: Sequence[Box]) -> "_Page":
        left, top, w, h = np.asarray(boxes, np.float64).reshape(-1, 4).T
        h = np.maximum(h, 1.0)
        unit = float(np.median(h))
        x, y, w, h = (left + w / 2) / unit, (top + h / 2) / unit, w / unit, h / unit
        return cls(x, y, w, h, x - x[:, None], y - y[:, None], (h + h[:, None]) / 2)

    def __len__(self) -> int:
        return len(self.x)

    def measure_drops(self, slopes: Floats) -> Floats:
        """(n, n): how far the column's box lies below the level of the row's, the mean of their slopes taken off."""
        return self.dy - self.dx * (slopes + slopes[:, None]) / 2


def group_lines(boxes: Sequence[Box]) -> list[list[int]]:
    """Arrange boxes into text lines, in the order in which a person would read them.

    Args:
        boxes: any number, in any order.

    Returns:
        Indices into `boxes`: the lines in reading order, each from left to right; [] for none.

    Source: precedence of lines after Breuel, High performance document layout analysis, SDIUT 2003; gutters as cuts
    after Nagy & Seth, Hierarchical representation of optically scanned documents, ICPR 1984.
    """
    if len(boxes) < 2:
        return [[i] for i in range(len(boxes))]
    page = _Page.from_boxes(boxes)
    slope = _vote_slope(page)
    lines, drops = _find_lines(page, slope)
    across = page.x * np.cos(np.arctan(slope)) + page.y * np.sin(np.arctan(slope))
    first, last, gutters = _find_columns(page, lines, across)
    columns = _cut_lines(lines[first:last], across, gutters)
    in_columns = [line for column in columns for line in _sort_downwards(page, column, drops)]
    return [*lines[:first], *in_columns, *lines[last:]]


def _find_lines(page: _Page, page_slope: float) -> tuple[list[list[int]], Floats]:
    """Lines over the page's whole width, from top to bottom, and the drops between all boxes."""
    drops = page.measure_drops(np.full(len(page), page_slope))
    lines = _link_lines(page, drops)
    for _ in range(SLOPE_PASSES):
        drops = page.measure_drops(_find_slopes(page, lines, page_slope))
        lines = _link_lines(page, drops)
    return _sort_downwards(page, _join_over_gaps(page, lines, drops), drops), drops


def _vote_slope(page: _Page) -> float:
    """The page's slope, downwards to the right: the one by which most neighbours come to stand on one level."""
    steepest = np.tan(np.radians(MAX_SLOPE_DEGREES))
    reach = MAX_PAIR_DISTANCE * page.scale
    left, right = np.nonzero((page.dx > MIN_PAIR_DISTANCE * page.scale) & (page.dx < reach))
    dx, dy = (d[left, right] / page.scale[left, right] for d in (page.dx, page.dy))
    near = np.abs(dy) <= steepest * dx + VOTE_TOLERANCE
    step = 1 + int(near.sum()) // MAX_VOTES
    dx, dy = dx[near][::step], dy[near][::step]
    degrees = np.arange(-MAX_SLOPE_DEGREES, MAX_SLOPE_DEGREES + 1)
    candidates = np.tan(np.radians(degrees))
    misfits = (dy - candidates[:, None] * dx) / VOTE_TOLERANCE  # (n_candidates, n_pairs)
    votes = np.exp(-0.5 * misfits**2) @ (1 / (0.5 + dx))
    votes -= LEVEL_PRIOR * (degrees / MAX_SLOPE_DEGREES) ** 2
    return float(candidates[int(votes.argmax())])


def _link_lines(page: _Page, drops: Floats) -> list[list[int]]:
    """From left to right, each box hung on the line on whose level it stands; each box is in one line."""
    dx = np.abs(page.dx)
    weights = 1 / (0.5 + dx) ** 2
    weighted_drops = weights * drops
    lower = np.minimum(page.h, page.h[:, None])
    distance_cost = DISTANCE_COST * np.minimum(dx, MAX_DISTANCE)
    lines: list[list[int]] = []
    # The last boxes of each line, the newest first; a new line's one box fills its column.
    last = np.zeros((N_LAST, len(page)), np.int64)
    for box in np.argsort(page.x, kind="stable").tolist():
        ends = last[:, : len(lines)]
        newest = ends[0]
        drop = np.abs(weighted_drops[box].take(ends).sum(axis=0) / weights[box].take(ends).sum(axis=0))
        overlap = np.minimum((page.scale[box].take(newest) - drop) / lower[box].take(newest), 1.0)
        fit = overlap - DROP_COST * drop - distance_cost[box].take(newest)
        fit[overlap < MIN_LINE_OVERLAP] = -np.inf
        best = int(fit.argmax()) if lines else 0
        if lines and fit[best] > -np.inf:
            lines[best].append(box)
            last[1:, best] = last[:-1, best]
            last[0, best] = box
        else:
            last[:, len(lines)] = box
            lines.append([box])
    return lines


def _join_over_gaps(page: _Page, lines: Sequence[list[int]], drops: Floats) -> list[list[int]]:
    """Join lines, one ending left of the other's start, that are on one level as far as can be told over the gap."""
    ends, starts = np.array([line[-1] for line in lines]), np.array([line[0] for line in lines])
    gap = page.dx[np.ix_(ends, starts)]
    drop = np.abs(drops[np.ix_(ends, starts)]) / np.minimum(page.h[ends][:, None], page.h[starts])
    cost = drop - GAP_TOLERANCE * gap
    cost[(gap <= 0) | (cost > MAX_LEVEL_DROP) | (drop > MAX_GAP_DROP)] = np.inf
    follower = {}
    for i in range(len(lines)):
        j = int(cost[i].argmin())
        if np.isfinite(cost[i, j]) and int(cost[:, j].argmin()) == i:
            follower[i] = j
    joined = []
    for i in (i for i in range(len(lines)) if i not in follower.values()):
        line = list(lines[i])
        while i in follower:
            i = follower[i]
            line += lines[i]
        joined.append(line)
    return joined


def _find_slopes(page: _Page, lines: Sequence[Sequence[int]], page_slope: float) -> Floats:
    """(n,): each box's slope, from the pairs of neighbours around it, and from the page's where there are few."""
    pairs = [
        pair for line in lines for lag in range(1, N_NEIGHBOURS + 1) for pair in zip(line, line[lag:], strict=False)
    ]
    left, right = np.array(pairs, np.int64).reshape(-1, 2).T
    dx, dy = page.x[right] - page.x[left], page.y[right] - page.y[left]
    near = dx < MAX_PAIR_DISTANCE
    left, right, dx, dy = left[near], right[near], dx[near], dy[near]
    page_slope = (dx @ dy + PAGE_SLOPE_WEIGHT * page_slope) / (dx @ dx + PAGE_SLOPE_WEIGHT)
    middle_x, middle_y = (page.x[left] + page.x[right]) / 2, (page.y[left] + page.y[right]) / 2
    distance = (page.x[:, None] - middle_x) ** 2 + (page.y[:, None] - middle_y) ** 2
    weight = np.exp(-0.5 * distance / SLOPE_REACH**2)
    # Least squares through the origin, dy = slope · dx, with the page's slope as some more pairs.
    return (weight @ (dx * dy) + PAGE_SLOPE_WEIGHT * page_slope) / (weight @ (dx * dx) + PAGE_SLOPE_WEIGHT)


def _sort_downwards(page: _Page, lines: list[list[int]], drops: Floats) -> list[list[int]]:
    """The lines from top to bottom: ordered by how many others each lies below, judged where two are nearest."""
    if len(lines) < 2:
        return lines
    members = np.array([i for line in lines for i in line])
    starts = np.cumsum([0, *(len(line) for line in lines)])[:-1]
    pairs = np.ix_(members, members)
    # Nearest pairs decide: at two heights' distance a pair counts for a 300th of one above the other.
    drops = drops[pairs] / (0.25 + page.dx[pairs] ** 2) ** 2
    below = np.add.reduceat(np.add.reduceat(drops, starts, axis=0), starts, axis=1)
    np.fill_diagonal(below, 0.0)
    n_above = (below > 0).sum(axis=0)
    return [lines[i] for i in sorted(range(len(lines)), key=lambda i: (n_above[i], page.x[lines[i][0]]))]


def _find_columns(page: _Page, lines: list[list[int]], across: Floats) -> tuple[int, int, list[float]]:
    """The lines [first, last) that stand in columns, most lines first, and their gutters; none: (0, 0, [])."""
    n = len(lines)
    spans = [
        (first, last)
        for first in range(min(MAX_CROSSING_LINES, n) + 1)
        for last in range(n, max(n - MAX_CROSSING_LINES, 0) - 1, -1)
        if last - first >= MIN_COLUMN_LINES + first + n - last
    ]
    for first, last in sorted(spans, key=lambda span: span[0] - span[1]):
        gutters = _find_gutters(page, lines[first:last], across)
        if gutters:
            return first, last, gutters
    return 0, 0, []


def _find_gutters(page: _Page, lines: list[list[int]], across: Floats) -> list[float]:
    """The middles of the gutters that part the lines into columns; [] where columns are not evident."""
    members = np.array([i for line in lines for i in line])
    strips = _find_strips(across[members], page.w[members])
    widest = max((right - left for left, right in strips), default=0.0)
    strips = [(left, right) for left, right in strips if right - left >= MIN_GUTTER_TO_WIDEST * widest]
    gutters = [(left + right) / 2 for left, right in strips]
    narrowest = min((right - left for left, right in strips), default=0.0)
    if not gutters or narrowest < MIN_GUTTER_RATIO:
        return []
    columns = _cut_lines(lines, across, gutters)
    if min(len(column) for column in columns) < MIN_COLUMN_LINES:
        return []
    gaps = [
        across[b] - across[a] - (page.w[a] + page.w[b]) / 2
        for column in columns
        for line in column
        for a, b in zip(line, line[1:], strict=False)
    ]
    if gaps:
        return gutters if narrowest >= MIN_GUTTER_TO_GAP * max(gaps) else []
    below = np.median(
        [page.y[b[0]] - page.y[a[0]] - 1 for column in columns for a, b in zip(column, column[1:], strict=False)]
    )
    is_far = narrowest >= max(MIN_SINGLE_GUTTER_RATIO, MIN_ASIDE_TO_BELOW * below)
    return gutters if is_far and len(columns) < min(len(column) for column in columns) else []


def _find_strips(across: Floats, widths: Floats) -> list[tuple[float, float]]:
    """The strips (left, right) between digits that hold none, from left to right."""
    order = np.argsort(across - widths / 2)
    starts, reached = (across - widths / 2)[order], np.maximum.accumulate((across + widths / 2)[order])
    return [(float(reached[k]), float(starts[k + 1])) for k in np.nonzero(starts[1:] > reached[:-1])[0]]


def _cut_lines(lines: Sequence[Sequence[int]], across: Floats, gutters: list[float]) -> list[list[list[int]]]:
    """Each column's lines."""
    columns: list[list[list[int]]] = [[] for _ in range(len(gutters) + 1)]
    for line in lines:
        places = np.searchsorted(gutters, across[list(line)])
        for place in np.unique(places):
            columns[place].append([i for i, p in zip(line, places, strict=True) if p == place])
    return columns
