"""DigitReader: a sketch or a photo → Reading. Stateless between calls, shared by all visitors."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from digitcore.checkpoint import Checkpoint
from digitcore.classifier import DigitClassifier
from digitcore.context import is_mostly_other_writing
from digitcore.detection import PageDetector
from digitcore.device import is_lent, lend_gpu
from digitcore.finding import find_in_photo
from digitcore.fusion import fuse_classes, fuse_presence, gather_features
from digitcore.hub import DEFAULT_DETECTOR, load_pretrained
from digitcore.imaging import Picture, load_image
from digitcore.layout import group_lines
from digitcore.orientation import turn_box
from digitcore.preprocessing import normalize_digits
from digitcore.results import N_CLASSES, Candidate, Digit, Finding, Reading, Reason, Rejected, Stages, Timings
from digitcore.segmentation import find_in_sketch
from digitcore.splitting import choose_segments, propose_segments

# On a pad nearly all ink is meant as a digit; in a photo most of it is not.
MIN_SKETCH_CONFIDENCE = 0.4
MIN_PHOTO_CONFIDENCE = 0.5
# Where most of what is written is no digit, one find at least must be as clear as this for any to be read: among
# letters there is always some shape like a digit's.
MIN_CLEAREST_AMONG_LETTERS = 0.8
# What a lent GPU is asked for; a photo takes a fraction of a second, the GPU's start some.
PHOTO_SECONDS = 15
DIGIT_SHAPE, WARM_UP_SHAPE = (28, 28), (768, 1024)


@dataclass(frozen=True, slots=True, eq=False)
class _Opinions:
    """Of n candidates: which digit, (n, 10); how clear that is, (n,); and what was looked at, (n, 28, 28) uint8."""

    candidates: Sequence[Candidate]
    probs: npt.NDArray[np.float32]
    clarity: npt.NDArray[np.float32]
    images: npt.NDArray[np.uint8]


class DigitReader:
    """Reads the handwritten digits in a picture."""

    def __init__(
        self,
        classifier: DigitClassifier,
        detector: PageDetector,
        photo_classifier: DigitClassifier | None = None,
    ) -> None:
        """Wrap the networks; `from_pretrained` is the usual way.

        Args:
            classifier: of single digits.
            detector: of a photo's digits.
            photo_classifier: the classifier again, where the detector runs; None if that is the same place.
        """
        self.classifier = classifier
        self.detector = detector
        self._photo_classifier = photo_classifier or classifier
        self._look_at_photo = lend_gpu(self._look_at_photo_here, PHOTO_SECONDS)

    @classmethod
    def from_pretrained(
        cls,
        checkpoint: str | Path | None = None,
        *,
        revision: str | None = None,
        detector: str | Path | None = None,
        detector_revision: str | None = None,
        device: str | None = None,
    ) -> "DigitReader":
        """Load a reader.

        Args:
            checkpoint: a folder, a shipped checkpoint's name, or a Hub repo id (user/name); None is the shipped one.
            revision: branch, tag or commit on the Hub.
            detector: of photos' digits, likewise.
            detector_revision: of the detector, on the Hub.
            device: as torch spells it; None picks.

        Returns:
            A reader, ready to answer.

        Raises:
            CheckpointError: if a checkpoint is missing, damaged or of another kind.
            DeviceError: if the device is not there.
        """
        return cls.from_checkpoints(
            load_pretrained(checkpoint, revision),
            load_pretrained(detector or DEFAULT_DETECTOR, detector_revision),
            device,
        )

    @classmethod
    def from_checkpoints(cls, digits: Checkpoint, pages: Checkpoint, device: str | None = None) -> "DigitReader":
        """Make a reader of two checkpoints in memory.

        Args:
            digits: of a digit network.
            pages: of a page network.
            device: as torch spells it; None picks.

        Raises:
            CheckpointError: if one of them is of the other kind.
            DeviceError: if the device is not there.
        """
        classifier = DigitClassifier(digits, device)
        return DigitReader(classifier, PageDetector(pages, device), classifier.lent)

    def warm_up(self) -> None:
        """Read something blank: the first call of a network is slow, and shall not be the first visitor's."""
        self.classifier.classify(np.zeros((1, *DIGIT_SHAPE), np.uint8))
        if not is_lent(self.detector.device):
            self.read_photo(np.full(WARM_UP_SHAPE, 255, np.uint8))

    @property
    def detector_label(self) -> str:
        """name@hash of the detector's checkpoint."""
        return self.detector.label

    def read_sketch(self, picture: Picture, keep_stages: bool = False) -> Reading:
        """Read digits drawn on an even ground, dark on light or light on dark.

        Args:
            picture: path, bytes, PIL image, or (H, W, 3) RGB or (H, W) grey uint8 array.
            keep_stages: keep the intermediate pictures in `Reading.stages`.

        Returns:
            The reading; empty for a blank pad.

        Raises:
            ImageError: if the picture cannot be read.
        """
        started = time.perf_counter()
        rgb = load_image(picture)
        return self._read_upright(
            rgb, time.perf_counter() - started, find_in_sketch, self._read_sketched, MIN_SKETCH_CONFIDENCE, keep_stages
        )

    def read_photo(self, picture: Picture, keep_stages: bool = False) -> Reading:
        """Read digits in a photo or scan, however light, paper and what else is on it.

        Args:
            picture: path, bytes, PIL image, or (H, W, 3) RGB or (H, W) grey uint8 array.
            keep_stages: keep the intermediate pictures in `Reading.stages`.

        Returns:
            The reading; empty if there is no digit. What was seen and not read is in `Reading.rejected`.

        Raises:
            ImageError: if the picture cannot be read.
        """
        started = time.perf_counter()
        # Here and not where the GPU is: what is wrong with a picture must reach the visitor in its own words.
        rgb = load_image(picture)
        return self._look_at_photo(rgb, time.perf_counter() - started, keep_stages)

    def _look_at_photo_here(self, rgb: npt.NDArray[np.uint8], decode_s: float, keep_stages: bool) -> Reading:
        """What needs the GPU, if there is one."""
        return self._read_upright(
            rgb, decode_s, self._find_in_photo, self._read_found, MIN_PHOTO_CONFIDENCE, keep_stages
        )

    def _read_upright(
        self,
        rgb: npt.NDArray[np.uint8],
        decode_s: float,
        find: Callable[[npt.NDArray[np.uint8]], Finding],
        judge: Callable[[Sequence[Candidate]], _Opinions],
        min_confidence: float,
        keep_stages: bool,
    ) -> Reading:
        """Locate, classify: the same for every door."""
        started = time.perf_counter()
        finding = find(rgb)
        located = time.perf_counter()
        opinions = judge(finding.candidates)
        digits, rejected, order = _arrange(opinions, min_confidence, finding.rotation, rgb.shape)
        finished = time.perf_counter()
        images = opinions.images[order]
        return Reading(
            digits=digits,
            rejected=finding.rejected + rejected,
            size=(rgb.shape[1], rgb.shape[0]),
            model=self.classifier.label,
            detector=self.detector_label,
            timings=Timings(1e3 * decode_s, 1e3 * (located - started), 1e3 * (finished - located)),
            rotation=finding.rotation,
            stages=Stages(rgb, finding.contrast, finding.heatmap, finding.ink, images) if keep_stages else None,
        )

    def _find_in_photo(self, rgb: npt.NDArray[np.uint8]) -> Finding:
        return find_in_photo(rgb, self.detector)

    def _read_found(self, candidates: Sequence[Candidate]) -> _Opinions:
        """Look at the ink alone of what the detector found; its opinions and this one make one."""
        images = normalize_digits([candidate.ink for candidate in candidates])
        if not candidates:
            return _Opinions((), np.zeros((0, N_CLASSES), np.float32), np.zeros(0, np.float32), images)
        alone = self._photo_classifier.classify(images)
        scores = np.column_stack([np.stack([candidate.scores for candidate in candidates]), alone.is_digit])
        in_place = np.stack([candidate.probs for candidate in candidates])  # (n, 2, 10)
        opinions = np.concatenate([in_place, alone.probs[:, None]], axis=1)
        context = np.stack([candidate.context for candidate in candidates])
        fused = fuse_classes(opinions)
        presence = fuse_presence(gather_features(scores, opinions, fused, context))
        probs = fused * presence[:, None]
        clarity = probs.max(axis=1)
        if clarity.max() < MIN_CLEAREST_AMONG_LETTERS and is_mostly_other_writing(context):
            clarity = np.zeros_like(clarity)
        return _Opinions(candidates, probs, clarity, images)

    def _read_sketched(self, candidates: Sequence[Candidate]) -> _Opinions:
        """Cut candidates where digits may touch, classify all pieces in one batch, keep the best way through."""
        lattices = [propose_segments(candidate) for candidate in candidates]
        segments = [segment for lattice in lattices for segment in lattice]
        images = normalize_digits([segment.candidate.ink for segment in segments])
        classification = self.classifier.classify(images)
        chosen: list[int] = []
        offset = 0
        for lattice in lattices:
            confidences = classification.confidence[offset : offset + len(lattice)].tolist()
            chosen += [offset + i for i in choose_segments(lattice, confidences)]
            offset += len(lattice)
        pieces = [segments[i].candidate for i in chosen]
        return _Opinions(pieces, classification.probs[chosen], classification.confidence[chosen], images[chosen])


def _arrange(
    opinions: _Opinions, min_confidence: float, rotation: int, shape: tuple[int, ...]
) -> tuple[tuple[Digit, ...], tuple[Rejected, ...], list[int]]:
    """Refuse the unclear, put the rest in reading order; the order is given as indices too."""
    clear = np.flatnonzero(opinions.clarity >= min_confidence).tolist()
    unclear = np.flatnonzero(opinions.clarity < min_confidence).tolist()
    rejected = tuple(Rejected(opinions.candidates[i].box, Reason.UNCLEAR) for i in unclear)
    digits: list[Digit] = []
    order: list[int] = []
    for line, members in enumerate(group_lines([turn_box(opinions.candidates[i].box, rotation, shape) for i in clear])):
        for i in (clear[member] for member in members):
            probs = tuple(float(p) for p in opinions.probs[i])
            value = int(np.argmax(probs))
            digits.append(Digit(value, min(probs[value], 1.0), opinions.candidates[i].box, line, probs))
            order.append(i)
    return tuple(digits), rejected, order
