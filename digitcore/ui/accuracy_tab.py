"""The Accuracy tab: measure checkpoints on a data set, live, and see where they fail."""

from dataclasses import replace
from functools import partial
from html import escape
from typing import Any

import gradio as gr

from digitcore.live import LiveReader
from digitcore.reader import DigitReader
from digitcore.results import N_CLASSES
from digitcore.ui.accuracy_choices import HUB, OWN_DATASET, SUITE, Choice, offer_checkpoints, render_choice
from digitcore.ui.accuracy_parts import REDRAW_JS, SHOW_SHARES_JS, Parts, lay_out
from digitcore.ui.accuracy_run import Run, Updates, announce, carry_out, choose_points, stop
from digitcore.ui.charts import chart_risk_coverage
from digitcore.ui.evaluate_api import EVALUATE_QUEUE
from digitcore.ui.pad import lay_on_pad
from digitcore.ui.pictures_html import render_cell, sure_percent, with_article
from digitcore.ui.plotly_charts import render_plot
from digitcore.ui.report_export import Shown
from digitcore.ui.report_html import render_threshold
from digitcore.ui.sketch_tab import FOCUS_PAD_JS, TAB_ID, SketchTab

GONE = "This report is no longer there. Press Run to measure anew."
# Private, and without an overlay: these answer in milliseconds.
QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


def build_accuracy_tab(
    reader: DigitReader, tabs: gr.Tabs | None = None, tab: gr.Tab | None = None, sketch: SketchTab | None = None
) -> None:
    """Lay out the tab inside the current `gr.Tab` and bind it.

    Args:
        reader: shared by all visitors; its device evaluates.
        tabs: the page's; with `sketch`, where a pressed picture is opened.
        tab: this one; plots take their width when it is opened.
        sketch: the Sketch tab; None leaves the pictures without an effect.
    """
    parts = lay_out(reader)
    if tab is not None:
        tab.select(None, js=REDRAW_JS, **QUIET)
    _bind_choices(reader, parts)
    _bind_run(reader, parts)
    _bind_report(parts)
    if tabs is not None and sketch is not None:
        _bind_pictures(reader, parts, tabs, sketch)


def _bind_choices(reader: DigitReader, parts: Parts) -> None:
    """Show what a choice needs, and say what it is."""
    named = [parts.dataset, parts.base, parts.checkpoint]
    # Without triggers: when the page is opened and when the choice changes.
    gr.on(None, partial(render_choice, reader), named, parts.note, queue=False, **QUIET)
    for radio, name, part in (
        (parts.dataset, SUITE, parts.suite),
        (parts.checkpoint, HUB, parts.hub_id),
        (parts.other, HUB, parts.other_hub_id),
    ):
        radio.change(partial(_show_if, name), radio, part, queue=False, **QUIET)
    if isinstance(reader, LiveReader):
        # Without triggers and inputs: when the page is opened.
        refresh = partial(_refresh_checkpoints, reader, parts.checkpoint.value)
        gr.on(None, refresh, None, [parts.checkpoint, parts.other], queue=False, **QUIET)
    sources = [parts.dataset, parts.base]
    gr.on([each.change for each in sources], _show_upload, sources, parts.own, queue=False, **QUIET)


def _bind_run(reader: DigitReader, parts: Parts) -> None:
    def begin() -> Updates:
        return announce(parts, Run())

    def measure(run: Run, *choice: Any) -> Any:
        yield from carry_out(reader, parts, run, Choice(*choice))

    announced = parts.run.click(begin, None, [parts.current, *parts.report], queue=False, **QUIET)
    announced.then(measure, [parts.current, *parts.choice], parts.report, **QUIET, **EVALUATE_QUEUE)
    parts.stop.click(partial(stop, parts), parts.current, [parts.headline, parts.run, parts.stop], queue=False, **QUIET)


def _bind_report(parts: Parts) -> None:
    """What the visitor can turn and press in a report."""
    parts.matrix_mode.change(None, parts.matrix_mode, js=SHOW_SHARES_JS, **QUIET)
    parts.confusion.cell(_show_cell, parts.current, parts.cell, queue=False, **QUIET)
    for event in (parts.threshold.input, parts.threshold.change):
        event(
            _set_threshold,
            [parts.current, parts.threshold],
            parts.threshold_text,
            queue=False,
            trigger_mode="always_last",
            **QUIET,
        )
    # The plot is drawn anew once the slider is let go.
    parts.threshold.release(_mark_threshold, parts.current, parts.risk_plot, queue=False, **QUIET)


def _bind_pictures(reader: DigitReader, parts: Parts, tabs: gr.Tabs, sketch: SketchTab) -> None:
    def open_picture(run: Run | None, event: gr.EventData) -> tuple[Any, ...]:
        picture = _find_picture(run, event)
        if picture is None:
            raise gr.Error(GONE, print_exception=False)
        index, which = picture
        note = render_origin(run.shown, index, which, reader.classifier.label)
        return gr.Tabs(selected=TAB_ID), lay_on_pad(run.shown.images[index]), note

    for part in (parts.mistakes, parts.cell):
        opened = part.open(open_picture, parts.current, [tabs, sketch.pad, sketch.note], queue=False, **QUIET)
        opened.then(None, js=FOCUS_PAD_JS, **QUIET)


def render_origin(shown: Shown, index: int, which: int, reader_label: str) -> str:
    """What lies on the pad and what a checkpoint made of it.

    Args:
        shown: the report that the picture was pressed in.
        index: of the image.
        which: checkpoint, 0 or 1.
        reader_label: of the checkpoint that reads the sketches.
    """
    predictions, label = shown.snapshot.predictions[which], shown.labels[which]
    truth, predicted = int(predictions.labels[index]), int(predictions.predicted[index])
    sure = sure_percent(float(predictions.confidences[index]))
    by = "" if label == reader_label else f" This tab reads with {reader_label}."
    sentence = (
        f"{shown.dataset_title}, image {index}: {with_article(truth)}, which {label} read as "
        f"{with_article(predicted)}, {sure} sure. "
        f"Here it is found and brought to size anew, as any drawing, so the answer may be another one.{by} "
        "Add a stroke, and see it change."
    )
    return f'<p class="dc-notice dc-origin" role="status">{escape(sentence)}</p>'


def _refresh_checkpoints(reader: DigitReader, chosen: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What can be measured now: the app's own may be another one than when the tab was laid out, with `chosen`."""
    checkpoints, others, own = offer_checkpoints(reader)
    value = {} if own == chosen else {"value": own}
    return gr.update(choices=checkpoints, **value), gr.update(choices=others)


def _show_if(name: str, chosen: str) -> dict[str, Any]:
    return gr.update(visible=chosen == name)


def _show_upload(dataset: str, base: str) -> dict[str, Any]:
    """For one's own pictures, as they are or to be corrupted."""
    return gr.update(visible=OWN_DATASET in (dataset, base if dataset == SUITE else ""))


def _show_cell(run: Run | None, event: gr.EventData) -> str:
    """The images of the cell that was pressed."""
    if run is None or run.shown is None or run.shown.snapshot is None:
        raise gr.Error(GONE, print_exception=False)
    shown = run.shown
    truth, predicted, which = (_whole(event, name) for name in ("truth", "predicted", "which"))
    if not (0 <= truth < N_CLASSES and 0 <= predicted < N_CLASSES and 0 <= which < len(shown.labels)):
        raise gr.Error(GONE, print_exception=False)
    return render_cell(
        shown.snapshot.predictions[which],
        shown.snapshot.reports[which],
        which,
        (truth, predicted),
        shown.images,
        shown.disputed,
    )


def _set_threshold(run: Run | None, threshold: float) -> Any:
    """Say what happens at the slider's place; a run that goes on takes it from here too."""
    if run is None or not isinstance(threshold, int | float):
        return gr.skip()
    run.threshold = float(threshold)
    shown = run.shown
    if shown is None or shown.snapshot is None or not shown.snapshot.reports[0].n:
        return gr.skip()
    points = choose_points(shown.snapshot, run.threshold)
    run.shown = replace(shown, chosen=points)
    return render_threshold(shown.labels, points)


def _mark_threshold(run: Run | None) -> Any:
    if run is None or run.shown is None or run.shown.snapshot is None:
        return gr.skip()
    snapshot = run.shown.snapshot
    return render_plot(chart_risk_coverage(snapshot.reports, choose_points(snapshot, run.threshold)))


def _find_picture(run: Run | None, event: gr.EventData) -> tuple[int, int] | None:
    """Which image of which checkpoint was pressed, if the report has it."""
    if run is None or run.shown is None or run.shown.snapshot is None:
        return None
    index, which = _whole(event, "index"), _whole(event, "which")
    if not 0 <= which < len(run.shown.labels) or not 0 <= index < len(run.shown.snapshot.predictions[which]):
        return None
    return index, which


def _whole(event: gr.EventData, name: str) -> int:
    """A whole number that came with an event; -1 for anything else."""
    value = event._data.get(name) if isinstance(event._data, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else -1
