"""Weights that were planted come out; evidence is gathered for what the truth does not excuse."""

import numpy as np
import pytest

from digitcore.context import N_CONTEXT
from digitcore.detection import Detections, repeat_opinion
from digitcore.errors import ConfigError
from digitcore.fusion import fuse_presence, pool_classes
from digitcore.metrics import measure_auroc
from digitcore.training.fusion_fit import Evidence, fit_weights, gather_evidence, measure_classes
from digitcore.training.pages import Page

# How the planted truth weighs the opinions' log-odds, and the first two features of the surroundings.
FACTORS = (1.0, 0.7, 0.5, 0.8, -1.0)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def plant_evidence(n: int, exponents=(0.7, 0.5, 0.4), bias=-0.6, seed=0) -> tuple[Evidence, np.ndarray]:
    """Opinions and surroundings at random, truths drawn with the chances that the weights give; the log-odds too."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(0, 1.5, (n, 3))
    context = rng.normal(0, 1, (n, N_CONTEXT)).astype(np.float32)
    probs = rng.dirichlet(np.full(10, 0.3), (n, 3)).astype(np.float32)
    # Bounded, as what one hidden layer of tangents says is.
    total = 4 * np.tanh(np.hstack([odds, context[:, :2]]) @ np.array(FACTORS) / 4) + bias
    is_there = rng.random(n) < sigmoid(total)
    pooled = pool_classes(probs, exponents).astype(np.float64)
    cumulated = np.cumsum(pooled, axis=1)
    labels = (rng.random(n)[:, None] * cumulated[:, -1:] > cumulated).sum(axis=1)
    return Evidence(sigmoid(odds).astype(np.float32), probs, context, np.where(is_there, labels, -1)), total


def weigh_presence(evidence: Evidence, weights) -> np.ndarray:
    return fuse_presence(evidence.gather_features(pool_classes(evidence.probs, weights.exponents)), weights)


@pytest.mark.parametrize("exponents", [(0.7, 0.5, 0.4), (0.3, 0.0, 1.0)])
def test_fit_weights_finds_what_was_planted(exponents):
    fitted = fit_weights(plant_evidence(12_000, exponents)[0])
    assert fitted.exponents == pytest.approx(exponents, abs=0.12)
    others, total = plant_evidence(4_000, exponents, seed=1)
    says = weigh_presence(others, fitted)
    assert np.abs(says - sigmoid(total)).mean() < 0.07
    best = measure_auroc(sigmoid(total), others.is_there)
    assert measure_auroc(says, others.is_there) > best - 0.015


def test_fit_weights_needs_both_kinds():
    evidence, _ = plant_evidence(50, bias=60.0)
    with pytest.raises(ConfigError, match="both kinds"):
        fit_weights(evidence)


class _Detector:
    def detect(self, grey):
        boxes = np.array([(10, 10, 20, 30), (60, 10, 20, 30), (100, 60, 20, 30)], np.float32)
        blank = np.zeros(grey.shape, np.uint8)
        probs = np.eye(10, dtype=np.float32)[[3, 4, 5]]
        return Detections(boxes, np.array([0.9, 0.8, 0.7], np.float32), probs, blank, blank, blank)

    def look_closer(self, grey, found):
        return repeat_opinion(found)


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
    np.testing.assert_allclose(evidence.scores, [[0.9, 0.9, 0.5], [0.8, 0.8, 0.5]])
    assert (
        evidence.probs.argmax(axis=2)[:, :2].tolist() == [[3, 3], [4, 4]]
        and (evidence.probs[:, 2] == np.float32(0.1)).all()
    )


def test_gather_evidence_of_no_pages():
    with pytest.raises(ConfigError, match="no pages"):
        gather_evidence([], _Detector(), know_nothing)


def test_measure_classes_by_hand():
    probs = np.full((2, 10), 0.05, np.float32)
    probs[:, 2] = 0.55
    nll, accuracy = measure_classes(probs, np.array([2, 4]))
    assert accuracy == 0.5
    assert nll == pytest.approx(-(np.log(0.55) + np.log(0.05)) / 2, rel=1e-5)
