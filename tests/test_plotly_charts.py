"""The figures against Plotly's own schema, of the release whose plotly.js Gradio serves."""

import json
import re
from pathlib import Path

import gradio as gr
import pytest

from digitcore.reports import RiskPoint
from digitcore.ui.charts import chart_corruptions, chart_reliability, chart_risk_coverage, chart_strengths
from digitcore.ui.plotly_charts import make_figure, render_plot
from tests.planted_reports import LABELS, make_robustness, make_snapshot

CHOSEN = [RiskPoint(0.9, 0.97, 0.004)] * 2
SUITES = [make_robustness((0.5, 1.0)), make_robustness((0.5, 1.0), checkpoint=LABELS[1])]
CHARTS = {
    "reliability": chart_reliability(make_snapshot(2).reports),
    "risk": chart_risk_coverage(make_snapshot(2).reports, CHOSEN),
    "corruptions": chart_corruptions(SUITES, 1.0),
    "strengths": chart_strengths(SUITES),
}


@pytest.fixture(params=CHARTS)
def chart(request):
    return CHARTS[request.param]


def test_make_figure_keeps_to_the_schema(chart):
    figures = pytest.importorskip("plotly.graph_objects", reason="needs plotly, of requirements-dev.txt")
    figure = make_figure(chart)
    # Plotly refuses an unknown name or a value out of range.
    checked = figures.Figure(data=figure["data"], layout=figure["layout"])
    assert len(checked.data) == len(chart.series)


def test_the_schema_is_of_the_plotly_js_that_gradio_serves():
    offline = pytest.importorskip("plotly.offline", reason="needs plotly, of requirements-dev.txt")
    assets = Path(gr.__file__).parent / "templates" / "frontend" / "assets"
    (bundle,) = assets.glob("PlotlyPlot-*.js")
    served = re.search(r"\.version=`(\d+\.\d+)\.\d+`", bundle.read_text(encoding="utf-8"))
    assert served and offline.get_plotlyjs_version().startswith(served[1])


def test_make_figure_draws_the_charts_points(chart):
    for trace, series in zip(make_figure(chart)["data"], chart.series, strict=True):
        assert trace["x"] == list(series.x) and trace["y"] == list(series.y)
        assert trace["hovertext"] == list(series.labels)


def test_make_figure_leaves_the_page_its_scrolling(chart):
    figure = make_figure(chart)
    assert figure["layout"]["dragmode"] is False and figure["config"]["scrollZoom"] is False
    assert figure["layout"]["xaxis"]["fixedrange"] and figure["layout"]["yaxis"]["fixedrange"]


def test_render_plot_is_what_gr_plot_takes(chart):
    data = gr.Plot(render=False).postprocess(render_plot(chart))
    assert data.type == "plotly" and json.loads(data.plot)["layout"]["title"]["text"] == chart.title
