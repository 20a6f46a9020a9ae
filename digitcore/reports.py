"""What an evaluation returns: frozen, validated on construction; its JSON is made here, and of the whole report.

Shares (accuracy, error, confidence, coverage, risk) are 0 to 1. Truth and prediction are digits, 0 to 9.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from digitcore.robustness_reports import RobustnessReport


@dataclass(frozen=True, slots=True)
class Mistake:
    """One image that was read wrong.

    Attributes:
        index: of the image in the data set.
        truth: its label.
        predicted: what was read.
        confidence: of what was read.
        disputed: whether label-error research disputes the label (`label_errors`); only ever on MNIST's test set.
    """

    index: int
    truth: int
    predicted: int
    confidence: float
    disputed: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As the API returns it."""
        return {
            "index": self.index,
            "truth": self.truth,
            "predicted": self.predicted,
            "confidence": round(self.confidence, 4),
            "disputed": self.disputed,
        }


@dataclass(frozen=True, slots=True)
class DigitScore:
    """Precision, recall and F1 (each 0 to 1) of one class, and how many images of it there were."""

    precision: float
    recall: float
    f1: float
    support: int

    def to_dict(self) -> dict[str, Any]:
        """As the API returns it."""
        return {
            "precision": round(self.precision, 4),
            "recall": round(self.recall, 4),
            "f1": round(self.f1, 4),
            "support": self.support,
        }


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The images whose confidence lies in (low, high]; the first bin holds 0 too.

    Attributes:
        low: of the bin.
        high: of the bin.
        n: how many images.
        confidence: their mean; 0.0 without images.
        accuracy: share of right answers among them; 0.0 without images.
    """

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float

    def to_dict(self) -> dict[str, Any]:
        """As the API returns it."""
        return {
            "low": round(self.low, 6),
            "high": round(self.high, 6),
            "n": self.n,
            "confidence": round(self.confidence, 6),
            "accuracy": round(self.accuracy, 6),
        }


@dataclass(frozen=True, slots=True)
class RiskPoint:
    """What happens if only answers of at least this confidence are given.

    Attributes:
        threshold: least confidence that is answered.
        coverage: share of all images that are answered.
        risk: share of wrong answers among those; 0.0 if none is answered.
    """

    threshold: float
    coverage: float
    risk: float

    def to_dict(self) -> dict[str, Any]:
        """As the API returns it."""
        return {
            "threshold": round(self.threshold, 6),
            "coverage": round(self.coverage, 6),
            "risk": round(self.risk, 6),
        }


@dataclass(frozen=True, slots=True)
class Report:
    """An evaluation of one checkpoint, finished or under way.

    Attributes:
        dataset: its name, "uci" or "mnist", or that of an upload.
        checkpoint: name@hash.
        n: images read so far.
        n_total: images to read.
        n_correct: of `n`.
        interval: 95 % Wilson interval of the accuracy.
        confusion: 10 rows (truth) of 10 counts (prediction).
        per_digit: the ten classes' scores.
        ece: expected calibration error, 15 bins, 0 to 1.
        mistakes: the most confident first.
        images_per_second: measured over the classifier's work.
        done: True in the last report.
        reliability: 15 bins of equal width.
        risk_coverage: by rising threshold.
        auroc: the chance that a right answer is more confident than a wrong one; None without one of either.
    """

    dataset: str
    checkpoint: str
    n: int
    n_total: int
    n_correct: int
    interval: tuple[float, float]
    confusion: tuple[tuple[int, ...], ...]
    per_digit: tuple[DigitScore, ...]
    ece: float
    mistakes: tuple[Mistake, ...]
    images_per_second: float
    done: bool
    reliability: tuple[ReliabilityBin, ...] = ()
    risk_coverage: tuple[RiskPoint, ...] = ()
    auroc: float | None = None

    def __post_init__(self) -> None:
        """Check the invariants."""
        if not 0 <= self.n_correct <= self.n <= self.n_total:
            raise ValueError(f"need 0 <= n_correct <= n <= n_total, got {self.n_correct}, {self.n}, {self.n_total}")

    @property
    def accuracy(self) -> float:
        """Share of right answers so far, 0 to 1; 0.0 before the first image."""
        return self.n_correct / self.n if self.n else 0.0

    @property
    def milliseconds_per_digit(self) -> float:
        """The classifier's time for one image among many; 0.0 before the first."""
        return 1e3 / self.images_per_second if self.images_per_second else 0.0

    def at_threshold(self, threshold: float) -> RiskPoint:
        """The point of `risk_coverage` nearest to a threshold; coverage 0 and risk 0 if there are none."""
        return min(
            self.risk_coverage,
            key=lambda point: abs(point.threshold - threshold),
            default=RiskPoint(threshold, 0.0, 0.0),
        )

    def to_dict(self) -> dict[str, Any]:
        """As the API returns it: plain JSON types only."""
        return {
            "dataset": self.dataset,
            "checkpoint": self.checkpoint,
            "n": self.n,
            "n_total": self.n_total,
            "n_correct": self.n_correct,
            "accuracy": round(self.accuracy, 6),
            "interval": [round(bound, 6) for bound in self.interval],
            "confusion": [list(row) for row in self.confusion],
            "per_digit": [score.to_dict() for score in self.per_digit],
            "ece": round(self.ece, 6),
            "mistakes": [mistake.to_dict() for mistake in self.mistakes],
            "done": self.done,
            "images_per_second": round(self.images_per_second),
            "auroc": None if self.auroc is None else round(self.auroc, 6),
            "reliability": [each.to_dict() for each in self.reliability],
            "risk_coverage": [point.to_dict() for point in self.risk_coverage],
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two checkpoints on the same images.

    Attributes:
        first: name@hash of one checkpoint.
        second: name@hash of the other.
        dataset: its name.
        n: images that both read.
        n_both_right: of `n`.
        n_only_first: read right by the first alone.
        n_only_second: read right by the second alone.
        n_both_wrong: of `n`.
        interval: 95 % interval of `difference`, for paired shares.
        p_value: of McNemar's exact test, two-sided: how likely a difference at least as large would be between two
            checkpoints of the same accuracy; 1.0 if no image tells them apart.
    """

    first: str
    second: str
    dataset: str
    n: int
    n_both_right: int
    n_only_first: int
    n_only_second: int
    n_both_wrong: int
    interval: tuple[float, float]
    p_value: float

    def __post_init__(self) -> None:
        """Check that the four counts are all of the images."""
        counts = (self.n_both_right, self.n_only_first, self.n_only_second, self.n_both_wrong)
        if min(counts) < 0 or sum(counts) != self.n:
            raise ValueError(f"the four counts must make up n = {self.n}, got {counts}")

    @property
    def difference(self) -> float:
        """Accuracy of the second less that of the first, -1 to 1; 0.0 without images."""
        return (self.n_only_second - self.n_only_first) / self.n if self.n else 0.0

    def to_dict(self) -> dict[str, Any]:
        """As the API returns it: plain JSON types only."""
        return {
            "first": self.first,
            "second": self.second,
            "dataset": self.dataset,
            "n": self.n,
            "n_both_right": self.n_both_right,
            "n_only_first": self.n_only_first,
            "n_only_second": self.n_only_second,
            "n_both_wrong": self.n_both_wrong,
            "difference": round(self.difference, 6),
            "interval": [round(bound, 6) for bound in self.interval],
            # Six significant digits: small ones are the interesting ones.
            "p_value": float(f"{self.p_value:.6g}"),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What was read so far, image by image: what a click on a cell needs. Not part of the JSON.

    Attributes:
        labels: (n,) int64, the truth.
        predicted: (n,) int64.
        confidences: (n,) float32, of what was predicted.
    """

    labels: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    confidences: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        """Check that all are of one length."""
        if not self.labels.shape == self.predicted.shape == self.confidences.shape or self.labels.ndim != 1:
            shapes = self.labels.shape, self.predicted.shape, self.confidences.shape
            raise ValueError(f"labels, predicted and confidences must be of one length, got {shapes}")

    def __len__(self) -> int:
        """How many images."""
        return len(self.labels)

    def indices_of(self, truth: int, predicted: int) -> tuple[int, ...]:
        """The images of one cell of the confusion matrix, the most confident first, equal ones by index."""
        cell = np.flatnonzero((self.labels == truth) & (self.predicted == predicted))
        return tuple(int(i) for i in cell[np.argsort(-self.confidences[cell], kind="stable")])


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Where the evaluation of one or two checkpoints on the same images stands.

    Attributes:
        reports: one for each checkpoint, all of the same images.
        comparison: of the first with the second; None for a single checkpoint.
        predictions: one for each checkpoint.
    """

    reports: tuple[Report, ...]
    comparison: Comparison | None
    predictions: tuple[Predictions, ...]

    @property
    def done(self) -> bool:
        """Whether all images have been read."""
        return all(report.done for report in self.reports)

    @property
    def seconds_left(self) -> float | None:
        """At the rate so far; None before the first image."""
        if any(not report.images_per_second for report in self.reports):
            return 0.0 if self.done else None
        return sum((report.n_total - report.n) / report.images_per_second for report in self.reports)


def export_report(
    reports: Sequence[Report],
    comparison: Comparison | None = None,
    robustness: Sequence[RobustnessReport] = (),
    *,
    measured: datetime,
) -> dict[str, Any]:
    """The whole report as the app exports it and as `python -m train.evaluate --json` prints it.

    Args:
        reports: one, or two of the same images; none if only the robustness suite was run.
        comparison: of the two.
        robustness: one report for each checkpoint, or none if the suite was not run.
        measured: when, with its time zone.

    Returns:
        Plain JSON types: the fields of the first report and its `error` and `error_interval`; the other's under
        `against`, with `comparison`; `robustness`; and `measured`, to the second. What was not measured is left out.

    Raises:
        ValueError: if there are more than two reports, or none of either kind, or `measured` has no time zone.
    """
    if len(reports) > 2 or not (reports or robustness):
        raise ValueError(f"need one or two reports, or the suite's; got {len(reports)} and {len(robustness)}")
    if measured.tzinfo is None:
        raise ValueError("measured needs a time zone")
    first, *others = [_with_error(report) for report in reports] or [{}]
    export = dict(first)
    if others:
        export["against"] = others[0]
    if comparison is not None:
        export["comparison"] = comparison.to_dict()
    if robustness:
        export["robustness"] = [report.to_dict() for report in robustness]
    return export | {"measured": measured.isoformat(timespec="seconds")}


def _with_error(report: Report) -> dict[str, Any]:
    """The report's fields, and its error, which is what one compares among good networks."""
    low, high = report.interval
    error = {"error": round(1 - report.accuracy, 6), "error_interval": [round(1 - high, 6), round(1 - low, 6)]}
    return report.to_dict() | error
