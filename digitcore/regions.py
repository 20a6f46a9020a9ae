"""The surroundings of finds, cut out of a picture as RegionNet takes them: the one copy, for training and serving."""

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from digitcore.errors import ImageError

# A region is a square around the middle of a find, so many of its longer sides wide …
REGION_RATIO = 2.2
# … and so many pixels: the find is some 29 px tall.
REGION_PX = 64
# A region of one grey has noise only.
MIN_STANDARD_DEVIATION = 8.0
# What is turned by other than quarters is cut this much wider first: √2, and even, so that the middle stays the middle.
WIDE_PX = 92


def cut_regions(grey: npt.NDArray[np.uint8], boxes: npt.NDArray[np.floating], rotation: float = 0) -> Tensor:
    """What RegionNet looks at.

    Args:
        grey: (H, W) uint8.
        boxes: (n, 4) x, y, w, h of finds, in its pixels.
        rotation: degrees clockwise by which each region is turned about its middle. By quarters the find's frame turns
            with it; otherwise it stays as it is.

    Returns:
        (n, 2, `REGION_PX`, `REGION_PX`) float32 on the CPU, see `prepare_regions`.

    Raises:
        ImageError: if `grey` is not a 2-D uint8 array with at least one pixel.
    """
    sides = torch.from_numpy(boxes[:, 2:].astype(np.float32))
    if rotation % 90 == 0:
        regions = prepare_regions(torch.from_numpy(cut_greys(grey, boxes)), sides)
        return torch.rot90(regions, -round(rotation) // 90, dims=(2, 3))
    wide = cut_greys(grey, boxes, WIDE_PX, REGION_RATIO * WIDE_PX / REGION_PX)
    turned = [_turn_and_trim(each, rotation) for each in wide]
    greys = np.array(turned, np.uint8).reshape(-1, REGION_PX, REGION_PX)
    return prepare_regions(torch.from_numpy(greys), sides)


def _turn_and_trim(wide: npt.NDArray[np.uint8], rotation: float) -> npt.NDArray[np.uint8]:
    """A square turned clockwise about its middle, and its rim cut off."""
    middle = (WIDE_PX - 1) / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), -rotation, 1.0)  # OpenCV turns counter-clockwise.
    matrix[:, 2] -= (WIDE_PX - REGION_PX) / 2
    return cv2.warpAffine(wide, matrix, (REGION_PX, REGION_PX), flags=cv2.INTER_LINEAR)


def cut_greys(
    grey: npt.NDArray[np.uint8], boxes: npt.NDArray[np.floating], side_px: int = REGION_PX, ratio: float = REGION_RATIO
) -> npt.NDArray[np.uint8]:
    """Squares around boxes.

    Args:
        grey: (H, W) uint8.
        boxes: (n, 4) x, y, w, h in its pixels; they may reach beyond its border.
        side_px: of the squares that come out.
        ratio: of a square's side to the box's longer side.

    Returns:
        (n, side_px, side_px) uint8; beyond the picture its last rows and columns are repeated.

    Raises:
        ImageError: if `grey` is not a 2-D uint8 array with at least one pixel.
    """
    if grey.ndim != 2 or grey.dtype != np.uint8 or grey.size == 0:
        raise ImageError(f"Expected a grey picture, a uint8 array of shape (H, W); got {grey.dtype} {grey.shape}.")
    regions = np.empty((len(boxes), side_px, side_px), np.uint8)
    height, width = grey.shape
    for region, (x, y, w, h) in zip(regions, boxes.tolist(), strict=True):
        side = max(round(ratio * max(w, h)), 2)
        left, top = round(x + w / 2 - side / 2), round(y + h / 2 - side / 2)
        x0, x1 = (min(max(edge, 0), width) for edge in (left, left + side))
        y0, y1 = (min(max(edge, 0), height) for edge in (top, top + side))
        # A find beyond the border has the border itself to look at.
        x0, y0 = min(x0, width - 1), min(y0, height - 1)
        x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
        part = grey[y0:y1, x0:x1]
        margins = (max(y0 - top, 0), max(top + side - y1, 0), max(x0 - left, 0), max(left + side - x1, 0))
        if any(margins):
            part = cv2.copyMakeBorder(part, *margins, cv2.BORDER_REPLICATE)
        method = cv2.INTER_AREA if side > side_px else cv2.INTER_CUBIC
        cv2.resize(part, (side_px, side_px), dst=region, interpolation=method)
    return regions


def prepare_regions(greys: Tensor, sides: Tensor) -> Tensor:
    """Squares around finds, as RegionNet takes them.

    Args:
        greys: (n, `REGION_PX`, `REGION_PX`) grey levels of 255, the find in the middle.
        sides: (n, 2) float32 width and height of the find's box, in any unit.

    Returns:
        (n, 2, `REGION_PX`, `REGION_PX`) float32: the grey with mean 0 and standard deviation 1, and the find's frame:
        1 within its box, 0 without, its edges as they fall in between.
    """
    levels = greys.float()
    levels = levels - levels.mean(dim=(1, 2), keepdim=True)
    deviation = levels.square().mean(dim=(1, 2), keepdim=True).sqrt()
    levels = levels / deviation.clamp(min=MIN_STANDARD_DEVIATION)
    longest = sides.amax(dim=1, keepdim=True).clamp(min=1e-3)
    halves = sides / longest * (REGION_PX / REGION_RATIO / 2)
    away = (torch.arange(REGION_PX, device=greys.device) - (REGION_PX - 1) / 2).abs()
    across, down = ((halves[:, axis, None] - away + 0.5).clamp(0, 1) for axis in (0, 1))  # (n, REGION_PX) each
    return torch.stack([levels, down[:, :, None] * across[:, None, :]], dim=1)
