"""One run of the Accuracy tab: it waits, fetches what it needs, measures, and says at every step what to show.

Whatever goes wrong, a run ends in a sentence and the buttons come back; whatever was measured until then is kept.
"""

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from digitcore.classifier import DigitClassifier
from digitcore.corruptions import corrupt
from digitcore.data import LabeledImages, find_mnist
from digitcore.errors import DatasetError, DigitcoreError
from digitcore.label_errors import find_disputed
from digitcore.metrics import measure_risk_coverage
from digitcore.reader import DigitReader
from digitcore.reports import RiskPoint, Snapshot
from digitcore.robustness_reports import RobustnessReport
from digitcore.ui.accuracy_choices import (
    HOW_TO_SUPPLY,
    Choice,
    find_checkpoints,
    find_images,
    render_choice,
    stored_sentence,
)
from digitcore.ui.accuracy_parts import DEFAULT_THRESHOLD, Parts
from digitcore.ui.charts import chart_corruptions, chart_reliability, chart_risk_coverage, chart_strengths
from digitcore.ui.confusion_html import render_confusion
from digitcore.ui.evaluate_api import UNEXPECTED, follow_download, follow_measurement, follow_robustness
from digitcore.ui.pictures_html import render_mistakes
from digitcore.ui.plotly_charts import render_plot
from digitcore.ui.report_export import Shown, write_files
from digitcore.ui.report_html import (
    RunState,
    render_chart_tables,
    render_headline,
    render_loading,
    render_note,
    render_per_digit,
    render_threshold,
    render_waiting,
)
from digitcore.ui.robustness_html import render_error_table, render_robustness

logger = logging.getLogger(__name__)

# What an event's handler returns: new values by component.
Updates = dict[Any, Any]

QUEUED = "Waiting: evaluations take turns…"
LOADING = "Loading…"
NOTHING_READ = "Stopped before the first images were read."
# What Gradio calls an error of which nothing is said.
UNTITLED = "Error"
INSTEAD = "MNIST could not be downloaded. Below is the report on the UCI digits instead."
# A stop is noticed this soon while something is being fetched.
PATIENCE_S = 0.1
# The page draws a plot anew whenever it is sent one, and decodes pictures: on its own machine that costs little, on one
# that evaluates meanwhile a tenth of a second each.
MIN_PLOT_INTERVAL_S = 2.0


class Run:
    """A visitor's run: whether it goes on, and what it has measured.

    Gradio's own `cancels` tears a generator down in the middle of a step, which at times leaves "Error" on the page:
    here a run is told to stop and ends by itself, keeping what it has.
    """

    def __init__(self) -> None:
        """It waits for its turn."""
        self._has_begun = False
        self._is_stopped = False
        self._lock = threading.Lock()
        self.shown: Shown | None = None
        self.threshold = DEFAULT_THRESHOLD

    def begin(self) -> bool:
        """Note that its turn has come; False if it was stopped before."""
        with self._lock:
            self._has_begun = True
            return not self._is_stopped

    def is_stopped(self) -> bool:
        """Whether it should end."""
        return self._is_stopped

    def stop(self) -> bool:
        """Have it end; True if it waited still, so that it will never say so itself."""
        with self._lock:
            was_waiting = not self._has_begun and not self._is_stopped
            self._is_stopped = True
            return was_waiting


class _StoppedError(Exception):
    """The run was told to stop before there was a report."""


def announce(parts: Parts, run: Run) -> Updates:
    """Answer the click at once, whoever else is being served; the last report goes."""
    hidden = {part: gr.update(visible=False) for part in (parts.evaluation, parts.robustness)}
    disabled = {part: gr.update(value=None, interactive=False) for part in (parts.json_file, parts.html_file)}
    emptied = {part: "" for part in (parts.confusion, parts.per_digit, parts.cell, parts.mistakes, parts.error_table)}
    return (
        hidden
        | disabled
        | emptied
        | {parts.headline: render_waiting(QUEUED), parts.current: run}
        | _set_buttons(parts, is_running=True)
    )


def stop(parts: Parts, run: Run | None) -> Updates:
    """Have a run end after its batch, keeping what it measured; one that still waits for its turn ends at once."""
    if run is None or not run.stop():
        return gr.skip()
    return _set_buttons(parts, is_running=False) | {parts.headline: render_waiting(NOTHING_READ)}


def carry_out(reader: DigitReader, parts: Parts, run: Run, choice: Choice) -> Iterator[Updates]:
    """Stream the report that the visitor chose.

    Each step repeats what those before it showed: the page drops what comes while it still builds a part that has just
    become visible, and of two steps in one frame it takes the later. Gradio sends the difference only.
    """
    if not run.begin():
        # Stopped while it waited for its turn; the page says so already.
        yield gr.skip()
        return
    shown: Updates = {}
    for updates in _carry_out(reader, parts, run, choice):
        shown |= updates
        # Copies: Gradio takes the value out of an update that it has sent.
        yield {part: dict(update) if isinstance(update, dict) else update for part, update in shown.items()}


def _carry_out(reader: DigitReader, parts: Parts, run: Run, choice: Choice) -> Iterator[Updates]:
    """What is new at each step."""
    yield {parts.headline: render_waiting(LOADING)}
    try:
        source = choice.source
        if source == "mnist" and find_mnist(split="test") is None:
            source = yield from _fetch_mnist(reader, parts, run, choice)
        classifiers = yield from _fetch(parts, run, lambda _: find_checkpoints(reader, choice))
        found = yield from _fetch(parts, run, partial(find_images, source, choice.upload))
        if found.remark:
            yield {parts.note: render_note(found.remark)}
        how = _measure_robustness if choice.is_suite else _measure
        yield from how(parts, run, choice, classifiers, found.labeled, found.title)
        if run.shown is not None:
            yield _offer_files(parts, run.shown)
    except _StoppedError:
        yield {parts.headline: render_waiting(NOTHING_READ)}
    except DigitcoreError as err:
        yield {parts.headline: render_note(str(err), is_problem=True)}
    except gr.Error as err:
        # ZeroGPU's: a quota that is used up, and when to come back.
        title = "" if err.title == UNTITLED else f"{err.title}: "
        yield {parts.headline: render_note(f"{title}{err.message!s}", is_problem=True)}
    except Exception:
        logger.exception("unexpected failure")
        yield {parts.headline: render_note(UNEXPECTED, is_problem=True)}
    finally:
        run.stop()
    yield _set_buttons(parts, is_running=False)


def choose_points(snapshot: Snapshot, threshold: float) -> tuple[RiskPoint, ...]:
    """What happens at a threshold, for each checkpoint: exactly there, not at the nearest one of the report."""
    return tuple(
        measure_risk_coverage(each.confidences, each.predicted == each.labels, (threshold,))[0]
        for each in snapshot.predictions
    )


def _with_state(items: Iterator[Any], is_done: Callable[[Any], bool]) -> Iterator[tuple[Any, RunState]]:
    """What is followed, and where the run stands; the last one again if it was stopped before the end."""
    newest = None
    for newest in items:
        yield newest, RunState.DONE if is_done(newest) else RunState.RUNNING
    if newest is None:
        raise _StoppedError
    if not is_done(newest):
        yield newest, RunState.STOPPED


class _PlotClock:
    """When plots and pictures are due: they follow more slowly than the figures, and are there in the end."""

    def __init__(self) -> None:
        self._drawn_at = -MIN_PLOT_INTERVAL_S

    def is_due(self, state: RunState) -> bool:
        now = time.monotonic()
        if state is RunState.RUNNING and now - self._drawn_at < MIN_PLOT_INTERVAL_S:
            return False
        self._drawn_at = now
        return True


def _measure(
    parts: Parts,
    run: Run,
    choice: Choice,
    classifiers: tuple[DigitClassifier, ...],
    labeled: LabeledImages,
    title: str,
) -> Iterator[Updates]:
    """The plain evaluation."""
    disputed = find_disputed(labeled)
    clock = _PlotClock()
    snapshots = follow_measurement(labeled, classifiers, is_stopped=run.is_stopped)
    for snapshot, state in _with_state(snapshots, lambda snapshot: snapshot.done):
        points = choose_points(snapshot, run.threshold)
        run.shown = Shown(title, state, labeled.images, snapshot, chosen=points, disputed=disputed)
        yield _show_figures(parts, run.shown) | (_show_slow_parts(parts, run.shown) if clock.is_due(state) else {})


def _measure_robustness(
    parts: Parts,
    run: Run,
    choice: Choice,
    classifiers: tuple[DigitClassifier, ...],
    labeled: LabeledImages,
    title: str,
) -> Iterator[Updates]:
    """The robustness suite."""
    clock = _PlotClock()
    suite = follow_robustness(labeled, classifiers, choice.strengths, choice.n_images, run.is_stopped)
    for reports, state in _with_state(suite, lambda reports: all(report.done for report in reports)):
        samples = _make_samples(reports[0], labeled)
        run.shown = Shown(title, state, labeled.images, robustness=reports, samples=samples)
        updates = {
            parts.robustness: gr.update(visible=True),
            parts.headline: render_robustness(reports, title, state),
            parts.error_table: render_error_table(reports, dict(samples)),
        }
        if reports[0].curves and clock.is_due(state):
            updates |= _plot_robustness(parts, reports, is_swept=choice.is_swept)
        yield updates


def _show_figures(parts: Parts, shown: Shown) -> Updates:
    reports = shown.snapshot.reports
    return {
        parts.evaluation: gr.update(visible=reports[0].n > 0),
        parts.headline: render_headline(shown.snapshot, shown.dataset_title, shown.state),
        parts.confusion: render_confusion(reports),
        parts.per_digit: render_per_digit(reports),
        parts.threshold_text: render_threshold(shown.labels, shown.chosen),
    }


def _show_slow_parts(parts: Parts, shown: Shown) -> Updates:
    reports = shown.snapshot.reports
    return {
        parts.risk_plot: render_plot(chart_risk_coverage(reports, shown.chosen)),
        parts.reliability_plot: render_plot(chart_reliability(reports)),
        parts.chart_tables: render_chart_tables(reports),
        parts.mistakes: render_mistakes(reports, shown.images),
    }


def _plot_robustness(parts: Parts, reports: tuple[RobustnessReport, ...], is_swept: bool) -> Updates:
    bars = render_plot(chart_corruptions(reports, reports[0].strengths[-1]))
    lines = gr.update(visible=is_swept, value=render_plot(chart_strengths(reports)) if is_swept else None)
    return {parts.corruption_plot: bars, parts.strength_plot: lines}


def _make_samples(report: RobustnessReport, labeled: LabeledImages) -> tuple[tuple[str, Any], ...]:
    """What each corruption measured so far does to the first image, at the largest strength."""
    first = labeled.images[:1]
    return tuple(
        (curve.kind, corrupt(first, curve.kind, report.seed, report.strengths[-1])[0]) for curve in report.curves
    )


def _fetch_mnist(reader: DigitReader, parts: Parts, run: Run, choice: Choice) -> Generator[Updates, None, str]:
    """Download MNIST, showing how far it is; returns the data set to measure: the UCI digits if MNIST cannot be had."""
    try:
        for what, share in follow_download(run.is_stopped):
            yield {parts.headline: render_loading("Downloading MNIST", what, share)}
    except DatasetError as err:
        sentence = f"{INSTEAD} {HOW_TO_SUPPLY} {stored_sentence(reader, choice.checkpoint)}".strip()
        yield {parts.note: render_note(sentence, is_problem=True, cause=str(err))}
        return "uci"
    if run.is_stopped():
        raise _StoppedError
    yield {parts.note: render_choice(reader, choice.dataset, choice.base, choice.checkpoint)}
    return "mnist"


def _fetch(
    parts: Parts, run: Run, load: Callable[[Callable[[str, float], None]], Any]
) -> Generator[Updates, None, Any]:
    """What `load` returns, showing the progress that it notes; Stop waits neither for the Hub nor for many pictures."""
    newest: list[tuple[str, float]] = []

    def note(what: str, share: float) -> None:
        if run.is_stopped():
            raise _StoppedError
        newest[:] = [(what, share)]

    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="accuracy")
    try:
        loading = pool.submit(load, note)
        while not wait([loading], PATIENCE_S).done:
            if run.is_stopped():
                raise _StoppedError
            if newest:
                yield {parts.headline: render_loading("Reading your pictures", *newest.pop())}
        return loading.result()
    finally:
        pool.shutdown(wait=False)


def _offer_files(parts: Parts, shown: Shown) -> Updates:
    """The report as files, for an hour, in Gradio's own folder: what it serves and deletes."""
    json_path, html_path = write_files(shown, Path(get_upload_folder()))
    return {
        parts.json_file: gr.update(value=str(json_path), interactive=True),
        parts.html_file: gr.update(value=str(html_path), interactive=True),
    }


def _set_buttons(parts: Parts, *, is_running: bool) -> Updates:
    return {parts.run: gr.update(interactive=not is_running), parts.stop: gr.update(interactive=is_running)}
