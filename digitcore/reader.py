"""DigitReader: a sketch or a photo → Reading. Stateless between calls, shared by all visitors."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from digitcore.classifier import DigitClassifier
from digitcore.errors import CheckpointError
from digitcore.finding import find_photo_candidates
from digitcore.hub import load_pretrained
from digitcore.imaging import Picture, load_image
from digitcore.layout import group_lines
from digitcore.preprocessing import normalize_digits
from digitcore.results import Candidate, Digit, Finding, Reading, Reason, Rejected, Stages, Timings
from digitcore.segmentation import find_in_sketch
from digitcore.splitting import choose_segments, propose_segments

# How candidates are found until a network does it: named in each reading.
FINDER_NAME = "components"
# On a pad nearly all ink is meant as a digit; in a photo most of it is not.
MIN_SKETCH_CONFIDENCE = 0.4
MIN_PHOTO_CONFIDENCE = 0.6


class DigitReader:
    """Reads the handwritten digits in a picture."""

    def __init__(self, classifier: DigitClassifier) -> None:
        """Wrap a classifier; `from_pretrained` is the usual way."""
        self.classifier = classifier

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
            detector: a PageNet checkpoint. None is the built-in finder; there is no other yet.
            detector_revision: of the detector, on the Hub.
            device: as torch spells it; None picks.

        Returns:
            A reader, ready to answer.

        Raises:
            CheckpointError: if a checkpoint is missing, damaged or of another kind.
            DeviceError: if the device is not there.
        """
        if detector is not None or detector_revision is not None:
            raise CheckpointError(
                "This version finds digits by connected components and loads no detector. Leave `detector` out."
            )
        return cls(DigitClassifier(load_pretrained(checkpoint, revision), device))

    @property
    def detector_label(self) -> str:
        """How candidates are found: name@hash of a detector's checkpoint, or the name of the method."""
        return FINDER_NAME

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
        return self._read_picture(picture, find_in_sketch, MIN_SKETCH_CONFIDENCE, keep_stages)

    def read_photo(self, picture: Picture, keep_stages: bool = False) -> Reading:
        """Read digits in a photo or scan.

        Args:
            picture: path, bytes, PIL image, or (H, W, 3) RGB or (H, W) grey uint8 array.
            keep_stages: keep the intermediate pictures in `Reading.stages`.

        Returns:
            The reading; empty if there is no digit. What was seen and not read is in `Reading.rejected`.

        Raises:
            ImageError: if the picture cannot be read.
        """
        return self._read_picture(picture, find_photo_candidates, MIN_PHOTO_CONFIDENCE, keep_stages)

    def _read_picture(
        self,
        picture: Picture,
        find: Callable[[npt.NDArray[np.uint8]], Finding],
        min_confidence: float,
        keep_stages: bool,
    ) -> Reading:
        """Decode, locate, classify: the same for every door."""
        started = time.perf_counter()
        rgb = load_image(picture)
        decoded = time.perf_counter()
        finding = find(rgb)
        located = time.perf_counter()
        digits, rejected, images = self._classify(finding.candidates, min_confidence)
        finished = time.perf_counter()
        return Reading(
            digits=digits,
            rejected=finding.rejected + rejected,
            size=(rgb.shape[1], rgb.shape[0]),
            model=self.classifier.label,
            detector=self.detector_label,
            timings=Timings(1e3 * (decoded - started), 1e3 * (located - decoded), 1e3 * (finished - located)),
            stages=Stages(rgb, finding.contrast, None, finding.ink, images) if keep_stages else None,
        )

    def _classify(
        self, candidates: Sequence[Candidate], min_confidence: float
    ) -> tuple[tuple[Digit, ...], tuple[Rejected, ...], npt.NDArray[np.uint8]]:
        """Candidates in, reading out: classify in one batch, refuse the unclear, put the rest in reading order."""
        lattices = [propose_segments(candidate) for candidate in candidates]
        segments = [segment for lattice in lattices for segment in lattice]
        images = normalize_digits([segment.candidate.ink for segment in segments])
        classification = self.classifier.classify(images)
        chosen: list[int] = []
        offset = 0
        for lattice in lattices:
            confidences = classification.is_digit[offset : offset + len(lattice)].tolist()
            chosen += [offset + i for i in choose_segments(lattice, confidences)]
            offset += len(lattice)
        clear = [i for i in chosen if classification.is_digit[i] >= min_confidence]
        rejected = tuple(Rejected(segments[i].candidate.box, Reason.UNCLEAR) for i in chosen if i not in clear)
        digits: list[Digit] = []
        order: list[int] = []
        for line, members in enumerate(group_lines([segments[i].candidate.box for i in clear])):
            for i in (clear[member] for member in members):
                probs = tuple(float(p) for p in classification.probs[i])
                value = int(np.argmax(probs))
                digits.append(Digit(value, min(probs[value], 1.0), segments[i].candidate.box, line, probs))
                order.append(i)
        return tuple(digits), rejected, images[order]
