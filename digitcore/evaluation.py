"""Streaming evaluation: classifiers and labelled images → Snapshots and Reports, each true of the images read so far.

The app, the API and `python -m train.evaluate` share these generators.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from numbers import Integral
from typing import Any

import numpy as np

from digitcore.classifier import DigitClassifier
from digitcore.data import LabeledImages
from digitcore.device import IS_ZERO_GPU, lend_gpu
from digitcore.errors import ConfigError
from digitcore.label_errors import find_disputed
from digitcore.metrics import (
    calibration_error_of,
    mcnemar_p_value,
    measure_auroc,
    measure_reliability,
    measure_risk_coverage,
    paired_interval,
    score_digits,
    wilson_interval,
)
from digitcore.reports import Comparison, Mistake, Predictions, Report, Snapshot

# Small enough that Stop, and a sketch drawn meanwhile, wait little; larger ones are hardly faster.
BATCH_SIZE = 128
# Four reports a second look continuous; making one costs about 20 ms.
MIN_REPORT_INTERVAL_S = 0.25
# A report lists the most confident ones; how many there are is n - n_correct.
MAX_MISTAKES = 100
# More side by side nobody asked for, and the paired figures are of two.
MAX_CLASSIFIERS = 2
# What a lent GPU is asked for: 10,000 images take a second or two, the GPU's start some.
REPORT_SECONDS = 60
MAX_LENT_CLASSIFIERS = 8


def measure(
    classifiers: Sequence[DigitClassifier],
    dataset: LabeledImages,
    limit: int = 0,
    batch_size: int = BATCH_SIZE,
    min_report_interval_s: float = MIN_REPORT_INTERVAL_S,
) -> Iterator[Snapshot]:
    """Evaluate one classifier, or two on the same images, reporting as it goes.

    Args:
        classifiers: one, or two that take turns, batch by batch.
        dataset: images (N, 28, 28) uint8, white on black, with labels (N,) 0 to 9.
        limit: read the first `limit` images only; 0 reads all, and so does a limit beyond the last.
        batch_size: images to a call of a classifier.
        min_report_interval_s: no snapshot sooner than this after the one before, the last excepted; 0 gives one after
            each batch.

    Returns:
        A generator of snapshots: one after the first batch, then at most one every `min_report_interval_s`, and a last
        one that is `done`. Closing it stops the work. An empty data set gives one: `n` 0, interval (0, 1), and zeros.

    Raises:
        ConfigError: at once, if there are no classifiers or more than two, or `limit` or `batch_size` is not a whole
            number in range.
    """
    if not 1 <= len(classifiers) <= MAX_CLASSIFIERS:
        raise ConfigError(f"One checkpoint is evaluated, or two side by side; got {len(classifiers)}.")
    check_count("limit", limit, least=0)
    check_count("batch_size", batch_size, least=1)
    n_total = min(limit, len(dataset)) if limit else len(dataset)
    stream = _lend_stream(tuple(c.lent for c in classifiers)) if IS_ZERO_GPU else partial(_stream, tuple(classifiers))
    return stream(dataset, n_total, batch_size, min_report_interval_s)


def evaluate(
    classifier: DigitClassifier,
    dataset: LabeledImages,
    limit: int = 0,
    batch_size: int = BATCH_SIZE,
    min_report_interval_s: float = MIN_REPORT_INTERVAL_S,
) -> Iterator[Report]:
    """Evaluate one classifier: the reports of `measure`, whose arguments and errors these are."""
    snapshots = measure([classifier], dataset, limit, batch_size, min_report_interval_s)
    return (snapshot.reports[0] for snapshot in snapshots)


def measure_error(classifier: DigitClassifier, dataset: LabeledImages) -> float:
    """Share of the images that are read wrong, 0 to 1; there must be some."""
    return float((classifier.classify(dataset.images).probs.argmax(axis=1) != dataset.labels).mean())


def compare(first: Report, second: Report, of_first: Predictions, of_second: Predictions) -> Comparison:
    """Pair two classifiers' answers to the same images.

    Args:
        first: report on one, for its names.
        second: report on the other.
        of_first: its predictions.
        of_second: the other's, of the same images.
    """
    right, other_right = of_first.predicted == of_first.labels, of_second.predicted == of_second.labels
    n_only_first, n_only_second = int((right & ~other_right).sum()), int((~right & other_right).sum())
    return Comparison(
        first=first.checkpoint,
        second=second.checkpoint,
        dataset=first.dataset,
        n=len(of_first),
        n_both_right=int((right & other_right).sum()),
        n_only_first=n_only_first,
        n_only_second=n_only_second,
        n_both_wrong=int((~right & ~other_right).sum()),
        interval=paired_interval(n_only_first, n_only_second, len(of_first)),
        p_value=mcnemar_p_value(n_only_first, n_only_second),
    )


def check_count(name: str, value: object, least: int) -> None:
    """Refuse what is no whole number or too small; True is an int to Python and a slip to us.

    Raises:
        ConfigError: naming the setting.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        meaning = " (0 means all images)" if least == 0 else ""
        raise ConfigError(f"{name} must be a whole number of at least {least}{meaning}, got {value!r}")


@lru_cache(maxsize=MAX_LENT_CLASSIFIERS)
def _lend_stream(classifiers: tuple[DigitClassifier, ...]) -> Callable[..., Iterator[Snapshot]]:
    """`_stream` where the GPU is, for a whole report at once; kept, so that the next report finds the same process."""

    def stream(*arguments: Any) -> Iterator[Snapshot]:
        yield from _stream(classifiers, *arguments)

    return lend_gpu(stream, REPORT_SECONDS)


def _stream(
    classifiers: tuple[DigitClassifier, ...],
    dataset: LabeledImages,
    n_total: int,
    batch_size: int,
    min_report_interval_s: float,
) -> Iterator[Snapshot]:
    """The generator behind `measure`, its arguments checked."""
    disputed = find_disputed(dataset)
    predicted = np.zeros((len(classifiers), n_total), dtype=np.int64)
    confidences = np.zeros((len(classifiers), n_total), dtype=np.float32)
    seconds = [0.0] * len(classifiers)
    n, last_report_at = 0, -np.inf

    def take_snapshot() -> Snapshot:
        # Views suffice: what was read is never written again.
        predictions = tuple(
            Predictions(dataset.labels[:n], predicted[i, :n], confidences[i, :n]) for i in range(len(classifiers))
        )
        reports = tuple(
            _report(classifier.label, dataset.name, n_total, each, disputed, n / spent if spent > 0 else 0.0)
            for classifier, each, spent in zip(classifiers, predictions, seconds, strict=True)
        )
        comparison = compare(*reports, *predictions) if len(reports) == MAX_CLASSIFIERS else None
        return Snapshot(reports, comparison, predictions)

    while n < n_total:
        batch = slice(n, min(n + batch_size, n_total))
        for i, classifier in enumerate(classifiers):
            started_at = time.perf_counter()
            probs = classifier.classify(dataset.images[batch]).probs  # (B, 10)
            now = time.perf_counter()
            seconds[i] += now - started_at
            predicted[i, batch], confidences[i, batch] = probs.argmax(axis=1), probs.max(axis=1)
        n = batch.stop
        if n < n_total and now - last_report_at >= min_report_interval_s:
            yield take_snapshot()
            last_report_at = time.perf_counter()
    yield take_snapshot()


def _report(
    label: str,
    dataset_name: str,
    n_total: int,
    predictions: Predictions,
    disputed: frozenset[int],
    images_per_second: float,
) -> Report:
    """Every figure, computed afresh over all images read so far: as if the data set ended here."""
    correct = predictions.predicted == predictions.labels
    n, n_correct = len(predictions), int(correct.sum())
    confusion, per_digit = score_digits(predictions.labels, predictions.predicted)
    reliability = measure_reliability(predictions.confidences, correct)
    return Report(
        dataset=dataset_name,
        checkpoint=label,
        n=n,
        n_total=n_total,
        n_correct=n_correct,
        interval=wilson_interval(n_correct, n),
        confusion=confusion,
        per_digit=per_digit,
        ece=calibration_error_of(reliability),
        mistakes=_most_confident_mistakes(predictions, disputed),
        images_per_second=images_per_second,
        done=n == n_total,
        reliability=reliability,
        risk_coverage=measure_risk_coverage(predictions.confidences, correct),
        auroc=measure_auroc(predictions.confidences, correct) if 0 < n_correct < n else None,
    )


def _most_confident_mistakes(predictions: Predictions, disputed: frozenset[int]) -> tuple[Mistake, ...]:
    """The first `MAX_MISTAKES` wrong answers by confidence, equal ones by index."""
    labels, predicted, confidences = predictions.labels, predictions.predicted, predictions.confidences
    wrong = np.flatnonzero(predicted != labels)
    order = np.argsort(-confidences[wrong], kind="stable")[:MAX_MISTAKES]
    return tuple(
        Mistake(int(i), int(labels[i]), int(predicted[i]), float(confidences[i]), int(i) in disputed)
        for i in wrong[order]
    )
