from dataclasses import replace

import numpy as np
import pytest

from digitcore.checkpoint import CheckpointConfig, Normalization, load_checkpoint, save_checkpoint
from digitcore.detection import PageDetector
from digitcore.hub import load_pretrained
from digitcore.model import SeedCNN
from digitcore.training.detector_config import DETECTOR_PRESETS, DetectorConfig
from digitcore.training.pages import PageConfig
from tests.drawn_pages import DrawnPages
from tests.few_digits import FewDigits
from train import train_detector

TINY = DetectorConfig(
    name="tiny",
    arguments={"width": 8},
    n_pages=16,
    batch_size=4,
    warmup_pages=4,
    pages_per_round=8,
    n_validation_pages=2,
)


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """The command, with pages drawn here, a network of a moment, and its folders out of the way."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(DETECTOR_PRESETS, "tiny", TINY)
    monkeypatch.setattr(train_detector, "load_mnist", lambda *_: FewDigits())
    monkeypatch.setattr(train_detector, "split_train", lambda digits: (digits, digits))
    monkeypatch.setattr(train_detector, "_make_pages", lambda *_: DrawnPages())
    return lambda *words: train_detector.main(
        ["--preset", "tiny", "--workers", "0", "--threads", "1", "--device", "cpu", *words]
    )


def test_the_command_writes_a_checkpoint(tiny, tmp_path, capsys):
    assert tiny("--seed", "3") == 0
    told = capsys.readouterr().out
    assert "8/16 pages" in told and "16/16 pages" in told and "validation F1" in told
    folder = tmp_path / "checkpoints" / "tiny"
    checkpoint = load_checkpoint(folder)
    assert len(PageDetector(checkpoint, "cpu").detect(np.full((64, 64), 200, np.uint8)).boxes) == 0
    metrics = checkpoint.metrics
    assert metrics["command"] == "python -m train.train_detector --preset tiny --seed 3"
    assert metrics["training"]["seed"] == 3 and metrics["versions"]["torch"]
    assert [entry["n_pages"] for entry in metrics["history"]] == [8, 16]
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlicense: apache-2.0") and metrics["command"] in card
    assert not (tmp_path / "runs" / "tiny-3" / "resume.safetensors").exists()


def test_a_run_starts_from_a_checkpoint(tiny, tmp_path):
    assert tiny("--out", "first") == 0
    assert tiny("--seed", "1", "--start-from", "first") == 0
    checkpoint = load_checkpoint(tmp_path / "checkpoints" / "tiny")
    first = load_checkpoint(tmp_path / "first")
    assert checkpoint.metrics["training"]["start"] == first.label
    assert checkpoint.metrics["command"] == "python -m train.train_detector --preset tiny --start-from first --seed 1"
    assert f"start from those of {first.label}" in (tmp_path / "checkpoints" / "tiny" / "README.md").read_text()


def test_a_digit_network_is_no_start(tiny, tmp_path, capsys):
    save_checkpoint(tmp_path / "seed", SeedCNN(), CheckpointConfig("SeedCNN", {}, Normalization(0.13, 0.31)), {}, "")
    assert tiny("--start-from", "seed") == 1
    assert "wants a checkpoint of a PageNet; seed@" in capsys.readouterr().err


def test_a_checkpoint_can_be_measured_while_training_goes_on(tiny, tmp_path, monkeypatch):
    seen = []
    finish = train_detector._Watcher.finish_round

    def finish_and_load(self, result, model):
        finish(self, result, model)
        seen.append(load_checkpoint(tmp_path / "runs" / "tiny-0" / "latest").metrics["n_pages"])

    monkeypatch.setattr(train_detector._Watcher, "finish_round", finish_and_load)
    assert tiny() == 0
    assert seen == [8, 16]


def test_rounds_are_pushed_meanwhile_and_the_last_at_the_end(tiny, tmp_path, logged_in, monkeypatch, capsys):
    monkeypatch.setenv("DIGITCORE_DATA", str(tmp_path / "no-mnist"))
    assert tiny("--push-to-hub", "pages", "--push-every", "1") == 0
    repo = logged_in.repo("ada/pages")
    messages = [commit.message for commit in repo.commits.values()]
    assert len(messages) == 3 and messages[1].endswith(", 8 of 16 pages")
    checkpoint = load_checkpoint(tmp_path / "checkpoints" / "tiny")
    assert messages[2] == f"PageNet {checkpoint.digest}"
    assert load_pretrained("ada/pages").digest == checkpoint.digest
    assert f"{logged_in.url}/ada/pages/commit/{repo.refs['main']}" in capsys.readouterr().out


def test_ctrl_c_and_resume(tiny, tmp_path, monkeypatch, capsys):
    assert tiny("--out", "whole") == 0
    advance = train_detector._Watcher.advance

    def interrupt(self, n_done, n_steps):
        advance(self, n_done, n_steps)
        if n_done == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(train_detector._Watcher, "advance", interrupt)
    assert tiny("--out", "broken") == train_detector.EXIT_INTERRUPTED
    told = capsys.readouterr().err
    assert "8 of 16 pages are kept in runs/tiny-0" in told and "--resume" in told
    monkeypatch.setattr(train_detector._Watcher, "advance", advance)
    assert tiny("--out", "broken", "--resume") == 0
    whole, broken = (load_checkpoint(tmp_path / name) for name in ("whole", "broken"))
    assert whole.digest == broken.digest
    assert [entry["n_pages"] for entry in broken.metrics["history"]] == [8, 16]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--pages", "0"], "n_pages must be a whole number from 1 on"),
        (["--workers", "-1"], "--workers must be at least 0"),
        (["--threads", "0"], "--threads at least 1"),
        (["--resume"], "There is no unfinished run in runs/tiny-0"),
        (["--device", "abacus"], "abacus"),
    ],
)
def test_bad_words_are_told(tiny, capsys, words, sentence):
    assert tiny(*words) == train_detector.EXIT_ERROR
    told = capsys.readouterr().err
    assert told.startswith("Error: ") and sentence in told and "Traceback" not in told


def test_mnist_that_is_not_there(tmp_path, capsys):
    assert train_detector.main(["--data", str(tmp_path)]) == train_detector.EXIT_ERROR
    assert capsys.readouterr().err.startswith("Error: ")


def test_more_touching_pairs_to_learn_from_and_as_many_to_be_measured_by(tiny, tmp_path, monkeypatch):
    kinds = []

    def make_pages(digits, fonts, cache_folder, config):
        kinds.append(config)
        return DrawnPages()

    monkeypatch.setattr(train_detector, "_make_pages", make_pages)
    assert tiny("--touching", "0.5") == 0
    assert [config.touching for config in kinds] == [0.5, PageConfig().touching]
    metrics = load_checkpoint(tmp_path / "checkpoints" / "tiny").metrics
    assert metrics["command"].endswith("--touching 0.5") and metrics["training"]["touching"] == 0.5


def test_forms_that_mnist_lacks_to_learn_from_as_often_as_the_preset_says(tiny, monkeypatch):
    kinds = []
    monkeypatch.setattr(train_detector, "_make_pages", lambda *words: kinds.append(words[-1]) or DrawnPages())
    monkeypatch.setitem(DETECTOR_PRESETS, "tiny", replace(DETECTOR_PRESETS["tiny"], font_digits=0.3))
    assert tiny() == 0
    assert [config.font_digits_ratio for config in kinds] == [0.3, PageConfig().font_digits_ratio]
