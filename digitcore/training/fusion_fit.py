"""How much each of the two opinions counts: gathered on synthetic pages, fitted by likelihood."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from digitcore.cropping import cut_digit
from digitcore.detection import PageDetector
from digitcore.errors import ConfigError
from digitcore.fusion import MIN_PROBABILITY, FusionWeights
from digitcore.preprocessing import normalize_digits
from digitcore.results import N_CLASSES
from digitcore.training.page_matching import NO_DIGIT, match_finds
from digitcore.training.pages import Page

FloatArray = npt.NDArray[np.float32]
# (n, 28, 28) uint8 images → their classes, (n, 10), and whether each is a digit, (n,).
Classify = Callable[[npt.NDArray[np.uint8]], tuple[FloatArray, FloatArray]]


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What both networks say of n finds, and what is there.

    Attributes:
        scores: (n,) of the page network, that a digit is there.
        page_probs: (n, 10) of the page network.
        is_digit: (n,) of the digit network.
        digit_probs: (n, 10) of the digit network.
        labels: (n,) int64, or -1 where no digit is.
    """

    scores: FloatArray
    page_probs: FloatArray
    is_digit: FloatArray
    digit_probs: FloatArray
    labels: npt.NDArray[np.int64]

    @property
    def is_there(self) -> npt.NDArray[np.bool_]:
        """(n,) whether a digit is."""
        return self.labels != NO_DIGIT


def gather_evidence(pages: Iterable[Page], detector: PageDetector, classify: Classify) -> Evidence:
    """Ask both networks about every find on the pages, finds that the truth excuses left out."""
    parts: list[tuple[npt.NDArray, ...]] = []
    for page in pages:
        found = detector.detect(page.image)
        matches = match_finds(found.boxes, found.scores, page)
        counts = ~matches.is_excused
        digits = matches.digits[counts]
        labels = np.where(digits == NO_DIGIT, NO_DIGIT, page.labels[digits] if len(page.labels) else NO_DIGIT)
        images = normalize_digits([cut_digit(page.image, tuple(box)) for box in found.boxes[counts]])
        digit_probs, is_digit = classify(images)
        parts.append((found.scores[counts], found.probs[counts], is_digit, digit_probs, labels.astype(np.int64)))
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
    page_class, digit_class = _fit_pool(
        evidence.page_probs[is_there], evidence.digit_probs[is_there], evidence.labels[is_there]
    )
    page, digit, bias = _fit_logistic(evidence.scores, evidence.is_digit, is_there)
    return FusionWeights(*(round(value, 3) for value in (page_class, digit_class, page, digit, bias)))


def keep_page_alone(weights: FusionWeights) -> FusionWeights:
    """As if there were no second look."""
    return replace(weights, page_class=1.0, digit_class=0.0, page_presence=1.0, digit_presence=0.0, presence_bias=0.0)


def _fit_pool(page_probs: FloatArray, digit_probs: FloatArray, labels: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Exponents of the two opinions, neither below zero."""
    logs = torch.stack(
        [torch.from_numpy(np.log(np.clip(p, MIN_PROBABILITY, 1.0))).double() for p in (page_probs, digit_probs)]
    )  # (2, n, 10)
    truth = torch.from_numpy(labels)
    raw = torch.zeros(2, dtype=torch.float64, requires_grad=True)

    def loss() -> torch.Tensor:
        return F.cross_entropy((F.softplus(raw)[:, None, None] * logs).sum(dim=0), truth)

    _minimize(raw, loss)
    first, second = F.softplus(raw).tolist()
    return first, second


def _fit_logistic(
    scores: FloatArray, is_digit: FloatArray, is_there: npt.NDArray[np.bool_]
) -> tuple[float, float, float]:
    """Factors of the two log-odds, neither below zero, and the bias."""
    odds = [np.clip(p.astype(np.float64), MIN_PROBABILITY, 1 - MIN_PROBABILITY) for p in (scores, is_digit)]
    odds = torch.stack([torch.from_numpy(np.log(p) - np.log1p(-p)) for p in odds])  # (2, n)
    truth = torch.from_numpy(is_there).double()
    raw = torch.zeros(3, dtype=torch.float64, requires_grad=True)

    def loss() -> torch.Tensor:
        logits = (F.softplus(raw[:2])[:, None] * odds).sum(dim=0) + raw[2]
        return F.binary_cross_entropy_with_logits(logits, truth)

    _minimize(raw, loss)
    return (*F.softplus(raw[:2]).tolist(), raw[2].item())


def _minimize(raw: torch.Tensor, loss: Callable[[], torch.Tensor]) -> None:
    """Until nothing moves: three numbers, a convex valley."""
    optimizer = torch.optim.LBFGS([raw], max_iter=200, line_search_fn="strong_wolfe")

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
