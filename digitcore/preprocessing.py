"""Ink → 28×28, as MNIST makes it. The only copy: training and serving both call it.

Source: LeCun et al., Proc. IEEE 86(11), 1998, section III: the digit is fitted into a 20×20 box with its aspect kept,
anti-aliased, and placed in a 28×28 field with its centre of mass in the middle.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from digitcore.errors import ImageError

FIELD_PX = 28
BOX_PX = 20
# Index of the pixel on which the mass is centred: 13.99 ± 0.28 (rows) and 14.00 ± 0.29 (columns) over MNIST itself,
# the spread being that of rounding to whole pixels.
CENTER_PX = 14
# Less than this share of the darkest ink is the soft edge of a stroke, not its extent.
MIN_EXTENT_RATIO = 0.125


def normalize_digit(ink: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Bring one digit's ink to the size, place and contrast of an MNIST image.

    Args:
        ink: (h, w) uint8, 0 for paper and 255 for ink, any size; the margins may be any.

    Returns:
        (28, 28) uint8, white on black, the brightest pixel 255; all zero if there is no ink.

    Raises:
        ImageError: if `ink` is not a non-empty 2-D uint8 array.

    Source: LeCun et al., Proc. IEEE 86(11), 1998, section III.
    """
    if ink.ndim != 2 or ink.dtype != np.uint8 or ink.size == 0:
        raise ImageError(f"Expected ink as a non-empty 2-D uint8 array, got {ink.dtype} with shape {ink.shape}.")
    strokes = _crop_to_ink(ink)
    if strokes is None:
        return np.zeros((FIELD_PX, FIELD_PX), np.uint8)
    fitted = _fit_to_box(strokes)
    return _center_by_mass(fitted)


def normalize_digits(inks: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    """Bring several digits to MNIST's form.

    Args:
        inks: any number of (h, w) uint8 arrays, as for `normalize_digit`.

    Returns:
        (n, 28, 28) uint8, white on black; (0, 28, 28) for none.
    """
    if not inks:
        return np.zeros((0, FIELD_PX, FIELD_PX), np.uint8)
    return np.stack([normalize_digit(ink) for ink in inks])


def _crop_to_ink(ink: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8] | None:
    """The part that holds ink, or None."""
    threshold = max(MIN_EXTENT_RATIO * int(ink.max()), 1)
    rows = np.flatnonzero((ink >= threshold).any(axis=1))
    columns = np.flatnonzero((ink >= threshold).any(axis=0))
    if rows.size == 0:
        return None
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _fit_to_box(strokes: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Resize so that the longest side is 20 px; the brightest pixel becomes 255."""
    height, width = strokes.shape
    scale = BOX_PX / max(height, width)
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Area averaging is the anti-aliasing when shrinking; it would leave blocks when enlarging.
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    fitted = cv2.resize(strokes.astype(np.float32), size_wh, interpolation=how)
    return fitted * (255.0 / max(float(fitted.max()), 1.0))


def _center_by_mass(fitted: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Place in the field, whole pixels, the centre of mass as near the middle as the field allows."""
    height, width = fitted.shape
    mass = float(fitted.sum())
    top = round(CENTER_PX - float(fitted.sum(axis=1) @ np.arange(height)) / mass)
    left = round(CENTER_PX - float(fitted.sum(axis=0) @ np.arange(width)) / mass)
    top, left = min(max(top, 0), FIELD_PX - height), min(max(left, 0), FIELD_PX - width)
    field = np.zeros((FIELD_PX, FIELD_PX), np.uint8)
    field[top : top + height, left : left + width] = np.rint(fitted)
    return field
