"""Layouts of digits as people write them, with the reading order planted: boxes alone, no pictures."""

from dataclasses import dataclass

import numpy as np

from digitcore.results import Box

KINDS = (
    "row",
    "rows",
    "tight",
    "curved",
    "list",
    "columns",
    "headed columns",
    "grid",
    "sizes",
    "mixed sizes",
    "gaps",
    "few",
)
# Width by height of handwritten digits: MNIST's quartiles are about .55 and .85; its ones .15 to .4.
ASPECTS = (0.5, 0.95)
ONE_ASPECTS = (0.15, 0.4)
# A gap that runs through so many lines, so wide in digit heights, would be a gutter by chance: such pages are not made.
MAX_CHANCE_GUTTER = 1.0


@dataclass(frozen=True)
class Layout:
    """Boxes in reading order, and how many of them each line has."""

    boxes: list[Box]
    line_lengths: list[int]

    @property
    def lines(self) -> list[list[int]]:
        """The planted answer: indices into `boxes`."""
        ends = np.cumsum(self.line_lengths).tolist()
        return [list(range(end - n, end)) for end, n in zip(ends, self.line_lengths, strict=True)]


def make_layout(kind: str, rng: np.random.Generator) -> Layout:
    """A page of one of `KINDS`: digits 20 to 60 px high, tilted by up to 20°."""
    size = rng.uniform(20, 60)
    lines = _LINES[kind](rng)
    slope = np.tan(np.radians(rng.uniform(-20, 20)))
    curve = rng.uniform(-0.012, 0.012) if kind == "curved" else rng.uniform(-0.002, 0.002)
    boxes = [_tilt(box, slope, curve, size, rng) for line in lines for box in line]
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    placed = [Box(round(x - left), round(y - top), max(3, round(w)), max(3, round(h))) for x, y, w, h in boxes]
    return Layout(placed, [len(line) for line in lines])


Cell = tuple[float, float, float, float]


def _tilt(box: Cell, slope: float, curve: float, size: float, rng: np.random.Generator) -> Cell:
    """A box turned about the origin and bent, its own sides left upright; in pixels."""
    x, y, w, h = box
    angle = np.arctan(slope)
    centre_x, centre_y = x + w / 2, y + h / 2
    centre_y += curve * (centre_x - 4) ** 2
    turned_x = centre_x * np.cos(angle) - centre_y * np.sin(angle)
    turned_y = centre_x * np.sin(angle) + centre_y * np.cos(angle)
    return (size * (turned_x - w / 2), size * (turned_y - h / 2), size * w, size * h)


def _number(rng: np.random.Generator, n: int, x: float, base: float, gaps=(0.08, 0.4), height=1.0) -> list[Cell]:
    """`n` digits from left to right on a base line, in digit heights: some short, some dipping, ones narrow."""
    cells = []
    for _ in range(n):
        h = height * np.clip(rng.normal(0.95, 0.1), 0.7, 1.15)
        foot = base + height * rng.normal(0, 0.05)
        kind = rng.choice(["plain", "one", "dips", "high"], p=[0.72, 0.14, 0.07, 0.07])
        foot += height * {"dips": 0.15, "high": -0.15}.get(kind, 0.0)
        w = h * rng.uniform(*(ONE_ASPECTS if kind == "one" else ASPECTS))
        cells.append((x, foot - h, w, h))
        x += w + height * rng.uniform(*gaps)
    return cells


def _bases(rng: np.random.Generator, n: int, spacing: float, jitter=0.04) -> list[float]:
    return [spacing * i + rng.normal(0, jitter) for i in range(n)]


def _row(rng):
    n = int(rng.integers(3, 13))
    return [_number(rng, n, 0, 0, (0.08, rng.uniform(0.2, 1.2)))]


def _rows(rng, spacing=(1.3, 2.4)):
    gaps = (0.08, rng.uniform(0.2, 1.0))
    bases = _bases(rng, int(rng.integers(2, 8)), rng.uniform(*spacing))
    return [_number(rng, int(rng.integers(2, 13)), rng.normal(0, 0.3), base, gaps) for base in bases]


def _tight(rng):
    gaps = (0.06, rng.uniform(0.2, 0.6))
    # Digits are .95 high on average: 1.1 of that.
    bases = _bases(rng, int(rng.integers(2, 9)), 1.05, 0.015)
    return [_number(rng, int(rng.integers(4, 13)), rng.normal(0, 0.3), base, gaps) for base in bases]


def _curved(rng):
    return _rows(rng, (1.3, 2.0))


def _list(rng):
    bases = _bases(rng, int(rng.integers(2, 12)), rng.uniform(1.25, 2.6))
    n_max = int(rng.integers(1, 6))
    return [_number(rng, int(rng.integers(1, n_max + 1)), rng.normal(0, 0.2), base) for base in bases]


def _columns(rng, min_lines=3):
    """Two or three lists side by side, their levels the same or not, a wide gutter between them."""
    spacing, n_lines = rng.uniform(1.25, 2.0), int(rng.integers(min_lines, 9))
    gutter = rng.uniform(2.5, 6.0)
    lines, x, same_levels = [], 0.0, rng.random() < 0.5
    for _ in range(int(rng.integers(2, 4))):
        phase = 0.0 if same_levels else rng.uniform(0, spacing)
        n = max(min_lines, n_lines - int(rng.integers(0, 3)))
        bases = [base + phase for base in _bases(rng, n, spacing)]
        column = [_number(rng, int(rng.integers(2, 6)), x + rng.normal(0, 0.1), base) for base in bases]
        lines += column
        x = gutter + max(cell[0] + cell[2] for line in column for cell in line)
    return lines


def _headed_columns(rng):
    columns = _columns(rng, min_lines=4)
    right = max(cell[0] + cell[2] for line in columns for cell in line)
    top = min(cell[1] for line in columns for cell in line)
    n = int(right / 0.95)
    return [_number(rng, n, 0, top - rng.uniform(0.5, 1.5), (0.1, 0.3)), *columns]


def _grid(rng):
    """Single digits at equal distances, as in a table or a form."""
    pitch_x, pitch_y = rng.uniform(1.4, 3.5), rng.uniform(1.4, 3.0)
    n_rows, n_columns = int(rng.integers(2, 7)), int(rng.integers(2, 9))
    rows = []
    for i in range(n_rows):
        cells = _number(rng, n_columns, 0, i * pitch_y)
        rows.append([(j * pitch_x - w / 2 + rng.normal(0, 0.08), y, w, h) for j, (_, y, w, h) in enumerate(cells)])
    return rows


def _sizes(rng):
    """Each line in its own size, up to four times the smallest."""
    lines, base = [], 0.0
    for _ in range(int(rng.integers(2, 6))):
        height = float(np.exp(rng.uniform(np.log(0.5), np.log(2.0))))
        base += height * rng.uniform(1.25, 1.6)
        lines.append(_number(rng, int(rng.integers(2, 9)), rng.normal(0, 0.3), base, height=height))
    return lines


def _mixed_sizes(rng):
    """Small digits among large ones, on their base line or at half their height."""
    lines, base = [], 0.0
    for _ in range(int(rng.integers(1, 4))):
        cells, x = [], 0.0
        base += rng.uniform(1.5, 2.2)
        for _ in range(int(rng.integers(2, 9))):
            height = 1.0 if rng.random() < 0.6 else rng.uniform(0.4, 0.7)
            lift = rng.uniform(0, 0.5) * (1 - height)
            cells += _number(rng, 1, x, base - lift, height=height)
            x = cells[-1][0] + cells[-1][2] + rng.uniform(0.1, 0.4)
        lines.append(cells)
    return lines


def _gaps(rng):
    """Lines with one or two very wide gaps, in other places on each line."""
    while True:
        lines = []
        for base in _bases(rng, int(rng.integers(1, 6)), rng.uniform(1.4, 2.2)):
            cells, x = [], rng.normal(0, 0.3)
            for _ in range(int(rng.integers(2, 4))):
                cells += _number(rng, int(rng.integers(1, 6)), x, base)
                x = cells[-1][0] + cells[-1][2] + rng.uniform(2.0, 8.0)
            lines.append(cells)
        if len(lines) < 3 or _widest_gap([cell for line in lines for cell in line]) < MAX_CHANCE_GUTTER:
            return lines


def _few(rng):
    """One to four digits, in one line or in two."""
    bases = _bases(rng, int(rng.integers(1, 3)), rng.uniform(1.3, 2.0))
    return [_number(rng, int(rng.integers(1, 3)), rng.normal(0, 0.2), base, (0.1, 0.8)) for base in bases]


def _widest_gap(cells: list[Cell]) -> float:
    """The widest upright strip without a digit, between digits."""
    reached, widest = -np.inf, 0.0
    for x, _, w, _ in sorted(cells):
        if np.isfinite(reached):
            widest = max(widest, x - reached)
        reached = max(reached, x + w)
    return widest


_LINES = dict(
    zip(
        KINDS,
        (_row, _rows, _tight, _curved, _list, _columns, _headed_columns, _grid, _sizes, _mixed_sizes, _gaps, _few),
        strict=True,
    )
)
