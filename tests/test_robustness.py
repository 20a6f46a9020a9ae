import numpy as np
import pytest

from digitcore.corruptions import KINDS, corrupt
from digitcore.data import LabeledImages
from digitcore.errors import ConfigError, DatasetError
from digitcore.robustness import SUITE_LIMIT, measure_corruptions, measure_robustness
from tests.test_evaluation import PlantedClassifier, plant


class BrightnessClassifier(PlantedClassifier):
    """Reads 1 where the image has light in its first column, else 0: spoilt by what adds light, not by blur."""

    def classify(self, images):
        answers = plant(*[[0] * len(images)] * 3).images
        answers[:, 0, 0] = images[:, :, 0].max(axis=1, initial=0) > 60
        answers[:, 0, 1] = 255
        return super().classify(answers)


class BlindClassifier(PlantedClassifier):
    """Always reads 0."""

    def classify(self, images):
        return super().classify(np.zeros_like(images))


def plant_bars(n: int = 50) -> LabeledImages:
    images = np.zeros((n, 28, 28), np.uint8)
    images[:, 8:20, 12:16] = 255
    return LabeledImages(images, np.zeros(n, np.int64), "bars")


def test_measure_robustness_is_the_error_on_each_kind_and_strength():
    bars, classifier = plant_bars(), BrightnessClassifier()
    *_, (report,) = measure_robustness([classifier], bars, (1, 0.5, 1.5), ["noise", "blur", "brightness"], seed=4)
    assert report.done and report.clean_error == 0.0 and (report.n, report.seed, report.dataset) == (50, 4, "bars")
    # In the suite's own order, strengths rising, whatever order they were asked for in.
    assert [curve.kind for curve in report.curves] == ["blur", "noise", "brightness"]
    for curve in report.curves:
        assert curve.strengths == (0.5, 1.0, 1.5)
        for strength, error in zip(curve.strengths, curve.errors, strict=True):
            wrong = corrupt(bars.images, curve.kind, 4, strength)[:, :, 0].max(axis=1) > 60
            assert error == pytest.approx(wrong.mean())
    assert report.curves[0].errors == (0.0, 0.0, 0.0)
    # 0.5 · 102 = 51 is not yet light, 102 is.
    assert report.curves[2].errors == (0.0, 1.0, 1.0)


def test_measure_robustness_streams_kind_by_kind():
    steps = list(measure_robustness([BrightnessClassifier()], plant_bars(), (1,), ["shift", "fog"]))
    assert [report.n_done for (report,) in steps] == [0, 1, 2]
    assert [report.n_read for (report,) in steps] == [50, 100, 150] and steps[-1][0].n_to_read == 150
    assert [[curve.kind for curve in report.curves] for (report,) in steps] == [[], ["shift"], ["shift", "fog"]]
    assert [report.done for (report,) in steps] == [False, False, True]


def test_measure_robustness_reports_within_a_kind():
    steps = list(
        measure_robustness(
            [BrightnessClassifier()], plant_bars(), kinds=["fog"], batch_size=20, min_report_interval_s=0
        )
    )
    assert [report.n_read for (report,) in steps] == [20, 40, 50, 70, 90, 100]
    assert [report.clean_error is None for (report,) in steps] == [True, True, False, False, False, False]


def test_measure_robustness_stops_when_closed():
    classifier = PlantedClassifier()
    steps = measure_robustness([classifier], plant_bars(), batch_size=10, min_report_interval_s=0)
    next(steps)
    steps.close()
    assert classifier.batch_sizes == [10] and list(steps) == []


def test_measure_robustness_of_two_reads_the_same_images():
    *_, (first, second) = measure_robustness(
        [BrightnessClassifier("a@1"), BlindClassifier("b@2")], plant_bars(), kinds=["spatter"]
    )
    *_, (alone,) = measure_robustness([BrightnessClassifier("a@1")], plant_bars(), kinds=["spatter"])
    assert (first.checkpoint, second.checkpoint) == ("a@1", "b@2")
    assert first.curves == alone.curves != second.curves


@pytest.mark.parametrize(("limit", "n"), [(0, SUITE_LIMIT + 5), (7, 7), (SUITE_LIMIT, SUITE_LIMIT)])
def test_measure_robustness_limit(limit, n):
    first, *_ = measure_robustness([PlantedClassifier()], plant_bars(SUITE_LIMIT + 5), kinds=["scale"], limit=limit)
    assert first[0].n == n


def test_measure_corruptions_is_all_kinds_at_their_fixed_strength():
    bars = plant_bars()
    measured = measure_corruptions(BrightnessClassifier(), bars, seed=2)
    assert tuple(kind for kind, _ in measured.errors) == KINDS
    wrong = corrupt(bars.images, "stripes", 2)[:, :, 0].max(axis=1) > 60
    assert dict(measured.errors)["stripes"] == pytest.approx(wrong.mean())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"classifiers": []}, "One checkpoint is measured"),
        ({"classifiers": [PlantedClassifier()] * 3}, "or two side by side"),
        ({"strengths": (1, 2.5)}, "strength must be a number from 0"),
        ({"strengths": ()}, "nothing to measure"),
        ({"kinds": ()}, "nothing to measure"),
        ({"kinds": ("snow",)}, "There is no corruption 'snow'"),
        ({"limit": -1}, "limit must be"),
        ({"batch_size": 0}, "batch_size must be"),
    ],
)
def test_measure_robustness_refuses_at_once(settings, words):
    with pytest.raises(ConfigError, match=words):
        measure_robustness(**({"classifiers": [PlantedClassifier()], "dataset": plant_bars()} | settings))


def test_measure_robustness_wants_images():
    with pytest.raises(DatasetError, match="bars has no images"):
        measure_robustness([PlantedClassifier()], plant_bars(0))
