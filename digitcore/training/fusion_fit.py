"""How much the opinions and the surroundings count: gathered on synthetic pages, fitted by likelihood."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from digitcore.context import describe_context
from digitcore.cropping import cut_digit
from digitcore.detection import PageDetector
from digitcore.errors import ConfigError
from digitcore.fusion import (
    MAX_DEVIATION,
    MIN_PROBABILITY,
    OPINIONS,
    FusionWeights,
    PresenceNet,
    gather_features,
    pool_classes,
)
from digitcore.preprocessing import normalize_digits
from digitcore.results import N_CLASSES
from digitcore.training.page_matching import NO_DIGIT, match_finds
from digitcore.training.pages import Page

FloatArray = npt.NDArray[np.float32]
# (n, 28, 28) uint8 images → their classes, (n, 10), and whether each is a digit, (n,).
Classify = Callable[[npt.NDArray[np.uint8]], tuple[FloatArray, FloatArray]]

# Units of the hidden layer, and how strongly its weights are held back.
N_UNITS, WEIGHT_PENALTY = 12, 3e-4
# Several starts, the likeliest kept: the valley is not convex.
N_STARTS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What the networks say of n finds, where these stand, and what is there.

    Attributes:
        scores: (n, 3) that a digit is there, in the order of `fusion.OPINIONS`.
        probs: (n, 3, 10) which one, likewise.
        context: (n, c) what surrounds them, as context.py gives it.
        labels: (n,) int64, or -1 where no digit is.
    """

    scores: FloatArray
    probs: FloatArray
    context: FloatArray
    labels: npt.NDArray[np.int64]

    @property
    def is_there(self) -> npt.NDArray[np.bool_]:
        """(n,) whether a digit is."""
        return self.labels != NO_DIGIT

    def gather_features(self, fused_probs: FloatArray) -> FloatArray:
        """(n, k) what the presence is weighed by."""
        return gather_features(self.scores, self.probs, fused_probs, self.context)


def gather_evidence(pages: Iterable[Page], detector: PageDetector, classify: Classify) -> Evidence:
    """Ask the networks about every find on the pages, finds that the truth excuses left out."""
    parts: list[tuple[npt.NDArray, ...]] = []
    for page in pages:
        found = detector.detect(page.image)
        context = describe_context(found, page.image.shape)
        matches = match_finds(found.boxes, found.scores, page)
        counts = ~matches.is_excused
        digits = matches.digits[counts]
        labels = np.where(digits == NO_DIGIT, NO_DIGIT, page.labels[digits] if len(page.labels) else NO_DIGIT)
        boxes = found.boxes[counts]
        in_place = detector.look_closer(page.image, found)
        digit_probs, is_digit = classify(normalize_digits([cut_digit(page.image, tuple(box)) for box in boxes]))
        scores = np.column_stack([in_place.scores[counts], is_digit])
        probs = np.concatenate([in_place.probs[counts], digit_probs[:, None]], axis=1)
        parts.append((scores, probs, context[counts], labels.astype(np.int64)))
    if not parts:
        raise ConfigError("There are no pages to gather evidence from.")
    return Evidence(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def fit_weights(evidence: Evidence) -> FusionWeights:
    """The weights under which the truth is likeliest.

    Raises:
        ConfigError: unless there are finds on digits and finds on nothing.
    """
    is_there = evidence.is_there
    if is_there.all() or not is_there.any():
        raise ConfigError("Weights are fitted on finds of both kinds, on digits and on nothing; more pages have both.")
    exponents = tuple(round(value, 3) for value in _fit_pool(evidence.probs[is_there], evidence.labels[is_there]))
    fused = pool_classes(evidence.probs, exponents)
    return FusionWeights(exponents, fit_presence(evidence.gather_features(fused), is_there))


def _fit_pool(probs: FloatArray, labels: npt.NDArray[np.int64]) -> list[float]:
    """Exponents of the opinions, none below zero."""
    logs = torch.from_numpy(np.log(np.clip(probs, MIN_PROBABILITY, 1.0))).double()  # (n, k, 10)
    truth = torch.from_numpy(labels)
    raw = torch.zeros(len(OPINIONS), dtype=torch.float64, requires_grad=True)

    def loss() -> torch.Tensor:
        return F.cross_entropy((F.softplus(raw)[None, :, None] * logs).sum(dim=1), truth)

    _minimize([raw], loss)
    return F.softplus(raw).tolist()


def fit_presence(features: FloatArray, is_there: npt.NDArray[np.bool_], n_units: int = N_UNITS) -> PresenceNet:
    """The network that tells digits from others by their features.

    Args:
        features: (n, k).
        is_there: (n,).
        n_units: of its hidden layer.
    """
    mean, deviation = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    deviation = np.maximum(deviation, 1e-6)
    normalized = np.clip((features - mean) / deviation, -MAX_DEVIATION, MAX_DEVIATION)
    inputs, truth = torch.from_numpy(normalized), torch.from_numpy(is_there).double()
    fits = [_fit_units(inputs, truth, n_units, seed) for seed in range(N_STARTS)]
    _, (hidden, hidden_bias, output, output_bias) = min(fits, key=lambda fit: fit[0])
    return PresenceNet(mean, deviation, hidden, hidden_bias, output, float(output_bias))


def _fit_units(
    inputs: torch.Tensor, truth: torch.Tensor, n_units: int, seed: int
) -> tuple[float, list[npt.NDArray[np.float64]]]:
    """From one random start: the loss reached, and hidden weights and biases, output weights and bias."""
    generator = torch.Generator().manual_seed(seed)
    n_features = inputs.shape[1]
    hidden = torch.randn(n_features, n_units, generator=generator, dtype=torch.float64) * n_features**-0.5
    output = torch.randn(n_units, generator=generator, dtype=torch.float64) * n_units**-0.5
    zeros = torch.zeros(n_units, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    weights = [hidden, zeros[0], output, zeros[1]]
    for weight in weights:
        weight.requires_grad_()

    def loss() -> torch.Tensor:
        logits = torch.tanh(inputs @ weights[0] + weights[1]) @ weights[2] + weights[3]
        penalty = WEIGHT_PENALTY * (weights[0].square().sum() + weights[2].square().sum())
        return F.binary_cross_entropy_with_logits(logits, truth) + penalty

    _minimize(weights, loss)
    return loss().item(), [weight.detach().numpy() for weight in weights]


def _minimize(weights: list[torch.Tensor], loss: Callable[[], torch.Tensor]) -> None:
    """Until nothing moves."""
    optimizer = torch.optim.LBFGS(weights, max_iter=400, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)


def measure_classes(probs: FloatArray, labels: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Mean negative log-likelihood, and the share right, of (n, 10) against (n,)."""
    if probs.shape != (len(labels), N_CLASSES) or not len(labels):
        raise ConfigError(f"expected some rows of ten probabilities and as many labels, got {probs.shape}")
    own = np.clip(probs[np.arange(len(labels)), labels], MIN_PROBABILITY, 1.0)
    return float(-np.log(own).mean()), float((probs.argmax(axis=1) == labels).mean())
