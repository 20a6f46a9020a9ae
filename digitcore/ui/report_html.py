"""Report → HTML. Pure functions, tested without a page; everything that came from outside is escaped.

Colours come from Gradio's CSS variables, hence dark mode; right and wrong are told by blue and orange of Okabe & Ito's
palette, which colour-blind eyes keep apart, and never by colour alone.
"""

import base64
import io
from collections.abc import Iterable
from enum import StrEnum
from html import escape

import numpy as np
import numpy.typing as npt
from PIL import Image

from digitcore.reports import DigitScore, Mistake, Report

# A page of pictures that one still looks through; the report lists more.
MAX_PICTURES = 60


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


def render_download(what: str, share: float) -> str:
    """A download under way: which file, and how much of the whole is done, 0 to 1."""
    text = f"Downloading MNIST: {what} · {100 * share:.0f} %"
    return f'<section class="report-headline">{_progress_bar(share, text, "Download", RunState.RUNNING)}</section>'


def render_headline(report: Report, dataset_title: str, state: RunState) -> str:
    """The accuracy with its interval in large type, the other single figures, and the progress bar.

    Args:
        report: finished or partial.
        dataset_title: as the visitor knows the data set.
        state: whether the run goes on, was stopped, or is done.

    Returns:
        A section; the empty data set gives a sentence instead.
    """
    if not report.n_total:
        return render_waiting(f"{dataset_title} is empty: there is nothing to measure.")
    low, high = report.interval
    n_wrong = report.n - report.n_correct
    role = "" if state is RunState.RUNNING else ' role="status"'
    return (
        f'<section class="report-headline" aria-label="Accuracy"><p class="report-accuracy"{role}>'
        f'<strong>{_percent(report.accuracy)}</strong> <span class="report-interval">right, 95 % interval '
        f"{100 * low:.2f}–{_percent(high)}</span></p>"
        f'<p class="report-facts"><span>{escape(report.checkpoint)} on {escape(dataset_title)}</span>'
        f"<span>{n_wrong:,} of {report.n:,} wrong</span>"
        '<span title="Mean distance of confidence from accuracy, over 15 bins (ECE)">'
        f"calibration error {_percent(report.ece)}</span></p>"
        f"{_progress_bar(report.n / report.n_total, _describe_progress(report, state), 'Images read', state)}</section>"
    )


def render_confusion(report: Report) -> str:
    """The confusion matrix as a table of counts: a row a true digit, a column what was read."""
    largest_error = max(
        (count for truth, row in enumerate(report.confusion) for read, count in enumerate(row) if truth != read),
        default=0,
    )
    head = "".join(f'<th scope="col">{digit}</th>' for digit in range(len(report.confusion)))
    rows = "".join(
        f'<tr><th scope="row">{truth}</th>{"".join(_confusion_cells(truth, row, largest_error))}</tr>'
        for truth, row in enumerate(report.confusion)
    )
    return (
        '<table class="report-confusion"><caption>Confusion matrix: rows are the truth, columns what was read</caption>'
        f'<thead><tr><td class="corner"></td>{head}</tr></thead><tbody>{rows}</tbody></table>'
    )


def render_per_digit(report: Report) -> str:
    """Precision, recall, F1 and support of each digit as a table."""
    rows = "".join(_per_digit_row(digit, score) for digit, score in enumerate(report.per_digit))
    heads = (
        ("Precision", "Of what was read as this digit, the share that is one"),
        ("Recall", "Of the images of this digit, the share that was read right"),
        ("F1", "Harmonic mean of precision and recall"),
        ("Images", "Images of this digit so far"),
    )
    head = "".join(f'<th scope="col" title="{meaning}">{name}</th>' for name, meaning in heads)
    return (
        '<table class="report-digits"><caption>Each digit, in %</caption>'
        f'<thead><tr><th scope="col">Digit</th>{head}</tr></thead><tbody>{rows}</tbody></table>'
    )


def render_mistakes(report: Report, images: npt.NDArray[np.uint8], max_pictures: int = MAX_PICTURES) -> str:
    """The mistakes as pictures, the most confident first, each with truth, reading and confidence.

    Args:
        report: whose mistakes index `images`.
        images: (N, 28, 28) uint8 of the data set.
        max_pictures: how many to show; the heading says how many there are.

    Returns:
        A section with its heading; without mistakes a sentence.
    """
    n_wrong = report.n - report.n_correct
    if not n_wrong:
        return render_waiting("No mistakes so far." if not report.done else "No mistakes.") if report.n else ""
    shown = report.mistakes[:max_pictures]
    if len(shown) < n_wrong:
        heading = f"The {len(shown)} most confident of {n_wrong:,} mistakes"
    else:
        heading = "The one mistake" if n_wrong == 1 else f"The {n_wrong} mistakes, most confident first"
    figures = "".join(_mistake_figure(mistake, images[mistake.index]) for mistake in shown)
    return f'<section class="report-mistakes"><h3>{heading}</h3><div class="grid">{figures}</div></section>'


def encode_png(image: npt.NDArray[np.uint8]) -> str:
    """An (H, W) uint8 picture as a PNG data URI."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _percent(share: float) -> str:
    return f"{100 * share:.2f}\u00a0%"


def _sure_percent(confidence: float) -> str:
    """A confidence in whole percent; never 100, which no network may claim."""
    return "over 99\u00a0%" if confidence >= 0.995 else f"{100 * confidence:.0f}\u00a0%"


def _describe_progress(report: Report, state: RunState) -> str:
    reach = f"{report.n:,} of {report.n_total:,} images" if report.n < report.n_total else f"{report.n:,} images"
    words = {RunState.RUNNING: "", RunState.STOPPED: "Stopped at ", RunState.DONE: "Done: "}
    return f"{words[state]}{reach} · {report.images_per_second:,.0f} images a second"


def _progress_bar(share: float, text: str, label: str, state: RunState) -> str:
    """A bar with its words below, that a screen reader can read too."""
    percent, text = f"{100 * share:.1f}", escape(text)
    return (
        f'<div class="report-progress {state}" role="progressbar" aria-label="{label}" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{percent}" aria-valuetext="{text}">'
        f'<span style="width: {percent}%"></span></div><p class="report-rate">{text}</p>'
    )


def _confusion_cells(truth: int, row: tuple[int, ...], largest_error: int) -> Iterable[str]:
    """A row's cells. Errors are shaded against the largest error, or a good network's would not show."""
    n_images = max(sum(row), 1)
    for read, count in enumerate(row):
        if truth == read:
            kind, shade = "right", count / n_images
        else:
            kind, shade = ("wrong", (count / largest_error) ** 0.5) if count else ("none", 0.0)
        title = f"{truth} read as {read}: {count:,} of {sum(row):,} ({_percent(count / n_images)})"
        yield f'<td class="{kind}" style="--shade: {shade:.2f}" title="{title}">{count}</td>'


def _per_digit_row(digit: int, score: DigitScore) -> str:
    shares = "".join(f"<td>{100 * share:.2f}</td>" for share in (score.precision, score.recall, score.f1))
    return f'<tr><th scope="row">{digit}</th>{shares}<td>{score.support:,}</td></tr>'


def _mistake_figure(mistake: Mistake, image: npt.NDArray[np.uint8]) -> str:
    truth, predicted = mistake.truth, mistake.predicted
    return (
        f'<figure title="Image {mistake.index}: a {truth} read as {predicted}">'
        f'<img src="{encode_png(image)}" width="56" height="56" alt="Image {mistake.index}">'
        f"<figcaption>{truth} → <strong>{predicted}</strong>"
        f"<span>{_sure_percent(mistake.confidence)}</span></figcaption></figure>"
    )


# Scoped by Gradio to the component it is given to; the --dc variables are the app's. Blue is #0072b2, orange #d55e00:
# shaded so lightly that the text keeps 4.5:1 on a light and on a dark ground.
REPORT_CSS = """
p { margin: 0; }
.report-note, .report-waiting { color: var(--dc-quiet); font-size: 15px; line-height: 1.5; }
.report-note.problem { padding: 12px 16px; border-left: 4px solid var(--dc-problem); border-radius: 4px;
  background: var(--dc-problem-surface); color: var(--dc-problem); overflow-wrap: anywhere; }
.report-note summary { cursor: pointer; }
.report-note details { margin-top: 4px; font-size: 13px; }
.report-accuracy { line-height: 1.3; }
.report-accuracy strong { margin-right: 8px; color: var(--dc-text); font-size: clamp(44px, 8vw, 64px); font-weight: 600;
  line-height: 1.1; letter-spacing: -0.01em; white-space: nowrap; }
.report-interval { display: inline-block; color: var(--dc-quiet); font-size: 18px; }
.report-facts { display: flex; flex-wrap: wrap; gap: 2px 24px; margin: 6px 0 14px; color: var(--dc-text);
  font-size: 15px; }
.report-facts span { overflow-wrap: anywhere; }
.report-progress { height: 8px; border-radius: 4px; overflow: hidden; background: var(--dc-track); }
.report-progress span { display: block; height: 100%; border-radius: 4px; background: #0072b2;
  transition: width .25s linear; }
.report-progress.stopped span { background: var(--dc-quiet); }
.report-rate { margin-top: 6px; color: var(--dc-quiet); font-size: 13px; }
table { width: 100%; margin: 0; padding: 0; border-collapse: separate; border-spacing: 2px; table-layout: fixed;
  color: var(--dc-text); font-variant-numeric: tabular-nums; }
caption { padding: 4px 0 8px; color: var(--dc-text); font-size: 15px; font-weight: 600; text-align: left; }
th, td { height: 30px; padding: 0; border: 0; background: none; color: var(--dc-text); font-size: 14px;
  text-align: center; }
th { color: var(--dc-quiet); font-weight: 500; }
.report-confusion .corner { width: 6%; }
.report-confusion td { border-radius: 4px; }
.report-confusion td.right { background: rgb(0 114 178 / calc(.5 * var(--shade))); }
.report-confusion td.wrong { outline: 1px solid #d55e00; outline-offset: -1px;
  background: rgb(213 94 0 / calc(.1 + .5 * var(--shade))); font-weight: 600; }
.report-confusion td.none { color: var(--dc-quiet); opacity: .45; }
.report-digits { border-spacing: 0; }
.report-digits th, .report-digits td { height: 32px; border-bottom: 1px solid var(--dc-line); text-align: right; }
.report-digits th:first-child { width: 13%; text-align: left; }
.report-digits tbody th { color: var(--dc-text); font-weight: 600; }
.report-mistakes h3 { margin: 8px 0 12px; color: var(--dc-text); font-size: 15px; font-weight: 600; }
.report-mistakes .grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(64px, 1fr)); gap: 14px 4px; }
.report-mistakes figure { margin: 0; text-align: center; }
.report-mistakes img { display: block; width: 56px; height: 56px; margin: 0 auto; border-radius: 6px;
  image-rendering: pixelated; }
.report-mistakes figcaption { margin-top: 4px; color: var(--dc-text); font-size: 14px; line-height: 1.3; }
.report-mistakes figcaption span { display: block; color: var(--dc-quiet); font-size: 12px; }
@media (max-width: 640px) {
  table { border-spacing: 1px; }
  .report-confusion th, .report-confusion td { height: 26px; border-radius: 2px; font-size: 10px; }
  .report-digits th, .report-digits td { font-size: 12px; }
}
@media (prefers-reduced-motion: reduce) { .report-progress span { transition: none; } }
"""
