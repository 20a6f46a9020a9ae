from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from digitcore.classifier import Classification
from digitcore.data import LabeledImages
from digitcore.errors import ConfigError
from digitcore.evaluation import MAX_MISTAKES, evaluate, measure
from digitcore.reports import Predictions, Report


class PlantedClassifier:
    """Reads digit and confidence in 1/255 off two pixels of each image: (row, 0) and (row, 1)."""

    def __init__(self, label: str = "planted@0000000", row: int = 0) -> None:
        self.label = label
        self.row = row
        self.batch_sizes: list[int] = []

    def classify(self, images: npt.NDArray[np.uint8]) -> Classification:
        self.batch_sizes.append(len(images))
        predicted, confidences = images[:, self.row, 0], images[:, self.row, 1] / np.float32(255)
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
    assert [each.n for each in report.reliability if each.n] == [1, 1, 1, 2]
    # Right: 255, 204, 153. Wrong: 250, 230. Of the six pairs, only 255 lies above both.
    assert report.auroc == pytest.approx(2 / 6)
    assert [(p.coverage, p.risk) for p in report.risk_coverage if p.threshold in (0.0, 0.9, 0.99)] == [
        (1.0, 2 / 5), (3 / 5, 2 / 3), (1 / 5, 0.0)]  # fmt: skip


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
    assert report.auroc is None and sum(each.n for each in report.reliability) == 0
    assert all((point.coverage, point.risk) == (0.0, 0.0) for point in report.risk_coverage)


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


def plant_two(n: int = 300, seed: int = 1) -> LabeledImages:
    """What row 0 says, and what row 1 says."""
    dataset = plant_random(n, seed)
    other = plant_random(n, seed + 1).images[:, 0, :2]
    dataset.images[:, 1, 0] = np.where(np.random.default_rng(seed).random(n) < 0.9, dataset.labels, other[:, 0])
    dataset.images[:, 1, 1] = other[:, 1]
    return dataset


def test_measure_two_gives_each_its_own_report():
    dataset = plant_two()
    first, second = PlantedClassifier("a@1"), PlantedClassifier("b@2", row=1)
    *_, snapshot = measure([first, second], dataset, batch_size=64)
    for classifier, report in zip((first, second), snapshot.reports, strict=True):
        alone = last(evaluate(classifier, dataset, batch_size=64))
        assert replace(report, images_per_second=0.0) == replace(alone, images_per_second=0.0)
    assert snapshot.done


def test_measure_two_compares_them_as_counting_does():
    dataset = plant_two()
    *_, snapshot = measure([PlantedClassifier("a@1"), PlantedClassifier("b@2", row=1)], dataset)
    right = [dataset.images[:, row, 0] == dataset.labels for row in (0, 1)]
    counts = {(a, b): sum(1 for x, y in zip(*right, strict=True) if (x, y) == (a, b)) for a in (0, 1) for b in (0, 1)}
    found = snapshot.comparison
    assert (found.first, found.second, found.dataset, found.n) == ("a@1", "b@2", "uci", 300)
    assert (found.n_both_right, found.n_only_first) == (counts[1, 1], counts[1, 0])
    assert (found.n_only_second, found.n_both_wrong) == (counts[0, 1], counts[0, 0])
    assert min(counts.values()) > 0, "the plant must hold every case"
    first, second = snapshot.reports
    assert found.difference == pytest.approx(second.accuracy - first.accuracy)
    low, high = found.interval
    assert low < found.difference < high and found.p_value < 0.05


def test_measure_two_partial_snapshots_are_of_the_same_images():
    snapshots = list(
        measure([PlantedClassifier(), PlantedClassifier(row=1)], plant_two(), batch_size=100, min_report_interval_s=0)
    )
    assert [[report.n for report in snapshot.reports] for snapshot in snapshots] == [[100] * 2, [200] * 2, [300] * 2]
    assert [snapshot.comparison.n for snapshot in snapshots] == [100, 200, 300]
    assert [snapshot.done for snapshot in snapshots] == [False, False, True]


def test_measure_predictions_stay_true_of_their_snapshot():
    dataset = plant_random(300)
    snapshots = list(measure([PlantedClassifier()], dataset, batch_size=100, min_report_interval_s=0))
    for snapshot, n in zip(snapshots, (100, 200, 300), strict=True):
        (predictions,) = snapshot.predictions
        assert isinstance(predictions, Predictions) and len(predictions) == n
        assert (predictions.predicted == dataset.images[:n, 0, 0]).all()
        (report,) = snapshot.reports
        cells = [len(predictions.indices_of(truth, read)) for truth in range(10) for read in range(10)]
        assert cells == [count for row in report.confusion for count in row]
        assert snapshot.comparison is None


def test_measure_two_empty_dataset():
    (snapshot,) = measure([PlantedClassifier(), PlantedClassifier()], plant([], [], []))
    assert snapshot.done and snapshot.comparison.n == 0 and snapshot.comparison.p_value == 1.0


@pytest.mark.parametrize("n", [0, 3])
def test_measure_refuses_other_numbers_of_classifiers(n):
    with pytest.raises(ConfigError, match="One checkpoint is evaluated, or two side by side"):
        measure([PlantedClassifier()] * n, FIVE)


@pytest.mark.parametrize(("digest", "expected"), [("c3f9adf", False), (None, True)])
def test_measure_marks_disputed_labels_of_mnist_alone(monkeypatch, digest, expected):
    """A data set of MNIST's size that is not MNIST by content has no disputed label, whatever its name."""
    dataset = plant([1] * 10_000, [7] * 10_000, [200] * 947 + [255] + [200] * 9052)
    dataset = replace(dataset, name="mnist")
    monkeypatch.setattr("digitcore.label_errors.MNIST_DIGESTS", {"test": digest or dataset.digest()})
    report = last(evaluate(PlantedClassifier(), dataset, batch_size=5000))
    assert report.mistakes[0].index == 947
    assert report.mistakes[0].disputed is expected
    assert not any(mistake.disputed for mistake in report.mistakes[1:])
