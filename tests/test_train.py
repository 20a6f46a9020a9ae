import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from digitcore.checkpoint import load_checkpoint
from digitcore.data import MNIST_FILES, load_mnist
from digitcore.model import count_parameters
from digitcore.training import TrainConfig, load_preset
from digitcore.training.card import make_card
from digitcore.training.loop import predict_logits
from train import train

pytestmark = pytest.mark.usefixtures("one_thread")

N_TRAIN, N_TEST = 300, 50
# The command, on made-up images of MNIST's form but not of its number.
SMALL_RUN = (
    "import sys; from digitcore import data; "
    f"data.MNIST_COUNTS = {{'train': {N_TRAIN}, 'test': {N_TEST}}}; "
    "from train import train; sys.exit(train.main(sys.argv[1:]))"
)


def _idx(array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr("digitcore.data.MNIST_COUNTS", {"train": N_TRAIN, "test": N_TEST})
    rng = np.random.default_rng(0)
    folder = tmp_path / "data" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for split, n in (("train", N_TRAIN), ("test", N_TEST)):
        labels = rng.integers(0, 10, n)
        images = np.zeros((n, 28, 28), np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[4 + 2 * label : 6 + 2 * label, 6:22] = 255
        for name, array in zip(MNIST_FILES[split], (images, labels), strict=True):
            (folder / name).write_bytes(_idx(array))
    return tmp_path


def _options(root, *more):
    folders = ["--data", root / "data", "--out", root / "mynet", "--run-folder", root / "run"]
    return [str(word) for word in ["--preset", "seed", "--device", "cpu", *folders, *more]]


def test_train_writes_a_whole_checkpoint(root, capsys):
    assert train.main(_options(root, "--epochs", 6, "--batch-size", 20, "--learning-rate", 0.003)) == 0
    loaded = load_checkpoint(root / "mynet")
    printed = capsys.readouterr().out
    assert len(re.findall(r"epoch +\d/6  loss \d\.\d+  accuracy \d+\.\d+%", printed)) == 6
    assert loaded.digest in printed
    metrics = loaded.metrics
    assert metrics["test_accuracy"] > 0.9 and metrics["n_test"] == N_TEST
    assert metrics["n_uci"] == 1797 and "validation_accuracy" not in metrics
    assert metrics["command"] == (
        "python -m train.train --preset seed --epochs 6 --batch-size 20 --learning-rate 0.003"
    )
    assert [epoch["epoch"] for epoch in metrics["history"]] == [1, 2, 3, 4, 5, 6]
    assert re.fullmatch("[0-9a-f]{64}", metrics["data"]["train"]["sha256"])
    assert loaded.config.temperature == 1.0
    assert not (root / "run" / "resume.safetensors").exists()
    assert str(root) not in json.dumps(metrics) + (root / "mynet" / "README.md").read_text()


def test_the_card_has_the_hubs_header(root):
    from huggingface_hub import ModelCard

    assert train.main(_options(root, "--epochs", 1)) == 0
    card = ModelCard.load(root / "mynet" / "README.md")
    assert card.data.license == "apache-2.0"
    assert card.data.pipeline_tag == "image-classification"
    (result,) = card.data.eval_results
    accuracy = load_checkpoint(root / "mynet").metrics["test_accuracy"]
    assert (result.dataset_type, result.metric_type, result.metric_value) == ("ylecun/mnist", "accuracy", accuracy)
    assert "python -m train.train --preset seed --epochs 1" in card.content


def _start(root, *more, **options):
    command = [sys.executable, "-c", SMALL_RUN, *_options(root, *more)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def test_ctrl_c_then_resume_ends_where_an_unbroken_run_does(root):
    settings = ("--epochs", 25, "--batch-size", 10)
    process = _start(root, *settings, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not process.stdout.readline().startswith("epoch  3/"):
        assert process.poll() is None, process.stderr.read()
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert not (root / "mynet").exists()
    hint = re.search(r"(\d+) of 25 epochs are kept.*\n +python -m train\.train (.*)", told)
    assert hint and 3 <= int(hint[1]) < 25
    assert hint[2] == (
        f"--preset seed --epochs 25 --batch-size 10 --data {root / 'data'} --out {root / 'mynet'} "
        f"--run-folder {root / 'run'} --device cpu --resume"
    )
    assert train.main(_options(root, *settings, "--resume")) == 0
    first = load_checkpoint(root / "mynet").digest
    assert train.main(_options(root, *settings)) == 0
    assert load_checkpoint(root / "mynet").digest == first


def test_ctrl_c_in_the_first_epoch(root, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "fit", interrupt)
    assert train.main(_options(root)) == 130
    assert "nothing is kept" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--resume",), "no unfinished run"),
        (("--epochs", 0), "n_epochs must be at least 1"),
        (("--learning-rate", "nan"), "learning_rate must be a finite number"),
        (("--data", "/nowhere"), "MNIST is not in /nowhere"),
        (("--device", "cuda:99"), "cuda:99"),
    ],
)
def test_errors_are_sentences(root, capsys, more, words):
    assert train.main(_options(root, *more)) == 1
    told = capsys.readouterr().err
    assert told.startswith("Error: ") and words in told


def test_flags_left_out_leave_the_preset_alone():
    for name, preset in train.PRESETS.items():
        assert train._make_config(train._parse(["--preset", name])) == preset


SHIPPED = Path(__file__).resolve().parent.parent / "checkpoints"


@pytest.mark.parametrize("name", ["digitnet", "seed"])
def test_shipped_checkpoints_say_how_they_were_made(name):
    loaded = load_checkpoint(SHIPPED / name)
    metrics = loaded.metrics
    config = TrainConfig.from_dict(metrics["training"])
    assert config == load_preset(name)
    assert metrics["command"] == f"python -m train.train --preset {name}"
    history = [result for result in metrics["history"] if not result.get("is_finish")]
    assert len(metrics["history"]) - len(history) == config.n_epochs_in_all - config.n_epochs
    n_done, card = len(history), make_card(name, config, metrics)
    if config.patience:
        best = min(history, key=lambda result: result["validation_loss"])
        assert n_done in (config.n_epochs, best["epoch"] + config.patience)
        assert f"these being the weights of epoch {best['epoch']}, " in card
    else:
        assert n_done == config.n_epochs
    assert "so far" not in card
    assert loaded.config.architecture == config.architecture
    assert metrics["n_parameters"] == count_parameters(loaded.model)
    assert card == (SHIPPED / name / "README.md").read_text()


def test_the_card_of_a_patient_run_names_the_epoch():
    metrics = load_checkpoint(SHIPPED / "digitnet").metrics
    config = replace(TrainConfig.from_dict(metrics["training"]), n_epochs=9, patience=2)
    for losses, words in (
        ((0.3, 0.1, 0.2), "3 of 9 epochs so far, these being the weights of epoch 2, "),
        ((0.3, 0.1, 0.2, 0.4), "4 of 9 epochs, these being the weights of epoch 2, "),
    ):
        history = [{"epoch": n + 1, "validation_loss": loss} for n, loss in enumerate(losses)]
        assert words in make_card("digitnet", config, metrics | {"history": history})


@pytest.mark.mnist
@pytest.mark.parametrize("name", ["digitnet", "seed"])
def test_shipped_checkpoints_have_the_accuracy_they_claim(name):
    loaded, test = load_checkpoint(SHIPPED / name), load_mnist("test")
    assert test.digest() == loaded.metrics["data"]["test"]["sha256"]
    predicted = predict_logits(loaded.model, test, torch.device("cpu"), None).argmax(1).numpy()
    # One image may fall the other way where another processor rounds otherwise.
    assert (predicted == test.labels).mean() == pytest.approx(loaded.metrics["test_accuracy"], abs=1.5e-4)
