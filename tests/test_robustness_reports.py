import json

import pytest

from digitcore.robustness_reports import CorruptionCurve, CorruptionErrors, RobustnessReport


def test_corruption_errors_mean_and_worst():
    errors = CorruptionErrors((("blur", 0.25), ("noise", 0.5), ("fog", 0.0)))
    assert errors.mean == pytest.approx(0.25) and errors.worst == ("noise", 0.5)
    assert errors.to_dict() == {
        "mean_error": 0.25,
        "worst": {"kind": "noise", "error": 0.5},
        "errors": {"blur": 0.25, "noise": 0.5, "fog": 0.0},
    }


def test_corruption_errors_refuse_to_be_empty():
    with pytest.raises(ValueError, match="at least one kind"):
        CorruptionErrors(())


@pytest.mark.parametrize(("strengths", "errors"), [((1.0,), ()), ((1.0, 0.5), (0.1, 0.2)), ((1.0, 1.0), (0.1, 0.2))])
def test_corruption_curve_checks_its_strengths(strengths, errors):
    with pytest.raises(ValueError, match="rising strengths"):
        CorruptionCurve("blur", strengths, errors)


def test_robustness_report_by_strength():
    curves = (CorruptionCurve("shift", (0.5, 1.0), (0.1, 0.3)), CorruptionCurve("blur", (0.5,), (0.2,)))
    report = RobustnessReport("uci", "seed@0", 100, 0, 0.01, curves, 3, 4, 400, 50.0)
    assert not report.done and report.strengths == (0.5, 1.0)
    assert report.n_to_read == 500 and report.seconds_left == pytest.approx(2.0)
    assert report.errors_at(0.5) == CorruptionErrors((("shift", 0.1), ("blur", 0.2)))
    assert report.errors_at(1.0) == CorruptionErrors((("shift", 0.3),)) and report.errors_at(2.0) is None
    fields = json.loads(json.dumps(report.to_dict()))
    assert fields["mean_errors"] == {"0.5": 0.15, "1.0": 0.3}
    assert fields["curves"][0] == {"kind": "shift", "strengths": [0.5, 1.0], "errors": [0.1, 0.3]}
    assert fields["clean_error"] == 0.01 and fields["done"] is False


def test_robustness_report_before_the_first_figure():
    report = RobustnessReport("uci", "seed@0", 100, 0, None, (), 0, 4, 0, 0.0)
    assert (
        report.to_dict()["clean_error"] is None
        and report.seconds_left is None
        and report.strengths == ()
        and report.to_dict()["mean_errors"] == {}
    )


def test_robustness_report_checks_its_counts():
    with pytest.raises(ValueError, match="n_done = 2"):
        RobustnessReport("uci", "seed@0", 100, 0, 0.01, (CorruptionCurve("blur", (1.0,), (0.2,)),), 2, 4, 9, 1.0)
