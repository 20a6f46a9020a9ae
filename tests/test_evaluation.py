from collections.abc import Iterator
from dataclasses import replace
from math import sqrt

import numpy as np
import numpy.typing as npt
import pytest

from digitcore.classifier import Classification
from digitcore.data import LabeledImages
from digitcore.errors import ConfigError
from digitcore.evaluation import MAX_MISTAKES, evaluate, expected_calibration_error, wilson_interval
from digitcore.reports import Report


class PlantedClassifier:
    """Reads digit and confidence off two pixels of each image: (0, 0) is the digit, (0, 1) the confidence in 1/255."""

    label = "planted@0000000"

    def __init__(self) -> None:
        self.batch_sizes: list[int] = []

    def classify(self, images: npt.NDArray[np.uint8]) -> Classification:
        self.batch_sizes.append(len(images))
        predicted, confidences = images[:, 0, 0], images[:, 0, 1] / np.float32(255)
        probs = np.repeat((1 - confidences)[:, None] / 9, 10, axis=1).astype(np.float32)
        probs[np.arange(len(images)), predicted] = confidences
        return Classification(probs, probs.max(axis=1))


def plant(labels: list[int], predicted: list[int], confidences_255: list[int]) -> LabeledImages:
    images = np.zeros((len(labels), 28, 28), np.uint8)
    images[:, 0, 0], images[:, 0, 1] = predicted, confidences_255
    return LabeledImages(images, np.array(labels, np.int64), "uci")


def plant_random(n: int, seed: int = 0) -> LabeledImages:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, n)
    predicted = np.where(rng.random(n) < 0.8, labels, rng.integers(0, 10, n))
    return plant(list(labels), list(predicted), list(rng.integers(60, 256, n)))


def last(reports: Iterator[Report]) -> Report:
    return list(reports)[-1]


# Five images: a 0 read right twice, a 0 read as 1, a 1 read right, a 2 read as 1.
FIVE = plant([0, 0, 0, 1, 2], [0, 0, 1, 1, 1], [255, 204, 230, 153, 250])


def test_evaluate_five_images_by_hand():
    report = last(evaluate(PlantedClassifier(), FIVE))
    assert (report.n, report.n_total, report.n_correct, report.done) == (5, 5, 3, True)
    assert (report.dataset, report.checkpoint, report.accuracy) == ("uci", "planted@0000000", 0.6)
    assert report.confusion[0] == (2, 1, 0, 0, 0, 0, 0, 0, 0, 0)
    assert report.confusion[1] == (0, 1, 0, 0, 0, 0, 0, 0, 0, 0)
    assert report.confusion[2] == (0, 1, 0, 0, 0, 0, 0, 0, 0, 0)
    assert sum(map(sum, report.confusion)) == 5
    zero, one, two = report.per_digit[:3]
    assert (zero.precision, zero.recall, zero.support) == (1.0, pytest.approx(2 / 3), 3)
    assert zero.f1 == pytest.approx(2 * (2 / 3) / (1 + 2 / 3))
    assert (one.precision, one.recall, one.support) == (pytest.approx(1 / 3), 1.0, 1)
    assert (two.precision, two.recall, two.f1, two.support) == (0.0, 0.0, 0.0, 1)
    assert report.per_digit[9].support == 0
    # The most confident first: the 2 read as 1 at 250/255, then the 0 at 230/255.
    assert [(m.index, m.truth, m.predicted) for m in report.mistakes] == [(4, 2, 1), (2, 0, 1)]
    assert report.mistakes[0].confidence == pytest.approx(250 / 255)
    # Bins of width 1/15: 255, 250 share the last with accuracy 1/2; 230 (0.902), 204 (0.8) and 153 (0.6) stand alone.
    ece = (abs(255 / 255 + 250 / 255 - 1) + 230 / 255 + (1 - 204 / 255) + (1 - 153 / 255)) / 5
    assert report.ece == pytest.approx(ece, abs=1e-6)


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


def test_evaluate_scores_against_counting():
    dataset = plant_random(500)
    report = last(evaluate(PlantedClassifier(), dataset))
    labels, predicted = dataset.labels, dataset.images[:, 0, 0]
    for digit, score in enumerate(report.per_digit):
        both = int(((labels == digit) & (predicted == digit)).sum())
        precision, recall = both / (predicted == digit).sum(), both / (labels == digit).sum()
        assert score.precision == pytest.approx(precision)
        assert score.recall == pytest.approx(recall)
        assert score.f1 == pytest.approx(2 * precision * recall / (precision + recall))
        assert score.support == (labels == digit).sum()
        assert report.confusion[digit] == tuple(int(((labels == digit) & (predicted == k)).sum()) for k in range(10))
    confidences = [mistake.confidence for mistake in report.mistakes]
    assert confidences == sorted(confidences, reverse=True)
    assert {m.index for m in report.mistakes} <= {int(i) for i in np.flatnonzero(labels != predicted)}


def test_evaluate_lists_at_most_the_most_confident_mistakes():
    n = MAX_MISTAKES + 20
    report = last(evaluate(PlantedClassifier(), plant([1] * n, [7] * n, list(range(100, 100 + n)))))
    assert report.n - report.n_correct == n
    assert [mistake.index for mistake in report.mistakes] == list(range(n - 1, 19, -1))


def test_evaluate_each_partial_report_is_the_report_of_the_images_read():
    dataset = plant_random(300)
    reports = list(evaluate(PlantedClassifier(), dataset, batch_size=32, min_report_interval_s=0))
    assert [report.n for report in reports] == [*range(32, 300, 32), 300]
    assert [report.done for report in reports] == [False] * 9 + [True]
    for report in reports:
        whole = last(evaluate(PlantedClassifier(), dataset, limit=report.n, batch_size=1000))
        same_run = {"n_total": 300, "done": report.done, "images_per_second": report.images_per_second}
        assert replace(whole, **same_run) == report


def test_evaluate_reports_the_first_batch_and_then_no_more_than_the_interval_allows():
    reports = list(evaluate(PlantedClassifier(), plant_random(300), batch_size=10, min_report_interval_s=3600))
    assert [report.n for report in reports] == [10, 300]


def test_evaluate_stops_when_closed():
    classifier = PlantedClassifier()
    reports = evaluate(classifier, plant_random(300), batch_size=10)
    next(reports)
    reports.close()
    assert classifier.batch_sizes == [10]
    assert list(reports) == []


def test_evaluate_empty_dataset():
    classifier = PlantedClassifier()
    (report,) = evaluate(classifier, plant([], [], []))
    assert (report.n, report.n_total, report.done, report.accuracy, report.ece) == (0, 0, True, 0.0, 0.0)
    assert report.interval == (0.0, 1.0)
    assert report.confusion == ((0,) * 10,) * 10
    assert len(report.per_digit) == 10 and not report.mistakes
    assert report.images_per_second == 0.0 and classifier.batch_sizes == []


@pytest.mark.parametrize(("limit", "n_total"), [(0, 5), (3, 3), (5, 5), (99, 5), (np.int64(2), 2)])
def test_evaluate_limit(limit, n_total):
    report = last(evaluate(PlantedClassifier(), FIVE, limit=limit))
    assert (report.n, report.n_total, report.done) == (n_total, n_total, True)


@pytest.mark.parametrize("wrong", [-1, 2.5, "10", None, True])
def test_evaluate_refuses_a_nonsense_limit_at_once(wrong):
    with pytest.raises(ConfigError, match="limit must be a whole number of at least 0 .0 means all images."):
        evaluate(PlantedClassifier(), FIVE, limit=wrong)


@pytest.mark.parametrize("wrong", [0, -5, 1.5])
def test_evaluate_refuses_a_nonsense_batch_size(wrong):
    with pytest.raises(ConfigError, match="batch_size must be"):
        evaluate(PlantedClassifier(), FIVE, batch_size=wrong)


def test_evaluate_speed_counts_the_classifier_alone(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr("digitcore.evaluation.time.perf_counter", lambda: float(next(clock)))
    reports = list(evaluate(PlantedClassifier(), plant_random(40), batch_size=10, min_report_interval_s=0))
    # The clock ticks once a look: one second in each of the four calls, more in between.
    assert [report.images_per_second for report in reports] == [10.0] * 4
