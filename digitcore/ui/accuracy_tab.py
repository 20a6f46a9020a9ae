"""The Accuracy tab: measure a checkpoint on a data set, live, and see where it fails."""

import importlib
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr

from digitcore.data import find_mnist
from digitcore.errors import DatasetError, DigitcoreError
from digitcore.reader import DigitReader
from digitcore.results import Report
from digitcore.ui.evaluate_api import (
    DATASET_TITLES,
    EVALUATE_QUEUE,
    UNEXPECTED,
    find_classifier,
    find_dataset,
    iterate_download,
    register_evaluate_api,
    run_evaluation,
)
from digitcore.ui.report_html import (
    REPORT_CSS,
    RunState,
    render_confusion,
    render_download,
    render_headline,
    render_mistakes,
    render_note,
    render_per_digit,
    render_waiting,
)

__all__ = ["build_accuracy_tab", "register_evaluate_api"]

logger = logging.getLogger(__name__)

CHECKPOINT_TITLES = {"digitnet": "DigitNet", "seed": "The article's CNN"}
UCI_SENTENCE = "1,797 digits of 13 writers, 8×8 pixels each, brought to 28×28; bundled with scikit-learn."
MNIST_SENTENCE = "The 10,000 test images of MNIST, none of which any checkpoint here was trained on or chosen by."
MNIST_MISSING = "MNIST is not on this machine. Run downloads it (11 MB) and checks it."
HOW_TO_SUPPLY = (
    "To supply MNIST by hand, put its four files into MNIST/raw of the folder that DIGITCORE_DATA names on the server."
)
INSTEAD = "MNIST could not be downloaded. Below is the report on the UCI digits instead."
INVITATION = "Press Run: every image is read before your eyes, and each mistake is shown."
QUEUED = "Waiting: evaluations take turns…"
LOADING = "Loading…"
NOTHING_READ = "Stopped before the first images were read."
# 2026-11-22T14:30:00+00:00
MAX_DATE_LENGTH = 25


def build_accuracy_tab(reader: DigitReader, tab: gr.Tab | None = None) -> None:
    """Lay out the tab inside the current `gr.Tab` and bind it.

    Args:
        reader: shared by all visitors; its device evaluates.
        tab: when it is opened, what the first report needs is imported; None leaves that to the first report.
    """
    with gr.Row(equal_height=False):
        dataset = gr.Radio(
            [(title, name) for name, title in DATASET_TITLES.items()],
            value="uci" if find_mnist() is None else "mnist",
            label="Data set",
            elem_id="accuracy-dataset",
            min_width=240,
        )
        checkpoint = gr.Radio(
            [(title, name) for name, title in CHECKPOINT_TITLES.items()],
            value="digitnet",
            label="Checkpoint",
            elem_id="accuracy-checkpoint",
            min_width=240,
        )
        with gr.Column(scale=0, min_width=220), gr.Row():
            run = gr.Button("Run", variant="primary", min_width=90, elem_id="accuracy-run")
            stop = gr.Button("Stop", interactive=False, min_width=90, elem_id="accuracy-stop")
    note = _report_part("accuracy-note")
    headline = _report_part("accuracy-headline", render_waiting(INVITATION))
    with gr.Row(equal_height=False):
        with gr.Column(min_width=320, scale=3):
            confusion = _report_part("accuracy-confusion")
        with gr.Column(min_width=320, scale=2):
            per_digit = _report_part("accuracy-digits")
    mistakes = _report_part("accuracy-mistakes")
    latest = gr.State()

    def describe(dataset_name: str, checkpoint_name: str) -> str:
        return render_note(_describe_choice(reader, dataset_name, checkpoint_name))

    def announce() -> dict[Any, Any]:
        """Answer the click at once, whoever else is being served."""
        parts = {part: "" for part in (confusion, per_digit, mistakes)}
        return parts | {headline: render_waiting(QUEUED), latest: None} | _buttons(run, stop, is_running=True)

    def measure(dataset_name: str, checkpoint_name: str) -> Iterator[dict[Any, Any]]:
        """Stream the report; whatever happens, the buttons come back."""
        yield {headline: render_waiting(LOADING)}
        try:
            if dataset_name == "mnist" and find_mnist() is None:
                try:
                    for what, share in iterate_download():
                        yield {headline: render_download(what, share)}
                    yield {note: describe(dataset_name, checkpoint_name)}
                except DatasetError as err:
                    dataset_name = "uci"
                    yield {note: _explain_fallback(reader, checkpoint_name, err)}
            images = find_dataset(dataset_name).images
            for report in run_evaluation(reader, dataset_name, checkpoint_name):
                state = RunState.DONE if report.done else RunState.RUNNING
                yield {
                    headline: render_headline(report, DATASET_TITLES[dataset_name], state),
                    confusion: render_confusion(report),
                    per_digit: render_per_digit(report),
                    mistakes: render_mistakes(report, images),
                    latest: report,
                }
        except DigitcoreError as err:
            yield {headline: render_note(str(err), is_problem=True)}
        except Exception:
            logger.exception("unexpected failure")
            yield {headline: render_note(UNEXPECTED, is_problem=True)}
        yield _buttons(run, stop, is_running=False)

    def show_stopped(report: Report | None) -> dict[Any, Any]:
        """Keep what was measured and say how far it came."""
        buttons = _buttons(run, stop, is_running=False)
        if report is None:
            return buttons | {headline: render_waiting(NOTHING_READ)}
        if report.done:
            return buttons
        return buttons | {headline: render_headline(report, DATASET_TITLES[report.dataset], RunState.STOPPED)}

    quiet = {"api_visibility": "private", "show_progress": "hidden"}
    parts = [headline, confusion, per_digit, mistakes, latest, run, stop]
    if tab is not None:
        tab.select(_prepare, queue=False, **quiet)
    gr.on(None, describe, [dataset, checkpoint], note, queue=False, **quiet)
    announced = run.click(announce, None, parts, queue=False, **quiet)
    measuring = announced.then(measure, [dataset, checkpoint], [note, *parts], **quiet, **EVALUATE_QUEUE)
    stop.click(None, cancels=[measuring], api_visibility="private").then(
        show_stopped, latest, [headline, run, stop], queue=False, **quiet
    )


def _prepare() -> None:
    """Import what serving starts without and the first report needs: a second or two."""
    for name in ("sklearn.metrics", "scipy.stats"):
        importlib.import_module(name)


def _report_part(elem_id: str, value: str = "") -> gr.HTML:
    """A place for a piece of the report, with the report's styles."""
    return gr.HTML(value, elem_id=elem_id, css_template=REPORT_CSS, apply_default_css=False, js_on_load=None)


def _buttons(run: gr.Button, stop: gr.Button, *, is_running: bool) -> dict[Any, Any]:
    return {run: gr.update(interactive=not is_running), stop: gr.update(interactive=is_running)}


def _describe_choice(reader: DigitReader, dataset_name: str, checkpoint_name: str) -> str:
    """What the data set is; and if MNIST is missing, how to get it and what is known of the checkpoint on it."""
    if find_mnist() is not None:
        return MNIST_SENTENCE if dataset_name == "mnist" else UCI_SENTENCE
    first = MNIST_MISSING if dataset_name == "mnist" else UCI_SENTENCE
    return f"{first} {HOW_TO_SUPPLY} {_describe_stored(reader, checkpoint_name)}"


def _explain_fallback(reader: DigitReader, checkpoint_name: str, err: DatasetError) -> str:
    """Why it is not MNIST that is measured, what is known of it, and how to supply it."""
    sentence = f"{INSTEAD} {HOW_TO_SUPPLY} {_describe_stored(reader, checkpoint_name)}"
    return render_note(sentence, is_problem=True, cause=str(err))


def _describe_stored(reader: DigitReader, checkpoint_name: str) -> str:
    """The MNIST figures stored with a checkpoint; "" if it cannot be loaded: the run itself will say why."""
    try:
        classifier = find_classifier(reader, checkpoint_name)
    except DigitcoreError:
        return ""
    return describe_stored(classifier.label, classifier.checkpoint.metrics)


def describe_stored(label: str, metrics: Mapping[str, Any]) -> str:
    """The test accuracy that metrics.json holds, as a sentence that says it is stored; "" without one.

    Args:
        label: name@hash of the checkpoint.
        metrics: content of metrics.json; from a stranger's repository, so nothing in it is taken on trust.
    """
    accuracy, n_test, measured = (metrics.get(key) for key in ("test_accuracy", "n_test", "measured"))
    if not isinstance(accuracy, float | int) or not 0 <= accuracy <= 1:
        return ""
    images = f"{n_test:,} test images" if isinstance(n_test, int) else "test images"
    when = f", measured {measured[:MAX_DATE_LENGTH]}" if isinstance(measured, str) else ""
    return f"Stored with {label}: {100 * accuracy:.2f} % right on MNIST's {images}{when}."
