import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest

from digitcore.reports import (
    Comparison,
    DigitScore,
    Mistake,
    Predictions,
    ReliabilityBin,
    Report,
    RiskPoint,
    Snapshot,
    export_report,
)
from digitcore.robustness_reports import CorruptionCurve, RobustnessReport

REPORT = Report(
    dataset="uci",
    checkpoint="seed@0000000",
    n=2,
    n_total=4,
    n_correct=1,
    interval=(0.0945, 0.9055),
    confusion=((1,) + (0,) * 9,) * 10,
    per_digit=(DigitScore(1.0, 0.5, 2 / 3, 2),) * 10,
    ece=0.25,
    mistakes=(Mistake(3, 7, 1, 0.91234),),
    images_per_second=5100.4,
    done=False,
    reliability=(ReliabilityBin(0.0, 1 / 15, 1, 0.05, 0.0), ReliabilityBin(1 / 15, 2 / 15, 0, 0.0, 0.0)),
    risk_coverage=(RiskPoint(0.0, 1.0, 0.5), RiskPoint(0.9, 0.5, 0.0), RiskPoint(0.995, 0.0, 0.0)),
    auroc=0.75,
)
COMPARISON = Comparison("a@1", "b@2", "uci", 10, 5, 1, 3, 1, (-0.15, 0.5), 0.6250001)
EMPTY = Predictions(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))


def test_report_to_dict_is_the_contract():
    fields = json.loads(json.dumps(REPORT.to_dict()))
    assert list(fields) == [
        *("dataset", "checkpoint", "n", "n_total", "n_correct", "accuracy", "interval", "confusion"),
        *("per_digit", "ece", "mistakes", "done", "images_per_second"),
        *("auroc", "reliability", "risk_coverage"),
    ]
    assert fields["accuracy"] == 0.5 and fields["images_per_second"] == 5100
    assert fields["per_digit"][0] == {"precision": 1.0, "recall": 0.5, "f1": 0.6667, "support": 2}
    assert fields["mistakes"] == [{"index": 3, "truth": 7, "predicted": 1, "confidence": 0.9123, "disputed": False}]
    assert REPORT.milliseconds_per_digit == pytest.approx(1000 / 5100.4)
    assert fields["reliability"][0] == {"low": 0.0, "high": 0.066667, "n": 1, "confidence": 0.05, "accuracy": 0.0}
    assert fields["risk_coverage"][1] == {"threshold": 0.9, "coverage": 0.5, "risk": 0.0}
    assert fields["auroc"] == 0.75
    assert replace(REPORT, auroc=None).to_dict()["auroc"] is None


def test_report_checks_its_counts():
    with pytest.raises(ValueError, match="n_correct"):
        Report("uci", "seed@0", 1, 4, 2, (0.0, 1.0), (), (), 0.0, (), 0.0, False)


def test_report_before_the_first_image():
    report = Report("uci", "seed@0", 0, 0, 0, (0.0, 1.0), (), (), 0.0, (), 0.0, True)
    assert (report.accuracy, report.milliseconds_per_digit) == (0.0, 0.0)
    assert report.at_threshold(0.9) == RiskPoint(0.9, 0.0, 0.0)


@pytest.mark.parametrize(("threshold", "nearest"), [(0.0, 0.0), (0.44, 0.0), (0.46, 0.9), (0.9, 0.9), (1.0, 0.995)])
def test_at_threshold_is_the_nearest_point(threshold, nearest):
    assert REPORT.at_threshold(threshold).threshold == nearest


def test_comparison_difference_and_json():
    assert COMPARISON.difference == pytest.approx(0.2)
    fields = json.loads(json.dumps(COMPARISON.to_dict()))
    assert fields["difference"] == 0.2 and fields["interval"] == [-0.15, 0.5] and fields["p_value"] == 0.625
    assert replace(COMPARISON, p_value=1.23456789e-30).to_dict()["p_value"] == 1.23457e-30
    assert Comparison("a@1", "b@2", "uci", 0, 0, 0, 0, 0, (-1.0, 1.0), 1.0).difference == 0.0


@pytest.mark.parametrize("counts", [(5, 1, 3, 2), (12, -1, -1, 0)])
def test_comparison_checks_its_counts(counts):
    with pytest.raises(ValueError, match="make up n = 10"):
        Comparison("a", "b", "uci", 10, *counts, (-1.0, 1.0), 1.0)


def test_predictions_indices_of_a_cell_the_most_confident_first():
    labels, predicted = np.array([1, 7, 1, 1, 1]), np.array([7, 7, 7, 1, 7])
    predictions = Predictions(labels, predicted, np.array([0.5, 1.0, 0.9, 0.8, 0.5], np.float32))
    assert predictions.indices_of(1, 7) == (2, 0, 4)
    assert predictions.indices_of(7, 7) == (1,)
    assert predictions.indices_of(3, 7) == () == EMPTY.indices_of(1, 1)


def test_predictions_check_their_lengths():
    with pytest.raises(ValueError, match="of one length"):
        Predictions(np.zeros(2, np.int64), np.zeros(3, np.int64), np.zeros(2, np.float32))


def test_snapshot_time_left_is_that_of_all_checkpoints():
    first = replace(REPORT, n=2, n_total=102, images_per_second=50.0)
    second = replace(REPORT, n=2, n_total=102, images_per_second=200.0)
    snapshot = Snapshot((first, second), None, (EMPTY, EMPTY))
    assert snapshot.seconds_left == pytest.approx(2.0 + 0.5) and not snapshot.done
    assert Snapshot((replace(REPORT, images_per_second=0.0),), None, (EMPTY,)).seconds_left is None
    done = Report("uci", "seed@0", 0, 0, 0, (0.0, 1.0), (), (), 0.0, (), 0.0, True)
    assert Snapshot((done,), None, (EMPTY,)).seconds_left == 0.0


NOON = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=1)))
SUITE = RobustnessReport("uci", "seed@0", 9, 0, 0.1, (CorruptionCurve("blur", (1.0,), (0.2,)),), 1, 1, 18, 5.0)


def test_export_of_one_report():
    export = json.loads(json.dumps(export_report([REPORT], measured=NOON)))
    assert {key: export[key] for key in REPORT.to_dict()} == json.loads(json.dumps(REPORT.to_dict()))
    assert set(export) - set(REPORT.to_dict()) == {"error", "error_interval", "measured"}
    assert export["error"] == 0.5 and export["error_interval"] == [0.0945, 0.9055]
    assert export["measured"] == "2026-11-22T12:00:00+01:00"


def test_export_of_two_reports_and_the_suite():
    other = replace(REPORT, checkpoint="b@2", n_correct=2)
    export = export_report([REPORT, other], COMPARISON, [SUITE, SUITE], measured=NOON)
    assert export["checkpoint"] == REPORT.checkpoint and export["against"]["checkpoint"] == "b@2"
    assert export["against"]["error"] == 0.0
    assert export["comparison"] == COMPARISON.to_dict() and export["robustness"] == [SUITE.to_dict()] * 2


def test_export_of_the_suite_alone():
    assert set(export_report([], robustness=[SUITE], measured=NOON)) == {"robustness", "measured"}


@pytest.mark.parametrize(("n_reports", "measured"), [(0, NOON), (3, NOON), (1, NOON.replace(tzinfo=None))])
def test_export_refuses(n_reports, measured):
    with pytest.raises(ValueError, match="need"):
        export_report([REPORT] * n_reports, measured=measured)
