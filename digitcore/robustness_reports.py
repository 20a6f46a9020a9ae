"""What the robustness suite returns: frozen, validated on construction; its JSON is made here and nowhere else.

Errors are shares of wrong answers, 0 to 1.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class CorruptionErrors:
    """Errors on corrupted images, as (kind, share of wrong answers, 0 to 1), in the order of `corruptions.KINDS`."""

    errors: tuple[tuple[str, float], ...]

    def __post_init__(self) -> None:
        """Check that there is something to average."""
        if not self.errors:
            raise ValueError("errors must name at least one kind")

    @property
    def mean(self) -> float:
        """Over the kinds, each counting the same."""
        return sum(error for _, error in self.errors) / len(self.errors)

    @property
    def worst(self) -> tuple[str, float]:
        """The kind with the largest error, and that error; of equal ones the first."""
        return max(self.errors, key=lambda entry: entry[1])

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types only."""
        kind, error = self.worst
        return {
            "mean_error": round(self.mean, 6),
            "worst": {"kind": kind, "error": round(error, 6)},
            "errors": {kind: round(error, 6) for kind, error in self.errors},
        }


@dataclass(frozen=True, slots=True)
class CorruptionCurve:
    """Errors under one kind of corruption, by rising strength.

    Attributes:
        kind: one of `corruptions.KINDS`.
        strengths: factors of the kind's fixed strength; 0 leaves the images untouched, 1 is the fixed one.
        errors: share of wrong answers at each.
    """

    kind: str
    strengths: tuple[float, ...]
    errors: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check that each strength has its error, and that they rise."""
        if len(self.strengths) != len(self.errors) or list(self.strengths) != sorted(set(self.strengths)):
            raise ValueError(f"need rising strengths, each with an error, got {self.strengths} and {self.errors}")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types only."""
        return {
            "kind": self.kind,
            "strengths": list(self.strengths),
            "errors": [round(error, 6) for error in self.errors],
        }


@dataclass(frozen=True, slots=True)
class RobustnessReport:
    """The robustness suite on one checkpoint, finished or under way.

    Attributes:
        dataset: name of the images before they were corrupted.
        checkpoint: name@hash.
        n: images to each kind and strength.
        seed: of the corruptions.
        clean_error: share of wrong answers on the images as they are; None until all of those are read.
        curves: those measured so far, in the order of `corruptions.KINDS`; the last may want strengths still.
        n_done: pairs of kind and strength measured so far.
        n_total: pairs to measure.
        n_read: images read so far, the untouched ones among them.
        images_per_second: over corrupting and reading.
    """

    dataset: str
    checkpoint: str
    n: int
    seed: int
    clean_error: float | None
    curves: tuple[CorruptionCurve, ...]
    n_done: int
    n_total: int
    n_read: int
    images_per_second: float

    def __post_init__(self) -> None:
        """Check that the curves hold as many figures as are done."""
        if sum(len(curve.errors) for curve in self.curves) != self.n_done or self.n_done > self.n_total:
            raise ValueError(f"the curves must hold n_done = {self.n_done} of {self.n_total} errors")

    @property
    def done(self) -> bool:
        """Whether all is measured."""
        return self.n_done == self.n_total

    @property
    def n_to_read(self) -> int:
        """Images to read in all: the untouched ones, then those of each kind and strength."""
        return self.n * (self.n_total + 1)

    @property
    def strengths(self) -> tuple[float, ...]:
        """All that were measured of any kind, rising."""
        return tuple(sorted({strength for curve in self.curves for strength in curve.strengths}))

    @property
    def seconds_left(self) -> float | None:
        """At the rate so far; None before the first image."""
        if self.done:
            return 0.0
        return (self.n_to_read - self.n_read) / self.images_per_second if self.images_per_second else None

    def errors_at(self, strength: float) -> CorruptionErrors | None:
        """The kinds measured at that strength so far, with their mean and worst; None if there are none."""
        errors = tuple(
            (curve.kind, error)
            for curve in self.curves
            for each, error in zip(curve.strengths, curve.errors, strict=True)
            if each == strength
        )
        return CorruptionErrors(errors) if errors else None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types only."""
        return {
            "dataset": self.dataset,
            "checkpoint": self.checkpoint,
            "n": self.n,
            "seed": self.seed,
            "clean_error": None if self.clean_error is None else round(self.clean_error, 6),
            "mean_errors": {str(each): round(self.errors_at(each).mean, 6) for each in self.strengths},
            "curves": [curve.to_dict() for curve in self.curves],
            "n_done": self.n_done,
            "n_total": self.n_total,
            "done": self.done,
            "images_per_second": round(self.images_per_second),
        }
