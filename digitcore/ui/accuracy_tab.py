"""The Accuracy tab: measure a checkpoint on a data set, live, and see where it fails."""

import importlib
import logging
import secrets
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from digitcore.classifier import DigitClassifier
from digitcore.data import find_mnist
from digitcore.errors import CheckpointError, DatasetError, DigitcoreError
from digitcore.evaluation import evaluate
from digitcore.reader import DigitReader
from digitcore.reports import Report
from digitcore.ui.evaluate_api import (
    DATASET_TITLES,
    EVALUATE_QUEUE,
    UNEXPECTED,
    find_classifier,
    find_dataset,
    iterate_download,
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

logger = logging.getLogger(__name__)

# What an event's handler returns: new values by component.
Updates = dict[Any, Any]

# The radio's name for a checkpoint that the app was started with and that is none of those shipped.
OWN = "own"
CHECKPOINT_TITLES = {"digitnet": "DigitNet", "seed": "The article's CNN"}
UCI_SENTENCE = "1,797 digits of 13 writers, 8×8 pixels each, brought to 28×28; bundled with scikit-learn."
MNIST_SENTENCE = "The 10,000 test images of MNIST. Neither checkpoint shipped here was trained on or chosen by them."
MNIST_MISSING = "MNIST is not on this machine. Run downloads it (11 MB) and checks it."
HOW_TO_SUPPLY = (
    "To supply MNIST by hand, put its four files into MNIST/raw of the folder that DIGITCORE_DATA names on the server."
)
INSTEAD = "MNIST could not be downloaded. Below is the report on the UCI digits instead."
INVITATION = "Press Run: every image is read before your eyes, and each mistake is shown."
QUEUED = "Waiting: evaluations take turns…"
LOADING = "Loading…"
NOTHING_READ = "Stopped before the first images were read."
# As in 2026-11-22T14:30:00+00:00.
MAX_DATE_LENGTH = 25


@dataclass(frozen=True, slots=True)
class _Parts:
    """The tab's components."""

    dataset: gr.Radio
    checkpoint: gr.Radio
    run: gr.Button
    stop: gr.Button
    note: gr.HTML
    headline: gr.HTML
    confusion: gr.HTML
    per_digit: gr.HTML
    mistakes: gr.HTML
    run_id: gr.State


class _Runs:
    """Which runs wait for their turn and which are under way; one that was told to stop is in neither set.

    Gradio's own `cancels` tears a generator down in the middle of a step, which at times leaves "Error" on the page.
    """

    def __init__(self) -> None:
        """Nothing runs yet."""
        self._waiting: set[str] = set()
        self._running: set[str] = set()
        self._lock = threading.Lock()

    def announce(self) -> str:
        """A name for a run that now waits for its turn."""
        run_id = secrets.token_hex(8)
        with self._lock:
            self._waiting.add(run_id)
        return run_id

    def begin(self, run_id: str) -> bool:
        """Note that a run's turn has come; False if it was stopped before."""
        with self._lock:
            if run_id not in self._waiting:
                return False
            self._waiting.remove(run_id)
            self._running.add(run_id)
            return True

    def is_stopped(self, run_id: str) -> bool:
        """Whether a run that has begun should end."""
        return run_id not in self._running

    def stop(self, run_id: str) -> bool:
        """End a run; True if it waited still, so that it will never say so itself."""
        with self._lock:
            was_waiting = run_id in self._waiting
            self._waiting.discard(run_id)
            self._running.discard(run_id)
            return was_waiting


class _StoppedError(Exception):
    """The run was told to stop before there was a report."""


def build_accuracy_tab(reader: DigitReader, tab: gr.Tab | None = None) -> None:
    """Lay out the tab inside the current `gr.Tab` and bind it.

    Args:
        reader: shared by all visitors; its device evaluates.
        tab: when it is opened, what the first report needs is imported; None leaves that to the first report.
    """
    parts = _lay_out(reader)
    choice = [parts.dataset, parts.checkpoint]
    report = [parts.headline, parts.confusion, parts.per_digit, parts.mistakes, parts.run, parts.stop]
    runs = _Runs()
    quiet = {"api_visibility": "private", "show_progress": "hidden"}
    if tab is not None:
        tab.select(_prepare, queue=False, **quiet)
    # Without triggers: when the page is opened and when the choice changes.
    gr.on(None, partial(_render_choice, reader), choice, parts.note, queue=False, **quiet)
    announced = parts.run.click(partial(_announce, parts, runs), None, [parts.run_id, *report], queue=False, **quiet)
    announced.then(
        partial(_measure, reader, parts, runs),
        [parts.run_id, *choice],
        [parts.note, *report],
        **quiet,
        **EVALUATE_QUEUE,
    )
    parts.stop.click(
        partial(_stop, parts, runs), parts.run_id, [parts.headline, parts.run, parts.stop], queue=False, **quiet
    )


def _lay_out(reader: DigitReader) -> _Parts:
    """Choices and buttons on top, then the report."""
    with gr.Row(equal_height=False):
        dataset = gr.Radio(
            [(title, name) for name, title in DATASET_TITLES.items()],
            value="uci" if find_mnist() is None else "mnist",
            label="Data set",
            elem_id="accuracy-dataset",
            min_width=240,
        )
        choices, default = _list_checkpoints(reader)
        checkpoint = gr.Radio(choices, value=default, label="Checkpoint", elem_id="accuracy-checkpoint", min_width=240)
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
    return _Parts(dataset, checkpoint, run, stop, note, headline, confusion, per_digit, mistakes, run_id=gr.State())


def _announce(parts: _Parts, runs: _Runs) -> Updates:
    """Answer the click at once, whoever else is being served."""
    empty = {part: "" for part in (parts.confusion, parts.per_digit, parts.mistakes)}
    return (
        empty
        | {parts.headline: render_waiting(QUEUED), parts.run_id: runs.announce()}
        | _set_buttons(parts, is_running=True)
    )


def _measure(
    reader: DigitReader, parts: _Parts, runs: _Runs, run_id: str, dataset_name: str, checkpoint_name: str
) -> Iterator[Updates]:
    """Stream the report; whatever goes wrong, it ends in a sentence and the buttons come back."""
    if not runs.begin(run_id):
        # Stopped while it waited for its turn; the page says so already.
        yield gr.skip()
        return
    yield {parts.headline: render_waiting(LOADING)}
    try:
        if dataset_name == "mnist" and find_mnist() is None:
            dataset_name = yield from _fetch_mnist(reader, parts, checkpoint_name, partial(runs.is_stopped, run_id))
        labeled = find_dataset(dataset_name)
        for report in evaluate(_find_choice(reader, checkpoint_name), labeled):
            is_stopped = runs.is_stopped(run_id) and not report.done
            yield {
                parts.headline: render_headline(report, DATASET_TITLES[dataset_name], _state_of(report, is_stopped)),
                parts.confusion: render_confusion(report),
                parts.per_digit: render_per_digit(report),
                parts.mistakes: render_mistakes(report, labeled.images),
            }
            if is_stopped:
                break
    except _StoppedError:
        yield {parts.headline: render_waiting(NOTHING_READ)}
    except DigitcoreError as err:
        yield {parts.headline: render_note(str(err), is_problem=True)}
    except Exception:
        logger.exception("unexpected failure")
        yield {parts.headline: render_note(UNEXPECTED, is_problem=True)}
    finally:
        runs.stop(run_id)
    yield _set_buttons(parts, is_running=False)


def _fetch_mnist(
    reader: DigitReader, parts: _Parts, checkpoint_name: str, is_stopped: Callable[[], bool]
) -> Generator[Updates, None, str]:
    """Download MNIST, showing how far it is; returns the data set to measure: the UCI digits if MNIST cannot be had."""
    try:
        for what, share in iterate_download():
            if is_stopped():
                raise _StoppedError
            yield {parts.headline: render_download(what, share)}
    except DatasetError as err:
        sentence = f"{INSTEAD} {HOW_TO_SUPPLY} {_describe_stored(reader, checkpoint_name)}"
        yield {parts.note: render_note(sentence, is_problem=True, cause=str(err))}
        return "uci"
    yield {parts.note: _render_choice(reader, "mnist", checkpoint_name)}
    return "mnist"


def _stop(parts: _Parts, runs: _Runs, run_id: str | None) -> Updates:
    """Have a run end after its batch, keeping what it measured; one that still waits for its turn ends at once."""
    if run_id is None or not runs.stop(run_id):
        return gr.skip()
    return _set_buttons(parts, is_running=False) | {parts.headline: render_waiting(NOTHING_READ)}


def _state_of(report: Report, is_stopped: bool) -> RunState:
    if is_stopped:
        return RunState.STOPPED
    return RunState.DONE if report.done else RunState.RUNNING


def _prepare() -> None:
    """Import what serving starts without and the first report needs: a second or two."""
    for name in ("sklearn.metrics", "scipy.stats"):
        importlib.import_module(name)


def _report_part(elem_id: str, value: str = "") -> gr.HTML:
    """A place for a piece of the report, with the report's styles."""
    return gr.HTML(value, elem_id=elem_id, css_template=REPORT_CSS, apply_default_css=False, js_on_load=None)


def _set_buttons(parts: _Parts, *, is_running: bool) -> Updates:
    return {parts.run: gr.update(interactive=not is_running), parts.stop: gr.update(interactive=is_running)}


def _list_checkpoints(reader: DigitReader) -> tuple[list[tuple[str, str]], str]:
    """Titles and names to choose from, and which is the app's: what is shipped, and the app's own if it is another."""
    shipped = [(title, name) for name, title in CHECKPOINT_TITLES.items()]
    for name in CHECKPOINT_TITLES:
        try:
            if find_classifier(reader, name) is reader.classifier:
                return shipped, name
        except CheckpointError as err:
            logger.warning("the checkpoint %s cannot be evaluated: %s", name, err)
    return [(f"This app's: {reader.classifier.label}", OWN), *shipped], OWN


def _find_choice(reader: DigitReader, name: str) -> DigitClassifier:
    return reader.classifier if name == OWN else find_classifier(reader, name)


def _render_choice(reader: DigitReader, dataset_name: str, checkpoint_name: str) -> str:
    """What the data set is; and if MNIST is missing, how to get it and what is known of the checkpoint on it."""
    if find_mnist() is not None:
        return render_note(MNIST_SENTENCE if dataset_name == "mnist" else UCI_SENTENCE)
    first = MNIST_MISSING if dataset_name == "mnist" else UCI_SENTENCE
    return render_note(f"{first} {HOW_TO_SUPPLY} {_describe_stored(reader, checkpoint_name)}")


def _describe_stored(reader: DigitReader, checkpoint_name: str) -> str:
    """The MNIST figures stored with a checkpoint; "" if it cannot be loaded: the run itself will say why."""
    try:
        classifier = _find_choice(reader, checkpoint_name)
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
    if not isinstance(accuracy, float) or not 0 <= accuracy <= 1:
        return ""
    images = f"{n_test:,} test images" if isinstance(n_test, int) else "test images"
    when = f", measured {measured[:MAX_DATE_LENGTH]}" if isinstance(measured, str) else ""
    return f"Stored with {label}: {100 * accuracy:.2f} % right on MNIST's {images}{when}."
