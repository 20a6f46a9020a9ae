"""Find digits in a photo: where the page network sees them, and what else is written there.

The page network looks at the grey picture, turned round if the page lies on its side (orientation.py). Each digit is
cut out to be read alone, too (cropping.py); the other ink is put in groups, each with the reason why it is not read.
"""

import cv2
import numpy as np
import numpy.typing as npt

from digitcore.context import describe_context
from digitcore.cropping import cut_digit
from digitcore.detection import Detections, PageDetector
from digitcore.detector import INK_STRIDE, InkKind
from digitcore.orientation import Pose, detect_upright
from digitcore.results import Box, Candidate, Finding, Reason, Rejected

GreyImage = npt.NDArray[np.uint8]

# Digits are read from this size on, in pixels and as a share of the longest side; smaller ones are seen at best.
MIN_DIGIT_PX = 10
MIN_DIGIT_RATIO = 0.012

# Strokes nearer than this share of the map's longest side belong to one mark: letters of a word, dashes of a rule.
GROUP_RATIO = 0.012
# What is smaller than this, as a share of the longest side, is a speck and not worth a word.
MIN_MARK_RATIO = 0.008
# What covers more of the picture than this with so little ink is a table's grain or a page's grid, not a mark.
MAX_SPARSE_AREA, MIN_DENSITY = 0.1, 0.08
# More ruled lines than this are ruled paper.
MAX_RULES = 3
# Nobody reads a longer list.
MAX_REJECTED = 40
REASONS = {
    InkKind.LETTERS: Reason.LETTERS,
    InkKind.PRINT: Reason.PRINT,
    InkKind.RULE: Reason.RULED_LINE,
    InkKind.SCRIBBLE: Reason.SCRIBBLE,
}
# Of 255, in the picture of the local contrast: a digit that the network half sees in less is faint.
FAINT_CONTRAST = 24


def find_in_photo(rgb: npt.NDArray[np.uint8], detector: PageDetector) -> Finding:
    """Find handwritten digits, and say what else is there.

    Args:
        rgb: (H, W, 3) uint8, upright as the file says; the page may lie a quarter or half turn round, and be tilted.
        detector: the page network.

    Returns:
        The candidates with the network's opinions, boxes in pixels of `rgb`; everything empty for a blank picture.
    """
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    sighting = detect_upright(grey, detector)
    turned, detections, says, pose = sighting.picture, sighting.detections, sighting.opinions, sighting.pose
    min_px = max(MIN_DIGIT_PX, MIN_DIGIT_RATIO * max(grey.shape))
    candidates, rejected = [], []
    context = describe_context(detections, turned.shape)
    upright_boxes = sighting.locate_finds()
    for box, upright, scores, probs, around in zip(
        detections.boxes, upright_boxes, says.scores, says.probs, context, strict=True
    ):
        if max(upright.w, upright.h) < min_px:
            rejected.append(Rejected(upright, Reason.TOO_SMALL))
        else:
            candidates.append(Candidate(upright, cut_digit(turned, tuple(box)), scores, probs, around))
    rejected += _name_other_ink(detections, turned.shape, pose)
    ink = np.where(detections.ink_kinds == InkKind.DIGIT, 255, 0).astype(np.uint8)
    return Finding(tuple(candidates), tuple(rejected), detections.contrast, ink, detections.heatmap, pose.rotation)


def _name_other_ink(detections: Detections, shape: tuple[int, ...], pose: Pose) -> list[Rejected]:
    """Marks of ink in which no digit was found, the largest first; boxes in the picture before turning."""
    # The network gives the kinds at half the size; they were doubled to be drawn.
    kinds = np.ascontiguousarray(detections.ink_kinds[::INK_STRIDE, ::INK_STRIDE])
    scale = max(shape[:2]) / max(kinds.shape)
    is_found = np.zeros(kinds.shape, bool)
    for x, y, w, h in detections.boxes / scale:
        is_found[max(int(y), 0) : int(np.ceil(y + h)), max(int(x), 0) : int(np.ceil(x + w))] = True
    marks: list[tuple[int, Rejected]] = []
    for kind in (InkKind.DIGIT, *REASONS):
        for mark, n_px in _group(((kinds == kind) & ~is_found).astype(np.uint8)):
            area = mark[2] * mark[3]
            if area > MAX_SPARSE_AREA * kinds.size and n_px < MIN_DENSITY * area:
                continue
            reason = REASONS.get(kind) or _why_not_found(kinds, detections.contrast, mark)
            marks.append((n_px, Rejected(pose.put_back(tuple(scale * np.array(mark, np.float32))), reason)))
    marks = _join_rules(marks)
    marks.sort(key=lambda item: -item[0])
    return [item for _, item in marks[:MAX_REJECTED]]


def _join_rules(marks: list[tuple[int, Rejected]]) -> list[tuple[int, Rejected]]:
    """Many ruled lines are one thing, ruled paper; marks come with their numbers of pixels."""
    rules = [mark for mark in marks if mark[1].reason is Reason.RULED_LINE]
    if len(rules) <= MAX_RULES:
        return marks
    boxes = [rejected.box for _, rejected in rules]
    left, top = min(box.x for box in boxes), min(box.y for box in boxes)
    right, bottom = max(box.x + box.w for box in boxes), max(box.y + box.h for box in boxes)
    paper = Rejected(Box(left, top, right - left, bottom - top), Reason.RULED_LINE)
    return [mark for mark in marks if mark[1].reason is not Reason.RULED_LINE] + [(sum(n for n, _ in rules), paper)]


def _group(ink: npt.NDArray[np.uint8]) -> list[tuple[tuple[int, int, int, int], int]]:
    """Boxes of marks, strokes near to each other in one, each with its number of inked pixels; specks left out."""
    if not ink.any():
        return []
    longest = max(ink.shape)
    reach = 2 * max(1, round(GROUP_RATIO * longest)) + 1
    padded = cv2.morphologyEx(np.pad(ink, reach), cv2.MORPH_CLOSE, np.ones((reach, reach), np.uint8))
    closed = np.ascontiguousarray(padded[reach:-reach, reach:-reach])
    n_labels, labels, stats, _ = cv2.connectedComponentsWithStats(closed)
    n_inked = np.bincount(labels[ink > 0], minlength=n_labels)
    return [
        ((int(x), int(y), int(w), int(h)), int(n_inked[label]))
        for label, (x, y, w, h, _) in enumerate(stats)
        if label and max(w, h) >= MIN_MARK_RATIO * longest
    ]


def _why_not_found(kinds: GreyImage, contrast: GreyImage, mark: tuple[int, int, int, int]) -> Reason:
    """Why ink that looks like a digit's is not among the digits; `contrast` is `INK_STRIDE` times as large."""
    x, y, w, h = mark
    height, width = kinds.shape
    if x <= 1 or y <= 1 or x + w >= width - 1 or y + h >= height - 1:
        return Reason.EDGE
    if max(w, h) < MIN_DIGIT_RATIO * max(width, height):
        return Reason.TOO_SMALL
    x, y, w, h = (INK_STRIDE * v for v in mark)
    own = contrast[y : y + h, x : x + w]
    return Reason.TOO_FAINT if int(own.max()) < FAINT_CONTRAST else Reason.UNCLEAR
