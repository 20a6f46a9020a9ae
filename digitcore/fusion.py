"""Two opinions, one probability: the page network saw the digit in its place, the digit network saw it alone.

Both are pooled in log space, where they weigh as evidence does, and the sum is scaled so that a confidence of 0.9 is
right nine times in ten. The weights were fitted on synthetic pages: `python -m train.fit_fusion`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from digitcore.results import N_CLASSES

# No opinion is so sure that nothing could outweigh it.
MIN_PROBABILITY = 1e-4

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FusionWeights:
    """How much each opinion counts.

    Attributes:
        page_class: exponent of the page network's class probabilities.
        digit_class: exponent of the digit network's.
        page_presence: factor of the page network's log-odds that a digit is there.
        digit_presence: factor of the digit network's.
        presence_bias: added to their sum.
    """

    page_class: float
    digit_class: float
    page_presence: float
    digit_presence: float
    presence_bias: float


FITTED_WEIGHTS = FusionWeights(
    page_class=0.773, digit_class=0.385, page_presence=3.712, digit_presence=0.175, presence_bias=0.966
)


def fuse_classes(
    page_probs: FloatArray, digit_probs: FloatArray, weights: FusionWeights = FITTED_WEIGHTS
) -> FloatArray:
    """Which digit: a weighted product of the two, normalised.

    Args:
        page_probs: (n, 10) of the page network.
        digit_probs: (n, 10) of the digit network.
        weights: see `FusionWeights`.

    Returns:
        (n, 10) float32, rows sum to 1.

    Source: logarithmic opinion pool, Genest & Zidek, Statistical Science 1(1), 1986.
    """
    if page_probs.shape != digit_probs.shape or page_probs.shape[1:] != (N_CLASSES,):
        raise ValueError(f"expected two arrays of shape (n, 10), got {page_probs.shape} and {digit_probs.shape}")
    page, digit = (np.log(np.clip(p, MIN_PROBABILITY, 1.0)) for p in (page_probs, digit_probs))
    logits = weights.page_class * page + weights.digit_class * digit
    pooled = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    return (pooled / pooled.sum(axis=1, keepdims=True)).astype(np.float32)


def fuse_presence(page_scores: FloatArray, is_digit: FloatArray, weights: FusionWeights = FITTED_WEIGHTS) -> FloatArray:
    """Whether it is one digit at all: the two log-odds, weighted and added.

    Args:
        page_scores: (n,) of the page network, 0 to 1.
        is_digit: (n,) of the digit network, 0 to 1.
        weights: see `FusionWeights`.

    Returns:
        (n,) float32 probabilities.
    """
    page, digit = _log_odds(page_scores), _log_odds(is_digit)
    total = weights.page_presence * page + weights.digit_presence * digit + weights.presence_bias
    return (1.0 / (1.0 + np.exp(-total))).astype(np.float32)


def _log_odds(probabilities: FloatArray) -> npt.NDArray[np.float64]:
    p = np.clip(np.asarray(probabilities, np.float64), MIN_PROBABILITY, 1.0 - MIN_PROBABILITY)
    return np.log(p) - np.log1p(-p)
