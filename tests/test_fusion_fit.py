"""Weights that were planted come out; evidence is gathered for what the truth does not excuse."""

import numpy as np
import pytest

from digitcore.detection import Detections
from digitcore.errors import ConfigError
from digitcore.fusion import FusionWeights, fuse_classes
from digitcore.training.fusion_fit import Evidence, fit_weights, gather_evidence, measure_classes
from digitcore.training.pages import Page


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def plant_evidence(n: int, weights: FusionWeights) -> Evidence:
    """Opinions at random, truths drawn with the chances that the weights give."""
    rng = np.random.default_rng(0)
    odds = rng.normal(0, 1.5, (2, n))
    page_probs, digit_probs = (rng.dirichlet(np.full(10, 0.3), n).astype(np.float32) for _ in range(2))
    total = weights.page_presence * odds[0] + weights.digit_presence * odds[1] + weights.presence_bias
    is_there = rng.random(n) < sigmoid(total)
    pooled = fuse_classes(page_probs, digit_probs, weights).astype(np.float64)
    cumulated = np.cumsum(pooled, axis=1)
    labels = (rng.random(n)[:, None] * cumulated[:, -1:] > cumulated).sum(axis=1)
    scores, is_digit = sigmoid(odds).astype(np.float32)
    return Evidence(scores, page_probs, is_digit, digit_probs, np.where(is_there, labels, -1))


@pytest.mark.parametrize("weights", [FusionWeights(0.7, 0.4, 1.2, 0.5, -0.6), FusionWeights(0.3, 1.0, 0.4, 1.1, 0.8)])
def test_fit_weights_finds_what_was_planted(weights):
    fitted = fit_weights(plant_evidence(20_000, weights))
    for name in ("page_class", "digit_class", "page_presence", "digit_presence", "presence_bias"):
        assert getattr(fitted, name) == pytest.approx(getattr(weights, name), abs=0.1), name


def test_fit_weights_needs_both_kinds():
    evidence = plant_evidence(50, FusionWeights(1, 1, 1, 1, 30.0))
    with pytest.raises(ConfigError, match="both kinds"):
        fit_weights(evidence)


class _Detector:
    def detect(self, grey):
        boxes = np.array([(10, 10, 20, 30), (60, 10, 20, 30), (100, 60, 20, 30)], np.float32)
        blank = np.zeros(grey.shape, np.uint8)
        probs = np.eye(10, dtype=np.float32)[[3, 4, 5]]
        return Detections(boxes, np.array([0.9, 0.8, 0.7], np.float32), probs, blank, blank, blank)


def know_nothing(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.full((len(images), 10), 0.1, np.float32), np.full(len(images), 0.5, np.float32)


def test_gather_evidence_leaves_out_what_is_excused():
    page = Page(
        np.full((128, 128), 200, np.uint8),
        np.array([(11, 10, 20, 30)], np.float32),
        np.array([7]),
        np.array([(95, 55, 30, 40)], np.float32),
        np.zeros((128, 128), np.uint8),
    )
    evidence = gather_evidence([page], _Detector(), know_nothing)
    assert evidence.labels.tolist() == [7, -1]
    assert evidence.scores.tolist() == pytest.approx([0.9, 0.8])


def test_gather_evidence_of_no_pages():
    with pytest.raises(ConfigError, match="no pages"):
        gather_evidence([], _Detector(), know_nothing)


def test_measure_classes_by_hand():
    probs = np.full((2, 10), 0.05, np.float32)
    probs[:, 2] = 0.55
    nll, accuracy = measure_classes(probs, np.array([2, 4]))
    assert accuracy == 0.5
    assert nll == pytest.approx(-(np.log(0.55) + np.log(0.05)) / 2, rel=1e-5)
