"""Digits as pen strokes, two handwritings each, made up for the example pictures: no data set has a part in them."""

import numpy as np
import numpy.typing as npt

Point = tuple[float, float]
Stroke = tuple[Point, ...]

# Control points x,y in hundredths of the digit's height, y down, in the order in which a hand writes them; " / " lifts
# the pen, and a point that stands twice in a row is a corner.
WRITTEN = {
    "0": (
        "36,2 12,16 3,52 14,90 34,99 55,82 60,42 50,10 32,3",
        "40,5 14,10 2,45 10,86 36,98 60,78 62,32 44,3 24,9",
    ),
    "1": (
        "4,26 16,14 26,1 26,1 25,35 24,68 23,100",
        "18,0 15,34 13,68 10,100",
    ),
    "2": (
        "6,22 18,4 42,1 55,20 46,46 22,74 2,97 2,97 30,96 62,95",
        "4,20 22,1 48,6 53,30 36,60 12,88 6,97 16,88 28,92 44,99 64,90",
    ),
    "3": (
        "6,12 26,0 48,10 48,32 22,46 22,46 50,56 55,80 32,99 2,90",
        "4,3 28,2 52,1 52,1 36,22 22,42 22,42 48,50 54,76 34,98 3,93",
    ),
    "4": (
        "22,2 12,32 2,60 2,60 30,61 62,58 / 44,28 42,62 40,100",
        "10,3 8,28 6,50 6,50 28,54 54,50 / 52,0 50,48 47,100",
    ),
    "5": (
        "54,2 32,3 14,4 14,4 12,24 10,43 10,43 34,37 56,56 52,84 28,99 3,90",
        "16,6 13,24 11,42 11,42 36,38 54,58 48,88 24,99 2,92 / 15,7 34,5 58,2",
    ),
    "6": (
        "48,2 24,20 6,52 6,84 28,99 52,84 48,58 26,52 7,70",
        "40,0 20,26 5,60 12,92 36,98 54,78 42,58 20,60 8,76",
    ),
    "7": (
        "3,5 28,4 58,2 58,2 44,34 30,66 20,100",
        "4,6 30,5 58,3 58,3 42,38 30,70 24,100 / 16,50 32,49 54,46",
    ),
    "8": (
        "50,12 28,0 8,16 20,40 46,58 54,84 30,100 6,86 14,60 42,38 54,16 47,9",
        "44,10 24,1 7,20 24,43 50,66 48,92 24,99 5,80 22,54 46,34 46,12",
    ),
    "9": (
        "50,16 30,1 8,14 8,40 30,50 50,34 52,14 52,14 51,50 47,100",
        "50,14 28,2 7,20 14,45 38,44 52,18 52,18 50,56 38,86 14,98",
    ),
}


def _parse(style: str) -> tuple[Stroke, ...]:
    return tuple(
        tuple((int(x) / 100, int(y) / 100) for x, y in (point.split(",") for point in stroke.split()))
        for stroke in style.split(" / ")
    )


# Digit → handwritings → strokes → points, in a box of height 1.
STROKES: dict[str, tuple[tuple[Stroke, ...], ...]] = {
    digit: tuple(_parse(style) for style in styles) for digit, styles in WRITTEN.items()
}


def smooth_stroke(points: npt.NDArray[np.float64], n_between: int = 14) -> npt.NDArray[np.float64]:
    """Draw a Catmull-Rom spline through a stroke's points.

    Args:
        points: (n, 2), n at least 2; a point that stands twice in a row is a corner.
        n_between: points of the curve for each of the stroke's.

    Returns:
        (m, 2) points of the curve, the first and last being the stroke's own.

    Source: Catmull & Rom, Computer Aided Geometric Design, 1974.
    """
    padded = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    t = np.linspace(0, 1, n_between, endpoint=False)[:, None]
    pieces = []
    for before, start, end, after in zip(padded[:-3], padded[1:-2], padded[2:-1], padded[3:], strict=True):
        if np.allclose(start, end):
            continue
        before = start if np.allclose(before, start) else before
        after = end if np.allclose(end, after) else after
        quadratic = 2 * before - 5 * start + 4 * end - after
        cubic = 3 * start - before - 3 * end + after
        pieces.append(0.5 * (2 * start + (end - before) * t + quadratic * t**2 + cubic * t**3))
    return np.vstack([*pieces, points[-1:]])
