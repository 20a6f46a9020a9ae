"""Find digits in a photo: where the page network sees them, which way up, and what else is written there.

The page network (detection.py) looks at the grey picture; if the page lies on its side, it is turned round. Each digit
is looked at more closely, and cut out to be read alone (cropping.py); the other ink is put in groups, each with the
reason why it is not read.
"""

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from digitcore.context import describe_context
from digitcore.cropping import cut_digit
from digitcore.detection import Detections, PageDetector, scale_to_sides
from digitcore.detector import INK_STRIDE, InkKind
from digitcore.results import Box, Candidate, Finding, Reason, Rejected

GreyImage = npt.NDArray[np.uint8]

# Digits are read from this size on, in pixels and as a share of the longest side; smaller ones are seen at best.
MIN_DIGIT_PX = 10
MIN_DIGIT_RATIO = 0.012

# A page is turned only for at least so many digits, each counted by how sure it is, …
MIN_DIGITS_TO_TURN = 3
MIN_SURE_TO_TURN = 2.0
# … and another way up is tried only where this one has fewer sure digits than other pen strokes, or is read less surely
# than this: digits on their heads look like others.
SURE_SCORE = 0.6
MIN_UPRIGHT_SURENESS = 0.62
# Less of the picture than this is no writing: three small digits have as much.
MIN_WRITTEN = 0.0005
# The other ways are tried on a copy with this longest side.
TRIAL_SIDE_PX = 512
# The other way up must have this many times as much to read, and this much more, …
TURN_FACTOR, TURN_MARGIN = 1.3, 1.0
# … be written in digits for the most part, and read surely: words upside down have a few that look like digits. Where
# nearly all that a pen wrote is letters as it stands, even more must be digits once it is turned.
MIN_DIGIT_INK, MIN_MEAN_SURENESS = 0.5, 0.53
MOSTLY_LETTERS, MIN_DIGIT_INK_OF_LETTERS = 0.9, 0.8

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
        rgb: (H, W, 3) uint8, upright as the file says; the page may lie a quarter or half turn round.
        detector: the page network.

    Returns:
        The candidates with the network's opinions, boxes in pixels of `rgb`; everything empty for a blank picture.
    """
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    detections, rotation = _detect_upright(grey, detector)
    turned = _turn(grey, rotation)
    min_px = max(MIN_DIGIT_PX, MIN_DIGIT_RATIO * max(grey.shape))
    candidates, rejected = [], []
    context = describe_context(detections, turned.shape)
    says = detector.look_closer(turned, detections)
    for box, scores, probs, around in zip(detections.boxes, says.scores, says.probs, context, strict=True):
        whole = _whole_box(box, turned.shape)
        upright = turn_box_back(whole, rotation, turned.shape)
        if max(whole.w, whole.h) < min_px:
            rejected.append(Rejected(upright, Reason.TOO_SMALL))
        else:
            candidates.append(Candidate(upright, cut_digit(turned, tuple(box)), scores, probs, around))
    rejected += _name_other_ink(detections, turned.shape, rotation)
    ink = np.where(detections.ink_kinds == InkKind.DIGIT, 255, 0).astype(np.uint8)
    return Finding(tuple(candidates), tuple(rejected), detections.contrast, ink, detections.heatmap, rotation)


def _detect_upright(grey: GreyImage, detector: PageDetector) -> tuple[Detections, int]:
    """Detections in the way up that has most to read, and the degrees clockwise to get there."""
    as_is = detector.detect(grey)
    if not _may_be_turned(as_is):
        return as_is, 0
    # Which way up shows in a small copy, too.
    small = scale_to_sides(grey, [min(TRIAL_SIDE_PX, max(grey.shape))])[0]
    config = replace(detector.config, enlargement=1.0)
    trials = {rotation: detector.detect(_turn(small, rotation), config) for rotation in (0, 90, 180, 270)}
    sureness_as_is, _ = _sum_sureness(trials.pop(0))
    rotation = max(trials, key=lambda r: _sum_sureness(trials[r])[0])
    total, n_sure = _sum_sureness(trials[rotation])
    has_more = total >= max(MIN_SURE_TO_TURN, TURN_FACTOR * sureness_as_is + TURN_MARGIN)
    is_sure = n_sure >= MIN_DIGITS_TO_TURN and total >= MIN_MEAN_SURENESS * n_sure
    is_letters = _share_of_ink(as_is, InkKind.LETTERS) >= MOSTLY_LETTERS
    min_digit_ink = MIN_DIGIT_INK_OF_LETTERS if is_letters else MIN_DIGIT_INK
    if has_more and is_sure and _share_of_ink(trials[rotation], InkKind.DIGIT) >= min_digit_ink:
        return detector.detect(_turn(grey, rotation)), rotation
    return as_is, 0


def _sum_sureness(detections: Detections) -> tuple[float, int]:
    """Of the digits that surely are some: how sure it is that they are and which, summed; and how many."""
    sure = detections.scores >= SURE_SCORE
    sureness = (detections.scores * detections.probs.max(axis=1, initial=0.0))[sure]
    return float(sureness.sum()), len(sureness)


def _share_of_ink(detections: Detections, kind: InkKind) -> float:
    """Of all that a pen wrote; 0.0 if nothing is written."""
    counts = np.bincount(detections.ink_kinds.ravel(), minlength=len(InkKind))
    return float(counts[kind] / max(counts[[InkKind.DIGIT, InkKind.LETTERS, InkKind.SCRIBBLE]].sum(), 1))


def _may_be_turned(detections: Detections) -> bool:
    """Whether much of the handwriting is not read as digits, or the digits are hardly read."""
    kinds = detections.ink_kinds
    n_digit = int(np.count_nonzero(kinds == InkKind.DIGIT))
    n_other = int(np.count_nonzero((kinds == InkKind.LETTERS) | (kinds == InkKind.SCRIBBLE)))
    sureness, n_sure = _sum_sureness(detections)
    has_writing = n_digit + n_other > MIN_WRITTEN * kinds.size
    is_unsure = sureness < MIN_UPRIGHT_SURENESS * n_sure
    return has_writing and (n_sure < MIN_DIGITS_TO_TURN or n_other > n_digit or is_unsure)


def _turn(grey: GreyImage, rotation: int) -> GreyImage:
    """Turn clockwise by 0, 90, 180 or 270 degrees."""
    return np.ascontiguousarray(np.rot90(grey, -rotation // 90)) if rotation else grey


def turn_box(box: Box, rotation: int, shape: tuple[int, ...]) -> Box:
    """Where a box lies once its picture is turned.

    Args:
        box: in pixels of the picture as it is.
        rotation: degrees clockwise: 0, 90, 180 or 270.
        shape: (H, W, …) of the picture as it is.
    """
    x, y, w, h = box
    height, width = shape[:2]
    if rotation == 90:
        return Box(height - y - h, x, h, w)
    if rotation == 180:
        return Box(width - x - w, height - y - h, w, h)
    if rotation == 270:
        return Box(y, width - x - w, h, w)
    return box


def turn_box_back(box: Box, rotation: int, turned_shape: tuple[int, ...]) -> Box:
    """The inverse of `turn_box`; `turned_shape` is that of the picture after turning."""
    return turn_box(box, -rotation % 360, turned_shape)


def _whole_box(box: npt.NDArray[np.float32], shape: tuple[int, ...]) -> Box:
    """Whole pixels within the picture, at least one each way."""
    left, top = (int(np.clip(np.floor(v), 0, side - 1)) for v, side in zip(box[:2], shape[1::-1], strict=True))
    right, bottom = (int(np.clip(np.ceil(v), 1, side)) for v, side in zip(box[:2] + box[2:], shape[1::-1], strict=True))
    return Box(left, top, max(right - left, 1), max(bottom - top, 1))


def _name_other_ink(detections: Detections, shape: tuple[int, ...], rotation: int) -> list[Rejected]:
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
            box = _whole_box(scale * np.array(mark, np.float32), shape)
            reason = REASONS.get(kind) or _why_not_found(kinds, detections.contrast, mark)
            marks.append((n_px, Rejected(turn_box_back(box, rotation, shape), reason)))
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
