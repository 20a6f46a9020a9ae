"""Pictures of single images as HTML: the most confident mistakes, and the images of one cell of the confusion matrix.

Each is a button that opens the image in the Sketch tab (report.js says which was pressed); in an exported report, which
has no Sketch tab, plain figures.
"""

import base64
import io
from collections.abc import Container, Iterable, Sequence
from html import escape

import numpy as np
import numpy.typing as npt
from PIL import Image

from digitcore.label_errors import CITATION, SOURCE_URL
from digitcore.reports import Mistake, Predictions, Report
from digitcore.ui.report_html import render_waiting

# A page of pictures that one still looks through; the report lists more.
MAX_PICTURES = 60
HOW_TO_OPEN = "Press one to open it in the Sketch tab, add a stroke, and see the answer change."
DISPUTED_MARK = "disputed label"

Images = npt.NDArray[np.uint8]


def render_mistakes(
    reports: Sequence[Report], images: Images, max_pictures: int = MAX_PICTURES, *, is_pressable: bool = True
) -> str:
    """The mistakes of each checkpoint as pictures, the most confident first.

    Args:
        reports: of one or two checkpoints; their mistakes index `images`.
        images: (N, 28, 28) uint8 of the data set.
        max_pictures: how many of each to show; the heading says how many there are.
        is_pressable: whether the pictures are buttons.

    Returns:
        A section for each checkpoint, then the source of what is disputed; without mistakes a sentence.
    """
    if not any(report.n for report in reports):
        return ""
    sections = "".join(
        _render_section(report, which, images, max_pictures, len(reports) > 1, is_pressable)
        for which, report in enumerate(reports)
    )
    is_any_wrong = any(report.mistakes for report in reports)
    how = f'<p class="report-hint">{HOW_TO_OPEN}</p>' if is_any_wrong and is_pressable else ""
    shown = (mistake for report in reports for mistake in report.mistakes[:max_pictures])
    source = (
        f'<p class="report-hint">“{DISPUTED_MARK}”: most of five people did not see the digit that the label says. '
        f'Source: <a href="{SOURCE_URL}" target="_blank" rel="noreferrer">{escape(CITATION)}</a>.</p>'
        if any(mistake.disputed for mistake in shown)
        else ""
    )
    return f'{how}<div class="report-sides">{sections}</div>{source}'


def render_cell(
    predictions: Predictions,
    report: Report,
    which: int,
    cell: tuple[int, int],
    images: Images,
    disputed: Container[int] = (),
    max_pictures: int = MAX_PICTURES,
) -> str:
    """The images of one cell of the confusion matrix, the most confident first.

    Args:
        predictions: of the checkpoint whose matrix it is.
        report: of that checkpoint.
        which: 0 for the first checkpoint, 1 for the second.
        cell: truth and prediction.
        images: (N, 28, 28) uint8 of the data set.
        disputed: indices of the images whose label is.
        max_pictures: how many to show; the heading says how many there are.

    Returns:
        A section, announced to screen readers; an empty cell gives a sentence.
    """
    truth, predicted = cell
    indices = predictions.indices_of(truth, predicted)
    if not indices:
        return render_waiting(f"No {truth} was read as {predicted}.")
    shown = [
        Mistake(i, truth, predicted, float(predictions.confidences[i]), i in disputed) for i in indices[:max_pictures]
    ]
    what = f"{truth} read as {predicted}" if truth != predicted else f"{truth} read right"
    count = f"{len(indices):,} {'image' if len(indices) == 1 else 'images'}"
    first = f", the {len(shown)} most confident" if len(shown) < len(indices) else ""
    figures = "".join(_render_figures(shown, which, images, is_pressable=True))
    return (
        f'<section class="report-mistakes" role="status"><h3>{what}: {count}{first} · {escape(report.checkpoint)}</h3>'
        f'<div class="grid">{figures}</div></section>'
    )


def encode_png(image: Images) -> str:
    """An (H, W) uint8 picture as a PNG data URI."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def sure_percent(confidence: float) -> str:
    """A confidence in whole percent; never 100, which no network may claim."""
    return "over 99\u00a0%" if confidence >= 0.995 else f"{100 * confidence:.0f}\u00a0%"


def with_article(digit: int) -> str:
    """As one says it: a 7, an 8."""
    return f"{'an' if digit == 8 else 'a'} {digit}"


def _render_section(
    report: Report, which: int, images: Images, max_pictures: int, has_name: bool, is_pressable: bool
) -> str:
    n_wrong = report.n - report.n_correct
    whose = f" · {escape(report.checkpoint)}" if has_name else ""
    if not n_wrong:
        return render_waiting(f"{'No mistakes.' if report.done else 'No mistakes so far.'}{whose}")
    shown = report.mistakes[:max_pictures]
    if len(shown) < n_wrong:
        heading = f"The {len(shown)} most confident of {n_wrong:,} mistakes"
    else:
        heading = "The one mistake" if n_wrong == 1 else f"The {n_wrong} mistakes, most confident first"
    figures = "".join(_render_figures(shown, which, images, is_pressable))
    return f'<section class="report-mistakes"><h3>{heading}{whose}</h3><div class="grid">{figures}</div></section>'


def _render_figures(mistakes: Iterable[Mistake], which: int, images: Images, is_pressable: bool) -> Iterable[str]:
    for mistake in mistakes:
        what = f"Image {mistake.index}: {with_article(mistake.truth)} read as {with_article(mistake.predicted)}"
        sure = sure_percent(mistake.confidence)
        mark = f'<span class="disputed">{DISPUTED_MARK}</span>' if mistake.disputed else ""
        inside = (
            f'<img src="{encode_png(images[mistake.index])}" width="56" height="56" alt="Image {mistake.index}">'
            f"<figcaption>{mistake.truth} → <strong>{mistake.predicted}</strong><span>{sure}</span>{mark}</figcaption>"
        )
        figure = f'<figure title="{what}">{inside}</figure>'
        if not is_pressable:
            yield figure
            continue
        label = f"{what}, {sure} sure{f', {DISPUTED_MARK}' if mistake.disputed else ''}. Open it in the Sketch tab"
        yield (
            f'<button type="button" class="report-picture" data-open="{mistake.index}" data-which="{which}" '
            f'aria-label="{label}">{figure}</button>'
        )
