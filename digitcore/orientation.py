"""Which way up a page lies, and its boxes from one way up to another.

A page is read as it is unless that goes badly, or its digits look better on their heads; then a small copy is looked at
all four ways. What decides is the second stage, which is surer of a digit that stands upright than of any other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from digitcore.detection import Detections, PageDetector, PlaceOpinions, scale_to_sides
from digitcore.detector import InkKind
from digitcore.merging import DetectionConfig
from digitcore.results import Box

GreyImage = npt.NDArray[np.uint8]

# Degrees clockwise by which a page may be turned to be read.
ROTATIONS = (0, 90, 180, 270)
# A page is turned only for so many digits that are likelier than not, …
MIN_DIGITS_TO_TURN = 3
# … and another way up is tried only where this one has fewer sure digits than that or than other pen strokes, or where
# they are read less surely than this …
SURE_SCORE = 0.6
MIN_UPRIGHT_SURENESS = 0.62
# … or where the likeliest finds, so many at the most, look better on their heads.
MAX_TURNED_FINDS = 24
# Less of the picture than this is no writing: three small digits have as much.
MIN_WRITTEN = 0.0005
# The other ways are tried on a copy with this longest side.
TRIAL_SIDE_PX = 512
# The other way up must have this many times as much to read, and this much more, …
TURN_FACTOR, TURN_MARGIN = 1.1, 0.6
# … and be read surely: words upside down have a few that look like digits. The less of the writing is digits then, the
# surer these must be. (The figures are the best of a grid: docs/experiments.md.)
MIN_SURENESS, DIGIT_INK_WEIGHT, MIN_DIGIT_INK = 0.98, 0.2, 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """What is seen of a page that was turned to be read.

    Attributes:
        detections: n finds, in pixels of the page once it is turned.
        opinions: what both stages say of them.
        rotation: degrees clockwise by which the page was turned, one of `ROTATIONS`.
    """

    detections: Detections
    opinions: PlaceOpinions
    rotation: int

    @property
    def sureness(self) -> npt.NDArray[np.float32]:
        """(n,) how sure the last stage is that each is a digit, and which."""
        return _multiply(self.opinions)


def detect_upright(grey: GreyImage, detector: PageDetector) -> Sighting:
    """Look at a page the way up that has most to read.

    Args:
        grey: (H, W) uint8, the picture as it is.
        detector: the page network.

    Returns:
        What it sees; the rotation is 0 unless the page surely lies otherwise.
    """
    as_is = _look(grey, detector, 0)
    if not (_may_be_turned(as_is.detections) or _looks_better_on_its_head(grey, as_is, detector)):
        return as_is
    # Which way up shows in a small copy, too.
    small = scale_to_sides(grey, [min(TRIAL_SIDE_PX, max(grey.shape))])[0]
    config = replace(detector.config, enlargement=1.0)
    rotation = _choose_rotation({rotation: _look(small, detector, rotation, config) for rotation in ROTATIONS})
    return _look(grey, detector, rotation) if rotation else as_is


def turn(grey: GreyImage, rotation: int) -> GreyImage:
    """A picture turned clockwise by 0, 90, 180 or 270 degrees."""
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


def _look(grey: GreyImage, detector: PageDetector, rotation: int, config: DetectionConfig | None = None) -> Sighting:
    turned = turn(grey, rotation)
    detections = detector.detect(turned, config)
    return Sighting(detections, detector.look_closer(turned, detections), rotation)


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


def _looks_better_on_its_head(grey: GreyImage, as_is: Sighting, detector: PageDetector) -> bool:
    """Whether the last stage is surer of the likeliest finds once each is turned by a half."""
    likeliest = as_is.detections.pick_first(MAX_TURNED_FINDS)
    if len(likeliest.boxes) < MIN_DIGITS_TO_TURN:
        return False
    turned = _multiply(detector.look_closer(grey, likeliest, rotation=180))
    return _sum_up(turned) > _sum_up(as_is.sureness[:MAX_TURNED_FINDS])


def _choose_rotation(trials: Mapping[int, Sighting]) -> int:
    """The rotation that gives most to read, or 0 unless that is surely more."""
    best = max((trials[rotation] for rotation in ROTATIONS[1:]), key=lambda trial: _sum_up(trial.sureness))
    total, total_as_is = _sum_up(best.sureness), _sum_up(trials[0].sureness)
    n_likely = int(np.count_nonzero(best.sureness > 0.5))
    if n_likely < MIN_DIGITS_TO_TURN or total < TURN_FACTOR * total_as_is + TURN_MARGIN:
        return 0
    # Their mean, each weighted by itself: finds that are hardly any do not count.
    mean_sureness = total / float(best.sureness.sum())
    digit_ink = _share_digit_ink(best.detections)
    is_sure = mean_sureness + DIGIT_INK_WEIGHT * digit_ink >= MIN_SURENESS
    return best.rotation if is_sure and digit_ink > MIN_DIGIT_INK else 0


def _multiply(opinions: PlaceOpinions) -> npt.NDArray[np.float32]:
    """(n,) the last stage's chance of a digit times that of the class it prefers."""
    return opinions.scores[:, -1] * opinions.probs[:, -1].max(axis=1, initial=0.0)


def _sum_up(sureness: npt.NDArray[np.float32]) -> float:
    """How much there is to read: squares, so that many poor finds are not worth a few good ones."""
    return float(np.square(sureness).sum())


def _share_digit_ink(detections: Detections) -> float:
    """Digits' share of all that a pen wrote; 0.0 if nothing is written."""
    counts = np.bincount(detections.ink_kinds.ravel(), minlength=len(InkKind))
    return float(counts[InkKind.DIGIT] / max(counts[[InkKind.DIGIT, InkKind.LETTERS, InkKind.SCRIBBLE]].sum(), 1))
