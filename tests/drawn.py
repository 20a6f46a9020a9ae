"""Pictures and strokes drawn in code: what the tests read."""

import io
import math

import cv2
import numpy as np
from PIL import Image

Point = tuple[float, float]
Strokes = list[list[Point]]


def arc(cx: float, cy: float, rx: float, ry: float, start: float, end: float, n: int = 24) -> list[Point]:
    """Points along an ellipse, degrees clockwise from the right."""
    angles = [math.radians(start + (end - start) * i / n) for i in range(n + 1)]
    return [(cx + rx * math.cos(a), cy + ry * math.sin(a)) for a in angles]


# In a box of one by one, y down; as a careful hand writes them.
STROKES: dict[int, Strokes] = {
    0: [arc(0.5, 0.5, 0.33, 0.48, -90, 270)],
    1: [[(0.5, 0.03), (0.5, 0.5), (0.48, 0.97)]],
    2: [[*arc(0.5, 0.27, 0.3, 0.24, -170, 40), (0.2, 0.95), (0.82, 0.95)]],
    3: [[*arc(0.48, 0.27, 0.28, 0.23, -150, 90), *arc(0.48, 0.73, 0.32, 0.24, -90, 150)]],
    4: [[(0.55, 0.05), (0.15, 0.62), (0.88, 0.62)], [(0.66, 0.32), (0.64, 0.97)]],
    7: [[(0.15, 0.06), (0.85, 0.06), (0.42, 0.97)]],
}


def place(digit: int, x: float, y: float, w: float, h: float) -> Strokes:
    """A digit's strokes in the box (x, y, w, h)."""
    return [[(x + px * w, y + py * h) for px, py in stroke] for stroke in STROKES[digit]]


def draw_strokes(strokes: Strokes, size: tuple[int, int], pen: int, ink: int = 0, paper: int = 255) -> np.ndarray:
    """(H, W, 3) uint8: round, anti-aliased strokes."""
    picture = np.full((size[1], size[0], 3), paper, np.uint8)
    for stroke in strokes:
        points = np.round(np.array(stroke) * 16).astype(np.int32)
        cv2.polylines(picture, [points], False, (ink, ink, ink), pen, cv2.LINE_AA, 4)
    return picture


def draw_number(text: str, size: tuple[int, int] = (320, 240), pen: int = 14) -> np.ndarray:
    """Digits side by side on white, as on the pad."""
    width, height = size
    step = width / len(text)
    w, h = min(step * 0.6, height * 0.5), height * 0.6
    placed = [place(int(d), i * step + (step - w) / 2, height * 0.2, w, h) for i, d in enumerate(text)]
    return draw_strokes([stroke for strokes in placed for stroke in strokes], size, pen)


def draw_page(lines: list[str], size: tuple[int, int] = (1200, 900)) -> np.ndarray:
    """Lines of digits on paper under uneven light, as a photo of a note."""
    width, height = size
    h = height / (len(lines) * 2)
    strokes: Strokes = []
    for row, line in enumerate(lines):
        for i, digit in enumerate(line):
            strokes += place(
                int(digit), width * 0.1 + i * h * 1.1, height * (row + 0.5) / len(lines) - h / 2, h * 0.7, h
            )
    page = draw_strokes(strokes, size, pen=max(4, round(h / 16)), ink=45, paper=225).astype(np.float32)
    light = np.linspace(1.0, 0.8, width, dtype=np.float32)[None, :, None]
    noise = np.random.default_rng(0).normal(0, 3, page.shape)
    return np.clip(page * light + noise, 0, 255).astype(np.uint8)


def encode(rgb: np.ndarray, format: str = "PNG") -> bytes:
    """The picture as a file's bytes."""
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, format)
    return file.getvalue()
