import re

import pytest

from digitcore.reports import RiskPoint
from digitcore.ui.charts import (
    Axis,
    Chart,
    Kind,
    Series,
    chart_corruptions,
    chart_reliability,
    chart_risk_coverage,
    chart_strengths,
)
from digitcore.ui.svg_charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, find_ticks, render_svg
from tests.planted_reports import EMPTY, LABELS, Elements, make_report, make_robustness, make_snapshot

CHOSEN = [RiskPoint(0.9, 0.97, 0.004)] * 2


def test_render_svg_puts_points_where_the_axes_say():
    line = Series("l", (0.0, 50.0, 100.0), (0.0, 100.0, 0.0))
    markup = render_svg(Chart("t", Axis("x"), Axis("y"), (line,)))
    points = re.search(r'<polyline points="([^"]+)"', markup)[1]
    middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
    assert points == f"{LEFT}.0,{HEIGHT - BOTTOM}.0 {middle},{TOP}.0 {WIDTH - RIGHT}.0,{HEIGHT - BOTTOM}.0"


def test_render_svg_bars_are_as_long_as_their_shares():
    bars = Series("b", (10.0, 20.0), (0.0, 1.0), Kind.BARS, labels=("one", "two"))
    markup = render_svg(Chart("t", Axis("x", high=40.0), Axis("", names=("one", "two")), (bars,)))
    first, second = (float(width) for width in re.findall(r'<rect [^>]*width="([\d.]+)"', markup))
    assert second == pytest.approx(2 * first, abs=0.2)
    texts = [text for _, text in Elements(markup).all("text")]
    assert "one" in texts and "two" in texts


@pytest.mark.parametrize(
    "chart",
    [
        chart_reliability(make_snapshot(2).reports),
        chart_risk_coverage(make_snapshot(2).reports, CHOSEN),
        chart_corruptions([make_robustness(), make_robustness(checkpoint=LABELS[1])], 1.0),
        chart_strengths([make_robustness((0.5, 1.0))]),
        chart_reliability([EMPTY]),
        chart_risk_coverage([EMPTY], [RiskPoint(0.9, 0.0, 0.0)]),
    ],
)
def test_render_svg_is_whole_named_and_within_its_frame(chart):
    elements = Elements(render_svg(chart))
    picture = elements.all("svg", role="img")[0][0]
    assert chart.title in picture["aria-label"]
    height = float(picture["viewbox"].split()[3])
    for attrs, _ in elements.all("circle"):
        assert 0 <= float(attrs["cx"]) <= WIDTH and 0 <= float(attrs["cy"]) <= height
    legend = [text for _, text in elements.all("li")]
    assert legend == [series.name for series in chart.series if series.name]


def test_what_comes_from_outside_is_escaped():
    markup = render_svg(chart_reliability([make_report(checkpoint="<script>x</script>")]))
    assert "<script" not in markup


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.0, 100.0, (0, 20, 40, 60, 80, 100)),
        (0.0, 0.5, (0, 0.1, 0.2, 0.3, 0.4, 0.5)),
        (90.0, 100.0, (90, 92, 94, 96, 98, 100)),
        (0.0, 0.1, (0, 0.02, 0.04, 0.06, 0.08, 0.1)),
        (5.0, 5.0, (5.0,)),
    ],
)
def test_find_ticks(low, high, ticks):
    assert find_ticks(Axis("", low, high)) == pytest.approx(ticks)
