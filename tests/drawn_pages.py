"""Small pages with digits drawn by hand in code, for the tests of the page network's training."""

import cv2
import numpy as np

from digitcore.training.pages import Page

SIDE_PX = 96
# Polylines in units of the box.
STROKES = {
    0: [(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)],
    1: [(0.5, 0), (0.5, 1)],
    4: [(0, 0), (0, 0.6), (1, 0.6), (1, 0), (1, 1)],
    7: [(0, 0), (1, 0), (0.3, 1)],
}
LAYOUTS = (
    ((7, (8, 10, 20, 34)), (0, (50, 12, 26, 30)), (1, (20, 60, 6, 28)), (4, (56, 58, 22, 30))),
    ((4, (10, 52, 24, 36)), (7, (60, 8, 18, 24)), (0, (54, 56, 28, 32))),
)


def draw_page(layout, side=SIDE_PX, ignored=()):
    image = np.full((side, side), 225, np.uint8)
    ink = np.zeros((side, side), np.uint8)
    for digit, (x, y, w, h) in layout:
        points = (np.array(STROKES[digit]) * (w - 1, h - 1) + (x, y)).round().astype(np.int32)
        cv2.polylines(image, [points], False, 40, 2)
        cv2.polylines(ink, [points], False, 1, 2)
    boxes = np.array([box for _, box in layout], np.float32).reshape(-1, 4)
    labels = np.array([digit for digit, _ in layout], np.int64)
    return Page(image, boxes, labels, np.array(ignored, np.float32).reshape(-1, 4), ink)


class DrawnPages:
    """One of the two pages, with a little noise."""

    def __init__(self, layouts=LAYOUTS):
        self.pages = [draw_page(layout) for layout in layouts]

    def make(self, rng):
        page = self.pages[int(rng.integers(len(self.pages)))]
        noise = rng.integers(-6, 7, page.image.shape)
        image = (page.image.astype(np.int64) + noise).clip(0, 255).astype(np.uint8)
        return Page(image, page.boxes, page.labels, page.ignored, page.ink)
