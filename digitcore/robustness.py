"""The robustness suite: classifiers and labelled images → errors by corruption and strength, streamed kind by kind."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from digitcore.classifier import DigitClassifier
from digitcore.corruptions import KINDS, check_strength, corrupt
from digitcore.data import LabeledImages
from digitcore.errors import ConfigError, DatasetError
from digitcore.evaluation import BATCH_SIZE, MAX_CLASSIFIERS, MIN_REPORT_INTERVAL_S, check_count
from digitcore.robustness_reports import CorruptionCurve, CorruptionErrors, RobustnessReport

# As many as give an error of 3 % to within 1 %, in a tenth of the time that all of MNIST's test set takes.
SUITE_LIMIT = 1000
FIXED_STRENGTH = 1.0


def measure_robustness(
    classifiers: Sequence[DigitClassifier],
    dataset: LabeledImages,
    strengths: Sequence[float] = (FIXED_STRENGTH,),
    kinds: Sequence[str] = KINDS,
    limit: int = SUITE_LIMIT,
    seed: int = 0,
    batch_size: int = BATCH_SIZE,
    min_report_interval_s: float = MIN_REPORT_INTERVAL_S,
) -> Iterator[tuple[RobustnessReport, ...]]:
    """Read images as they are, then corrupted in each way at each strength, made on the fly; reporting as it goes.

    Args:
        classifiers: one, or two that read the same corrupted images.
        dataset: images (N, 28, 28) uint8, white on black, with labels (N,); N at least 1.
        strengths: factors of the kinds' fixed strengths, 0 to `corruptions.MAX_STRENGTH`; measured in rising order.
        kinds: of `corruptions.KINDS`; measured in that order.
        limit: corrupt the first `limit` images only; 0 takes all.
        seed: of the corruptions; see `corruptions.corrupt`.
        batch_size: images to a call of a classifier.
        min_report_interval_s: while one kind at one strength is read, no reports sooner than this after those before.

    Returns:
        A generator of reports, one for each classifier: after each kind and strength, and in between as often as
        `min_report_interval_s` allows, so that closing it, which stops the work, is never far.

    Raises:
        ConfigError: at once, if a setting is out of range or there is nothing to measure.
        DatasetError: at once, if there are no images.
    """
    if not 1 <= len(classifiers) <= MAX_CLASSIFIERS:
        raise ConfigError(f"One checkpoint is measured, or two side by side; got {len(classifiers)}.")
    check_count("limit", limit, least=0)
    check_count("batch_size", batch_size, least=1)
    for strength in strengths:
        check_strength(strength)
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise ConfigError(f"There is no corruption {unknown[0]!r}; there are {', '.join(KINDS)}.")
    if not len(strengths) or not len(kinds):
        raise ConfigError("There is nothing to measure: name at least one strength and one kind.")
    if not len(dataset):
        raise DatasetError(f"The data set {dataset.name} has no images to corrupt.")
    images = dataset.part(0, min(limit, len(dataset)) if limit else len(dataset), dataset.name)
    cells = [
        (kind, strength)
        for kind in sorted(set(kinds), key=KINDS.index)
        for strength in sorted({float(strength) for strength in strengths})
    ]
    return _stream(tuple(classifiers), images, cells, int(seed), batch_size, min_report_interval_s)


def measure_corruptions(classifier: DigitClassifier, dataset: LabeledImages, seed: int = 0) -> CorruptionErrors:
    """Corrupt all images in each of the 14 ways in turn, at its fixed strength, and read them.

    Args:
        classifier: what is measured.
        dataset: images (N, 28, 28) uint8, white on black, with labels (N,); N at least 1.
        seed: of the corruptions; see `corruptions.corrupt`.
    """
    *_, (report,) = measure_robustness([classifier], dataset, limit=0, seed=seed)
    errors = report.errors_at(FIXED_STRENGTH)
    assert errors is not None  # the last report holds all kinds
    return errors


@dataclass(slots=True)
class _Tally:
    """What is known of one classifier so far."""

    classifier: DigitClassifier
    clean_error: float | None = None
    errors: list[tuple[str, float, float]] = field(default_factory=list)  # kind, strength, error
    n_read: int = 0
    n_wrong: int = 0
    seconds: float = 0.0

    def read(self, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> None:
        """One batch."""
        started_at = time.perf_counter()
        self.n_wrong += int((self.classifier.classify(images).probs.argmax(axis=1) != labels).sum())
        self.n_read += len(labels)
        self.seconds += time.perf_counter() - started_at

    def take_error(self, n: int) -> float:
        """Share of wrong answers among the last `n` images; the count starts anew."""
        error, self.n_wrong = self.n_wrong / n, 0
        return error


def _stream(
    classifiers: tuple[DigitClassifier, ...],
    dataset: LabeledImages,
    cells: list[tuple[str, float]],
    seed: int,
    batch_size: int,
    min_report_interval_s: float,
) -> Iterator[tuple[RobustnessReport, ...]]:
    """The generator behind `measure_robustness`, its arguments checked."""
    tallies = [_Tally(classifier) for classifier in classifiers]
    n = len(dataset)
    last_report_at = -np.inf

    def take_reports() -> tuple[RobustnessReport, ...]:
        return tuple(_report(tally, dataset, seed, len(cells)) for tally in tallies)

    # The untouched images come first, as a cell of their own.
    for cell in (None, *cells):
        started_at = time.perf_counter()
        images = dataset.images if cell is None else corrupt(dataset.images, cell[0], seed, cell[1])
        for tally in tallies:
            tally.seconds += (time.perf_counter() - started_at) / len(tallies)
        for start in range(0, n, batch_size):
            batch = slice(start, start + batch_size)
            for tally in tallies:
                tally.read(images[batch], dataset.labels[batch])
            if batch.stop < n and time.perf_counter() - last_report_at >= min_report_interval_s:
                yield take_reports()
                last_report_at = time.perf_counter()
        for tally in tallies:
            if cell is None:
                tally.clean_error = tally.take_error(n)
            else:
                tally.errors.append((*cell, tally.take_error(n)))
        yield take_reports()
        last_report_at = time.perf_counter()


def _report(tally: _Tally, dataset: LabeledImages, seed: int, n_total: int) -> RobustnessReport:
    kinds = dict.fromkeys(kind for kind, _, _ in tally.errors)
    curves = []
    for kind in kinds:
        points = [(strength, error) for each, strength, error in tally.errors if each == kind]
        curves.append(CorruptionCurve(kind, *map(tuple, zip(*points, strict=True))))
    return RobustnessReport(
        dataset=dataset.name,
        checkpoint=tally.classifier.label,
        n=len(dataset),
        seed=seed,
        clean_error=tally.clean_error,
        curves=tuple(curves),
        n_done=len(tally.errors),
        n_total=n_total,
        n_read=tally.n_read,
        images_per_second=tally.n_read / tally.seconds if tally.seconds else 0.0,
    )
