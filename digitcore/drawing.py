"""Reading → annotated picture.

A digit's box is drawn in a colour that tells how sure the reading is, with the digit and its confidence beside it;
what was seen and not read is dashed. The colours are told apart by colour-blind readers too: Okabe & Ito, Color
Universal Design, 2008.
"""

from collections.abc import Sequence
from functools import lru_cache
from statistics import median

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from digitcore.results import Box, Digit, Reading

Color = tuple[int, int, int]

SURE_COLOR: Color = (0, 158, 115)
FAIR_COLOR: Color = (0, 114, 178)
DOUBTFUL_COLOR: Color = (213, 94, 0)
REJECTED_COLOR: Color = (204, 121, 167)
TEXT_COLOR: Color = (255, 255, 255)
# Light edge around every line, so that it shows on dark pictures as well as on light ones.
RIM_COLOR: Color = (255, 255, 255)
SURE_CONFIDENCE = 0.95
FAIR_CONFIDENCE = 0.8

# Below this a label would cover the picture: it is enlarged first.
MIN_SIDE_PX = 480
# A phone shows the picture about 360 px wide: 3.2 % of it are 11 px there.
FONT_RATIO = 0.032
MIN_FONT_PX = 13
# Where the digits are small and dense, labels are no higher than this share of a digit.
MAX_FONT_TO_DIGIT = 0.7
PERCENT_FONT_RATIO = 0.62
LINE_RATIO = 1 / 450
MIN_LINE_PX = 2
DASH_LINES = 4


def draw_reading(rgb: npt.NDArray[np.uint8], reading: Reading, max_side_px: int = 1600) -> npt.NDArray[np.uint8]:
    """Draw what was read, and what was not, into a copy of the picture.

    Args:
        rgb: (H, W, 3) uint8, the upright picture that was read.
        reading: its reading; the boxes are in pixels of `rgb`.
        max_side_px: the longest side of the drawn picture at most.

    Returns:
        (h, w, 3) uint8 RGB, of the picture's shape: `rgb`'s own size, unless that is above `max_side_px` or below
        480 px on the longest side. Nothing is drawn for an empty reading without rejects.
    """
    picture, scale = _resize(rgb, max_side_px)
    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    line_px = max(MIN_LINE_PX, round(LINE_RATIO * max(canvas.size)))
    for rejected in reading.rejected:
        _draw_dashed(draw, _scale_box(rejected.box, scale, canvas.size, line_px), line_px)
    boxes = [_scale_box(digit.box, scale, canvas.size, line_px) for digit in reading.digits]
    for digit, box in zip(reading.digits, boxes, strict=True):
        _draw_box(draw, box, _pick_color(digit.confidence), line_px)
    font_px = _pick_font_px(canvas.size, boxes)
    taken = list(boxes)
    for digit, box in zip(reading.digits, boxes, strict=True):
        taken.append(_draw_label(draw, canvas.size, digit, box, taken, font_px))
    return np.asarray(canvas).copy()


def _resize(rgb: npt.NDArray[np.uint8], max_side_px: int) -> tuple[npt.NDArray[np.uint8], float]:
    """Into the limits, and by how much."""
    height, width = rgb.shape[:2]
    longest = max(height, width)
    scale = min(max(1.0, MIN_SIDE_PX / longest), max_side_px / longest)
    if scale == 1.0:
        return np.ascontiguousarray(rgb), 1.0
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_LINEAR
    return cv2.resize(rgb, size_wh, interpolation=how), scale


def _scale_box(box: Box, scale: float, size_wh: tuple[int, int], margin_px: int) -> Box:
    """In the drawn picture's pixels, with room for the line around the ink, inside the picture."""
    left, top = (max(0, int(start * scale) - margin_px) for start in box[:2])
    right, bottom = (
        min(limit, round((start + length) * scale) + margin_px)
        for start, length, limit in zip(box[:2], box[2:], size_wh, strict=True)
    )
    return Box(left, top, max(1, right - left), max(1, bottom - top))


def _pick_color(confidence: float) -> Color:
    if confidence >= SURE_CONFIDENCE:
        return SURE_COLOR
    return FAIR_COLOR if confidence >= FAIR_CONFIDENCE else DOUBTFUL_COLOR


def _pick_font_px(size_wh: tuple[int, int], boxes: Sequence[Box]) -> int:
    """Legible on a phone, and not larger than the digits allow."""
    wanted = FONT_RATIO * max(size_wh)
    if boxes:
        wanted = min(wanted, MAX_FONT_TO_DIGIT * median(max(box.w, box.h) for box in boxes))
    return max(MIN_FONT_PX, round(wanted))


def _draw_box(draw: ImageDraw.ImageDraw, box: Box, color: Color, line_px: int) -> None:
    corners = (box.x, box.y, box.x + box.w - 1, box.y + box.h - 1)
    draw.rectangle(corners, outline=RIM_COLOR, width=line_px + 1)
    draw.rectangle(corners, outline=color, width=line_px)


def _draw_dashed(draw: ImageDraw.ImageDraw, box: Box, line_px: int) -> None:
    """Dashes as long as the gaps; a box too small for them is drawn through."""
    dash_px = DASH_LINES * line_px
    right, bottom = box.x + box.w - 1, box.y + box.h - 1
    for x in range(box.x, right + 1, 2 * dash_px):
        end = min(x + dash_px - 1, right)
        draw.rectangle((x, box.y, end, min(box.y + line_px - 1, bottom)), fill=REJECTED_COLOR)
        draw.rectangle((x, max(bottom - line_px + 1, box.y), end, bottom), fill=REJECTED_COLOR)
    for y in range(box.y, bottom + 1, 2 * dash_px):
        end = min(y + dash_px - 1, bottom)
        draw.rectangle((box.x, y, min(box.x + line_px - 1, right), end), fill=REJECTED_COLOR)
        draw.rectangle((max(right - line_px + 1, box.x), y, right, end), fill=REJECTED_COLOR)


def _draw_label(
    draw: ImageDraw.ImageDraw,
    size_wh: tuple[int, int],
    digit: Digit,
    box: Box,
    taken: Sequence[Box],
    font_px: int,
) -> Box:
    """The digit, and its confidence smaller; the label's box."""
    value, percent = str(digit.value), f"{_to_percent(digit.confidence)}%"
    value_font, percent_font = (
        _load_font(font_px),
        _load_font(max(MIN_FONT_PX - 2, round(PERCENT_FONT_RATIO * font_px))),
    )
    gap = max(2, font_px // 6)
    value_px, percent_px = (
        int(np.ceil(font.getlength(text))) for font, text in ((value_font, value), (percent_font, percent))
    )
    label_wh = (value_px + percent_px + 3 * gap, font_px + gap)
    label = _place_label(box, label_wh, size_wh, taken)
    draw.rectangle((label.x, label.y, label.x + label.w - 1, label.y + label.h - 1), fill=_pick_color(digit.confidence))
    baseline = label.y + label.h - gap
    draw.text((label.x + gap, baseline), value, TEXT_COLOR, value_font, anchor="ls")
    draw.text((label.x + value_px + 2 * gap, baseline), percent, TEXT_COLOR, percent_font, anchor="ls")
    return label


def _to_percent(confidence: float) -> int:
    """Whole percent, at most 99: 100 is for certainty, which there is not."""
    return min(99, round(100 * confidence))


def _place_label(box: Box, label_wh: tuple[int, int], size_wh: tuple[int, int], taken: Sequence[Box]) -> Box:
    """Above, below, right or left of its box, inside the picture, where it covers least of what is there."""
    width, height = label_wh
    corners = (
        (box.x, box.y - height),
        (box.x, box.y + box.h),
        (box.x + box.w - width, box.y - height),
        (box.x + box.w - width, box.y + box.h),
        (box.x + box.w, box.y),
        (box.x - width, box.y),
    )
    places = [
        Box(max(0, min(x, size_wh[0] - width)), max(0, min(y, size_wh[1] - height)), *label_wh) for x, y in corners
    ]
    return min(places, key=lambda place: sum(_shared_area(place, other) for other in taken))


def _shared_area(a: Box, b: Box) -> int:
    width = min(a.x + a.w, b.x + b.w) - max(a.x, b.x)
    height = min(a.y + a.h, b.y + b.h) - max(a.y, b.y)
    return max(width, 0) * max(height, 0)


@lru_cache(maxsize=64)
def _load_font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own scalable font: nothing to install or to fetch."""
    return ImageFont.load_default(size_px)
