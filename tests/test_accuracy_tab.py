"""The wiring of the Accuracy tab and what a press does; how it behaves in a browser is in test_browser_accuracy.py."""

import json
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest

from digitcore.live import LiveReader, Source
from digitcore.reader import DigitReader
from digitcore.ui import accuracy_tab
from digitcore.ui.accuracy_choices import find_checkpoint
from digitcore.ui.accuracy_run import Run
from digitcore.ui.accuracy_tab import build_accuracy_tab, render_origin
from digitcore.ui.evaluate_api import register_evaluate_api
from digitcore.ui.report_export import Shown
from digitcore.ui.report_html import RunState
from tests.planted_reports import IMAGES, LABELS, make_robustness, make_snapshot
from tests.test_live import checkpoint_files


@pytest.fixture(scope="module")
def seed_reader() -> DigitReader:
    return DigitReader.from_pretrained("seed", device="cpu")


@pytest.fixture
def run() -> Run:
    """Two checkpoints, 910 images; image 3 is a 3 that both read as 4."""
    run = Run()
    snapshot = make_snapshot(2)
    chosen = tuple(report.at_threshold(0.9) for report in snapshot.reports)
    run.shown = Shown("MNIST test set", RunState.DONE, IMAGES, snapshot, chosen=chosen, disputed=frozenset({3}))
    return run


@pytest.fixture
def suite_run() -> Run:
    run = Run()
    run.shown = Shown("MNIST test set", RunState.DONE, IMAGES, robustness=(make_robustness(),))
    return run


def event(**data) -> gr.EventData:
    return gr.EventData(None, data)


def test_build_binds_nothing_that_a_client_can_call(seed_reader):
    with gr.Blocks() as demo, gr.Tab("Accuracy") as tab:
        build_accuracy_tab(seed_reader, tab=tab)
    assert demo.get_api_info()["named_endpoints"] == {}


def test_register_evaluate_api_documents_the_endpoint(seed_reader):
    with gr.Blocks() as demo:
        register_evaluate_api(seed_reader)
    (name, endpoint), *others = demo.get_api_info()["named_endpoints"].items()
    assert name == "/evaluate" and not others
    parameters = {each["parameter_name"]: each["parameter_default"] for each in endpoint["parameters"]}
    assert parameters == {"dataset": "uci", "checkpoint": "digitnet", "limit": 0}
    assert {"accuracy", "interval", "confusion", "mistakes"} <= set(endpoint["returns"][0]["type"]["properties"])


def _refreshing(demo: gr.Blocks) -> gr.blocks.BlockFunction:
    """What runs when the page is opened and sets the two radios of checkpoints."""
    (found,) = [
        fn
        for fn in demo.fns.values()
        if [target[1] for target in fn.targets] == ["load"]
        and [getattr(part, "elem_id", None) for part in fn.outputs] == ["accuracy-checkpoint", "accuracy-other"]
    ]
    return found


def test_opening_the_page_offers_the_checkpoint_that_answers_now(hub):
    hub.add("ada/digits", checkpoint_files("seed"))
    live = LiveReader.from_pretrained("ada/digits", device="cpu")
    with gr.Blocks() as demo:
        build_accuracy_tab(live)
    before = live.classifier
    hub.add("ada/digits", checkpoint_files("digitnet"))
    live.reload()
    checkpoint, other = _refreshing(demo).fn()
    title = f"This app's: {live.classifier.label}"
    assert live.classifier.label != before.label
    assert checkpoint["choices"][0] == (title, "own") and other["choices"][:2] == [("Nothing", "none"), (title, "own")]
    assert "value" not in checkpoint, "the visitor may have chosen already"
    assert find_checkpoint(live, "own") is live.classifier is not before


def test_opening_the_page_chooses_the_apps_own_if_it_came_to_be_another_than_those_shipped(tmp_path):
    for name, content in checkpoint_files("seed").items():
        (tmp_path / name).write_bytes(content)
    live = LiveReader(Source(None), Source("detector"), "cpu")
    with gr.Blocks() as demo:
        build_accuracy_tab(live)
    checkpoint, _ = _refreshing(demo).fn()
    assert checkpoint["choices"][0] == ("DigitNet", "digitnet") and "value" not in checkpoint
    live._sources = (Source(tmp_path), Source("detector"))
    assert live.reload()
    checkpoint, _ = _refreshing(demo).fn()
    assert checkpoint["choices"][0] == (f"This app's: {live.classifier.label}", "own") and checkpoint["value"] == "own"


@pytest.mark.parametrize(
    ("dataset", "base", "is_visible"),
    [("own", "uci", True), ("suite", "own", True), ("suite", "uci", False), ("uci", "own", False)],
)
def test_show_upload_where_pictures_of_ones_own_are_wanted(dataset, base, is_visible):
    assert accuracy_tab._show_upload(dataset, base)["visible"] is is_visible


def test_show_cell_shows_the_images_of_the_cell(run):
    markup = accuracy_tab._show_cell(run, event(truth=3, predicted=4, which=1))
    assert markup.count("<button") == 1 and 'data-open="3"' in markup and 'data-which="1"' in markup
    assert LABELS[1] in markup and "disputed" in markup


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"truth": 3, "predicted": 4},
        {"truth": -1, "predicted": 4, "which": 0},
        {"truth": 10, "predicted": 4, "which": 0},
        {"truth": 3, "predicted": 4, "which": 2},
        {"truth": "3", "predicted": 4, "which": 0},
        {"truth": True, "predicted": 4, "which": 0},
        {"truth": 3.5, "predicted": 4, "which": 0},
    ],
)
def test_show_cell_refuses_what_the_page_would_not_send(run, data):
    with pytest.raises(gr.Error, match="Press Run"):
        accuracy_tab._show_cell(run, event(**data))


def test_show_cell_without_a_report_says_what_to_do(suite_run):
    for nothing in (None, Run(), suite_run):
        with pytest.raises(gr.Error, match="Press Run"):
            accuracy_tab._show_cell(nothing, event(truth=3, predicted=4, which=0))


@pytest.mark.parametrize(
    ("data", "picture"),
    [
        ({"index": 3, "which": 1}, (3, 1)),
        ({"index": 909, "which": 0}, (909, 0)),
        ({"index": 910, "which": 0}, None),
        ({"index": -1, "which": 0}, None),
        ({"index": "3", "which": 0}, None),
        ({"index": 3, "which": 2}, None),
        ({}, None),
    ],
)
def test_find_picture(run, suite_run, data, picture):
    assert accuracy_tab._find_picture(run, event(**data)) == picture
    assert accuracy_tab._find_picture(suite_run, event(**data)) is None
    assert accuracy_tab._find_picture(None, event(**data)) is None


def test_render_origin_says_what_lies_on_the_pad_and_who_reads(run):
    note = render_origin(run.shown, 3, 0, LABELS[0])
    assert "MNIST test set, image 3: a 3, which digitnet@1a2b3c4 read as a 4, over 99" in note
    assert "This tab reads with" not in note
    assert f"This tab reads with {LABELS[0]}" in render_origin(run.shown, 3, 1, LABELS[0])


def test_set_threshold_says_what_happens_there(run):
    markup = accuracy_tab._set_threshold(run, 0.75).replace("\u00a0", " ")
    # The confidences fall evenly from .999 to .5: those of half of the images are at least .75.
    assert "At 0.75 digitnet@1a2b3c4 answers 49.9 %" in markup
    assert run.threshold == 0.75 and run.shown.chosen[0].threshold == 0.75
    figure = json.loads(accuracy_tab._mark_threshold(run).plot)
    marked = [trace for trace in figure["data"] if trace["mode"] == "markers"]
    assert not marked or np.allclose(marked[0]["x"], 49.9, atol=0.1)


def test_set_threshold_is_kept_for_a_run_that_has_shown_nothing_yet():
    run = Run()
    assert accuracy_tab._set_threshold(run, 0.5) == gr.skip() and run.threshold == 0.5


@pytest.mark.parametrize("threshold", [None, "0.5", [0.5]])
def test_set_threshold_refuses_what_is_no_number(run, threshold):
    assert accuracy_tab._set_threshold(run, threshold) == gr.skip()
    assert run.threshold == Run().threshold


def test_threshold_of_nothing(suite_run):
    for nothing in (None, suite_run):
        assert accuracy_tab._set_threshold(nothing, 0.5) == gr.skip()
        assert accuracy_tab._mark_threshold(nothing) == gr.skip()


def test_a_press_opens_the_picture_in_the_sketch_tab(seed_reader, run):
    from digitcore.ui.sketch_tab import build_sketch_tab

    with gr.Blocks() as demo:
        with gr.Tabs() as tabs:
            with gr.Tab("Sketch", id="sketch"):
                sketch = build_sketch_tab(seed_reader)
            with gr.Tab("Accuracy", id="accuracy") as tab:
                build_accuracy_tab(seed_reader, tabs, tab, sketch)
    opening = [fn for fn in demo.fns.values() if sketch.pad in fn.outputs]
    assert len(opening) == 2
    chosen, picture, note = opening[0].fn(run, event(index=3, which=0))
    assert chosen.selected == "sketch" and picture.startswith("data:image/png;base64,") and "image 3" in note
    with pytest.raises(gr.Error, match="Press Run"):
        opening[0].fn(run, SimpleNamespace(_data={"index": 5000, "which": 0}))
