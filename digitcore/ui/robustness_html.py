"""The robustness suite's reports → HTML: headline, progress, and a table of errors by corruption and strength."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import numpy.typing as npt

from digitcore.robustness_reports import RobustnessReport
from digitcore.ui.pictures_html import encode_png
from digitcore.ui.report_html import RunState, describe_time_left, percent, render_progress


def render_robustness(reports: Sequence[RobustnessReport], dataset_title: str, state: RunState) -> str:
    """The mean error over the corruptions in large type, what it is without them, the worst one, and the progress bar.

    Args:
        reports: one for each checkpoint, finished or partial.
        dataset_title: of the images before they were corrupted, as the visitor knows them.
        state: whether the run goes on, was stopped, or is done.
    """
    first = reports[0]
    scores = "".join(_render_score(report, dataset_title, state) for report in reports)
    words = {RunState.RUNNING: "", RunState.STOPPED: "Stopped at ", RunState.DONE: "Done: "}
    reach = f"{first.n_done} of {first.n_total}" if first.n_done < first.n_total else f"{first.n_total}"
    parts = [f"{words[state]}{reach} sets of {first.n:,} corrupted images"]
    if first.images_per_second:
        parts.append(f"{first.images_per_second:,.0f} images a second")
    lefts = [report.seconds_left for report in reports]
    if state is RunState.RUNNING and None not in lefts:
        parts.append(describe_time_left(sum(lefts)))
    progress = render_progress(first.n_read / first.n_to_read, " · ".join(parts), "Corruptions measured", state)
    return (
        f'<section class="report-headline" aria-label="Robustness"><div class="report-sides">{scores}</div>'
        f"{progress}</section>"
    )


def render_error_table(
    reports: Sequence[RobustnessReport], samples: Mapping[str, npt.NDArray[np.uint8]] | None = None
) -> str:
    """Errors as a table for each checkpoint: a row a kind, a column a strength, shaded by the error.

    Args:
        reports: one for each checkpoint.
        samples: by kind, a (28, 28) uint8 picture of what it looks like; shown beside the kind's name.
    """
    tables = "".join(_render_table(report, len(reports) > 1, samples or {}) for report in reports)
    return f'<div class="report-sides">{tables}</div>'


def _render_score(report: RobustnessReport, dataset_title: str, state: RunState) -> str:
    strength = report.strengths[-1] if report.strengths else None
    errors = None if strength is None else report.errors_at(strength)
    role = "" if state is RunState.RUNNING else ' role="status"'
    if errors is None:
        return f'<div class="report-score"><p class="report-waiting">{escape(report.checkpoint)}</p></div>'
    worst, worst_error = errors.worst
    kinds = f"{len(errors.errors)} corruptions" if len(errors.errors) > 1 else "1 corruption"
    return (
        f'<div class="report-score"><p class="report-accuracy"{role}><strong>{percent(errors.mean)}</strong> '
        f'<span class="report-interval">wrong on average over {kinds} at strength {strength:g}</span></p>'
        f'<p class="report-facts"><span>{escape(report.checkpoint)} on {report.n:,} of {escape(dataset_title)}</span>'
        f"<span>untouched {percent(report.clean_error or 0.0)} wrong</span>"
        f"<span>worst: {escape(worst)}, {percent(worst_error)}</span></p></div>"
    )


def _render_table(report: RobustnessReport, has_name: bool, samples: Mapping[str, npt.NDArray[np.uint8]]) -> str:
    strengths = report.strengths
    head = "".join(f'<th scope="col">{strength:g}</th>' for strength in strengths)
    rows = []
    for curve in report.curves:
        errors = dict(zip(curve.strengths, curve.errors, strict=True))
        cells = "".join(_error_cell(errors.get(strength)) for strength in strengths)
        picture = ""
        if curve.kind in samples:
            picture = f'<img src="{encode_png(samples[curve.kind])}" width="28" height="28" alt="">'
        rows.append(f'<tr><th scope="row">{picture}<span>{escape(curve.kind)}</span></th>{cells}</tr>')
    whose = f" · {escape(report.checkpoint)}" if has_name else ""
    return (
        f'<table class="report-table report-errors"><caption>Wrong, in %, by corruption and strength{whose}</caption>'
        f'<thead><tr><th scope="col">Corruption</th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    )


def _error_cell(error: float | None) -> str:
    if error is None:
        return '<td class="none">–</td>'
    return f'<td class="wrong" style="--shade: {error**0.5:.2f}">{100 * error:.1f}</td>'
