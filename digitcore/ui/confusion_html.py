"""The confusion matrix as HTML: a table whose cells are buttons, with counts and shares both in it.

report.css shows counts or shares, as the page is set; report.js moves between the cells by arrow keys and says which
was pressed.
"""

from collections.abc import Iterable, Sequence
from html import escape

from digitcore.reports import Report
from digitcore.ui.report_html import percent

CAPTION = "Confusion matrix: rows are the truth, columns what was read"
HOW_TO_PRESS = "Press a cell to see its images; arrow keys move between cells."
# A share of this or more would be cut by a phone's cell if it had a decimal.
MAX_DECIMAL_PERCENT = 99.95


def render_confusion(reports: Sequence[Report], *, is_pressable: bool = True) -> str:
    """A matrix for each checkpoint: a row a true digit, a column what was read.

    Args:
        reports: of one or two checkpoints.
        is_pressable: whether the cells are buttons; not in an exported report.

    Returns:
        Tables of counts and of shares of the row, of which the page shows one.
    """
    tables = "".join(_render_matrix(report, i, len(reports) > 1, is_pressable) for i, report in enumerate(reports))
    how = f'<p class="report-hint">{HOW_TO_PRESS}</p>' if is_pressable else ""
    return f'<div class="report-sides">{tables}</div>{how}'


def _render_matrix(report: Report, which: int, has_name: bool, is_pressable: bool) -> str:
    largest_error = max(
        (count for truth, row in enumerate(report.confusion) for read, count in enumerate(row) if truth != read),
        default=0,
    )
    head = "".join(f'<th scope="col">{digit}</th>' for digit in range(len(report.confusion)))
    rows = "".join(
        f'<tr><th scope="row">{truth}</th>{"".join(_render_cells(truth, row, largest_error, which, is_pressable))}</tr>'
        for truth, row in enumerate(report.confusion)
    )
    whose = f" · {escape(report.checkpoint)}" if has_name else ""
    return (
        f'<table class="report-table report-confusion" data-which="{which}"><caption>{CAPTION}{whose}</caption>'
        f'<thead><tr><td class="corner"></td>{head}</tr></thead><tbody>{rows}</tbody></table>'
    )


def _render_cells(
    truth: int, row: tuple[int, ...], largest_error: int, which: int, is_pressable: bool
) -> Iterable[str]:
    """A row's cells. Errors are shaded against the largest error, or a good network's would not show."""
    n_images = sum(row)
    for read, count in enumerate(row):
        share = count / max(n_images, 1)
        if truth == read:
            kind, shade = "right", share
        else:
            kind, shade = ("wrong", (count / largest_error) ** 0.5) if count else ("none", 0.0)
        title = f"{truth} read as {read}: {count:,} of {n_images:,} ({percent(share)})"
        inside = f'<span class="count">{count}</span><span class="share">{_short_percent(share)}</span>'
        if is_pressable:
            # One stop for the tab key in each matrix; from there the arrows.
            stop = 0 if truth == read == 0 else -1
            inside = (
                f'<button type="button" data-cell="{truth}{read}" data-which="{which}" tabindex="{stop}" '
                f'aria-label="{title}">{inside}</button>'
            )
        yield f'<td class="{kind}" style="--shade: {shade:.2f}" title="{title}">{inside}</td>'


def _short_percent(share: float) -> str:
    """In percent without the sign, as short as a phone's cell is narrow."""
    value = 100 * share
    return "0" if not value else "100" if value >= MAX_DECIMAL_PERCENT else f"{value:.1f}"
