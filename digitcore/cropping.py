"""The ink alone: one box of a photo → that digit's ink on clean paper, ready to be normalised and classified.

The only copy: the reader calls it on what the detector found, and training on boxes of synthetic pages.
"""

import cv2
import numpy as np
import numpy.typing as npt

from digitcore.errors import ImageError

# The box's longest side is brought to this: fine enough for preprocessing's 20 px, the same work for every digit.
WORK_SIDE_PX = 56
# Boxes are found to a few pixels; a digit cut at its rim is misread sooner than one with a little too much around it.
BOX_MARGIN_RATIO = 0.06
# Paper is looked for around the box too, by this share of its longest side.
MARGIN_RATIO = 0.3
# Closing over this share of the longest side fills every stroke, so what is left is the paper's light.
PAPER_WINDOW_RATIO = 0.55
# Full ink: this percentile of the contrast within the box. A thin one fills a third of its box, a large 0 a tenth.
PEAK_PERCENTILE = 97.0
# Shares of full ink that become 0 and 255; the paper's own noise lifts the first, up to a limit.
LOW_RATIO, HIGH_RATIO = 0.22, 0.75
MAX_LOW_RATIO = 0.45
NOISE_FACTOR = 2.5
# MNIST's strokes are 2 to 3 px in 20; a thin pen's would fade when the digit is brought to that size.
PEN_RATIO = 0.09

FloatImage = npt.NDArray[np.float32]


def cut_digit(grey: npt.NDArray[np.uint8], box: tuple[float, float, float, float]) -> npt.NDArray[np.uint8]:
    """Cut one digit out of a picture and clear its paper.

    Args:
        grey: (H, W) uint8, dark ink on light paper or light on dark.
        box: x, y, w, h in pixels of `grey`, as tight around the digit as it is known; it may reach beyond the picture.
            A little more than it is cut out.

    Returns:
        (h, w) uint8, 0 for paper and 255 for ink, the longest side of the box about 56 px; strokes of neighbours that
        reach into the box are in it. All zero for a box without any contrast.

    Raises:
        ImageError: if `grey` is not 2-D uint8 or the box has no size or lies outside.
    """
    if grey.ndim != 2 or grey.dtype != np.uint8:
        raise ImageError(f"Expected a grey picture as a 2-D uint8 array, got {grey.dtype} with shape {grey.shape}.")
    region, inner = _resample(grey, box)
    contrast = _flatten(region, inner)
    own = contrast[inner]
    peak = float(np.percentile(own, PEAK_PERCENTILE))
    if peak < 1.0:
        return np.zeros(own.shape, np.uint8)
    outside = np.ones(contrast.shape, bool)
    outside[inner] = False
    noise = float(np.median(np.abs(contrast[outside]))) / peak if outside.any() else 0.0
    low = min(LOW_RATIO + NOISE_FACTOR * noise, MAX_LOW_RATIO)
    ink = (255.0 * np.clip((own / peak - low) / (HIGH_RATIO - low), 0.0, 1.0)).astype(np.uint8)
    return _thicken(ink)


def _resample(
    grey: npt.NDArray[np.uint8], box: tuple[float, float, float, float]
) -> tuple[FloatImage, tuple[slice, slice]]:
    """The box and its margin at the working size, and where in that the box lies."""
    x, y, w, h = box
    height, width = grey.shape
    if not (w > 0 and h > 0) or x >= width or y >= height or x + w <= 0 or y + h <= 0:
        raise ImageError(f"The box {box} has no size or lies outside the picture of {width} by {height} pixels.")
    rim = BOX_MARGIN_RATIO * max(w, h)
    x, y, w, h = x - rim, y - rim, w + 2 * rim, h + 2 * rim
    margin = MARGIN_RATIO * max(w, h) + 2
    left, top = max(int(x - margin), 0), max(int(y - margin), 0)
    right, bottom = min(int(np.ceil(x + w + margin)), width), min(int(np.ceil(y + h + margin)), height)
    scale = WORK_SIDE_PX / max(w, h)
    size_wh = (max(2, round((right - left) * scale)), max(2, round((bottom - top) * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    region = cv2.resize(grey[top:bottom, left:right], size_wh, interpolation=how).astype(np.float32)
    columns = np.clip(np.rint((np.array([x, x + w]) - left) * scale).astype(int), 0, size_wh[0])
    rows = np.clip(np.rint((np.array([y, y + h]) - top) * scale).astype(int), 0, size_wh[1])
    inner = (slice(rows[0], max(rows[1], rows[0] + 1)), slice(columns[0], max(columns[1], columns[0] + 1)))
    return cv2.GaussianBlur(region, (0, 0), 0.8), inner


def _flatten(region: FloatImage, inner: tuple[slice, slice]) -> FloatImage:
    """How far each pixel stands off its paper, in grey levels, on the ink's side."""
    side = 2 * round(PAPER_WINDOW_RATIO * WORK_SIDE_PX / 2) + 1
    window = cv2.getStructuringElement(cv2.MORPH_RECT, (side, side))
    sign = _find_ink_sign(region, inner)
    how = cv2.MORPH_CLOSE if sign > 0 else cv2.MORPH_OPEN
    paper = cv2.morphologyEx(region, how, window, borderType=cv2.BORDER_REPLICATE)
    paper = cv2.GaussianBlur(paper, (0, 0), side / 6, borderType=cv2.BORDER_REPLICATE)
    return sign * (paper - region)


def _find_ink_sign(region: FloatImage, inner: tuple[slice, slice]) -> float:
    """1 for dark ink, -1 for light: on which side of the paper around the box its inside strays further."""
    outside = np.ones(region.shape, bool)
    outside[inner] = False
    if not outside.any():
        outside[0] = outside[-1] = outside[:, 0] = outside[:, -1] = True
    # Neighbours are the lesser part of what lies around, so a median passes over them; a gradient cancels out.
    below = np.float32(np.median(region[outside])) - region[inner]
    dark, light = np.square(np.maximum(below, 0)).sum(), np.square(np.minimum(below, 0)).sum()
    return 1.0 if dark >= light else -1.0


def _thicken(ink: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Bring a thin pen's strokes to about MNIST's width."""
    mask = np.pad((ink > 127).astype(np.uint8), 1)
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    within = distance[distance > 0]
    # A bar of width w has a mean distance of (w + 1) / 4 to its rim.
    stroke_px = 4.0 * float(within.mean()) - 1.0 if within.size else 0.0
    missing_px = round(PEN_RATIO * WORK_SIDE_PX - stroke_px)
    if missing_px < 1 or not within.size:
        return ink
    pen = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (missing_px + 1, missing_px + 1))
    return cv2.dilate(np.pad(ink, missing_px), pen)
