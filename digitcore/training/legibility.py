"""How much of a digit can be seen in a picture of it, whoever looks: by its own ink, and by no reader's opinion."""

import cv2
import numpy as np
import numpy.typing as npt

# The eye blurs a digit by about this share of its height before it tells the strokes: fine noise does not count.
EYE_BLUR_RATIO, MIN_EYE_BLUR_PX = 0.03, 0.5
# Steps of light longer than this share of a digit's height are edges; what is finer is texture.
EDGE_RATIO = 0.4
# Larger ones are looked at from further away.
EYE_HEIGHT_PX = 48
RIDGE, MIN_POWER = 1e-4, 1e-6


def measure_legibility(
    image: npt.NDArray[np.uint8], bare: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8], x: float, y: float
) -> float:
    """The share of what one sees in a digit's box that its own ink explains.

    Squared correlation of the picture with the ink, both blurred a little; a plane, the light's slope, and the edges of
    shadows and sheets are taken away before. Near 1 for clean ink; noise, texture, blur, other writing over it and
    the dark all lower it.

    Args:
        image: (H, W) uint8, the finished picture.
        bare: (H, W) uint8, the same place without any ink.
        mask: (h, w) uint8, the digit's own ink, at full strength 255.
        x: of the mask's left column in the picture; the mask may reach beyond its border.
        y: of its top row.

    Returns:
        0 to 1; 0 where nothing of it lies in the picture.
    """
    left, top = int(x), int(y)
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + mask.shape[1], image.shape[1]), min(top + mask.shape[0], image.shape[0])
    if x1 - x0 < 2 or y1 - y0 < 2:
        return 0.0
    part = np.s_[y0:y1, x0:x1]
    own, seen, ground = _shrink(mask[y0 - top : y1 - top, x0 - left : x1 - left], image[part], bare[part])
    height, width = own.shape
    # A median leaves edges, and takes texture away.
    edges = cv2.medianBlur(ground, 2 * int(EDGE_RATIO * height / 2) + 1)
    sigma = max(EYE_BLUR_RATIO * height, MIN_EYE_BLUR_PX)
    ink, picture = (cv2.GaussianBlur(levels.astype(np.float32), (0, 0), sigma).ravel() for levels in (own, seen))
    rows, columns = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    known = np.empty((4, height, width), np.float32)
    known[0], known[1], known[2], known[3] = 1, rows, columns, edges
    known = known.reshape(4, -1)
    # What the plane and the edges explain of both, taken away; a ridge, since the edges may be a plane themselves.
    gram = (known @ known.T).astype(np.float64)
    gram[np.diag_indices(4)] += RIDGE * gram.diagonal() + 1.0
    both = np.stack([ink, picture])
    both -= np.linalg.solve(gram, known @ both.T).T @ known
    (ink_power, shared), (_, power) = both @ both.T
    return float(shared**2 / max(ink_power * power, MIN_POWER))


def _shrink(*parts: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
    """Pictures of one shape, brought to the height at which a digit can still be told."""
    height, width = parts[0].shape
    if height <= EYE_HEIGHT_PX:
        return list(parts)
    size = (max(round(width * EYE_HEIGHT_PX / height), 2), EYE_HEIGHT_PX)
    return [cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in parts]
