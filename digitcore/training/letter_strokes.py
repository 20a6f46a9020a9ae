"""Letters, digits and signs as strokes of a pen, made up for synthetic pages: they need no font."""

import functools
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

Rng = np.random.Generator
Mask = npt.NDArray[np.uint8]
Stroke = npt.NDArray[np.float64]

# Control points x,y in hundredths of a capital's height, y down: capitals stand from 0 to 100, small letters start at
# 50, tails end at about 145. A point that stands twice in a row is a corner. " / " lifts the pen, but in joined writing
# it stays down; " + " always lifts it: bars and dots, made after the word.
LETTERS: dict[str, tuple[str, ...]] = {
    "a": (
        "42,58 24,50 6,62 4,84 16,99 34,88 43,56 43,56 42,84 48,99 56,96",
        "8,60 24,50 36,60 37,98 37,98 / 37,74 18,72 5,84 13,99 30,96 37,86",
    ),
    "b": (
        "8,0 8,50 8,98 8,98 9,68 26,52 42,66 40,90 24,100 8,92",
        "4,90 20,36 22,6 14,3 9,30 8,84 16,100 34,92 38,66 28,58 30,66 44,66",
    ),
    "c": ("38,58 24,50 6,64 5,86 20,100 40,90", "36,54 18,52 6,74 14,97 40,94"),
    "d": (
        "42,58 24,50 6,64 6,88 20,100 38,86 45,50 46,0 46,0 45,60 46,92 56,96",
        "40,52 10,56 5,90 26,99 42,70 46,4 46,4 45,99",
    ),
    "e": ("6,78 24,76 38,66 28,51 10,58 5,80 16,99 40,92", "8,80 36,68 30,50 8,60 8,92 24,100 42,90"),
    "f": ("42,8 30,0 20,12 18,50 17,100 + 4,50 36,48", "4,92 24,50 30,12 22,2 16,30 14,100 12,142 20,136 24,104 38,94"),
    "g": (
        "40,58 24,50 6,64 6,86 20,98 36,86 42,54 42,54 42,100 38,136 20,146 4,134",
        "40,54 14,52 6,84 24,96 40,60 41,52 41,52 36,120 20,146 8,132 24,112 48,96",
    ),
    "h": (
        "8,0 8,50 8,99 8,99 10,70 24,52 36,62 36,98",
        "4,90 20,30 18,2 10,10 8,60 7,99 7,99 14,66 28,54 36,70 36,96 46,94",
    ),
    "i": ("8,50 8,80 10,99 18,95 + 9,28 10,31", "8,52 7,98 + 8,30 12,26"),
    "j": ("20,50 20,110 14,140 0,138 + 21,28 22,31",),
    "k": (
        "8,0 8,60 8,99 8,99 / 34,50 10,74 10,74 22,84 38,99",
        "4,92 20,30 16,2 9,30 8,99 8,99 14,64 30,56 28,72 12,76 12,76 38,98",
    ),
    "l": ("8,0 8,60 10,99", "2,92 18,44 20,6 12,2 8,34 8,90 18,98 26,94", "10,0 7,99"),
    "m": (
        "6,52 6,99 6,99 8,66 20,51 28,64 28,99 28,99 30,66 42,51 50,64 50,98",
        "4,60 10,52 10,99 10,99 16,60 26,54 30,99 30,99 36,60 48,54 52,90 60,96",
    ),
    "n": ("6,52 6,99 6,99 8,66 22,51 32,62 32,98", "2,62 9,52 9,99 9,99 14,64 28,52 34,70 34,92 44,96"),
    "o": ("28,51 10,56 4,80 18,99 38,92 42,68 28,51 20,52", "24,52 6,66 8,94 28,98 40,74 28,52 30,60 46,62"),
    "p": (
        "6,52 6,100 6,146 6,146 / 7,70 24,50 40,64 38,88 22,99 7,90",
        "4,56 8,100 5,144 5,144 9,80 22,52 38,62 36,92 10,96",
    ),
    "q": (
        "40,58 24,50 6,64 6,86 20,98 36,86 41,54 41,54 41,146",
        "40,56 16,50 5,80 22,97 40,60 40,60 38,144 38,144 52,116",
    ),
    "r": ("6,52 6,99 6,99 8,66 20,52 32,56", "2,70 10,50 10,50 26,56 24,80 30,98 40,92"),
    "s": ("34,56 20,50 6,60 16,72 32,82 30,96 14,100 2,92", "4,92 22,52 22,52 34,80 26,98 6,96"),
    "t": (
        "16,18 15,70 18,96 32,96 + 2,48 32,46",
        "18,22 16,99 + 2,46 36,50",
        "20,14 14,60 16,94 26,98 34,90 + 0,44 38,40",
    ),
    "u": ("6,52 6,84 16,99 32,88 36,52 36,52 36,88 46,97", "4,52 8,92 26,96 34,54 34,54 34,99"),
    "v": ("4,52 20,99 20,99 36,52", "2,58 10,54 18,99 18,99 34,56 42,60"),
    "w": ("4,52 14,99 14,99 26,60 26,60 38,99 38,99 50,52", "4,54 8,92 24,94 28,58 28,58 32,94 48,92 52,56 60,60"),
    "x": ("4,52 20,76 36,99 + 36,52 4,99", "4,54 16,60 26,92 38,98 + 36,52 4,99"),
    "y": (
        "6,52 8,78 20,90 34,80 40,52 40,52 38,110 28,142 6,142",
        "4,52 22,98 + 42,52 22,98 4,146",
        "4,54 10,88 28,90 38,54 38,54 34,126 16,146 12,124 46,96",
    ),
    "z": ("6,52 36,52 36,52 6,99 6,99 40,98", "6,58 24,50 34,62 12,92 12,92 28,100 26,136 12,144 8,126 42,96"),
    "A": ("2,100 26,0 26,0 50,100 + 10,66 42,64", "4,100 8,40 28,2 46,40 50,100 + 6,58 50,56"),
    "B": (
        "6,2 6,100 / 6,4 34,4 40,24 30,44 8,48 8,48 40,54 46,78 32,98 6,100",
        "8,0 4,100 / 2,10 28,0 42,18 14,46 14,46 46,66 36,96 4,98",
    ),
    "C": ("48,16 30,0 8,20 4,60 16,94 36,100 52,86",),
    "D": ("6,2 6,100 / 2,4 34,8 52,40 44,84 20,100 2,100", "10,4 8,98 8,98 40,90 54,46 38,8 2,4"),
    "E": (
        "44,2 6,2 6,2 6,100 6,100 46,98 + 6,50 36,48",
        "42,10 24,0 8,14 14,40 28,46 28,46 8,56 4,82 20,100 46,90",
        "8,0 6,100 + 6,2 42,0 + 6,50 34,48 + 6,99 46,97",
    ),
    "F": ("6,2 6,100 + 6,3 46,2 + 6,48 36,46", "48,2 8,4 8,4 4,100 + 6,50 38,46"),
    "G": (
        "48,14 28,0 8,20 4,60 14,94 34,100 50,84 50,58 50,58 30,58",
        "46,10 16,8 4,56 18,98 44,90 46,56 46,56 28,58 + 46,56 58,55",
    ),
    "H": ("6,0 6,100 + 46,0 46,100 + 6,50 46,48", "8,2 4,98 + 50,0 44,100 + 0,54 52,46"),
    "I": ("4,2 36,2 + 20,2 20,99 + 2,99 38,99", "10,0 10,100"),
    "J": ("34,0 34,76 24,98 6,94 2,78 + 16,2 50,1", "40,0 38,80 22,100 2,84"),
    "K": ("6,0 6,100 / 44,0 8,54 8,54 46,100", "8,2 4,100 + 46,4 10,52 10,52 28,64 52,98"),
    "L": ("6,0 6,98 6,98 44,97", "10,10 20,0 24,12 12,80 4,98 18,92 46,99"),
    "M": ("4,100 8,0 8,0 32,66 32,66 56,0 56,0 62,100", "2,100 10,8 16,6 30,90 30,90 48,6 54,6 60,98"),
    "N": ("6,100 6,2 6,2 46,98 46,98 46,0", "4,100 8,4 8,4 40,98 40,98 50,0"),
    "O": ("28,0 6,18 4,66 24,100 48,82 50,28 32,2 22,3",),
    "P": ("6,2 6,100 / 6,4 34,4 44,26 32,50 6,54", "10,4 4,100 + 0,12 30,0 46,20 30,48 8,50"),
    "Q": ("28,0 6,18 4,66 24,100 48,82 50,28 32,2 22,3 + 32,76 56,106",),
    "R": ("6,2 6,100 / 6,4 34,4 44,26 30,48 8,52 8,52 24,60 46,100", "10,4 4,100 + 0,12 30,0 44,20 14,50 14,50 50,99"),
    "S": ("44,12 26,0 8,14 14,38 38,56 44,82 26,100 4,90",),
    "T": ("27,3 27,100 + 2,3 52,2", "30,4 24,100 + 0,8 24,3 56,1"),
    "U": ("4,0 5,66 16,96 34,96 46,70 47,0", "4,2 6,80 26,100 44,76 46,2 46,2 48,99"),
    "V": ("2,0 26,100 26,100 50,0", "0,8 8,2 24,100 24,100 46,6 56,2"),
    "W": ("2,0 18,100 18,100 34,30 34,30 50,100 50,100 66,0", "2,2 8,92 26,94 34,34 34,34 40,94 58,92 66,2"),
    "X": ("4,0 46,100 + 46,0 4,100", "4,4 18,10 34,92 50,98 + 48,0 2,100"),
    "Y": ("4,0 26,48 + 50,0 26,48 20,100", "4,0 10,40 30,46 44,2 44,2 42,70 26,100 4,92"),
    "Z": ("4,2 48,2 48,2 4,98 4,98 52,97", "4,6 48,2 48,2 4,98 4,98 52,97 + 14,50 42,48"),
    ".": ("4,97 6,99",),
    ",": ("8,94 2,112",),
    "!": ("8,0 7,70 + 6,97 8,99",),
    "?": ("4,16 20,0 38,14 30,38 18,52 18,72 + 17,97 19,99",),
    ":": ("5,58 7,60 + 5,96 7,98",),
    "-": ("2,68 30,66",),
    "'": ("8,0 5,20",),
}
# Ones with and without flag and foot, open and closed fours, sevens with and without a bar, nines that end in a hook:
# most of the world writes forms that MNIST, written in the United States, hardly has.
DIGITS: dict[str, tuple[str, ...]] = {
    "0": ("34,1 10,16 3,54 14,92 34,99 54,80 60,40 48,8 30,2", "40,6 16,8 3,46 12,92 38,96 60,60 54,16 34,2 22,8"),
    "1": (
        "14,0 12,100",
        "0,30 24,1 24,1 23,100",
        "2,26 22,2 22,2 22,99 + 0,99 46,98",
        "6,12 20,2 20,2 20,99 + 2,100 40,97",
        "0,52 34,0 34,0 30,100",
        "0,64 42,0 42,0 32,100",
        "0,46 26,0 26,0 25,100",
        "0,40 14,36 38,0 38,0 32,100",
        "0,32 24,27 30,2 30,2 27,100",
        "0,38 24,2 24,2 24,99 + 4,99 48,98",
        "0,94 26,40 36,8 30,1 22,24 24,100",
    ),
    "2": (
        "6,22 18,3 42,2 54,22 44,48 22,74 2,98 2,98 30,97 62,96",
        "4,20 24,1 50,8 52,34 34,62 8,94 4,84 16,84 36,99 64,92",
        "2,26 8,5 48,4 50,28 26,64 2,98 2,98 58,97",
    ),
    "3": (
        "6,12 26,0 48,10 48,32 22,46 22,46 50,56 55,80 32,99 2,90",
        "4,3 52,2 52,2 24,40 24,40 50,50 54,78 34,98 3,93",
        "6,8 44,2 48,26 20,46 20,46 52,54 50,90 4,96",
    ),
    "4": (
        "20,2 12,32 2,62 2,62 32,62 60,60 + 44,30 42,100",
        "6,2 6,52 6,52 30,56 52,52 + 52,2 50,100",
        "46,100 46,2 46,2 2,70 2,70 62,68",
        "4,4 4,46 20,56 48,48 + 50,2 44,100",
        "40,100 44,0 44,0 20,36 2,66 2,66 60,66",
        "44,2 10,30 2,56 12,66 54,56 + 56,42 48,100",
        "24,2 4,60 4,60 58,58 + 46,42 50,100",
        "36,0 4,58 4,58 44,57 56,64 50,100",
        "40,0 2,60 2,60 50,58 54,44 54,44 50,100",
        "38,2 8,42 6,60 22,66 50,48 50,48 46,100",
    ),
    "5": (
        "54,2 14,3 14,3 10,43 10,43 34,37 56,56 52,84 28,99 3,90",
        "14,4 11,42 11,42 36,38 54,58 48,88 24,99 2,92 + 14,5 58,2",
        "46,6 18,2 14,30 30,50 46,70 36,98 4,92",
        "12,4 8,44 8,44 40,40 54,66 44,94 2,98 + 12,4 64,0",
    ),
    "6": (
        "48,2 24,20 6,52 6,84 28,99 52,84 48,58 26,52 7,70",
        "30,0 10,40 4,80 22,99 46,86 44,62 24,58 6,78",
        "58,6 32,1 8,30 4,70 20,98 48,92 54,66 30,54 6,68",
    ),
    "7": (
        "3,5 58,3 58,3 44,34 30,66 20,100",
        "4,6 56,3 56,3 38,40 22,100 + 14,52 54,48",
        "4,22 6,4 6,4 54,4 54,4 26,100",
        "2,10 18,2 34,8 56,2 56,2 34,50 28,100 + 18,54 52,48",
        "4,24 4,5 4,5 54,3 54,3 36,50 26,100 + 10,51 56,47",
    ),
    "8": (
        "50,12 28,0 8,16 20,40 46,58 54,84 30,100 6,86 14,60 42,38 54,16 47,9",
        "28,46 8,30 14,4 40,2 48,24 28,46 6,70 12,98 44,98 52,72 28,46",
        "54,7 24,1 11,20 46,60 48,90 22,100 6,78 28,50 48,26 56,14",
        "28,45 10,26 22,2 44,12 42,34 28,45 + 28,45 4,70 20,98 50,92 52,64 28,45",
    ),
    "9": (
        "50,16 30,1 8,14 8,40 30,50 50,34 52,14 52,14 51,50 47,100",
        "50,14 28,2 7,20 14,45 38,44 52,18 52,18 50,56 38,86 14,98",
        "46,8 14,4 6,36 30,50 50,10 50,10 50,98",
        "52,14 30,1 8,16 12,44 34,48 52,20 52,20 50,70 40,96 4,97",
        "50,10 26,0 6,22 20,46 46,40 52,12 52,12 56,56 48,90 24,100 2,90",
        "50,12 28,0 10,12 14,38 36,42 50,14 50,14 44,42 54,64 46,92 2,98",
    ),
}
# Signs that stand beside numbers and in margins, in a box 100 high. No round ring, no upright dash: 0 and 1.
SYMBOLS: dict[str, tuple[str, ...]] = {
    "plus": ("50,4 50,96 + 4,50 96,48",),
    "minus": ("2,50 60,48",),
    "times": ("10,10 90,90 + 90,8 8,92",),
    "divide": ("2,50 90,48 + 44,14 47,17 + 44,84 47,87",),
    "equals": ("2,34 80,32 + 3,66 82,64",),
    "colon": ("6,20 8,23 + 6,80 9,82",),
    "parenthesis": ("30,0 6,30 6,72 30,100", "4,0 26,30 26,70 4,100"),
    "brackets": ("24,0 4,1 4,1 4,99 4,99 24,100 + 80,0 100,1 100,1 100,99 100,99 80,100",),
    "question": ("4,20 26,0 52,16 42,40 26,54 26,74 + 25,96 27,99",),
    "percent": ("22,4 4,18 12,36 34,24 22,4 + 90,4 10,98 + 80,62 64,78 74,98 94,82 80,62",),
    "ampersand": ("80,98 14,22 30,2 46,18 8,62 14,94 46,94 76,56", "70,20 36,14 44,42 44,42 10,66 34,96 72,80"),
    "hash": ("34,2 22,98 + 72,2 60,98 + 4,34 96,30 + 2,68 92,64",),
    "asterisk": ("50,4 50,96 + 10,26 90,74 + 90,26 10,74",),
    "arrow": (
        "2,50 130,50 + 104,26 130,50 130,50 104,76",
        "130,48 2,52 + 28,26 2,52 2,52 30,78",
        "10,98 90,6 + 46,8 90,6 90,6 88,50",
    ),
    "double_arrow": ("2,36 110,34 + 2,64 110,62 + 90,8 132,49 132,49 90,92",),
    "tick": ("4,56 28,96 28,96 90,4", "2,60 20,98 24,96 60,30 110,2"),
    "star": ("20,98 50,2 50,2 80,98 80,98 4,38 4,38 96,36 96,36 20,98",),
    "smiley": ("50,2 12,18 4,60 30,94 72,92 97,54 82,12 50,2 + 34,30 35,36 + 64,30 65,36 + 26,62 48,78 74,60",),
    "heart": ("50,98 8,46 12,10 38,8 50,30 62,6 90,12 92,46 50,98",),
    "underline": ("0,50 120,46 260,52 400,44", "0,40 200,34 380,40 + 20,70 240,62 360,68"),
    "wave": ("0,50 30,20 60,80 90,20 120,80 150,20 180,78",),
    "long_ring": ("120,2 30,10 2,52 60,96 190,92 240,46 180,8 100,6",),
    "box": ("4,4 98,2 98,2 96,98 96,98 2,96 2,96 4,4",),
    "ticked_box": ("4,24 78,22 78,22 76,98 76,98 2,96 2,96 4,24 + 18,56 38,84 38,84 98,4",),
    "crossed_box": ("4,4 98,2 98,2 96,98 96,98 2,96 2,96 4,4 + 4,4 96,98 + 98,2 2,96",),
    "triangle": ("50,4 98,96 98,96 4,94 4,94 50,4",),
    "house": ("8,98 8,42 8,42 50,4 50,4 92,42 92,42 90,98 90,98 8,98 + 8,42 92,42",),
    "zigzag": ("0,80 20,20 20,20 40,80 40,80 60,20 60,20 80,80 80,80 100,20 100,20 120,80",),
    "euro": ("70,12 40,2 16,40 36,94 72,88 + 2,38 56,36 + 2,58 52,56",),
    "at": ("64,34 36,32 34,66 60,66 68,34 68,34 72,70 92,56 86,14 40,4 6,40 24,92 78,92",),
}
CORNER = 1e-9
BETWEEN = 10


@functools.cache
def parse_strokes(written: str) -> tuple[tuple[Stroke, ...], tuple[Stroke, ...]]:
    """The strokes of a written form, and its marks (made after the word), in units of a capital's height."""
    parts = [
        [
            np.array([[int(v) / 100 for v in point.split(",")] for point in stroke.split()])
            for stroke in part.split(" / ")
        ]
        for part in written.split(" + ")
    ]
    return tuple(parts[0]), tuple(stroke for part in parts[1:] for stroke in part)


def smooth_stroke(points: Stroke, n_between: int = BETWEEN) -> Stroke:
    """A Catmull-Rom spline through (n, 2) points, n at least 2; a point that stands twice in a row is a corner.

    Source: Catmull & Rom, Computer Aided Geometric Design, 1974.
    """
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    before, start, end, after = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    is_piece = np.abs(end - start).sum(axis=1) > CORNER
    before = np.where((np.abs(before - start).sum(axis=1) <= CORNER)[:, None], start, before)[is_piece]
    after = np.where((np.abs(after - end).sum(axis=1) <= CORNER)[:, None], end, after)[is_piece]
    start, end = start[is_piece], end[is_piece]
    t = (np.arange(n_between) / n_between)[None, :, None]
    before, start, end, after = (side[:, None] for side in (before, start, end, after))
    quadratic = 2 * before - 5 * start + 4 * end - after
    cubic = 3 * start - before - 3 * end + after
    curve = 0.5 * (2 * start + (end - before) * t + quadratic * t**2 + cubic * t**3)  # (n_pieces, n_between, 2)
    return np.concatenate([curve.reshape(-1, 2), points[-1:]])


def shake(rng: Rng, points: Stroke, amount: float) -> Stroke:
    """Move control points as a hand does; corners stay corners."""
    moves = rng.normal(0, amount, points.shape)
    doubled = np.abs(np.diff(points, axis=0)).sum(axis=1) <= CORNER
    moves[1:][doubled] = moves[:-1][doubled]
    return points + moves


def place_glyph(rng: Rng, forms: Sequence[str], amount: float) -> tuple[list[Stroke], list[Stroke]]:
    """One of a sign's forms, shaken: strokes and marks."""
    strokes, marks = parse_strokes(forms[int(rng.integers(len(forms)))])
    stretch = np.exp(rng.normal(0, 0.07, 2))
    stretch[1] = 1 + (stretch[1] - 1) * 0.5
    return [shake(rng, s * stretch, amount) for s in strokes], [shake(rng, s * stretch, amount) for s in marks]


def place_word(rng: Rng, word: str, is_joined: bool) -> list[Stroke]:
    """The control points of a word, in units of a capital's height, joined small letters being one stroke."""
    amount = rng.uniform(0.008, 0.03)
    gap = rng.uniform(0.09, 0.22) if is_joined else rng.uniform(0.1, 0.28)
    # One hand writes a letter one way, so forms are chosen for the word.
    taste = int(rng.integers(1 << 16))
    strokes: list[Stroke] = []
    pen: list[Stroke] = []
    x = 0.0
    for letter in word:
        forms = LETTERS[letter]
        form = forms[(taste + ord(letter)) % len(forms)]
        body, marks = place_glyph(rng, (form,), amount)
        right = max(float(stroke[:, 0].max()) for stroke in body + marks)
        shift = np.array([x, rng.normal(0, 0.02)])
        body, marks = [stroke + shift for stroke in body], [stroke + shift for stroke in marks]
        if is_joined and letter.islower():
            pen += body
        else:
            strokes += ([np.concatenate(pen)] if pen else []) + body
            pen = []
        strokes += marks
        x += right + gap * rng.uniform(0.7, 1.3)
    return strokes + ([np.concatenate(pen)] if pen else [])


def transform(strokes: Sequence[Stroke], height_px: float, slant: float, degrees: float, aspect: float) -> list[Stroke]:
    """Scale to a capital's height, lean to the right by `slant`, and turn counter-clockwise."""
    angle = np.deg2rad(degrees)
    lean = np.array([[aspect, -slant], [0.0, 1.0]])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    matrix = (turn @ lean).T * height_px
    return [stroke @ matrix for stroke in strokes]


def draw_strokes(strokes: Sequence[Stroke], pen_px: float) -> Mask:
    """Draw smooth strokes with a round pen.

    Args:
        strokes: control points (n, 2) in pixels, anywhere.
        pen_px: the pen's width, at least 0.5.

    Returns:
        (h, w) uint8 coverage, 255 for ink, tightly cropped.
    """
    # cv2 draws whole widths: thin pens are drawn larger and averaged down.
    zoom = 4 if pen_px < 2 else 2 if pen_px < 6 else 1
    curves = [smooth_stroke(stroke) * zoom for stroke in strokes]
    points = np.concatenate(curves)
    # A smooth line of cv2 comes out a pixel and a half wider than asked.
    width = max(1, round(pen_px * zoom - 1.5))
    margin = width // 2 + 2 * zoom
    origin = points.min(axis=0) - margin
    w, h = (np.ceil((points.max(axis=0) - origin + margin) / zoom) * zoom).astype(int)
    mask = np.zeros((h, w), np.uint8)
    fixed = [np.round((curve - origin) * 8).astype(np.int32) for curve in curves]  # shift=3: eighths of a pixel
    cv2.polylines(mask, fixed, False, 255, width, cv2.LINE_AA, 3)
    if zoom > 1:
        mask = cv2.resize(mask, (w // zoom, h // zoom), interpolation=cv2.INTER_AREA)
    return crop_tight(mask)


def crop_tight(mask: Mask) -> Mask:
    """The part of a mask that holds ink; one empty pixel if there is none."""
    x, y, w, h = cv2.boundingRect(mask)
    return mask[y : y + h, x : x + w] if w else np.zeros((1, 1), np.uint8)
