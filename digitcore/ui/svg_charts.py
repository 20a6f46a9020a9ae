"""Chart → an inline SVG, for the exported report: no script, nothing fetched, and print-ready.

Text and grid take the colours of the page around them (`--dc-text` and its like).
"""

from collections.abc import Iterable
from html import escape
from math import floor, log10

from digitcore.ui.charts import Axis, Chart, Kind, Series

# Small, so that letters of 12 units can be read where a phone shows the whole at its width.
WIDTH, HEIGHT = 400, 280
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 12, 44
# Names are longer than numbers.
NAMES_LEFT = 104
ROW, BAR_SHARE = 26, 0.8
MAX_TICKS = 6
LINE, FAINT_LINE, REFERENCE_LINE = 2.5, 1.0, 1.5
FAINT_OPACITY = 0.35
DASHES = {"reference": "2 4", "second": "7 4"}


def render_svg(chart: Chart) -> str:
    """The chart as a figure: caption, picture and legend; each point says what it is when it is pointed at."""
    n_rows = len(chart.y.names)
    n_bars = max(sum(series.kind is Kind.BARS for series in chart.series), 1)
    height = TOP + BOTTOM + n_rows * ROW * n_bars if n_rows else HEIGHT
    frame = _Frame(chart, NAMES_LEFT if n_rows else LEFT, height)
    marks = "".join(mark for series in chart.series for mark in frame.draw(series))
    legend = "".join(_legend_entry(series) for series in chart.series if series.name)
    return (
        f'<figure class="report-chart"><figcaption>{escape(chart.title)}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(_describe(chart))}">'
        f'{"".join(frame.draw_axes())}{marks}</svg><ul class="report-legend">{legend}</ul></figure>'
    )


def find_ticks(axis: Axis) -> tuple[float, ...]:
    """Round numbers on an axis, in steps of 1, 2 or 5 times a power of ten; at most MAX_TICKS + 1 of them."""
    span = axis.high - axis.low
    if span <= 0:
        return (axis.low,)
    rough = span / MAX_TICKS
    power = 10.0 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first = -floor(-axis.low / step + 1e-9) if axis.low > 0 else 0
    ticks = []
    while (first + len(ticks)) * step <= axis.high + 1e-9 * span:
        ticks.append(round((first + len(ticks)) * step, 10))
    return tuple(ticks)


class _Frame:
    """Where the axes' units lie in the picture, and the drawing in them."""

    def __init__(self, chart: Chart, left: int, height: int) -> None:
        """The chart's axes in a picture of WIDTH × height, with room for labels on the left and below."""
        self.chart, self.left, self.height = chart, left, height
        self.bars = [series for series in chart.series if series.kind is Kind.BARS]

    def at_x(self, x: float) -> float:
        axis = self.chart.x
        return self.left + (x - axis.low) / ((axis.high - axis.low) or 1.0) * (WIDTH - self.left - RIGHT)

    def at_y(self, y: float) -> float:
        axis, inner = self.chart.y, self.height - TOP - BOTTOM
        if axis.names:
            return TOP + (y + 0.5) / len(axis.names) * inner
        return self.height - BOTTOM - (y - axis.low) / ((axis.high - axis.low) or 1.0) * inner

    def draw_axes(self) -> Iterable[str]:
        bottom, right = self.height - BOTTOM, WIDTH - RIGHT
        for tick in find_ticks(self.chart.x):
            x = self.at_x(tick)
            yield f'<path class="grid" d="M{x:.1f} {TOP}V{bottom}"/>'
            yield f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{tick:g}</text>'
        middle = (self.left + right) / 2
        yield f'<text x="{middle}" y="{self.height - 6}" text-anchor="middle">{escape(self.chart.x.title)}</text>'
        names = self.chart.y.names
        for place, name in enumerate(names):
            yield f'<text x="{self.left - 8}" y="{self.at_y(place) + 4:.1f}" text-anchor="end">{escape(name)}</text>'
        if names:
            return
        for tick in find_ticks(self.chart.y):
            y = self.at_y(tick)
            yield f'<path class="grid" d="M{self.left} {y:.1f}H{right}"/>'
            yield f'<text x="{self.left - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
        turned = f'transform="translate(14 {(TOP + bottom) / 2:.0f}) rotate(-90)" text-anchor="middle"'
        yield f"<text {turned}>{escape(self.chart.y.title)}</text>"

    def draw(self, series: Series) -> Iterable[str]:
        """A series' line, bars or markers."""
        if series.kind is Kind.BARS:
            yield from self._draw_bars(series)
            return
        if series.kind is Kind.LINE and series.x:
            points = " ".join(f"{self.at_x(x):.1f},{self.at_y(y):.1f}" for x, y in zip(series.x, series.y, strict=True))
            yield f'<polyline points="{points}" fill="none" {_line_style(series)}/>'
        for i, size in enumerate(series.sizes):
            yield _marker(series, self.at_x(series.x[i]), self.at_y(series.y[i]), size / 2, _label(series, i))

    def _draw_bars(self, series: Series) -> Iterable[str]:
        thick = BAR_SHARE * ROW
        top = (self.bars.index(series) - len(self.bars) / 2) * thick
        for i, (x, place) in enumerate(zip(series.x, series.y, strict=True)):
            y, width = self.at_y(place) + top, max(self.at_x(x) - self.left, 0.5)
            opacity = ' fill-opacity=".7"' if series.is_second else ""
            yield (
                f'<rect x="{self.left}" y="{y:.1f}" width="{width:.1f}" height="{thick - 2:.1f}" fill="{series.color}"'
                f"{opacity}><title>{_label(series, i)}</title></rect>"
            )


def _line_style(series: Series) -> str:
    width = REFERENCE_LINE if series.is_reference else FAINT_LINE if series.is_faint else LINE
    dash = DASHES["reference"] if series.is_reference else DASHES["second"] if series.is_second else "none"
    opacity = FAINT_OPACITY if series.is_faint else 1
    return (
        f'stroke="{series.color}" stroke-width="{width}" stroke-dasharray="{dash}" stroke-linejoin="round" '
        f'stroke-opacity="{opacity}"'
    )


def _marker(series: Series, x: float, y: float, radius: float, label: str) -> str:
    title = f"<title>{label}</title>" if label else ""
    if series.is_second:
        return (
            f'<path d="M{x:.1f} {y - radius:.1f}l{radius:.1f} {radius:.1f}l{-radius:.1f} {radius:.1f}'
            f'l{-radius:.1f} {-radius:.1f}z" fill="{series.color}">{title}</path>'
        )
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{series.color}">{title}</circle>'


def _label(series: Series, i: int) -> str:
    return escape(series.labels[i]) if series.labels else ""


def _legend_entry(series: Series) -> str:
    if series.kind is Kind.LINE:
        sample = f'<path d="M0 6H24" fill="none" {_line_style(series)}/>'
    else:
        sample = _marker(series, 12, 6, 5, "")
    picture = f'<svg viewBox="0 0 24 12" width="24" height="12" aria-hidden="true">{sample}</svg>'
    return f"<li>{picture}{escape(series.name)}</li>"


def _describe(chart: Chart) -> str:
    """For who cannot see it; the figures themselves stand in the tables."""
    names = ", ".join(series.name for series in chart.series if series.name)
    y = chart.y.title or "kind"
    return f"{chart.title}: {y} by {chart.x.title}. {names}".strip()
