from dataclasses import replace
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest

from digitcore.classifier import Classification, DigitClassifier
from digitcore.data import LabeledImages
from digitcore.errors import CheckpointError, DatasetError
from digitcore.evaluation import evaluate
from digitcore.hub import load_pretrained
from digitcore.reader import DigitReader
from digitcore.ui import accuracy_tab
from digitcore.ui.accuracy_tab import build_accuracy_tab, describe_stored
from digitcore.ui.evaluate_api import register_evaluate_api


@pytest.fixture(scope="module")
def seed_reader() -> DigitReader:
    return DigitReader.from_pretrained("seed", device="cpu")


@pytest.fixture
def parts(seed_reader):
    with gr.Blocks():
        return accuracy_tab._lay_out(seed_reader)


@pytest.fixture
def planted(monkeypatch):
    """Ten images read as their index, the last of them wrongly; found under any names."""
    labels = np.array([*range(9), 0], np.int64)

    class Planted:
        label = "planted@0000000"
        checkpoint = SimpleNamespace(metrics={"test_accuracy": 0.9872})

        def classify(self, images):
            probs = np.full((len(images), 10), 0.01, np.float32)
            probs[np.arange(len(images)), images[:, 0, 0]] = 0.91
            return Classification(probs, probs.max(axis=1))

    images = np.zeros((10, 28, 28), np.uint8)
    images[:, 0, 0] = np.arange(10)
    monkeypatch.setattr(accuracy_tab, "find_dataset", lambda name: LabeledImages(images, labels, name))
    monkeypatch.setattr(accuracy_tab, "find_classifier", lambda reader, name: Planted())


def run(reader, parts, dataset="uci", checkpoint="seed"):
    """What the visitor sees in the end: the last value of each part."""
    seen, order = {}, []
    runs = accuracy_tab._Runs()
    for update in accuracy_tab._measure(reader, parts, runs, runs.announce(), dataset, checkpoint):
        seen |= update
        order.append(update)
    return seen, order


def test_build_binds_nothing_that_a_client_can_call(seed_reader):
    with gr.Blocks() as demo, gr.Tab("Accuracy") as tab:
        build_accuracy_tab(seed_reader, tab)
    assert demo.get_api_info()["named_endpoints"] == {}


def test_register_evaluate_api_documents_the_endpoint(seed_reader):
    with gr.Blocks() as demo:
        register_evaluate_api(seed_reader)
    (name, endpoint), *others = demo.get_api_info()["named_endpoints"].items()
    assert name == "/evaluate" and not others
    parameters = {each["parameter_name"]: each["parameter_default"] for each in endpoint["parameters"]}
    assert parameters == {"dataset": "uci", "checkpoint": "digitnet", "limit": 0}
    assert {"accuracy", "interval", "confusion", "mistakes"} <= set(endpoint["returns"][0]["type"]["properties"])


def test_measure_shows_the_report_and_gives_the_buttons_back(seed_reader, parts, planted):
    seen, order = run(seed_reader, parts)
    assert list(order[0]) == [parts.headline]
    headline = seen[parts.headline].replace("\u00a0", " ")
    assert "<strong>90.00 %</strong>" in headline and "planted@0000000 on UCI digits" in headline
    assert "0 read as 9" in seen[parts.mistakes]
    assert "<table" in seen[parts.confusion] and "<table" in seen[parts.per_digit]
    assert seen[parts.run]["interactive"] and not seen[parts.stop]["interactive"]


@pytest.mark.parametrize("err", [CheckpointError("The weights are damaged <b>."), RuntimeError("/srv/secret")])
def test_measure_ends_in_a_sentence_if_it_fails(seed_reader, parts, planted, monkeypatch, err):
    def fail(reader, name):
        raise err

    monkeypatch.setattr(accuracy_tab, "find_classifier", fail)
    seen, _ = run(seed_reader, parts)
    assert 'role="alert"' in seen[parts.headline]
    assert "secret" not in seen[parts.headline] and "<b>" not in seen[parts.headline]
    assert seen[parts.run]["interactive"] and not seen[parts.stop]["interactive"]


def test_measure_downloads_mnist_where_it_is_missing(seed_reader, parts, planted, monkeypatch):
    monkeypatch.setattr(accuracy_tab, "find_mnist", lambda: None)
    monkeypatch.setattr(accuracy_tab, "iterate_download", lambda: iter([("train-images", 0.25), ("t10k-images", 0.75)]))
    seen, order = run(seed_reader, parts, "mnist")
    bars = [update[parts.headline] for update in order if "Downloading" in update.get(parts.headline, "")]
    assert len(bars) == 2 and "25 %" in bars[0] and "75 %" in bars[1]
    assert "on MNIST test set" in seen[parts.headline]


def test_measure_falls_back_to_uci_where_mnist_cannot_be_had(seed_reader, parts, planted, monkeypatch):
    def fail():
        raise DatasetError("no mirror <answers>")
        yield

    monkeypatch.setattr(accuracy_tab, "find_mnist", lambda: None)
    monkeypatch.setattr(accuracy_tab, "iterate_download", fail)
    seen, _ = run(seed_reader, parts, "mnist")
    assert "on UCI digits" in seen[parts.headline]
    for words in ("could not be downloaded", "DIGITCORE_DATA", "no mirror &lt;answers&gt;", "98.72 % right on MNIST"):
        assert words in seen[parts.note].replace("\u00a0", " ")


def test_stop_keeps_what_was_measured(seed_reader, parts, planted, monkeypatch):
    monkeypatch.setattr(
        accuracy_tab, "evaluate", lambda *names: evaluate(*names, batch_size=2, min_report_interval_s=0)
    )
    runs = accuracy_tab._Runs()
    run_id = runs.announce()
    seen = {}
    for n_updates, update in enumerate(accuracy_tab._measure(seed_reader, parts, runs, run_id, "uci", "seed")):
        seen |= update
        if n_updates == 2:
            assert "4 of 10 images" in seen[parts.headline]
            assert accuracy_tab._stop(parts, runs, run_id) == gr.skip(), "the run itself says that it stopped"
    assert "Stopped at 6 of 10 images" in seen[parts.headline]
    assert seen[parts.run]["interactive"] and not seen[parts.stop]["interactive"]


def test_stop_while_waiting_ends_the_run_at_once(seed_reader, parts, planted):
    runs = accuracy_tab._Runs()
    run_id = runs.announce()
    shown = accuracy_tab._stop(parts, runs, run_id)
    assert "Stopped before" in shown[parts.headline] and shown[parts.run]["interactive"]
    assert list(accuracy_tab._measure(seed_reader, parts, runs, run_id, "uci", "seed")) == [gr.skip()]


def test_stop_before_and_after_a_run_changes_nothing(seed_reader, parts, planted):
    runs = accuracy_tab._Runs()
    assert accuracy_tab._stop(parts, runs, None) == gr.skip()
    run_id = runs.announce()
    for _ in accuracy_tab._measure(seed_reader, parts, runs, run_id, "uci", "seed"):
        pass
    assert accuracy_tab._stop(parts, runs, run_id) == gr.skip()


def test_stop_during_a_download(seed_reader, parts, planted, monkeypatch):
    runs = accuracy_tab._Runs()
    run_id = runs.announce()

    def download():
        yield "train-images", 0.1
        runs.stop(run_id)
        yield "train-images", 0.2
        pytest.fail("the download went on")

    monkeypatch.setattr(accuracy_tab, "find_mnist", lambda: None)
    monkeypatch.setattr(accuracy_tab, "iterate_download", download)
    seen = {}
    for update in accuracy_tab._measure(seed_reader, parts, runs, run_id, "mnist", "seed"):
        seen |= update
    assert "Stopped before" in seen[parts.headline] and seen[parts.run]["interactive"]


def test_announce_clears_the_last_report(parts):
    runs = accuracy_tab._Runs()
    shown = accuracy_tab._announce(parts, runs)
    assert runs.begin(shown[parts.run_id]) and shown[parts.mistakes] == ""
    assert not shown[parts.run]["interactive"] and shown[parts.stop]["interactive"]


def test_list_checkpoints_offers_the_apps_own_only_if_it_is_none_of_those_shipped(seed_reader):
    choices, default = accuracy_tab._list_checkpoints(seed_reader)
    assert [name for _, name in choices] == ["digitnet", "seed"] and default == "seed"
    mine = DigitClassifier(replace(load_pretrained("seed"), name="mine", digest="1234567"), "cpu")
    other = DigitReader(mine, seed_reader.detector)
    choices, default = accuracy_tab._list_checkpoints(other)
    assert choices[0] == ("This app's: mine@1234567", "own") and default == "own"
    assert accuracy_tab._find_choice(other, "own") is other.classifier


@pytest.mark.parametrize(
    ("metrics", "sentence"),
    [
        ({"test_accuracy": 0.9957}, "Stored with d@1: 99.57 % right on MNIST's test images."),
        (
            {"test_accuracy": 0.9957, "n_test": 10_000, "measured": "2026-11-22"},
            "Stored with d@1: 99.57 % right on MNIST's 10,000 test images, measured 2026-11-22.",
        ),
        ({}, ""),
        ({"test_accuracy": "99 %"}, ""),
        ({"test_accuracy": 99.5}, ""),
        ({"test_accuracy": None, "measured": "2026"}, ""),
        ({"test_accuracy": True}, ""),
    ],
)
def test_describe_stored(metrics, sentence):
    assert describe_stored("d@1", metrics) == sentence
