"""Reports → charts: what is drawn, said once; `plotly_charts` draws it in the page, `svg_charts` in the exported file.

Colours are blue and vermilion of Okabe & Ito's palette, which colour-blind eyes keep apart; the second checkpoint also
has another marker and dashes. Shares are drawn in percent.

Source: Okabe & Ito, Color Universal Design, 2008, https://jfly.uni-koeln.de/color/.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import log10

from digitcore.reports import Report, RiskPoint
from digitcore.robustness_reports import CorruptionCurve, RobustnessReport

# Of the first and the second checkpoint: at least 3 : 1 on the light and on the dark ground.
COLORS = ("#0072b2", "#d55e00")
REFERENCE_COLOR = "#8a847d"
# A marker's diameter in pixels, by the images behind it: one image, and ten thousand.
MIN_MARKER_PX, MAX_MARKER_PX = 6.0, 14.0
MAX_MARKER_IMAGES = 10_000
CHOSEN_MARKER_PX = 16.0
MEAN_MARKER_PX = 9.0
# The scale of an error axis never ends below this, or one mistake would fill the chart.
MIN_ERROR_PERCENT = 0.1
# Who withholds more than half of the answers has no use for the rest.
MIN_SHOWN_COVERAGE = 0.5
# Room above the highest value.
HEADROOM = 1.1


class Kind(StrEnum):
    """How a series is drawn."""

    LINE = "line"
    POINTS = "points"
    BARS = "bars"


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale from `low` to `high`; with `names`, one place for each name instead."""

    title: str
    low: float = 0.0
    high: float = 100.0
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Series:
    """Points in the axes' units, to be joined or not.

    Attributes:
        name: in the legend; "" keeps it out of there.
        x: or places among the axis's names, from 0.
        y: as many.
        kind: line (with markers where `sizes` are given), points, or bars.
        color: hex.
        is_second: drawn with the second checkpoint's marker and dashes.
        is_reference: thin and dotted: what to compare with.
        is_faint: one of many, behind the others.
        sizes: diameters of the markers in px, as many; () for no markers.
        labels: what is said of each point when it is pointed at; () for the bare numbers.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    kind: Kind = Kind.LINE
    color: str = COLORS[0]
    is_second: bool = False
    is_reference: bool = False
    is_faint: bool = False
    sizes: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that all are of one length."""
        lengths = {len(self.x), len(self.y), len(self.sizes) or len(self.x), len(self.labels) or len(self.x)}
        if len(lengths) != 1:
            raise ValueError(f"x, y, sizes and labels must be of one length, got {sorted(lengths)}")


@dataclass(frozen=True, slots=True)
class Chart:
    """A titled pair of axes with its series; bars lie along the x axis when `y` has names."""

    title: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]


def chart_reliability(reports: Sequence[Report]) -> Chart:
    """Accuracy by confidence: on the diagonal a network is as sure as it is right."""
    series = [Series("as sure as right", (0.0, 100.0), (0.0, 100.0), color=REFERENCE_COLOR, is_reference=True)]
    for i, report in enumerate(reports):
        bins = [each for each in report.reliability if each.n]
        series.append(
            Series(
                name=f"{report.checkpoint}: off by {100 * report.ece:.2f} % (ECE)",
                x=tuple(100 * each.confidence for each in bins),
                y=tuple(100 * each.accuracy for each in bins),
                color=COLORS[i],
                is_second=i > 0,
                sizes=tuple(_marker_px(each.n) for each in bins),
                labels=tuple(
                    f"{each.n:,} {_images(each.n)} · {100 * each.confidence:.1f} % sure · "
                    f"{100 * each.accuracy:.1f} % right"
                    for each in bins
                ),
            )
        )
    return Chart("Reliability", Axis("confidence, %"), Axis("right, %"), tuple(series))


def chart_risk_coverage(reports: Sequence[Report], chosen: Sequence[RiskPoint]) -> Chart:
    """Errors among what is answered by how much is answered, as the rejection threshold rises.

    Args:
        reports: of one or two checkpoints.
        chosen: the point of each at the visitor's threshold, to be marked.
    """
    series = []
    for i, (report, mark) in enumerate(zip(reports, chosen, strict=True)):
        points = [point for point in report.risk_coverage if point.coverage >= MIN_SHOWN_COVERAGE]
        series.append(
            Series(
                name=report.checkpoint,
                x=tuple(100 * point.coverage for point in points),
                y=tuple(100 * point.risk for point in points),
                color=COLORS[i],
                is_second=i > 0,
                labels=tuple(_describe_point(point) for point in points),
            )
        )
        if mark.coverage > 0:
            series.append(
                Series(
                    name="" if i else f"threshold {mark.threshold:g}",
                    x=(100 * mark.coverage,),
                    y=(100 * mark.risk,),
                    kind=Kind.POINTS,
                    color=COLORS[i],
                    is_second=i > 0,
                    sizes=(CHOSEN_MARKER_PX,),
                    labels=(_describe_point(mark),),
                )
            )
    lowest = min((x for each in series for x in each.x), default=0.0)
    x = Axis("answered, % of all", low=_floor_percent(lowest))
    return Chart("Risk and coverage", x, Axis("wrong, % of answers", high=_error_end(series)), tuple(series))


def chart_corruptions(reports: Sequence[RobustnessReport], strength: float) -> Chart:
    """Error of each kind of corruption at one strength, a bar for each checkpoint; lines mark the clean error."""
    measured = [report.errors_at(strength) for report in reports]
    kinds = tuple(dict.fromkeys(kind for errors in measured if errors for kind, _ in errors.errors))
    series = []
    for i, (report, errors) in enumerate(zip(reports, measured, strict=True)):
        by_kind = dict(errors.errors) if errors else {}
        series.append(
            Series(
                name=report.checkpoint,
                x=tuple(100 * by_kind[kind] for kind in kinds if kind in by_kind),
                y=tuple(float(place) for place, kind in enumerate(kinds) if kind in by_kind),
                kind=Kind.BARS,
                color=COLORS[i],
                is_second=i > 0,
                labels=tuple(f"{kind}: {100 * by_kind[kind]:.1f} % wrong" for kind in kinds if kind in by_kind),
            )
        )
    x = Axis("wrong, %", high=_error_end(series, of_x=True))
    return Chart(f"Error by corruption at strength {strength:g}", x, Axis("", names=kinds), tuple(series))


def chart_strengths(reports: Sequence[RobustnessReport]) -> Chart:
    """Error by strength: the mean over the kinds in bold, each kind thin; strength 0 is the clean images."""
    series = [_curve_series(report, curve, i) for i, report in enumerate(reports) for curve in report.curves]
    series += [_mean_series(report, i) for i, report in enumerate(reports) if report.curves]
    highest = max((x for each in series for x in each.x), default=1.0)
    x = Axis("strength (0: untouched)", high=highest)
    return Chart("Error by strength", x, Axis("wrong, %", high=_error_end(series)), tuple(series))


def _curve_series(report: RobustnessReport, curve: CorruptionCurve, which: int) -> Series:
    strengths, errors = (0.0, *curve.strengths), (report.clean_error or 0.0, *curve.errors)
    return Series(
        name="",
        x=strengths,
        y=tuple(100 * error for error in errors),
        color=COLORS[which],
        is_second=which > 0,
        is_faint=True,
        labels=tuple(
            f"{curve.kind} at {strength:g}: {100 * error:.1f} % wrong"
            for strength, error in zip(strengths, errors, strict=True)
        ),
    )


def _mean_series(report: RobustnessReport, which: int) -> Series:
    # A mean over some of the kinds only would compare unlike things.
    full = [each for each in report.strengths if len(report.errors_at(each).errors) == len(report.curves)]
    strengths = (0.0, *full)
    means = (report.clean_error or 0.0, *(report.errors_at(strength).mean for strength in full))
    return Series(
        name=f"{report.checkpoint}: mean",
        x=strengths,
        y=tuple(100 * mean for mean in means),
        color=COLORS[which],
        is_second=which > 0,
        sizes=(MEAN_MARKER_PX,) * len(means),
        labels=tuple(
            f"mean at {strength:g}: {100 * mean:.1f} % wrong" for strength, mean in zip(strengths, means, strict=True)
        ),
    )


def _marker_px(n: int) -> float:
    """By the order of magnitude: the last bin holds a thousand times what others hold."""
    share = min(log10(max(n, 1)) / log10(MAX_MARKER_IMAGES), 1.0)
    return round(MIN_MARKER_PX + share * (MAX_MARKER_PX - MIN_MARKER_PX), 1)


def _describe_point(point: RiskPoint) -> str:
    """Short enough for a phone."""
    return f"at {point.threshold:g}: answers {100 * point.coverage:.1f} %, {100 * point.risk:.2f} % of them wrong"


def _floor_percent(lowest: float) -> float:
    """Where an axis of shares starts: a little below the lowest, in steps of 1, 5 or 20."""
    for step in (1.0, 5.0, 20.0):
        if lowest >= 100.0 - 10 * step:
            return max(step * (lowest // step) - step * (lowest % step == 0), 0.0)
    return 0.0


def _error_end(series: Sequence[Series], of_x: bool = False) -> float:
    """Where an axis of errors ends: above the largest, never near zero."""
    highest = max((value for each in series for value in (each.x if of_x else each.y)), default=0.0)
    return min(max(HEADROOM * highest, MIN_ERROR_PERCENT), 100.0)


def _images(n: int) -> str:
    return "image" if n == 1 else "images"
