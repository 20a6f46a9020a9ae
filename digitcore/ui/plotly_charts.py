"""Chart → a Plotly figure as JSON, for `gr.Plot`.

Gradio's page brings plotly.js, so the server needs no Plotly: a figure is a plain dictionary of that library's schema
(https://plotly.com/javascript/reference/), and a test holds it to that. Colours of text and grid are left to
report.css, which knows the page's mode.
"""

import json
from typing import Any

from gradio.components.plot import PlotData

from digitcore.ui.charts import Axis, Chart, Kind, Series
from digitcore.ui.theme import SYSTEM_FONT

LINE_PX, FAINT_LINE_PX, REFERENCE_LINE_PX = 2.5, 1.0, 1.5
FAINT_OPACITY = 0.35
HEIGHT_PX = 340
# A row of bars needs this, and the axis below them the rest.
ROW_PX, ROWS_MARGIN_PX = 26, 110
# The page's own, by name: Plotly measures text before it draws it.
FONT = ", ".join(SYSTEM_FONT)
TITLE_FONT = {"size": 15, "weight": 600}
# Dark on both grounds, with white letters.
HOVER_COLOR = "#1f1d1b"


def render_plot(chart: Chart) -> PlotData:
    """What `gr.Plot` takes in place of a figure of the plotly package."""
    return PlotData(type="plotly", plot=json.dumps(make_figure(chart)))


def make_figure(chart: Chart) -> dict[str, Any]:
    """The figure: data, layout, and config (without zooming, which would catch the finger that scrolls the page)."""
    n_rows = len(chart.y.names)
    height = max(HEIGHT_PX, ROWS_MARGIN_PX + n_rows * ROW_PX * max(len(chart.series), 1)) if n_rows else HEIGHT_PX
    layout = {
        "title": {
            "text": chart.title,
            "font": TITLE_FONT,
            "x": 0,
            "xref": "container",
            "pad": {"l": 12},
        },
        "height": height,
        "margin": {"l": 56, "r": 12, "t": 40, "b": 80},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 13},
        "hoverlabel": {"bgcolor": HOVER_COLOR, "font": {"family": FONT, "color": "#ffffff", "size": 12}},
        "hovermode": "closest",
        "dragmode": False,
        "barmode": "group",
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 0, "yref": "container", "yanchor": "bottom"},
        "showlegend": any(series.name for series in chart.series),
        "xaxis": _make_axis(chart.x),
        "yaxis": _make_axis(chart.y) | ({"autorange": "reversed"} if n_rows else {}),
    }
    return {
        "data": [_make_trace(series, chart) for series in chart.series],
        "layout": layout,
        "config": {"displayModeBar": False, "scrollZoom": False},
    }


def _make_axis(axis: Axis) -> dict[str, Any]:
    title = {"title": {"text": axis.title, "standoff": 8}} if axis.title else {}
    common: dict[str, Any] = title | {"fixedrange": True, "zeroline": False, "automargin": True}
    if axis.names:
        return common | {"tickvals": list(range(len(axis.names))), "ticktext": list(axis.names), "showgrid": False}
    # A little room, or a marker on the edge is cut in half.
    room = 0.02 * (axis.high - axis.low)
    return common | {"range": [axis.low - room, axis.high + room]}


def _make_trace(series: Series, chart: Chart) -> dict[str, Any]:
    trace: dict[str, Any] = {
        "name": series.name,
        "showlegend": bool(series.name),
        "x": list(series.x),
        "y": list(series.y),
        "hovertext": list(series.labels),
        "hoverinfo": "text" if series.labels else "skip",
        "hoverlabel": {"bordercolor": series.color},
    }
    if series.kind is Kind.BARS:
        pattern = (
            {"pattern": {"shape": "/", "size": 6, "fillmode": "overlay", "fgcolor": "#ffffff", "fgopacity": 0.5}}
            if series.is_second
            else {}
        )
        orientation = "h" if chart.y.names else "v"
        return trace | {"type": "bar", "orientation": orientation, "marker": {"color": series.color} | pattern}
    mode = "markers" if series.kind is Kind.POINTS else "lines+markers" if series.sizes else "lines"
    # Markers on the edge are shown whole.
    trace["cliponaxis"] = False
    if series.sizes:
        trace["marker"] = {
            "size": list(series.sizes),
            "color": series.color,
            "symbol": "diamond" if series.is_second else "circle",
            "opacity": 1,
        }
    if series.kind is Kind.LINE:
        trace["line"] = {"color": series.color, "width": _line_px(series), "dash": _dash(series)}
    return trace | {"type": "scatter", "mode": mode, "opacity": FAINT_OPACITY if series.is_faint else 1}


def _line_px(series: Series) -> float:
    return REFERENCE_LINE_PX if series.is_reference else FAINT_LINE_PX if series.is_faint else LINE_PX


def _dash(series: Series) -> str:
    return "dot" if series.is_reference else "dash" if series.is_second else "solid"
