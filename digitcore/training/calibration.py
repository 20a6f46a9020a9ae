"""What makes confidence honest, fitted on images that were not trained on: the temperature, and the head's scale."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

# Temperatures of digit networks lie near 1; beyond these bounds something else is wrong.
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.1, 10.0
# Each golden-section step keeps 62 % of the interval: 60 of them leave nothing of it in float64.
N_SECTION_STEPS = 60


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Find the temperature whose softmax gives the labels the highest likelihood.

    Args:
        logits: (N, 10) floats.
        labels: (N,) int64.

    Returns:
        The temperature T > 0; probabilities are softmax(logits / T). 1.0 for no images.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 4.2.
    """
    if not len(labels):
        return 1.0
    logits = logits.double().cpu()
    labels = labels.cpu()

    def loss(log_temperature: float) -> float:
        return F.cross_entropy(logits / math.exp(log_temperature), labels).item()

    # The loss is convex in 1/T, so it has a single valley along log T and golden-section search finds it.
    low, high = math.log(MIN_TEMPERATURE), math.log(MAX_TEMPERATURE)
    ratio = (math.sqrt(5) - 1) / 2
    for _ in range(N_SECTION_STEPS):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return math.exp((low + high) / 2)


def fit_platt(logits: Tensor, is_digit: Tensor) -> tuple[float, float]:
    """Find the scale and shift of a logit that give the truth the highest likelihood.

    Args:
        logits: (N,) floats.
        is_digit: (N,) bool.

    Returns:
        Scale and shift: probabilities are sigmoid(scale · logit + shift). 1 and 0 unless both kinds are there.

    Source: Platt, Probabilistic Outputs for Support Vector Machines, 1999, with its priors against certainty.
    """
    n_digits, n_others = int(is_digit.sum()), int((~is_digit).sum())
    if not n_digits or not n_others:
        return 1.0, 0.0
    logits = logits.double().cpu()
    targets = torch.where(is_digit.cpu(), (n_digits + 1) / (n_digits + 2), 1 / (n_others + 2)).double()
    fitted = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([fitted], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.binary_cross_entropy_with_logits(fitted[0] * logits + fitted[1], targets)
        value.backward()
        return value

    optimizer.step(loss)
    scale, shift = fitted.tolist()
    return scale, shift
