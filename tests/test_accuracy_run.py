import json
import threading
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest

from digitcore.classifier import Classification
from digitcore.data import LabeledImages
from digitcore.errors import CheckpointError, DatasetError
from digitcore.evaluation import measure
from digitcore.reader import DigitReader
from digitcore.ui import accuracy_choices, accuracy_run
from digitcore.ui.accuracy_choices import Choice
from digitcore.ui.accuracy_parts import lay_out
from digitcore.ui.accuracy_run import Run, announce, carry_out, choose_points, stop
from tests.drawn import draw_number, encode

LABELS = np.array([*range(9), 0], np.int64)


@pytest.fixture(scope="module")
def seed_reader() -> DigitReader:
    return DigitReader.from_pretrained("seed", device="cpu")


@pytest.fixture
def parts(seed_reader):
    with gr.Blocks():
        return lay_out(seed_reader)


class Planted:
    """Reads an image as its first pixel, or as one more if it is the shifty one."""

    def __init__(self, name: str) -> None:
        self.label = f"{name}@0000000"
        self.shift = 1 if name == "shifty" else 0
        self.checkpoint = SimpleNamespace(metrics={"test_accuracy": 0.9872}, config=None)

    def classify(self, images):
        probs = np.full((len(images), 10), 0.01, np.float32)
        probs[np.arange(len(images)), (images[:, 0, 0] + self.shift) % 10] = 0.91
        return Classification(probs, probs.max(axis=1))


@pytest.fixture
def planted(monkeypatch):
    """Ten images read as their index, the last of them wrongly; found under any names."""
    images = np.zeros((10, 28, 28), np.uint8)
    images[:, 0, 0] = np.arange(10)
    monkeypatch.setattr(accuracy_choices, "find_dataset", lambda name: LabeledImages(images, LABELS, name))
    monkeypatch.setattr(
        accuracy_choices, "find_classifier", lambda reader, name: Planted("shifty" if name == "digitnet" else "planted")
    )


@pytest.fixture
def two_at_a_time(monkeypatch):
    """Snapshots of two images each, and a step of the run for each of them."""
    monkeypatch.setattr(
        accuracy_run,
        "follow_measurement",
        lambda labeled, classifiers, is_stopped: _until(
            measure(classifiers, labeled, batch_size=2, min_report_interval_s=0), is_stopped
        ),
    )


def _until(items, is_stopped):
    for item in items:
        if is_stopped():
            return
        yield item


def choose(**changes) -> Choice:
    return replace(Choice("uci", None, "uci", 1.0, False, 1000, "seed", "", "none", ""), **changes)


def carry_out_all(reader, parts, choice, run=None):
    """What the visitor sees in the end, and every step."""
    steps = list(carry_out(reader, parts, run or Run(), choice))
    return steps[-1], steps


def text(markup: str) -> str:
    return markup.replace("\u00a0", " ")


def test_carry_out_shows_the_report_and_gives_the_buttons_back(seed_reader, parts, planted):
    run = Run()
    seen, steps = carry_out_all(seed_reader, parts, choose(), run)
    assert list(steps[0]) == [parts.headline]
    assert "<strong>90.00 %</strong>" in text(seen[parts.headline])
    assert "planted@0000000 on UCI digits" in seen[parts.headline]
    assert "a 0 read as a 9" in seen[parts.mistakes]
    assert "<table" in seen[parts.confusion] and "<table" in seen[parts.per_digit]
    assert "At 0.9 it answers" in seen[parts.threshold_text]
    assert json.loads(seen[parts.risk_plot].plot)["data"] and json.loads(seen[parts.reliability_plot].plot)["data"]
    assert seen[parts.evaluation]["visible"]
    assert seen[parts.run]["interactive"] and not seen[parts.stop]["interactive"]
    assert run.shown.snapshot.done


def test_carry_out_repeats_what_it_has_shown(seed_reader, parts, planted, two_at_a_time):
    _, steps = carry_out_all(seed_reader, parts, choose())
    for earlier, later in zip(steps, steps[1:], strict=False):
        assert set(earlier) <= set(later)
    # Gradio takes the value out of what it is given.
    steps[-2][parts.json_file].pop("value")
    assert steps[-1][parts.json_file]["value"]


def test_carry_out_offers_the_report_as_files(seed_reader, parts, planted, upload_folder):
    seen, _ = carry_out_all(seed_reader, parts, choose())
    assert seen[parts.json_file]["interactive"] and seen[parts.html_file]["interactive"]
    json_path, html_path = Path(seen[parts.json_file]["value"]), Path(seen[parts.html_file]["value"])
    assert json_path.is_relative_to(upload_folder)
    report = json.loads(json_path.read_text())
    assert (report["n"], report["n_correct"], report["checkpoint"]) == (10, 9, "planted@0000000")
    assert "90.00" in html_path.read_text()


def test_carry_out_compares_two_on_the_same_images(seed_reader, parts, planted):
    seen, _ = carry_out_all(seed_reader, parts, choose(other="digitnet"))
    headline = text(seen[parts.headline])
    # Right: 9 of 10, and the 9 that is a 0.
    assert "<strong>90.00 %</strong>" in headline and "<strong>10.00 %</strong>" in headline
    assert "9 are read right by planted@0000000 alone, 1 by shifty@0000000 alone, 0 by neither" in headline


def test_carry_out_of_the_suite(seed_reader, parts, planted):
    run = Run()
    seen, _ = carry_out_all(seed_reader, parts, choose(dataset="suite", is_swept=True), run)
    (report,) = run.shown.robustness
    assert report.done and report.strengths == (0.25, 0.5, 0.75, 1.0) and report.n == 10
    assert "over 14 corruptions at strength 1" in text(seen[parts.headline])
    assert "spatter" in seen[parts.error_table]
    assert json.loads(seen[parts.corruption_plot].plot)["data"]
    assert seen[parts.strength_plot]["visible"]
    assert "robustness" in json.loads(Path(seen[parts.json_file]["value"]).read_text())


def test_carry_out_of_an_upload(seed_reader, parts, upload_folder):
    path = upload_folder / "mine.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("1/a.png", encode(draw_number("1")))
        archive.writestr("1/b.txt", "no picture")
        archive.writestr("1/c.png", "no picture")
    seen, _ = carry_out_all(seed_reader, parts, choose(dataset="own", upload=str(path)))
    assert "100.00 %" in text(seen[parts.headline]) and "on Your pictures (mine)" in seen[parts.headline]
    assert "c.png" in seen[parts.note]


def test_carry_out_of_the_suite_on_an_upload(seed_reader, parts, upload_folder):
    path = upload_folder / "mine.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("1/a.png", encode(draw_number("1")))
    seen, _ = carry_out_all(seed_reader, parts, choose(dataset="suite", base="own", upload=str(path)))
    assert "on 1 of Your pictures (mine)" in seen[parts.headline]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dataset": "own"}, "Choose a zip or a folder"),
        ({"dataset": "own", "upload": "/etc/passwd"}, "Choose them again"),
        ({"checkpoint": "hub"}, "Name the checkpoint"),
        ({"other": "seed"}, "same one"),
        ({"dataset": "suite", "strength": 77}, "at most 1.5"),
        ({"dataset": "nonsense"}, ""),
    ],
)
def test_carry_out_ends_in_a_sentence_about_what_was_chosen(seed_reader, parts, changes, words):
    seen, _ = carry_out_all(seed_reader, parts, choose(**changes))
    assert 'role="alert"' in seen[parts.headline] and words in seen[parts.headline]
    assert seen[parts.run]["interactive"] and not seen[parts.stop]["interactive"]


@pytest.mark.parametrize("err", [CheckpointError("The weights are damaged <b>."), RuntimeError("/srv/secret")])
def test_carry_out_ends_in_a_sentence_if_it_fails(seed_reader, parts, planted, monkeypatch, err):
    def fail(reader, name):
        raise err

    monkeypatch.setattr(accuracy_choices, "find_classifier", fail)
    seen, _ = carry_out_all(seed_reader, parts, choose())
    assert 'role="alert"' in seen[parts.headline]
    assert "secret" not in seen[parts.headline] and "<b>" not in seen[parts.headline]
    assert seen[parts.run]["interactive"] and not seen[parts.stop]["interactive"]


@pytest.mark.parametrize(
    ("err", "words"),
    [
        (gr.Error("Try again in 1:00:00 <b>.", title="ZeroGPU quota exceeded"), "quota exceeded: Try again in 1:"),
        (gr.Error("No GPU was available."), ">No GPU was available."),
    ],
)
def test_carry_out_gives_gradios_own_errors_in_their_words(seed_reader, parts, planted, monkeypatch, err, words):
    def fail(labeled, classifiers, is_stopped):
        raise err
        yield

    monkeypatch.setattr(accuracy_run, "follow_measurement", fail)
    seen, _ = carry_out_all(seed_reader, parts, choose())
    assert 'role="alert"' in seen[parts.headline] and words in seen[parts.headline]
    assert "fault on our side" not in seen[parts.headline] and "<b>" not in seen[parts.headline]
    assert seen[parts.run]["interactive"] and not seen[parts.stop]["interactive"]


def test_carry_out_downloads_mnist_where_it_is_missing(seed_reader, parts, planted, monkeypatch):
    monkeypatch.setattr(accuracy_run, "find_mnist", lambda **_: None)
    monkeypatch.setattr(
        accuracy_run, "follow_download", lambda is_stopped: iter([("train-images", 0.25), ("t10k-images", 0.75)])
    )
    seen, steps = carry_out_all(seed_reader, parts, choose(dataset="mnist"))
    bars = list(dict.fromkeys(step[parts.headline] for step in steps if "Downloading" in step[parts.headline]))
    assert len(bars) == 2 and "25 %" in bars[0] and "75 %" in bars[1]
    assert "on MNIST test set" in seen[parts.headline]


@pytest.mark.parametrize("changes", [{"dataset": "mnist"}, {"dataset": "suite", "base": "mnist"}])
def test_carry_out_falls_back_to_uci_where_mnist_cannot_be_had(seed_reader, parts, planted, monkeypatch, changes):
    def fail(is_stopped):
        raise DatasetError("no mirror <answers>")
        yield

    monkeypatch.setattr(accuracy_run, "find_mnist", lambda **_: None)
    monkeypatch.setattr(accuracy_run, "follow_download", fail)
    seen, _ = carry_out_all(seed_reader, parts, choose(**changes))
    assert "UCI digits" in seen[parts.headline]
    for words in ("could not be downloaded", "DIGITCORE_DATA", "no mirror &lt;answers&gt;", "98.72 % right on MNIST"):
        assert words in text(seen[parts.note])


def test_stop_keeps_what_was_measured(seed_reader, parts, planted, two_at_a_time):
    run = Run()
    for n_steps, seen in enumerate(carry_out(seed_reader, parts, run, choose())):
        if n_steps == 2:
            assert "4 of 10 images" in seen[parts.headline]
            assert stop(parts, run) == gr.skip(), "the run itself says that it stopped"
    assert "Stopped at 4 of 10 images" in seen[parts.headline]
    assert run.shown.snapshot.reports[0].n == 4
    assert json.loads(Path(seen[parts.json_file]["value"]).read_text())["done"] is False
    assert seen[parts.run]["interactive"] and not seen[parts.stop]["interactive"]


def test_stop_while_waiting_ends_the_run_at_once(seed_reader, parts, planted):
    run = Run()
    shown = stop(parts, run)
    assert "Stopped before" in shown[parts.headline] and shown[parts.run]["interactive"]
    assert list(carry_out(seed_reader, parts, run, choose())) == [gr.skip()]


def test_stop_before_and_after_a_run_changes_nothing(seed_reader, parts, planted):
    assert stop(parts, None) == gr.skip()
    run = Run()
    carry_out_all(seed_reader, parts, choose(), run)
    assert stop(parts, run) == gr.skip()


def test_stop_while_a_checkpoint_is_being_fetched(seed_reader, parts, planted, monkeypatch):
    run, arrived = Run(), threading.Event()

    def fetch(reader, name):
        run.stop()
        arrived.wait(20)
        return Planted("planted")

    monkeypatch.setattr(accuracy_choices, "find_classifier", fetch)
    seen, _ = carry_out_all(seed_reader, parts, choose(), run)
    assert not arrived.is_set(), "the stop did not wait for the checkpoint"
    arrived.set()
    assert "Stopped before" in seen[parts.headline] and seen[parts.run]["interactive"]


def test_stop_while_the_pictures_are_being_read(seed_reader, parts, planted, monkeypatch):
    run, ended = Run(), threading.Event()

    def load(name, upload, progress):
        try:
            for i in range(200):
                progress(f"{i}.png", i / 200)
                if i == 20:
                    run.stop()
                time.sleep(0.02)
        finally:
            ended.set()

    monkeypatch.setattr(accuracy_run, "find_images", load)
    seen, steps = carry_out_all(seed_reader, parts, choose(dataset="own"), run)
    assert any("Reading your pictures: " in step[parts.headline] for step in steps)
    assert "Stopped before" in seen[parts.headline]
    assert ended.wait(2), "the reading went on"


def test_stop_during_a_download(seed_reader, parts, planted, monkeypatch):
    run = Run()

    def download(is_stopped):
        yield "train-images", 0.1
        run.stop()
        if not is_stopped():
            pytest.fail("the download went on")

    monkeypatch.setattr(accuracy_run, "find_mnist", lambda **_: None)
    monkeypatch.setattr(accuracy_run, "follow_download", download)
    seen, _ = carry_out_all(seed_reader, parts, choose(dataset="mnist"), run)
    assert "Stopped before" in seen[parts.headline] and seen[parts.run]["interactive"]


def test_announce_clears_the_last_report(parts):
    run = Run()
    shown = announce(parts, run)
    assert shown[parts.current] is run and run.begin() and shown[parts.mistakes] == ""
    assert not shown[parts.evaluation]["visible"] and not shown[parts.json_file]["interactive"]
    assert not shown[parts.run]["interactive"] and shown[parts.stop]["interactive"]


def test_choose_points_are_exact_between_the_reports_thresholds(seed_reader, parts, planted):
    run = Run()
    carry_out_all(seed_reader, parts, choose(other="digitnet"), run)
    for threshold, coverage in ((0.9, 1.0), (0.9101, 0.0), (0.909, 1.0)):
        points = choose_points(run.shown.snapshot, threshold)
        assert [(each.threshold, each.coverage) for each in points] == [(threshold, coverage)] * 2
    first, second = choose_points(run.shown.snapshot, 0.5)
    assert (first.risk, second.risk) == pytest.approx((0.1, 0.9))
