"""Which way up a page lies and how far it is tilted, and its boxes from one way up to another.

A page is read as it is where that goes well. Otherwise, if hardly anything is read or its digits look better on their
heads, a small copy is looked at all four ways; and if its digits look better leaning one way than the other, it is
straightened. What decides is the second stage, which is surer of a digit that stands upright than of any other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from digitcore.detection import Detections, PageDetector, PlaceOpinions, scale_to_sides
from digitcore.detector import InkKind
from digitcore.merging import DetectionConfig, intersect_boxes
from digitcore.results import Box

GreyImage = npt.NDArray[np.uint8]

# Degrees clockwise by which a page may be turned to be read.
ROTATIONS = (0, 90, 180, 270)
# A page whose digits are as sure as this is left as it is, without another look.
SURELY_READ = 0.98
# A page is turned only for so many digits that are likelier than not, …
MIN_DIGITS_TO_TURN = 3
# … and another way up is tried only where this one has fewer sure digits than that or than other pen strokes, or where
# they are read less surely than this …
SURE_SCORE = 0.6
MIN_UPRIGHT_SURENESS = 0.62
# … or where the likeliest finds, so many at the most, look better on their heads.
MAX_TURNED_FINDS = 12
# Less of the picture than this is no writing: three small digits have as much.
MIN_WRITTEN = 0.0005
# The other ways are tried on a copy with this longest side.
TRIAL_SIDE_PX = 512
# The other way up must have this many times as much to read, and this much more, …
TURN_FACTOR, TURN_MARGIN = 1.1, 0.6
# … and be read surely: words upside down have a few that look like digits. The less of the writing is digits then, the
# surer these must be. (The figures are the best of a grid: docs/experiments.md.)
MIN_SURENESS, DIGIT_INK_WEIGHT, MIN_DIGIT_INK = 0.98, 0.2, 0.2
# Three letters that look like digits are soon found.
MIN_SURENESS_OF_FEW = 0.9
# Finds turned by so much, one way and the other: of digits that stand upright there is as much to read either way. Of
# those tilted by 20 degrees there is a third more, of all that is read both ways, one way than the other.
LEAN_DEGREES, TILT_PER_IMBALANCE = 24, 60
# A find of a straightened page is one seen before if the boxes have so much of their union in common, and that before
# is not larger by more than this factor: it might be two digits.
MIN_COMMON, MAX_GROWTH = 0.2, 1.5
# A tilt below this does no harm, or is a hand's own slant; above the second pages are not read.
MIN_TILT, MAX_TILT = 7.0, 20.0


@dataclass(frozen=True, slots=True)
class Pose:
    """How a picture is turned to be read: by quarters, then straightened.

    Attributes:
        shape: (H, W) of the picture as it is.
        rotation: degrees clockwise, one of `ROTATIONS`.
        tilt: degrees clockwise by which it is turned after that; the picture grows so that nothing is cut off.
    """

    shape: tuple[int, int]
    rotation: int = 0
    tilt: float = 0.0

    def turn(self, grey: GreyImage) -> GreyImage:
        """The picture as it is to be read; where a tilted one has no pixels, its last rows and columns are repeated."""
        turned = np.ascontiguousarray(np.rot90(grey, -self.rotation // 90)) if self.rotation else grey
        if not self.tilt:
            return turned
        matrix, size_wh = self._straighten()
        return cv2.warpAffine(turned, matrix, size_wh, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    @property
    def growth(self) -> float:
        """How many times as long the longest side is once the picture is straightened."""
        return max(self._straighten()[1]) / max(self.shape) if self.tilt else 1.0

    def put_back(self, box: tuple[float, float, float, float]) -> Box:
        """Where a box lies in the picture as it is.

        Args:
            box: x, y, w, h in pixels of the picture as it is read; it may reach beyond its border.

        Returns:
            Whole pixels within the picture, at least one each way. Of a tilted box, the one around the ellipse in it:
            what is written hardly fills its corners.
        """
        height, width = self.shape if self.rotation % 180 == 0 else self.shape[::-1]
        if self.tilt:
            box = self._tilt_back(box)
        return turn_box(_whole_box(box, (height, width)), -self.rotation % 360, (height, width))

    def _straighten(self) -> tuple[npt.NDArray[np.float64], tuple[int, int]]:
        """The (2, 3) map of pixels once turned by quarters to those of the straightened picture, and its size."""
        height, width = self.shape if self.rotation % 180 == 0 else self.shape[::-1]
        cos, sin = math.cos(math.radians(self.tilt)), abs(math.sin(math.radians(self.tilt)))
        size_wh = (math.ceil(width * cos + height * sin), math.ceil(width * sin + height * cos))
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -self.tilt, 1.0)
        matrix[:, 2] += (size_wh[0] - width) / 2, (size_wh[1] - height) / 2
        return matrix, size_wh

    def _tilt_back(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        x, y, w, h = box
        inverse = cv2.invertAffineTransform(self._straighten()[0])
        # A box's coordinates are pixels' edges, the map is of their middles.
        cx, cy = inverse @ (x + w / 2 - 0.5, y + h / 2 - 0.5, 1.0) + 0.5
        cos, sin = math.cos(math.radians(self.tilt)), math.sin(math.radians(self.tilt))
        w, h = math.hypot(w * cos, h * sin), math.hypot(w * sin, h * cos)
        return cx - w / 2, cy - h / 2, w, h


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """What is seen of a page that was turned to be read.

    Attributes:
        picture: (H, W) uint8, the page once it is turned.
        detections: n finds, in its pixels.
        opinions: what both stages say of them.
        pose: how it was turned.
        before: what was seen before the page was straightened; None if it was not.
    """

    picture: GreyImage
    detections: Detections
    opinions: PlaceOpinions
    pose: Pose
    before: Detections | None = None

    @property
    def sureness(self) -> npt.NDArray[np.float32]:
        """(n,) how sure the last stage is that each is a digit, and which."""
        return _multiply(self.opinions)

    def locate_finds(self) -> list[Box]:
        """Where each find lies in the picture as it is.

        On a straightened page that is where it was seen before, if it was: that box is around the ink, while a tilted
        box says little of how wide a slanted stroke is.
        """
        boxes = [self.pose.put_back(tuple(box)) for box in self.detections.boxes]
        if self.before is None:
            return boxes
        untilted = replace(self.pose, tilt=0.0)
        seen = [untilted.put_back(tuple(box)) for box in self.before.boxes]
        for index, other in _match_boxes(boxes, seen):
            boxes[index] = seen[other]
        return boxes

    def count_agreed(self) -> float:
        """How many digits there are, each counted by how sure both stages are that it is one, and the last, which."""
        return float((self.opinions.scores[:, 0] * self.sureness).sum())

    @property
    def n_likely(self) -> int:
        """How many are likelier a digit, and that one, than not."""
        return int(np.count_nonzero(self.sureness > 0.5))


def detect_upright(grey: GreyImage, detector: PageDetector) -> Sighting:
    """Look at a page the way up that has most to read.

    Args:
        grey: (H, W) uint8, the picture as it is.
        detector: the page network.

    Returns:
        What it sees; the page is left as it is unless it surely lies otherwise.
    """
    as_is = _look(grey, detector, Pose(grey.shape))
    is_bad = _may_be_turned(as_is.detections)
    if not is_bad and _average(as_is.sureness) >= SURELY_READ:
        return as_is
    sighting = as_is
    if is_bad or _looks_better_on_its_head(as_is, detector):
        sighting = _turn_up(grey, as_is, detector)
    return _straighten(grey, sighting, detector)


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


def _whole_box(box: tuple[float, float, float, float], shape: tuple[int, int]) -> Box:
    """Whole pixels within the picture, at least one each way."""
    x, y, w, h = box
    height, width = shape
    left, top = (int(np.clip(np.floor(v), 0, side - 1)) for v, side in ((x, width), (y, height)))
    right, bottom = (int(np.clip(np.ceil(v), 1, side)) for v, side in ((x + w, width), (y + h, height)))
    return Box(left, top, max(right - left, 1), max(bottom - top, 1))


def _match_boxes(boxes: Sequence[Box], before: Sequence[Box]) -> list[tuple[int, int]]:
    """Pairs of indices of boxes of the same find: each in turn with the free one that it has most in common with."""
    now, then = (np.array(some, np.float32).reshape(-1, 4) for some in (boxes, before))
    areas, areas_then = now[:, 2:].prod(axis=1)[:, None], then[:, 2:].prod(axis=1)
    common = intersect_boxes(now, then)
    shares = np.where(areas_then > MAX_GROWTH * areas, 0.0, common / (areas + areas_then - common))
    pairs = []
    for index in range(len(boxes)) if before else ():
        best = int(shares[index].argmax())
        if shares[index, best] >= MIN_COMMON:
            shares[:, best] = 0.0
            pairs.append((index, best))
    return pairs


def _look(grey: GreyImage, detector: PageDetector, pose: Pose, config: DetectionConfig | None = None) -> Sighting:
    picture = pose.turn(grey)
    detections = detector.detect(picture, config)
    return Sighting(picture, detections, detector.look_closer(picture, detections), pose)


def _may_be_turned(detections: Detections) -> bool:
    """Whether much of the handwriting is not read as digits, or the digits are hardly read."""
    kinds = detections.ink_kinds
    n_digit = int(np.count_nonzero(kinds == InkKind.DIGIT))
    n_other = int(np.count_nonzero((kinds == InkKind.LETTERS) | (kinds == InkKind.SCRIBBLE)))
    sure = detections.scores >= SURE_SCORE
    sureness = (detections.scores * detections.probs.max(axis=1, initial=0.0))[sure]
    has_writing = n_digit + n_other > MIN_WRITTEN * kinds.size
    is_unsure = float(sureness.sum()) < MIN_UPRIGHT_SURENESS * len(sureness)
    return has_writing and (len(sureness) < MIN_DIGITS_TO_TURN or n_other > n_digit or is_unsure)


def _looks_better_on_its_head(as_is: Sighting, detector: PageDetector) -> bool:
    """Whether the last stage is surer of the likeliest finds once each is turned by a half."""
    likeliest = as_is.detections.pick_first(MAX_TURNED_FINDS)
    if len(likeliest.boxes) < MIN_DIGITS_TO_TURN:
        return False
    turned = _multiply(detector.look_closer(as_is.picture, likeliest, rotation=180))
    return _sum_up(turned) > _sum_up(as_is.sureness[:MAX_TURNED_FINDS])


def _turn_up(grey: GreyImage, as_is: Sighting, detector: PageDetector) -> Sighting:
    """The page the way up that surely gives more to read, or else as it is."""
    # Which way up shows in a small copy, too.
    small = scale_to_sides(grey, [min(TRIAL_SIDE_PX, max(grey.shape))])[0]
    config = replace(detector.config, enlargement=1.0)
    small_as_is, *others = (_look(small, detector, Pose(small.shape, rotation), config) for rotation in ROTATIONS)
    best = max(others, key=lambda trial: _sum_up(trial.sureness))
    if not _is_surely_better(best, small_as_is):
        return as_is
    turned = _look(grey, detector, Pose(grey.shape, best.pose.rotation))
    return turned if _is_surely_better(turned, as_is) else as_is


def _is_surely_better(other: Sighting, as_is: Sighting) -> bool:
    """Whether a page the other way up has more to read, and that surely."""
    has_more = _sum_up(other.sureness) >= TURN_FACTOR * _sum_up(as_is.sureness) + TURN_MARGIN
    average, digit_ink = _average(other.sureness), _share_digit_ink(other.detections)
    has_enough = other.n_likely > MIN_DIGITS_TO_TURN or (
        other.n_likely == MIN_DIGITS_TO_TURN and average >= MIN_SURENESS_OF_FEW
    )
    is_sure = average + DIGIT_INK_WEIGHT * digit_ink >= MIN_SURENESS and digit_ink > MIN_DIGIT_INK
    return has_more and has_enough and is_sure


def _straighten(grey: GreyImage, sighting: Sighting, detector: PageDetector) -> Sighting:
    """The page without its tilt, if it has one that matters and there is more to read then."""
    if sighting.n_likely < MIN_DIGITS_TO_TURN or _average(sighting.sureness) >= SURELY_READ:
        return sighting
    tilt = _measure_tilt(sighting, detector)
    if abs(tilt) < MIN_TILT:
        return sighting
    pose = replace(sighting.pose, tilt=tilt)
    # Looked at so that digits stay as large as they were, though the picture has grown.
    sides_px = tuple(round(pose.growth * side) for side in detector.config.level_sides_px)
    straight = _look(grey, detector, pose, replace(detector.config, level_sides_px=sides_px))
    straight = replace(straight, before=sighting.detections)
    return straight if straight.count_agreed() > sighting.count_agreed() else sighting


def _measure_tilt(sighting: Sighting, detector: PageDetector) -> float:
    """Degrees clockwise by which the likeliest finds are to be turned to stand upright."""
    likeliest = sighting.detections.pick_first(MAX_TURNED_FINDS)
    clockwise, counter_clockwise = (
        _sum_up(_multiply(detector.look_closer(sighting.picture, likeliest, rotation)))
        for rotation in (LEAN_DEGREES, -LEAN_DEGREES)
    )
    imbalance = (clockwise - counter_clockwise) / max(clockwise + counter_clockwise, 1e-6)
    return float(np.clip(TILT_PER_IMBALANCE * imbalance, -MAX_TILT, MAX_TILT))


def _multiply(opinions: PlaceOpinions) -> npt.NDArray[np.float32]:
    """(n,) the last stage's chance of a digit times that of the class it prefers."""
    return opinions.scores[:, -1] * opinions.probs[:, -1].max(axis=1, initial=0.0)


def _sum_up(sureness: npt.NDArray[np.float32]) -> float:
    """How much there is to read: squares, so that many poor finds are not worth a few good ones."""
    return float(np.square(sureness).sum())


def _average(sureness: npt.NDArray[np.float32]) -> float:
    """The mean, each weighted by itself: finds that are hardly any do not count. 0.0 of none."""
    return _sum_up(sureness) / max(float(sureness.sum()), 1e-6)


def _share_digit_ink(detections: Detections) -> float:
    """Digits' share of all that a pen wrote; 0.0 if nothing is written."""
    counts = np.bincount(detections.ink_kinds.ravel(), minlength=len(InkKind))
    return float(counts[InkKind.DIGIT] / max(counts[[InkKind.DIGIT, InkKind.LETTERS, InkKind.SCRIBBLE]].sum(), 1))
