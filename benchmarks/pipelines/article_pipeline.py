"""The article's pipeline, as it stands there, for the comparison: it is part of no product.

    grey → Gaussian blur 5×5 → Otsu's threshold, inverted (ink is white) → external contours → those too small to be
    a digit left out → sorted from left to right → each bounding box resized to 28×28 → the article's CNN

Nothing in it looks at light or polarity, keeps the aspect ratio, knows of text lines, or says "no digit": every
contour that is large enough gets one. Digits are sorted over the whole picture, so that two lines come out mixed.
"""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.photo_labels import PhotoText
from benchmarks.pipelines import Pipeline
from digitcore.classifier import DigitClassifier
from digitcore.hub import load_pretrained
from digitcore.imaging import load_image
from digitcore.preprocessing import FIELD_PX
from digitcore.results import Box

CHECKPOINT = "seed"
BLUR_PX = 5
MIN_WIDTH_PX, MIN_HEIGHT_PX = 5, 15


def load(checkpoint: str | None = None) -> Pipeline:
    """The pipeline with the article's CNN, whatever the checkpoint that the reader uses."""
    classifier = DigitClassifier(load_pretrained(CHECKPOINT, None))

    def read(path: Path) -> PhotoText:
        boxes, images = find_digits(load_image(path))
        values = classifier.classify(images).probs.argmax(axis=1)
        text = "".join(str(value) for value in values)
        return PhotoText((text,) if text else (), tuple(zip(boxes, text, strict=True)))

    return read


def find_digits(rgb: npt.NDArray[np.uint8]) -> tuple[list[Box], npt.NDArray[np.uint8]]:
    """The article's segmentation.

    Args:
        rgb: (H, W, 3) uint8.

    Returns:
        The contours' boxes from left to right, and their crops as (n, 28, 28) uint8, ink 255.
    """
    grey = cv2.GaussianBlur(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (BLUR_PX, BLUR_PX), 0)
    _, mask = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY_INV | cv2.THRESH_OTSU)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    boxes = sorted(Box(*cv2.boundingRect(contour)) for contour in contours)
    boxes = [box for box in boxes if box.w >= MIN_WIDTH_PX and box.h >= MIN_HEIGHT_PX]
    crops = [mask[box.y : box.y + box.h, box.x : box.x + box.w] for box in boxes]
    images = [cv2.resize(crop, (FIELD_PX, FIELD_PX), interpolation=cv2.INTER_AREA) for crop in crops]
    return boxes, np.array(images, np.uint8).reshape(-1, FIELD_PX, FIELD_PX)
