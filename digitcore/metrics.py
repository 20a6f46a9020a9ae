"""Truth, predictions and confidences → the figures of a report.

scikit-learn and SciPy compute what they have; they are imported on the first call and not with the module: serving
starts without them.
"""

import importlib
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from digitcore.reports import DigitScore, ReliabilityBin, RiskPoint
from digitcore.results import N_CLASSES

# Guo et al. 2017 use 15 bins; so does most of the literature since.
N_CALIBRATION_BINS = 15
CONFIDENCE_LEVEL = 0.95
# A hundredth each, then finer: nearly all answers of a good network lie above 0.99.
RISK_THRESHOLDS = (
    *(i / 100 for i in range(100)),
    *(i / 1000 for i in range(991, 1000)),
    0.9993,
    0.9995,
    0.9997,
    0.9999,
)

Floats = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int64]


def prepare() -> None:
    """Import what the first figures need: a second or two that is better spent before they are waited for."""
    for name in ("sklearn.calibration", "sklearn.metrics", "scipy.stats"):
        importlib.import_module(name)


def wilson_interval(n_correct: int, n: int) -> tuple[float, float]:
    """95 % Wilson score interval of a share; (0.0, 1.0) when nothing was counted."""
    from scipy.stats import binomtest

    if n == 0:
        return 0.0, 1.0
    interval = binomtest(n_correct, n).proportion_ci(CONFIDENCE_LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def paired_interval(n_only_first: int, n_only_second: int, n: int) -> tuple[float, float]:
    """95 % interval of a difference of two shares that were counted on the same images.

    Args:
        n_only_first: images that only the first read right.
        n_only_second: images that only the second read right.
        n: all images, those that both or neither read right among them.

    Returns:
        Bounds of the second's share less the first's, within -1 and 1; (-1.0, 1.0) when nothing was counted.

    Source: Bonett & Price, Adjusted Wald Confidence Interval for a Difference of Binomial Proportions Based on Paired
    Data, J. Educ. Behav. Stat. 37(4), 2012; one of those that Fagerland, Lydersen & Laake recommend, Statistics in
    Medicine 33(16), 2014.
    """
    from scipy.stats import norm

    if n == 0:
        return -1.0, 1.0
    # Laplace's estimate: one image more of each of the two kinds that tell the checkpoints apart.
    first, second = (n_only_first + 1) / (n + 2), (n_only_second + 1) / (n + 2)
    error = math.sqrt((first + second - (second - first) ** 2) / (n + 2))
    reach = float(norm.ppf((1 + CONFIDENCE_LEVEL) / 2)) * error
    return max(second - first - reach, -1.0), min(second - first + reach, 1.0)


def mcnemar_p_value(n_only_first: int, n_only_second: int) -> float:
    """Exact two-sided p of McNemar's test; 1.0 if no image tells the two apart.

    Source: McNemar, Psychometrika 12, 1947; exact as a binomial test of the images that tell them apart.
    """
    from scipy.stats import binomtest

    n = n_only_first + n_only_second
    return float(binomtest(n_only_second, n, 0.5).pvalue) if n else 1.0


def measure_auroc(scores: Floats, is_positive: Bools) -> float:
    """The chance that a positive has a higher score than a negative, ties counting half.

    Args:
        scores: (n,).
        is_positive: (n,); both kinds must be there.
    """
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(is_positive, scores))


def expected_calibration_error(confidences: Floats, correct: Bools) -> float:
    """Mean distance of accuracy from confidence over 15 equal-width bins, weighted by the images in each.

    Args:
        confidences: (N,) probability of the predicted class, 0 to 1.
        correct: (N,) whether the prediction was right.

    Returns:
        0 (calibrated) to 1; 0.0 without images.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017. Bin m holds ((m - 1) / 15, m / 15].
    """
    return calibration_error_of(measure_reliability(confidences, correct))


def calibration_error_of(bins: Sequence[ReliabilityBin]) -> float:
    """The expected calibration error that these bins amount to; 0.0 without images."""
    n = sum(each.n for each in bins)
    return sum(each.n * abs(each.accuracy - each.confidence) for each in bins) / n if n else 0.0


def measure_reliability(confidences: Floats, correct: Bools) -> tuple[ReliabilityBin, ...]:
    """How often answers of like confidence are right, in 15 bins of equal width.

    Args:
        confidences: (N,) probability of the predicted class, 0 to 1; N may be 0.
        correct: (N,) whether the prediction was right.

    Returns:
        All bins by rising confidence, the empty ones too.

    Source: Niculescu-Mizil & Caruana, Predicting Good Probabilities with Supervised Learning, ICML 2005.
    """
    from sklearn.calibration import calibration_curve

    # As calibration_curve has them, so that its figures, which leave empty bins out, meet their bins again.
    edges = np.linspace(0.0, 1.0, N_CALIBRATION_BINS + 1)
    # Softmax in float32 may exceed 1 by a rounding error, which scikit-learn refuses.
    confidences = np.clip(np.asarray(confidences, dtype=np.float64), 0.0, 1.0)
    counts = np.bincount(np.searchsorted(edges[1:-1], confidences), minlength=N_CALIBRATION_BINS)
    accuracies, means = np.zeros(N_CALIBRATION_BINS), np.zeros(N_CALIBRATION_BINS)
    if len(confidences):
        accuracies[counts > 0], means[counts > 0] = calibration_curve(
            correct, confidences, pos_label=True, n_bins=N_CALIBRATION_BINS, strategy="uniform"
        )
    columns = zip(edges[:-1], edges[1:], counts, means, accuracies, strict=True)
    return tuple(ReliabilityBin(float(low), float(high), int(n), float(c), float(a)) for low, high, n, c, a in columns)


def measure_risk_coverage(
    confidences: Floats, correct: Bools, thresholds: Sequence[float] = RISK_THRESHOLDS
) -> tuple[RiskPoint, ...]:
    """What share is answered, and what share of the answers is wrong, if unsure ones are withheld.

    Args:
        confidences: (N,) 0 to 1; N may be 0.
        correct: (N,) whether the prediction was right.
        thresholds: least confidences that are answered.

    Returns:
        A point for each threshold.

    Source: El-Yaniv & Wiener, On the Foundations of Noise-free Selective Classification, JMLR 11, 2010.
    """
    order = np.argsort(confidences, kind="stable")
    n_withheld = np.searchsorted(np.asarray(confidences, np.float64)[order], thresholds, side="left")
    n_wrong_below = np.concatenate([[0], np.cumsum(~correct[order])])
    n, n_wrong = len(order), int(n_wrong_below[-1])
    points = []
    for threshold, withheld in zip(thresholds, n_withheld, strict=True):
        answered, wrong = n - int(withheld), n_wrong - int(n_wrong_below[withheld])
        points.append(RiskPoint(threshold, answered / n if n else 0.0, wrong / answered if answered else 0.0))
    return tuple(points)


def score_digits(labels: Labels, predicted: Labels) -> tuple[tuple[tuple[int, ...], ...], tuple[DigitScore, ...]]:
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
