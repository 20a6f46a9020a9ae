"""A page network that finds dark bars, and what it is shown: where the answer is known beforehand."""

import cv2
import numpy as np

from digitcore.detection import Detections, repeat_opinion
from digitcore.detector import InkKind
from digitcore.merging import DetectionConfig

BARS = [(40, 60), (120, 60), (200, 62), (280, 58)]


def draw_paper(width=400, height=300) -> np.ndarray:
    return np.full((height, width, 3), 230, np.uint8)


def draw_bars(picture: np.ndarray, places=BARS, wh=(8, 60)) -> np.ndarray:
    for x, y in places:
        cv2.rectangle(picture, (x, y), (x + wh[0] - 1, y + wh[1] - 1), (20, 20, 20), -1)
    return picture


class PlantedDetector:
    """Finds dark upright bars wherever they stand, as a network that knows but ones would."""

    config = DetectionConfig()

    def __init__(self, kinds: np.ndarray | None = None, score: float = 0.9) -> None:
        self.kinds, self.score = kinds, score
        self.n_calls = 0

    def detect(self, grey: np.ndarray, config: DetectionConfig | None = None) -> Detections:
        self.n_calls += 1
        dark = (grey < 100).astype(np.uint8)
        stats = cv2.connectedComponentsWithStats(dark)[2][1:]
        upright = stats[stats[:, 3] > 2 * stats[:, 2]]
        kinds = dark * np.uint8(InkKind.SCRIBBLE) if self.kinds is None else self.kinds
        if self.kinds is None:
            for x, y, w, h in upright[:, :4]:
                kinds[y : y + h, x : x + w] = InkKind.DIGIT
        probs = np.zeros((len(upright), 10), np.float32)
        probs[:, 1] = 1.0
        contrast = 255 - grey
        scores = np.full(len(upright), self.score, np.float32)
        return Detections(upright[:, :4].astype(np.float32), scores, probs, contrast, contrast, kinds)

    def look_closer(self, grey, found, rotation=0):
        return repeat_opinion(found)
