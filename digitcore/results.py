"""What the reader returns: frozen, validated on construction; its JSON is made here and nowhere else.

Coordinates are integer pixels of the upright input picture (after EXIF rotation), x to the right, y down.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

N_CLASSES = 10
# Shares of a percent do not help anyone choose another reading.
MIN_ALTERNATIVE_CONFIDENCE = 0.005
MAX_ALTERNATIVES = 3


class Box(NamedTuple):
    """An upright rectangle in pixels: left, top, width, height."""

    x: int
    y: int
    w: int
    h: int


class Reason(StrEnum):
    """Why ink was seen and not read."""

    NOT_A_DIGIT = "not a digit"
    LETTERS = "handwriting that is no digit"
    PRINT = "print"
    SCRIBBLE = "a scribble"
    UNCLEAR = "too unclear to tell which digit"
    RULED_LINE = "a ruled line"
    EDGE = "cut by the edge of the picture"
    TOO_SMALL = "too small"
    TOO_LARGE = "too large for a digit"
    TOO_FAINT = "too faint"


@dataclass(frozen=True, slots=True)
class Digit:
    """One digit that was read.

    Attributes:
        value: 0 to 9.
        confidence: probability of `value`, 0 to 1.
        box: where, in pixels of the upright picture.
        line: index of its text line, from 0.
        probs: the probabilities of all ten classes.
        alternatives: other readings as (value, confidence), likeliest first; empty if none is near.
    """

    value: int
    confidence: float
    box: Box
    line: int
    probs: tuple[float, ...]
    alternatives: tuple[tuple[int, float], ...] = field(init=False)

    def __post_init__(self) -> None:
        """Check the invariants and derive the alternatives from `probs`."""
        if not 0 <= self.value < N_CLASSES:
            raise ValueError(f"value must be 0 to 9, got {self.value}")
        if not 0.0 <= self.confidence <= 1.0:
            raise ValueError(f"confidence must be 0 to 1, got {self.confidence}")
        if len(self.probs) != N_CLASSES:
            raise ValueError(f"probs must have {N_CLASSES} entries, got {len(self.probs)}")
        others = sorted(((p, v) for v, p in enumerate(self.probs) if v != self.value), reverse=True)
        near = tuple((v, p) for p, v in others[:MAX_ALTERNATIVES] if p >= MIN_ALTERNATIVE_CONFIDENCE)
        object.__setattr__(self, "alternatives", near)

    def to_dict(self) -> dict[str, Any]:
        """As the API returns it."""
        return {
            "value": self.value,
            "confidence": round(self.confidence, 4),
            "box": list(self.box),
            "line": self.line,
            "alternatives": [[value, round(p, 4)] for value, p in self.alternatives],
        }


@dataclass(frozen=True, slots=True)
class Rejected:
    """Ink that was seen and not read, and why."""

    box: Box
    reason: Reason

    def to_dict(self) -> dict[str, Any]:
        """As the API returns it."""
        return {"box": list(self.box), "reason": str(self.reason)}


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """Ink that may be one digit: what any finder hands to the reader.

    Attributes:
        box: where, in pixels of the upright picture.
        ink: (h, w) uint8, 0 for paper and 255 for ink: this candidate's strokes alone, tightly cropped. Its size may
            differ from the box's where the finder worked at another scale.
        scores: (2,) float32, how sure the finder's two stages are that it is one digit, 0 to 1, or None.
        probs: (2, 10) float32, their opinions which digit it is, or None.
        context: (c,) float32, what surrounds it, as context.py describes it, or None.
    """

    box: Box
    ink: npt.NDArray[np.uint8]
    scores: npt.NDArray[np.float32] | None = None
    probs: npt.NDArray[np.float32] | None = None
    context: npt.NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        """Check the crop's shape and type."""
        if self.ink.ndim != 2 or self.ink.dtype != np.uint8 or self.ink.size == 0:
            raise ValueError(f"ink must be a non-empty 2-D uint8 array, got {self.ink.dtype} {self.ink.shape}")


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """What a finder found in a picture: the seam between any way of finding digits and the reading of them.

    Attributes:
        candidates: ink that may be digits, in no order; boxes in pixels of the picture.
        rejected: ink that cannot be a digit, and why.
        contrast: (h, w) uint8, ink light on dark, the light flattened, at the size that was worked on.
        ink: (h, w) uint8, 0 for paper and 255 for ink, the candidates' strokes alone, at that size.
        heatmap: (h, w) uint8, where digits are likely, or None if the finder has no such map.
        rotation: degrees clockwise by which the picture must be turned to be read: 0, 90, 180 or 270, a tilt aside.
    """

    candidates: tuple[Candidate, ...]
    rejected: tuple[Rejected, ...]
    contrast: npt.NDArray[np.uint8]
    ink: npt.NDArray[np.uint8]
    heatmap: npt.NDArray[np.uint8] | None = None
    rotation: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Stages:
    """The pictures between input and answer, for showing how it was read.

    Attributes:
        upright: (H, W, 3) uint8 RGB, the picture after EXIF rotation.
        contrast: (h, w) uint8, ink light on dark, the light flattened, at the size that was worked on; of a photo that
            was turned or straightened to be read, as it was read.
        heatmap: (h, w) uint8, where digits are likely, likewise, or None without a detector.
        ink: (h, w) uint8, 0 for paper and 255 for ink, likewise, or None.
        images: (n_digits, 28, 28) uint8, what the classifier saw, in reading order.
    """

    upright: npt.NDArray[np.uint8]
    contrast: npt.NDArray[np.uint8]
    heatmap: npt.NDArray[np.uint8] | None
    ink: npt.NDArray[np.uint8] | None
    images: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time went, in milliseconds."""

    decode: float = 0.0
    locate: float = 0.0
    classify: float = 0.0

    def to_dict(self) -> dict[str, int]:
        """As the API returns it: whole milliseconds."""
        return {"decode": round(self.decode), "locate": round(self.locate), "classify": round(self.classify)}


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read in one picture.

    Attributes:
        digits: in reading order.
        rejected: what was seen and not read.
        size: (w, h) of the upright picture.
        rotation: degrees clockwise by which the picture was turned to be read: 0, 90, 180 or 270, a tilt aside.
        model: name@hash of the classifier's checkpoint.
        detector: name@hash of the detector's checkpoint, or the name of the method.
        timings: where the time went.
        stages: the intermediate pictures, if they were asked for.
    """

    digits: tuple[Digit, ...]
    rejected: tuple[Rejected, ...]
    size: tuple[int, int]
    model: str
    detector: str
    timings: Timings = Timings()
    rotation: int = 0
    stages: Stages | None = None

    def __post_init__(self) -> None:
        """Check the invariants."""
        if self.rotation not in (0, 90, 180, 270):
            raise ValueError(f"rotation must be 0, 90, 180 or 270, got {self.rotation}")
        lines = [digit.line for digit in self.digits]
        if lines != sorted(lines):
            raise ValueError(f"digits must come line by line, got lines {lines}")

    @property
    def lines(self) -> tuple[str, ...]:
        """The text of each line, in reading order; empty if nothing was read."""
        texts: dict[int, str] = {}
        for digit in self.digits:
            texts[digit.line] = texts.get(digit.line, "") + str(digit.value)
        return tuple(texts.values())

    @property
    def text(self) -> str:
        """All digits in reading order, the lines joined; "" if nothing was read."""
        return "".join(self.lines)

    @property
    def confidence(self) -> float:
        """Probability that the whole string is right, its digits taken as independent; 0.0 if nothing was read."""
        return prod(digit.confidence for digit in self.digits) if self.digits else 0.0

    def to_dict(self) -> dict[str, Any]:
        """As the API returns it: plain JSON types only."""
        return {
            "text": self.text,
            "lines": list(self.lines),
            "confidence": round(self.confidence, 4),
            "rotation": self.rotation,
            "size": list(self.size),
            "digits": [digit.to_dict() for digit in self.digits],
            "rejected": [rejected.to_dict() for rejected in self.rejected],
            "model": self.model,
            "detector": self.detector,
            "milliseconds": self.timings.to_dict(),
        }
