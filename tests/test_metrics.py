from math import comb, sqrt

import numpy as np
import pytest

from digitcore.metrics import (
    N_CALIBRATION_BINS,
    RISK_THRESHOLDS,
    expected_calibration_error,
    mcnemar_p_value,
    measure_reliability,
    measure_risk_coverage,
    paired_interval,
    wilson_interval,
)

NOTHING = np.zeros(0, np.float32), np.zeros(0, bool)


@pytest.mark.parametrize(("n_correct", "n"), [(0, 1), (1, 1), (3, 5), (1797, 1797), (9950, 10_000)])
def test_wilson_interval_against_its_formula(n_correct, n):
    z, share = 1.959963984540054, n_correct / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    assert wilson_interval(n_correct, n) == pytest.approx((centre - half, centre + half), abs=1e-9)


def test_wilson_interval_of_nothing_says_nothing():
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_expected_calibration_error_against_loops():
    rng = np.random.default_rng(1)
    confidences = rng.random(1000).astype(np.float32)
    confidences[:15] = np.arange(1, 16) / 15  # on the edges
    correct = rng.random(1000) < confidences**2
    expected = 0.0
    for m in range(15):
        members = [i for i, c in enumerate(confidences) if m / 15 < float(c) <= (m + 1) / 15]
        if members:
            accuracy = sum(bool(correct[i]) for i in members) / len(members)
            confidence = sum(float(confidences[i]) for i in members) / len(members)
            expected += len(members) / 1000 * abs(accuracy - confidence)
    assert expected_calibration_error(confidences, correct) == pytest.approx(expected, abs=1e-9)


def test_expected_calibration_error_without_images():
    assert expected_calibration_error(np.zeros(0, np.float32), np.zeros(0, bool)) == 0.0


def draw_answers(n: int = 1000, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    confidences = rng.random(n).astype(np.float32) ** np.float32(0.2)
    return confidences, rng.random(n) < confidences**2


def test_measure_reliability_against_loops():
    confidences, correct = draw_answers()
    confidences[:3] = 0.0, 1.0, np.float32(1) + np.float32(2e-7)  # the ends, and a rounding error beyond one
    bins = measure_reliability(confidences, correct)
    assert len(bins) == N_CALIBRATION_BINS and sum(each.n for each in bins) == 1000
    assert (bins[0].low, bins[-1].high) == (0.0, 1.0)
    for m, each in enumerate(bins):
        lowest = -1 if m == 0 else m / 15
        members = [i for i, c in enumerate(confidences) if lowest < min(float(c), 1.0) <= (m + 1) / 15]
        assert each.n == len(members)
        if members:
            assert each.confidence == pytest.approx(np.mean([float(confidences[i]) for i in members]), abs=1e-6)
            assert each.accuracy == pytest.approx(np.mean([correct[i] for i in members]))


def test_measure_reliability_without_images_has_empty_bins():
    bins = measure_reliability(*NOTHING)
    assert [(each.n, each.confidence, each.accuracy) for each in bins] == [(0, 0.0, 0.0)] * N_CALIBRATION_BINS


@pytest.mark.parametrize("right", [True, False])
def test_measure_reliability_of_one_kind_of_answers(right):
    bins = measure_reliability(np.full(4, 0.95, np.float32), np.full(4, right))
    assert bins[-1].n == 4 and bins[-1].accuracy == float(right)


def test_risk_thresholds_rise_and_hold_those_people_ask_for():
    assert list(RISK_THRESHOLDS) == sorted(set(RISK_THRESHOLDS)) and len(RISK_THRESHOLDS) > 100
    assert {0.0, 0.5, 0.9, 0.95, 0.99, 0.995, 0.999} <= set(RISK_THRESHOLDS)


def test_measure_risk_coverage_against_counting():
    confidences, correct = draw_answers()
    confidences[:5] = (0.5, 0.9, 0.99, 0.999, 1.0)  # on the thresholds
    for point, threshold in zip(measure_risk_coverage(confidences, correct), RISK_THRESHOLDS, strict=True):
        answered = [bool(right) for c, right in zip(confidences, correct, strict=True) if float(c) >= threshold]
        assert point.threshold == threshold
        assert point.coverage == pytest.approx(len(answered) / 1000)
        assert point.risk == pytest.approx(answered.count(False) / len(answered) if answered else 0.0)


def test_measure_risk_coverage_without_images():
    assert {(point.coverage, point.risk) for point in measure_risk_coverage(*NOTHING)} == {(0.0, 0.0)}


@pytest.mark.parametrize(
    ("n_only_first", "n_only_second", "n", "expected"),
    [
        # The example of R's statpsych::ci.prop.ps(.05, 12, 4, 26, 6), which computes the same interval.
        (4, 26, 48, (0.2548067, 0.6251933)),
        (26, 4, 48, (-0.6251933, -0.2548067)),
        (0, 0, 0, (-1.0, 1.0)),
        (0, 1, 1, (-0.7335, 1.0)),
    ],
)
def test_paired_interval_against_published_figures(n_only_first, n_only_second, n, expected):
    assert paired_interval(n_only_first, n_only_second, n) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("p_first", "p_second", "n"), [(0.02, 0.02, 1000), (0.003, 0.012, 2000), (0.1, 0.02, 200)])
def test_paired_interval_covers_the_true_difference(p_first, p_second, n):
    draws = np.random.default_rng(0).multinomial(n, [p_first, p_second, 1 - p_first - p_second], 2000)
    bounds = np.array([paired_interval(int(a), int(b), n) for a, b, _ in draws])
    covered = (bounds[:, 0] <= p_second - p_first) & (p_second - p_first <= bounds[:, 1])
    assert 0.93 <= covered.mean() <= 0.985


@pytest.mark.parametrize(("n_only_first", "n_only_second"), [(0, 0), (0, 5), (3, 9), (10, 10), (40, 12)])
def test_mcnemar_p_value_against_adding_up_coin_throws(n_only_first, n_only_second):
    n, fewer = n_only_first + n_only_second, min(n_only_first, n_only_second)
    tail = sum(comb(n, k) for k in range(fewer + 1)) / 2**n
    assert mcnemar_p_value(n_only_first, n_only_second) == pytest.approx(min(2 * tail, 1.0))
