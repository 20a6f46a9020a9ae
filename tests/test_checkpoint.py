import hashlib
import json
import os

import pytest
import safetensors.torch
import torch

from digitcore import checkpoint as checkpoint_module
from digitcore.checkpoint import (
    MAX_WEIGHTS_BYTES,
    Checkpoint,
    CheckpointConfig,
    Normalization,
    load_checkpoint,
    replace_files,
    save_checkpoint,
)
from digitcore.errors import CheckpointError, ConfigError
from digitcore.model import DigitNet, SeedCNN

CONFIG = CheckpointConfig("DigitNet", {"width": 8}, Normalization(0.2, 0.4), temperature=1.25)


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "mynet"
    save_checkpoint(path, DigitNet(width=8), CONFIG, {"test_accuracy": 0.5}, "# card\n")
    return path


def _edit_config(folder, **changes):
    path = folder / "config.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **changes}))


def _edit_weights(folder, change):
    path = folder / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    change(tensors)
    safetensors.torch.save_file(tensors, path)


def test_round_trip(folder):
    loaded = load_checkpoint(folder)
    assert isinstance(loaded, Checkpoint)
    assert loaded.config == CONFIG
    assert loaded.metrics == {"test_accuracy": 0.5}
    assert not loaded.model.training
    torch.manual_seed(0)
    for name, tensor in DigitNet(width=8).state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], tensor)


def test_digest_is_the_start_of_the_files_sha256(folder):
    loaded = load_checkpoint(folder)
    assert loaded.digest == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()[:7]
    assert loaded.label == f"mynet@{loaded.digest}"


def test_the_folder_holds_the_four_files_and_nothing_else(folder):
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md", "config.json", "metrics.json", "model.safetensors",
    ]  # fmt: skip


def test_config_json_is_as_documented(folder):
    assert json.loads((folder / "config.json").read_text()) == {
        "format": 1,
        "architecture": "DigitNet",
        "arguments": {"width": 8},
        "normalization": {"mean": 0.2, "std": 0.4},
        "temperature": 1.25,
        "is_digit_head": False,
    }


def test_metrics_and_card_may_be_missing(folder):
    (folder / "metrics.json").unlink()
    (folder / "README.md").unlink()
    assert load_checkpoint(folder).metrics == {}


def test_saving_over_another_checkpoint_replaces_it(folder):
    model = SeedCNN()
    digest = save_checkpoint(folder, model, CheckpointConfig("SeedCNN"), {}, "")
    loaded = load_checkpoint(folder)
    assert (loaded.digest, loaded.config.architecture) == (digest, "SeedCNN")


def test_half_precision_halves_the_file_and_loads_as_float32(tmp_path):
    model = SeedCNN()
    for name, is_half in (("whole", False), ("half", True)):
        save_checkpoint(tmp_path / name, model, CheckpointConfig("SeedCNN"), {}, "", half_precision=is_half)
    whole, half = ((tmp_path / name / "model.safetensors").stat().st_size for name in ("whole", "half"))
    assert half < 0.55 * whole
    for ours, theirs in zip(load_checkpoint(tmp_path / "half").model.parameters(), model.parameters(), strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-3, atol=1e-6)


def test_missing_folder(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint folder"):
        load_checkpoint(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_missing_file(folder, name):
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"has no {name}"):
        load_checkpoint(folder)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "nul", "[" * 100_000])
@pytest.mark.parametrize("name", ["config.json", "metrics.json"])
def test_json_that_is_none(folder, name, text):
    (folder / name).write_text(text)
    with pytest.raises(CheckpointError, match=name):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 2}, "format must be 1"),
        ({"architecture": "PetNet"}, "architecture must be one of"),
        ({"architecture": 7}, "architecture must be of type str"),
        ({"arguments": {"depth": 3}}, "refuses"),
        ({"arguments": {"width": 10**9}}, "refuses"),
        ({"arguments": []}, "arguments must be of type dict"),
        ({"normalization": {"mean": 0.1}}, "std must be of type float"),
        ({"normalization": {"mean": 0.1, "std": 0}}, "std above 0"),
        ({"temperature": 0}, "temperature must be"),
        ({"temperature": "1"}, "temperature must be of type float"),
        ({"temperature": True}, "temperature must be of type float"),
        ({"is_digit_head": 0}, "is_digit_head must be of type bool"),
        ({"arguments": {"width": 16}}, "does not fit"),
        ({"architecture": "SeedCNN", "arguments": {}}, "does not fit"),
    ],
)
def test_config_that_does_not_fit(folder, changes, words):
    _edit_config(folder, **changes)
    with pytest.raises(CheckpointError, match=words):
        load_checkpoint(folder)


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_truncated_weights(folder, keep):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(folder)


def test_a_pickle_by_another_name(folder):
    torch.save({"fc.weight": torch.zeros(1)}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(folder)


def test_weights_over_the_limit_are_not_even_read(folder):
    with open(folder / "model.safetensors", "r+b") as file:
        file.truncate(MAX_WEIGHTS_BYTES + 1)
    with pytest.raises(CheckpointError, match="at most"):
        load_checkpoint(folder)


def _poison(tensors):
    tensors["fc.weight"][0, 0] = float("nan")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_poison, "not finite"),
        (lambda tensors: tensors.pop("fc.bias"), "fc.bias has the shape .missing"),
        (lambda tensors: tensors.update(more=torch.zeros(1)), "more has .* no such tensor"),
        (lambda tensors: tensors.update({"fc.bias": torch.zeros(11)}), "fc.bias has .*11.*expected .10"),
    ],
)
def test_weights_that_do_not_fit(folder, change, words):
    _edit_weights(folder, change)
    with pytest.raises(CheckpointError, match=words):
        load_checkpoint(folder)


def test_half_precision_weights_load_as_float32(folder):
    _edit_weights(folder, lambda tensors: tensors.update({"fc.bias": tensors["fc.bias"].half()}))
    assert load_checkpoint(folder).model.fc.bias.dtype == torch.float32


def test_weights_too_large_to_load_are_not_saved(tmp_path):
    with pytest.raises(CheckpointError, match="may have"):
        save_checkpoint(tmp_path, DigitNet(width=128), CheckpointConfig("DigitNet", {"width": 128}), {}, "")
    assert not any(tmp_path.iterdir())


def test_an_interrupted_save_leaves_the_older_checkpoint(folder, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint_module.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(folder, SeedCNN(), CheckpointConfig("SeedCNN"), {}, "")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_metrics_that_json_cannot_hold_save_nothing(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        save_checkpoint(tmp_path, SeedCNN(), CheckpointConfig("SeedCNN"), {"loss": float("nan")}, "")
    assert not any(tmp_path.iterdir())


def test_replace_files_makes_the_folder(tmp_path):
    replace_files(tmp_path / "a" / "b", {"x": b"1", "y": b""})
    assert (tmp_path / "a" / "b" / "x").read_bytes() == b"1"
    assert sorted(os.listdir(tmp_path / "a" / "b")) == ["x", "y"]


@pytest.mark.parametrize("arguments", [(float("nan"), 1.0), (0.0, 0.0), (0.0, -1.0), (0.0, float("inf"))])
def test_normalization_refuses_what_cannot_divide(arguments):
    with pytest.raises(ConfigError):
        Normalization(*arguments)
