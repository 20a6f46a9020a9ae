"""The report as files to keep: JSON, and one HTML page that needs nothing beside itself."""

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path

import numpy as np
import numpy.typing as npt

from digitcore.reports import RiskPoint, Snapshot, export_report
from digitcore.robustness_reports import RobustnessReport
from digitcore.ui.charts import (
    Chart,
    chart_corruptions,
    chart_reliability,
    chart_risk_coverage,
    chart_strengths,
)
from digitcore.ui.confusion_html import render_confusion
from digitcore.ui.pictures_html import render_mistakes
from digitcore.ui.report_html import (
    RunState,
    render_chart_tables,
    render_headline,
    render_per_digit,
    render_threshold,
)
from digitcore.ui.robustness_html import render_error_table, render_robustness
from digitcore.ui.svg_charts import render_svg

_FOLDER = Path(__file__).parent
# What may stand in a file's name on any system.
UNSAFE_IN_NAME = re.compile(r"[^A-Za-z0-9@._-]+")
# The page's colours, light and dark, from style.css; and what the page around the report is not there to give.
PAGE_CSS = """
:root { color-scheme: light dark; --dc-text: #1f1d1b; --dc-quiet: #68625c; --dc-line: #e7e4df; --dc-surface: #ffffff;
  --dc-track: #ece9e4; --dc-accent: #2f4bd0; --dc-problem: #a5320f; --dc-problem-surface: #fdf3ee; --ground: #faf9f7; }
@media (prefers-color-scheme: dark) { :root { --dc-text: #f3f0ec; --dc-quiet: #a8a19a; --dc-line: #35312e;
  --dc-surface: #1e1c1b; --dc-track: #312e2b; --dc-accent: #8fa4ff; --dc-problem: #ffb199;
  --dc-problem-surface: #33211a; --ground: #141312; } }
body { max-width: 1088px; margin: 0 auto; padding: 24px; background: var(--ground); color: var(--dc-text);
  font-family: ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { font-size: 22px; margin: 0 0 4px; } h2 { margin: 32px 0 12px; font-size: 18px; }
main > * + * { margin-top: 20px !important; }
.report-charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: 24px; }
.report-chart { margin: 0; } .report-chart figcaption { font-size: 15px; font-weight: 600; margin-bottom: 6px; }
.report-chart svg { width: 100%; height: auto; } .report-chart text { fill: var(--dc-text); font-size: 12px; }
.report-chart .grid { stroke: var(--dc-line); fill: none; }
.report-legend { display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 6px 0 0; padding: 0; list-style: none;
  font-size: 13px; overflow-wrap: anywhere; }
.report-legend svg { width: 24px; height: 12px; margin-right: 6px; vertical-align: middle; }
"""


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What the tab shows, and what its files are made of.

    Attributes:
        dataset_title: as the visitor knows the data set.
        state: whether the run goes on, was stopped, or is done.
        images: (N, 28, 28) uint8 of the data set.
        snapshot: of the plain evaluation; None for the robustness suite.
        robustness: one for each checkpoint; () for the plain evaluation.
        chosen: the risk-coverage point of each checkpoint at the visitor's threshold.
        disputed: indices of the images whose label is disputed.
        samples: by kind of corruption, a picture of it.
    """

    dataset_title: str
    state: RunState
    images: npt.NDArray[np.uint8]
    snapshot: Snapshot | None = None
    robustness: tuple[RobustnessReport, ...] = ()
    chosen: tuple[RiskPoint, ...] = ()
    disputed: frozenset[int] = frozenset()
    samples: tuple[tuple[str, npt.NDArray[np.uint8]], ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """name@hash of the checkpoints."""
        reports: Sequence[object] = self.snapshot.reports if self.snapshot else self.robustness
        return tuple(report.checkpoint for report in reports)


def export_json(shown: Shown, measured: datetime) -> str:
    """The report as `python -m train.evaluate --json` writes it.

    Args:
        shown: what the tab shows; partial if it was stopped.
        measured: when, with its time zone.
    """
    reports = shown.snapshot.reports if shown.snapshot else ()
    comparison = shown.snapshot.comparison if shown.snapshot else None
    return json.dumps(export_report(reports, comparison, shown.robustness, measured=measured), indent=2) + "\n"


def export_html(shown: Shown, measured: datetime) -> str:
    """The report as one page: styles, charts and pictures are in it, and nothing is fetched.

    Args:
        shown: what the tab shows; partial if it was stopped.
        measured: when, with its time zone.
    """
    title = f"{' and '.join(shown.labels)} on {shown.dataset_title}"
    sections = _evaluation_sections(shown) if shown.snapshot else _robustness_sections(shown)
    css = PAGE_CSS + (_FOLDER / "report.css").read_text(encoding="utf-8")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{css}</style></head>'
        f'<body><h1>digitcore: accuracy report</h1><p class="report-hint">Measured {measured:%Y-%m-%d %H:%M %Z}</p>'
        f"<main>{''.join(sections)}</main></body></html>\n"
    )


def write_files(shown: Shown, folder: Path) -> tuple[Path, Path]:
    """Write both into a new folder inside `folder`.

    Returns:
        The JSON's path and the HTML's.
    """
    measured = datetime.now(UTC)
    name = UNSAFE_IN_NAME.sub("-", f"digitcore {shown.dataset_title} {' '.join(shown.labels)}")
    own = folder / secrets.token_hex(16)
    own.mkdir(parents=True)
    paths = own / f"{name}.json", own / f"{name}.html"
    for path, content in zip(paths, (export_json(shown, measured), export_html(shown, measured)), strict=True):
        path.write_text(content, encoding="utf-8")
    return paths


def _evaluation_sections(shown: Shown) -> list[str]:
    reports = shown.snapshot.reports
    return [
        render_headline(shown.snapshot, shown.dataset_title, shown.state),
        _charts([chart_risk_coverage(reports, shown.chosen), chart_reliability(reports)]),
        render_threshold(shown.labels, shown.chosen) if reports[0].n else "",
        "<h2>Digits</h2>",
        render_confusion(reports, is_pressable=False),
        render_per_digit(reports),
        "<h2>Mistakes</h2>",
        render_mistakes(reports, shown.images, is_pressable=False),
        render_chart_tables(reports),
    ]


def _robustness_sections(shown: Shown) -> list[str]:
    reports = shown.robustness
    strengths = reports[0].strengths
    charts = [chart_corruptions(reports, strengths[-1])] if strengths else []
    if len(strengths) > 1:
        charts.append(chart_strengths(reports))
    return [
        render_robustness(reports, shown.dataset_title, shown.state),
        _charts(charts),
        render_error_table(reports, dict(shown.samples)),
    ]


def _charts(charts: Sequence[Chart]) -> str:
    return f'<div class="report-charts">{"".join(render_svg(chart) for chart in charts)}</div>'
