"""Reports → HTML: the figures in words, bars and tables. Pure functions, tested without a page.

Everything that came from outside is escaped. Looks are in report.css; right and wrong are never told by colour alone.
"""

from collections.abc import Sequence
from enum import StrEnum
from html import escape

from digitcore.reports import Comparison, DigitScore, Report, RiskPoint, Snapshot

# Below this one speaks of a difference.
SIGNIFICANCE_LEVEL = 0.05
# The rows of the table of thresholds, which the grid of every report holds.
SHOWN_THRESHOLDS = (0.0, 0.5, 0.9, 0.95, 0.99, 0.995, 0.999)
SCORE_HEADS = (
    ("Precision", "Of what was read as this digit, the share that is one"),
    ("Recall", "Of the images of this digit, the share that was read right"),
    ("F1", "Harmonic mean of precision and recall"),
    ("Images", "Images of this digit so far"),
)


class RunState(StrEnum):
    """Where an evaluation stands."""

    RUNNING = "running"
    STOPPED = "stopped"
    DONE = "done"


def render_note(text: str, *, is_problem: bool = False, cause: str = "") -> str:
    """A sentence or two beside the report; "" gives "".

    Args:
        text: for the visitor.
        is_problem: announce it to screen readers, and let it be seen.
        cause: what the machine says of it, folded away.
    """
    if not text:
        return ""
    role, kind = ("alert", "problem") if is_problem else ("note", "plain")
    details = f"<details><summary>Cause</summary>{escape(cause)}</details>" if cause else ""
    return f'<div class="report-note {kind}" role="{role}">{escape(text)}{details}</div>'


def render_waiting(sentence: str) -> str:
    """What stands in the place of a report that has not begun."""
    return f'<p class="report-waiting" role="status">{escape(sentence)}</p>'


def render_loading(action: str, what: str, share: float) -> str:
    """What has to be there before anything is measured: what is being done, with what, and how much is done, 0 to 1."""
    text = f"{action}: {what} · {100 * share:.0f} %"
    return f'<section class="report-headline">{render_progress(share, text, action, RunState.RUNNING)}</section>'


def render_headline(snapshot: Snapshot, dataset_title: str, state: RunState) -> str:
    """The accuracy with its interval in large type, the other single figures, the comparison, and the progress bar.

    Args:
        snapshot: of one checkpoint or two, finished or partial.
        dataset_title: as the visitor knows the data set.
        state: whether the run goes on, was stopped, or is done.

    Returns:
        A section; the empty data set gives a sentence instead.
    """
    first = snapshot.reports[0]
    if not first.n_total:
        return render_waiting(f"{dataset_title} is empty: there is nothing to measure.")
    scores = "".join(_render_score(report, dataset_title, state) for report in snapshot.reports)
    comparison = render_comparison(snapshot.comparison) if snapshot.comparison else ""
    progress = render_progress(first.n / first.n_total, describe_progress(snapshot, state), "Images read", state)
    return (
        f'<section class="report-headline" aria-label="Accuracy"><div class="report-sides">{scores}</div>'
        f"{comparison}{progress}</section>"
    )


def render_comparison(comparison: Comparison) -> str:
    """Which of two is right more often, by how much, and whether chance explains it."""
    return f'<p class="report-comparison">{escape(describe_comparison(comparison))}</p>'


def describe_comparison(comparison: Comparison) -> str:
    """Two sentences: the paired difference with its interval and McNemar's p, and the counts behind them."""
    low, high = (100 * bound for bound in comparison.interval)
    points = 100 * comparison.difference
    how = "more" if points > 0 else "less"
    lead = (
        f"{comparison.second} is right {abs(points):.2f} percentage points {how} often than {comparison.first}"
        if points
        else f"{comparison.second} and {comparison.first} are right equally often"
    )
    is_clear = comparison.p_value < SIGNIFICANCE_LEVEL
    verdict = "more than chance explains" if is_clear else "no more than chance explains"
    counts = (
        f"Of {comparison.n:,} images {comparison.n_only_first:,} are read right by {comparison.first} alone, "
        f"{comparison.n_only_second:,} by {comparison.second} alone, {comparison.n_both_wrong:,} by neither."
    )
    interval = f"95 % interval of the difference {_signed(low)} to {_signed(high)}"
    return f"{lead} ({interval}), {verdict} (McNemar's exact test, {_describe_p(comparison.p_value)}). {counts}"


def describe_progress(snapshot: Snapshot, state: RunState) -> str:
    """How far it is, how fast, and how long it will still take."""
    first = snapshot.reports[0]
    reach = f"{first.n:,} of {first.n_total:,} images" if first.n < first.n_total else f"{first.n:,} images"
    words = {RunState.RUNNING: "", RunState.STOPPED: "Stopped at ", RunState.DONE: "Done: "}
    per_image_ms = sum(report.milliseconds_per_digit for report in snapshot.reports)
    parts = [f"{words[state]}{reach}"]
    if per_image_ms:
        parts.append(f"{1e3 / per_image_ms:,.0f} images a second")
        parts.append(f"{per_image_ms:.2f} ms a digit")
    if state is RunState.RUNNING and snapshot.seconds_left is not None:
        parts.append(describe_time_left(snapshot.seconds_left))
    return " · ".join(parts)


def describe_time_left(seconds: float) -> str:
    """In whole seconds, or minutes where those are many."""
    return f"about {seconds:.0f} s left" if seconds < 90 else f"about {seconds / 60:.0f} min left"


def render_progress(share: float, text: str, label: str, state: RunState) -> str:
    """A bar with its words below, that a screen reader can read too."""
    percent, text = f"{100 * share:.1f}", escape(text)
    return (
        f'<div class="report-progress {state}" role="progressbar" aria-label="{escape(label)}" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{percent}" aria-valuetext="{text}">'
        f'<span style="width: {percent}%"></span></div><p class="report-rate">{text}</p>'
    )


def render_per_digit(reports: Sequence[Report]) -> str:
    """Precision, recall, F1 and support of each digit, a table for each checkpoint."""
    tables = "".join(_render_scores(report, has_name=len(reports) > 1) for report in reports)
    return f'<div class="report-sides">{tables}</div>'


def describe_threshold(labels: Sequence[str], points: Sequence[RiskPoint]) -> str:
    """What happens if answers less sure than a threshold are withheld, as a sentence.

    Args:
        labels: of one or two checkpoints.
        points: of each, at the same threshold.
    """
    clauses = []
    for label, point in zip(labels, points, strict=True):
        who = "it" if len(labels) == 1 else label
        errs = f"{who} answers {_coverage(point.coverage)} and errs on {percent(point.risk)} of what it answers"
        clauses.append(errs if point.coverage else f"{who} answers nothing")
    return f"At {points[0].threshold:g} {'; '.join(clauses)}."


def render_threshold(labels: Sequence[str], points: Sequence[RiskPoint]) -> str:
    """`describe_threshold`, announced when it changes."""
    return f'<p class="report-threshold" role="status">{escape(describe_threshold(labels, points))}</p>'


def render_chart_tables(reports: Sequence[Report]) -> str:
    """The figures behind the charts, for reading instead of seeing: thresholds and bins, folded away."""
    tables = "".join(_render_thresholds(report) + _render_bins(report) for report in reports)
    return f'<details class="report-tables"><summary>The charts as tables</summary>{tables}</details>'


def percent(share: float) -> str:
    """A share in percent with two decimals."""
    return f"{100 * share:.2f}\u00a0%"


def render_table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> str:
    """A table whose first column heads its rows; all of it is escaped."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in cells)}</tr>'
        for first, *cells in rows
    )
    return (
        f'<table class="report-table {kind}"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _render_score(report: Report, dataset_title: str, state: RunState) -> str:
    low, high = report.interval
    n_wrong = report.n - report.n_correct
    role = "" if state is RunState.RUNNING else ' role="status"'
    auroc = "" if report.auroc is None else f"<span>confidence tells right from wrong: AUROC {report.auroc:.3f}</span>"
    return (
        f'<div class="report-score"><p class="report-accuracy"{role}><strong>{percent(report.accuracy)}</strong> '
        f'<span class="report-interval">right, 95 % interval {100 * low:.2f}–{percent(high)}</span></p>'
        f'<p class="report-facts"><span>{escape(report.checkpoint)} on {escape(dataset_title)}</span>'
        f"<span>{n_wrong:,} of {report.n:,} wrong</span>"
        '<span title="Mean distance of confidence from accuracy, over 15 bins (ECE)">'
        f"calibration error {percent(report.ece)}</span>{auroc}</p></div>"
    )


def _render_scores(report: Report, has_name: bool) -> str:
    rows = "".join(_score_row(digit, score) for digit, score in enumerate(report.per_digit))
    head = "".join(f'<th scope="col" title="{meaning}">{name}</th>' for name, meaning in SCORE_HEADS)
    whose = f" · {escape(report.checkpoint)}" if has_name else ""
    return (
        f'<table class="report-table report-digits"><caption>Each digit, in %{whose}</caption>'
        f'<thead><tr><th scope="col">Digit</th>{head}</tr></thead><tbody>{rows}</tbody></table>'
    )


def _score_row(digit: int, score: DigitScore) -> str:
    shares = "".join(f"<td>{100 * share:.2f}</td>" for share in (score.precision, score.recall, score.f1))
    return f'<tr><th scope="row">{digit}</th>{shares}<td>{score.support:,}</td></tr>'


def _render_thresholds(report: Report) -> str:
    points = [report.at_threshold(threshold) for threshold in SHOWN_THRESHOLDS]
    rows = [(f"{point.threshold:g}", percent(point.coverage), percent(point.risk)) for point in points]
    return render_table(f"Risk and coverage · {report.checkpoint}", ("Threshold", "Answered", "Wrong of those"), rows)


def _render_bins(report: Report) -> str:
    rows = [
        (f"{each.low:.2f}–{each.high:.2f}", f"{each.n:,}", percent(each.confidence), percent(each.accuracy))
        for each in report.reliability
        if each.n
    ]
    return render_table(f"Reliability · {report.checkpoint}", ("Bin", "Images", "Mean confidence", "Right"), rows)


def _coverage(share: float) -> str:
    """With one decimal, and more where one would round a rest away."""
    return f"{100 * share:.1f}\u00a0%" if share <= 0.9995 or share == 1 else percent(share)


def _signed(points: float) -> str:
    """A number of points with its sign, a real minus."""
    return f"{points:+.2f}".replace("-", "\u2212")


def _describe_p(p_value: float) -> str:
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"
