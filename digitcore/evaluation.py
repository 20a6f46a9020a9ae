"""Streaming evaluation: a classifier and labelled images → Reports, each true of the images read so far.

The app, the API and `python -m train.evaluate` share this one generator. The scores come from scikit-learn and SciPy,
which are imported on the first report and not with the module: serving starts without them.
"""

import time
from collections.abc import Iterator
from numbers import Integral

import numpy as np
import numpy.typing as npt

from digitcore.classifier import DigitClassifier
from digitcore.corruptions import KINDS, corrupt
from digitcore.data import LabeledImages
from digitcore.errors import ConfigError
from digitcore.reports import CorruptionErrors, DigitScore, Mistake, Report
from digitcore.results import N_CLASSES

# Small enough that Stop, and a sketch drawn meanwhile, wait little; larger ones are hardly faster.
BATCH_SIZE = 128
# Four reports a second look continuous; making one costs about 15 ms.
MIN_REPORT_INTERVAL_S = 0.25
# A report lists the most confident ones; how many there are is n - n_correct.
MAX_MISTAKES = 100
# Guo et al. 2017 use 15 bins; so does most of the literature since.
N_CALIBRATION_BINS = 15
CONFIDENCE_LEVEL = 0.95


def evaluate(
    classifier: DigitClassifier,
    dataset: LabeledImages,
    limit: int = 0,
    batch_size: int = BATCH_SIZE,
    min_report_interval_s: float = MIN_REPORT_INTERVAL_S,
) -> Iterator[Report]:
    """Evaluate a classifier on labelled images, reporting as it goes.

    Args:
        classifier: what is measured.
        dataset: images (N, 28, 28) uint8, white on black, with labels (N,) 0 to 9.
        limit: read the first `limit` images only; 0 reads all, and so does a limit beyond the last.
        batch_size: images to a call of the classifier.
        min_report_interval_s: no report sooner than this after the one before, the last excepted; 0 reports each batch.

    Returns:
        A generator of reports: one after the first batch, then at most one every `min_report_interval_s`, and a last
        one with `done`. Closing it stops the work. An empty data set gives one: `n` 0, interval (0, 1), and zeros.

    Raises:
        ConfigError: at once, if `limit` or `batch_size` is not a whole number in range.
    """
    _check_count("limit", limit, least=0)
    _check_count("batch_size", batch_size, least=1)
    n_total = min(limit, len(dataset.labels)) if limit else len(dataset.labels)
    return _stream(classifier, dataset, n_total, batch_size, min_report_interval_s)


def measure_error(classifier: DigitClassifier, dataset: LabeledImages) -> float:
    """Share of the images that are read wrong, 0 to 1; there must be some."""
    return float((classifier.classify(dataset.images).probs.argmax(axis=1) != dataset.labels).mean())


def measure_corruptions(classifier: DigitClassifier, dataset: LabeledImages, seed: int = 0) -> CorruptionErrors:
    """Corrupt all images in each of the 14 ways in turn, and read them.

    Args:
        classifier: what is measured.
        dataset: images (N, 28, 28) uint8, white on black, with labels (N,); N at least 1.
        seed: of the corruptions; see `corruptions.corrupt`.
    """
    errors = []
    for kind in KINDS:
        corrupted = LabeledImages(corrupt(dataset.images, kind, seed), dataset.labels, f"{dataset.name}, {kind}")
        errors.append((kind, measure_error(classifier, corrupted)))
    return CorruptionErrors(tuple(errors))


def measure_auroc(scores: npt.NDArray[np.floating], is_positive: npt.NDArray[np.bool_]) -> float:
    """The chance that a positive has a higher score than a negative, ties counting half.

    Args:
        scores: (n,).
        is_positive: (n,); both kinds must be there.
    """
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(is_positive, scores))


def expected_calibration_error(confidences: npt.NDArray[np.floating], correct: npt.NDArray[np.bool_]) -> float:
    """Mean distance of accuracy from confidence over 15 equal-width bins, weighted by the images in each.

    Args:
        confidences: (N,) probability of the predicted class, 0 to 1.
        correct: (N,) whether the prediction was right.

    Returns:
        0 (calibrated) to 1; 0.0 without images.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017. Bin m holds ((m - 1) / 15, m / 15].
    """
    if not len(confidences):
        return 0.0
    edges = np.arange(1, N_CALIBRATION_BINS) / N_CALIBRATION_BINS
    bins = np.digitize(confidences.astype(np.float64), edges, right=True)
    surplus = np.bincount(bins, weights=confidences.astype(np.float64) - correct, minlength=N_CALIBRATION_BINS)
    return float(np.abs(surplus).sum() / len(confidences))


def wilson_interval(n_correct: int, n: int) -> tuple[float, float]:
    """95 % Wilson score interval of a share; (0.0, 1.0) when nothing was counted."""
    from scipy.stats import binomtest

    if n == 0:
        return 0.0, 1.0
    interval = binomtest(n_correct, n).proportion_ci(CONFIDENCE_LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def _check_count(name: str, value: object, least: int) -> None:
    """Refuse what is no whole number or too small; True is an int to Python and a slip to us."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        meaning = " (0 means all images)" if least == 0 else ""
        raise ConfigError(f"{name} must be a whole number of at least {least}{meaning}, got {value!r}")


def _stream(
    classifier: DigitClassifier, dataset: LabeledImages, n_total: int, batch_size: int, min_report_interval_s: float
) -> Iterator[Report]:
    """The generator behind `evaluate`, its arguments checked."""
    predicted = np.zeros(n_total, dtype=np.int64)
    confidences = np.zeros(n_total, dtype=np.float32)
    n, seconds, last_report_at = 0, 0.0, -np.inf
    while n < n_total:
        batch = slice(n, min(n + batch_size, n_total))
        started_at = time.perf_counter()
        probs = classifier.classify(dataset.images[batch]).probs  # (B, 10)
        now = time.perf_counter()
        seconds += now - started_at
        predicted[batch], confidences[batch] = probs.argmax(axis=1), probs.max(axis=1)
        n = batch.stop
        if n < n_total and now - last_report_at >= min_report_interval_s:
            yield _report(classifier, dataset, n_total, predicted[:n], confidences[:n], seconds)
            last_report_at = time.perf_counter()
    yield _report(classifier, dataset, n_total, predicted, confidences, seconds)


def _report(
    classifier: DigitClassifier,
    dataset: LabeledImages,
    n_total: int,
    predicted: npt.NDArray[np.int64],
    confidences: npt.NDArray[np.float32],
    seconds: float,
) -> Report:
    """Every figure, computed afresh over all images read so far: as if the data set ended here."""
    n = len(predicted)
    labels = np.asarray(dataset.labels[:n], dtype=np.int64)
    correct = predicted == labels
    confusion, per_digit = _score(labels, predicted)
    return Report(
        dataset=dataset.name,
        checkpoint=classifier.label,
        n=n,
        n_total=n_total,
        n_correct=int(correct.sum()),
        interval=wilson_interval(int(correct.sum()), n),
        confusion=confusion,
        per_digit=per_digit,
        ece=expected_calibration_error(confidences, correct),
        mistakes=_most_confident_mistakes(labels, predicted, confidences),
        images_per_second=n / seconds if seconds > 0 else 0.0,
        done=n == n_total,
    )


def _score(
    labels: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64]
) -> tuple[tuple[tuple[int, ...], ...], tuple[DigitScore, ...]]:
    """Confusion matrix (rows are truth) and the classes' scores; a score without images to count is 0."""
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    if not len(labels):  # scikit-learn refuses empty arrays
        return ((0,) * N_CLASSES,) * N_CLASSES, (DigitScore(0.0, 0.0, 0.0, 0),) * N_CLASSES
    classes = list(range(N_CLASSES))
    counts = confusion_matrix(labels, predicted, labels=classes)
    scores = precision_recall_fscore_support(labels, predicted, labels=classes, zero_division=0.0)
    confusion = tuple(tuple(int(count) for count in row) for row in counts)
    per_digit = tuple(
        DigitScore(float(p), float(r), float(f1), int(support)) for p, r, f1, support in zip(*scores, strict=True)
    )
    return confusion, per_digit


def _most_confident_mistakes(
    labels: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], confidences: npt.NDArray[np.float32]
) -> tuple[Mistake, ...]:
    """The first `MAX_MISTAKES` wrong answers by confidence, equal ones by index."""
    wrong = np.flatnonzero(predicted != labels)
    order = np.argsort(-confidences[wrong], kind="stable")[:MAX_MISTAKES]
    return tuple(Mistake(int(i), int(labels[i]), int(predicted[i]), float(confidences[i])) for i in wrong[order])
