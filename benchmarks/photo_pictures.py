"""A picture with what was there and what was read, for looking at mistakes."""

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from benchmarks.photo_causes import count_causes, match_boxes
from benchmarks.photo_labels import BoxedDigit, PhotoLabel, PhotoText

MIN_SIDE_PX, MAX_SIDE_PX = 600, 1200
CAPTION_PX = 22
LINE_PX = 3
# Okabe & Ito, Color Universal Design, 2008: green, orange-red, purple, blue.
RIGHT_COLOR = (0, 158, 115)
MISREAD_COLOR = (213, 94, 0)
FALSE_COLOR = (204, 121, 167)
MISSED_COLOR = (0, 114, 178)


def draw_mistakes(rgb: npt.NDArray[np.uint8], label: PhotoLabel, text: PhotoText) -> npt.NDArray[np.uint8]:
    """Draw the boxes of both sides, coloured by what became of them, under a caption of both texts.

    Args:
        rgb: (H, W, 3) uint8, the upright picture.
        label: the truth.
        text: what was read.

    Returns:
        (h, w, 3) uint8 RGB: the picture, `MIN_SIDE_PX` to `MAX_SIDE_PX` on its longest side, below a caption.
        Green: right; orange: misread; purple: read where nothing is; blue: missed.
    """
    longest = max(rgb.shape[:2])
    scale = min(max(1.0, MIN_SIDE_PX / longest), MAX_SIDE_PX / longest)
    size_wh = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    picture = Image.fromarray(cv2.resize(rgb, size_wh, interpolation=cv2.INTER_AREA))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(CAPTION_PX)
    read = text.boxes or ()
    pairs = {j: i for i, j in match_boxes(label.boxes, read)}
    for i, boxed in enumerate(label.boxes):
        if i not in pairs.values() and text.boxes is not None:
            _draw_box(draw, font, boxed, scale, MISSED_COLOR)
    for j, boxed in enumerate(read):
        is_known = bool(label.boxes) or not label.text
        color = _pick_color(label.boxes[pairs[j]][1] if j in pairs else None, boxed[1]) if is_known else RIGHT_COLOR
        _draw_box(draw, font, boxed, scale, color)
    captions = (
        f"want {' / '.join(label.lines) or '-'}",
        f"got {' / '.join(text.lines) or '-'}",
        str(count_causes(label, text)),
    )
    return np.concatenate([_draw_captions(captions, size_wh[0], font), np.asarray(picture)])


def _pick_color(want: str | None, got: str) -> tuple[int, int, int]:
    if want is None:
        return FALSE_COLOR
    return RIGHT_COLOR if want == got else MISREAD_COLOR


def _draw_box(draw: ImageDraw.ImageDraw, font, boxed: BoxedDigit, scale: float, color: tuple[int, int, int]) -> None:
    (x, y, w, h), digit = boxed
    left, top, right, bottom = (round(scale * value) for value in (x, y, x + w, y + h))
    draw.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=color, width=LINE_PX)
    draw.text((left, top), digit, color, font, anchor="ld", stroke_width=2, stroke_fill="white")


def _draw_captions(captions: tuple[str, ...], width: int, font) -> npt.NDArray[np.uint8]:
    """(h, width, 3): black on white, a line each."""
    strip = Image.new("RGB", (width, (CAPTION_PX + 6) * len(captions)), "white")
    draw = ImageDraw.Draw(strip)
    for i, caption in enumerate(captions):
        draw.text((6, (CAPTION_PX + 6) * i + 2), caption, "black", font)
    return np.asarray(strip)
