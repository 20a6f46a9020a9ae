"""Recorded pen strokes, drawn as a visitor draws them on the pad."""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from digitcore.errors import DatasetError

CANVAS_PX = 280
DIGIT_RATIO = 0.6
DEFAULT_PEN_RATIO = 0.06
# Drawn this many times as large and averaged down: OpenCV's own anti-aliasing leaves thick lines jagged.
OVERSAMPLING = 4

Strokes = list[npt.NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class RecordedDrawing:
    """A digit or letter as it was drawn: its label, and each stroke as (n, 2) points x right, y down, in any scale."""

    label: str
    strokes: Strokes


def load_strokes(path: Path) -> list[RecordedDrawing]:
    """Read a file of recorded strokes: a JSON list of {"label": "7", "strokes": [[[x, y], …], …]}.

    Returns:
        The drawings in the file's order, less those without a point.

    Raises:
        DatasetError: if the file is missing, not of that form, or without a drawing.
    """
    try:
        drawings = [
            RecordedDrawing(str(entry["label"]), [np.array(s, float).reshape(-1, 2) for s in entry["strokes"] if s])
            for entry in json.loads(path.read_text())
        ]
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise DatasetError(f'{path} is not a JSON list of {{"label", "strokes"}}: {err}') from err
    drawings = [drawing for drawing in drawings if drawing.strokes]
    if not drawings:
        raise DatasetError(f"{path} holds no drawing.")
    return drawings


def load_digit_strokes(path: Path) -> list[RecordedDrawing]:
    """Read a file of recorded strokes, digits only.

    Raises:
        DatasetError: as `load_strokes` does, or if there is no digit.
    """
    digits = [d for d in load_strokes(path) if len(d.label) == 1 and d.label.isascii() and d.label.isdecimal()]
    if not digits:
        raise DatasetError(f"{path} holds no digit.")
    return digits


def draw_single(strokes: Strokes, pen_ratio: float = DEFAULT_PEN_RATIO) -> npt.NDArray[np.uint8]:
    """One digit or letter in the middle of a (280, 280) uint8 canvas, black on white, its longest side 60 % of it.

    Args:
        strokes: at least one, in any scale.
        pen_ratio: width of the round pen, as a share of the canvas.
    """
    points = np.concatenate(strokes)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = DIGIT_RATIO * CANVAS_PX / max(*(high - low), 1e-6)
    offset = CANVAS_PX / 2 - (low + high) / 2 * scale
    return draw_strokes([stroke * scale + offset for stroke in strokes], (CANVAS_PX, CANVAS_PX), pen_ratio * CANVAS_PX)


def draw_strokes(strokes: Strokes, size_wh: tuple[int, int], pen_px: float) -> npt.NDArray[np.uint8]:
    """Draw with a round pen, anti-aliased, black on white.

    Args:
        strokes: each (n, 2) points x, y in pixels of the canvas.
        size_wh: of the canvas.
        pen_px: width of the pen.

    Returns:
        (h, w) uint8.
    """
    width, height = size_wh
    large = np.full((height * OVERSAMPLING, width * OVERSAMPLING), 255, np.uint8)
    thickness = max(round(pen_px * OVERSAMPLING), 1)
    for stroke in strokes:
        points = np.rint(stroke * OVERSAMPLING).astype(np.int32)
        cv2.polylines(large, [points.reshape(-1, 1, 2)], False, 0, thickness)
        for x, y in points.tolist():
            cv2.circle(large, (x, y), thickness // 2, 0, -1)
    return cv2.resize(large, size_wh, interpolation=cv2.INTER_AREA)
