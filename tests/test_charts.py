import pytest

from digitcore.reports import RiskPoint
from digitcore.ui.charts import (
    COLORS,
    Kind,
    Series,
    chart_corruptions,
    chart_reliability,
    chart_risk_coverage,
    chart_strengths,
)
from tests.planted_reports import EMPTY, LABELS, make_report, make_robustness, make_snapshot

CHOSEN = RiskPoint(0.9, 0.97, 0.004)


def test_chart_reliability_leaves_empty_bins_out_and_draws_in_percent():
    chart = chart_reliability([make_report()])
    diagonal, points = chart.series
    assert diagonal.is_reference and diagonal.x == diagonal.y == (0.0, 100.0)
    assert points.x == pytest.approx((60.0, 98.0)) and points.y == pytest.approx((40.0, 99.6))
    assert points.sizes[0] < points.sizes[1]
    assert points.labels[0] == "10 images · 60.0 % sure · 40.0 % right"
    assert "ECE" in points.name and "1.23 %" in points.name


def test_chart_risk_coverage_marks_what_was_chosen():
    line, mark = chart_risk_coverage([make_report()], [CHOSEN]).series
    assert line.x == pytest.approx((100.0, 97.0, 60.0)) and line.y == pytest.approx((1.1, 0.4, 0.0))
    assert (mark.kind, mark.x, mark.y) == (Kind.POINTS, (97.0,), (0.4,))
    assert line.labels[1] == "at 0.9: answers 97.0 %, 0.40 % of them wrong"


def test_chart_risk_coverage_leaves_out_what_answers_too_little():
    report = make_report(risk_coverage=(RiskPoint(0.0, 1.0, 0.01), RiskPoint(0.9999, 0.2, 0.0)))
    line, *marks = chart_risk_coverage([report], [RiskPoint(1.0, 0.0, 0.0)]).series
    assert line.x == (100.0,) and not marks


@pytest.mark.parametrize("coverages", [(1.0,), (1.0, 0.97), (1.0, 0.93, 0.9), (1.0, 0.6)])
def test_charts_hold_all_points_within_their_axes(coverages):
    points = tuple(RiskPoint(i / 10, coverage, 0.01) for i, coverage in enumerate(coverages))
    chart = chart_risk_coverage([make_report(risk_coverage=points)], [points[-1]])
    for series in chart.series:
        assert all(chart.x.low <= x <= chart.x.high for x in series.x)
        assert all(chart.y.low <= y <= chart.y.high for y in series.y)


def test_charts_tell_two_checkpoints_apart_by_more_than_colour():
    for chart in (
        chart_reliability(make_snapshot(2).reports),
        chart_risk_coverage(make_snapshot(2).reports, [CHOSEN, CHOSEN]),
        chart_corruptions([make_robustness(), make_robustness(checkpoint=LABELS[1])], 1.0),
        chart_strengths([make_robustness((0.5, 1.0)), make_robustness((0.5, 1.0), checkpoint=LABELS[1])]),
    ):
        drawn = {(series.color, series.is_second) for series in chart.series if not series.is_reference}
        assert drawn == {(COLORS[0], False), (COLORS[1], True)}


def test_charts_before_the_first_image():
    assert chart_reliability([EMPTY]).series[1].x == ()
    chart = chart_risk_coverage([EMPTY], [RiskPoint(0.9, 0.0, 0.0)])
    assert chart.y.high > chart.y.low and chart.x.high > chart.x.low


def test_chart_corruptions_has_a_bar_for_each_kind():
    chart = chart_corruptions([make_robustness((0.5, 1.0))], 1.0)
    (bars,) = chart.series
    assert chart.y.names == ("shift", "fog")
    assert bars.x == pytest.approx((10.0, 20.0)) and bars.y == (0.0, 1.0)
    assert chart.x.high == pytest.approx(22.0)
    assert bars.labels[1] == "fog: 20.0 % wrong"


def test_chart_corruptions_while_the_second_strength_wants_kinds_still():
    whole = make_robustness((0.5, 1.0))
    first, second = whole.curves
    partial = make_robustness(
        curves=(first, type(second)("fog", (0.5,), (0.1,))), n_done=3, n_total=4, n_read=400, images_per_second=1.0
    )
    chart = chart_corruptions([partial], 1.0)
    assert chart.y.names == ("shift",) and len(chart.series[0].x) == 1
    # The mean at strength 1 would be of one kind only: it is not drawn.
    assert chart_strengths([partial]).series[-1].x == (0.0, 0.5)


def test_chart_strengths_starts_at_the_clean_error_and_ends_at_the_mean():
    chart = chart_strengths([make_robustness((0.5, 1.0))])
    shift, _, mean = chart.series
    assert shift.is_faint and not mean.is_faint
    assert shift.x == (0.0, 0.5, 1.0) and shift.y == pytest.approx((1.0, 5.0, 10.0))
    assert mean.y == pytest.approx((1.0, 7.5, 15.0))


def test_series_must_be_of_one_length():
    with pytest.raises(ValueError, match="one length"):
        Series("x", (1.0, 2.0), (1.0,))
