"""The command that trains the second stage: what it writes, keeps, resumes and refuses."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from digitcore.checkpoint import CheckpointConfig, Normalization, load_checkpoint, save_checkpoint
from digitcore.detection import PageDetector, repeat_opinion
from digitcore.detector import PageNet
from digitcore.model import SeedCNN
from digitcore.training.detector_config import REGION_PRESETS, DetectorConfig, RegionConfig
from tests.drawn_pages import LAYOUTS, DrawnPages, draw_page
from tests.few_digits import FewDigits
from tests.test_region_training import PointingDetector
from train import train_regions

TINY = RegionConfig(
    name="tiny-regions",
    arguments={"region_width": 8},
    n_pages=12,
    n_validation_pages=4,
    n_epochs=2,
    batch_size=8,
    warmup_steps=2,
    ema_decay=0.9,
)


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """The command: pages drawn here, a first stage that knows what is on them, its folders out of the way."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(REGION_PRESETS, TINY.name, TINY)
    monkeypatch.setattr(train_regions, "load_mnist", lambda *_: FewDigits())
    monkeypatch.setattr(train_regions, "split_train", lambda digits: (digits, digits))
    monkeypatch.setattr(train_regions, "_make_pages", lambda *_: DrawnPages())
    torch.manual_seed(0)
    history = [{"validation_f1": 0.5, "validation_recall": 0.5, "validation_false": 1.0}]
    metrics = {
        "training": DetectorConfig(name="page", arguments={"width": 8}).to_dict(),
        "history": history,
        "n_pages": 7,
        "n_parameters": 1,
        "n_multiply_adds": 1,
        "command": "python -m train.train_detector",
        "device": "CPU",
        "n_threads": 1,
        "n_workers": 1,
        "precision": "bfloat16",
        "seconds": 60,
    }
    config = CheckpointConfig("PageNet", {"width": 8}, Normalization(0.0, 1.0))
    save_checkpoint(tmp_path / "page", PageNet(width=8), config, metrics, "card")
    detector = PointingDetector()

    def load(checkpoint, device, config):
        detector.device = torch.device("cpu")
        detector.config = config
        return detector

    monkeypatch.setattr(train_regions, "PageDetector", load)
    fixed = ["--preset", TINY.name, "--workers", "0", "--threads", "1", "--device", "cpu"]
    return lambda *words: train_regions.main([*fixed, "--detector", "page", *words])


def test_the_command_adds_the_second_stage(tiny, tmp_path, capsys):
    before = load_checkpoint(tmp_path / "page")
    assert tiny("--seed", "3") == 0
    told = capsys.readouterr().out
    assert "finds on 12 pages" in told and "epoch 2" in told and "train.fit_fusion --detector page" in told
    after = load_checkpoint(tmp_path / "page")
    assert after.digest != before.digest and dict(after.config.arguments) == {"width": 8, "region_width": 8}
    for name, tensor in before.model.state_dict().items():
        if name.endswith("weight"):
            torch.testing.assert_close(after.model.state_dict()[name], tensor, atol=1e-3, rtol=1e-2)
    regions = after.metrics["regions"]
    assert regions["training"]["detector"] == before.label and len(regions["history"]) == 2
    assert regions["command"] == "python -m train.train_regions --preset tiny-regions --detector page --seed 3"
    assert after.metrics["n_pages"] == 7
    assert regions["command"] in (tmp_path / "page" / "README.md").read_text()
    assert not (tmp_path / "runs" / "tiny-regions-3" / "resume.safetensors").exists()


def test_what_it_wrote_looks_closer(tiny, tmp_path):
    assert tiny("--out", "both") == 0
    assert "region_width" not in load_checkpoint(tmp_path / "page").config.arguments
    page = draw_page(LAYOUTS[0])
    found = PointingDetector().detect(page.image)
    for folder, is_repeated in (("page", True), ("both", False)):
        says = PageDetector(load_checkpoint(tmp_path / folder), "cpu").look_closer(page.image, found)
        assert says.scores.shape == (len(found.scores), 2) and says.probs.shape == (len(found.scores), 2, 10)
        np.testing.assert_allclose(says.probs.sum(axis=2), 1, atol=1e-5)
        np.testing.assert_array_equal(says.scores[:, 0], found.scores)
        assert np.allclose(says.scores, repeat_opinion(found).scores) == is_repeated


def test_it_goes_on_after_ctrl_c(tiny, tmp_path, monkeypatch, capsys):
    assert tiny("--out", "whole") == 0
    fit = train_regions.fit_regions

    def stop_after_the_first(*args, on_epoch, **options):
        def tell(result):
            on_epoch(result)
            raise KeyboardInterrupt

        return fit(*args, on_epoch=tell, **options)

    with monkeypatch.context() as patch:
        patch.setattr(train_regions, "fit_regions", stop_after_the_first)
        assert tiny("--out", "broken") == 130
    told = capsys.readouterr().err
    assert "1 of 2 epochs are kept in runs/tiny-regions-0" in told
    assert "--detector page --out broken --device cpu --resume" in told
    assert not (tmp_path / "broken").exists()
    assert tiny("--out", "broken", "--resume") == 0
    assert load_checkpoint(tmp_path / "broken").digest == load_checkpoint(tmp_path / "whole").digest


def test_a_second_stage_is_replaced(tiny, tmp_path):
    assert tiny() == 0
    first = load_checkpoint(tmp_path / "page")
    assert tiny("--epochs", "1") == 0
    second = load_checkpoint(tmp_path / "page")
    assert second.digest != first.digest and len(second.metrics["regions"]["history"]) == 1
    name = "stem.weight"
    assert torch.equal(second.model.state_dict()[name], first.model.state_dict()[name])


def test_it_goes_on_from_another_second_stage(tiny, tmp_path):
    assert tiny("--out", "older") == 0
    older = load_checkpoint(tmp_path / "older")
    words = ("--out", "newer", "--start-from", "older", "--epochs", "1", "--learning-rate", "1e-9")
    assert tiny(*words) == 0
    newer = load_checkpoint(tmp_path / "newer")
    for name, tensor in older.model.regions.named_parameters():
        torch.testing.assert_close(newer.model.regions.get_parameter(name), tensor, atol=1e-3, rtol=1e-2)
    regions = newer.metrics["regions"]
    assert regions["training"]["start"] == older.label
    assert "--detector page --start-from older --epochs 1" in regions["command"]
    cards = [(tmp_path / name / "README.md").read_text() for name in ("older", "newer")]
    assert [f"start from those of {older.label}. 1 epochs" in card for card in cards] == [False, True]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--detector", "nowhere"), "nowhere"),
        (("--start-from", "page"), "wants a checkpoint of a PageNet with a second stage; page@"),
        (("--start-from", "digits"), "wants a checkpoint of a PageNet with a second stage; digits@"),
        (("--detector", "digits"), "wants a checkpoint of a PageNet; digits@"),
        (("--workers", "-1"), "--workers must be at least 0"),
        (("--pages", "0"), "n_pages must be a whole number from 1 on"),
        (("--resume",), "no unfinished run"),
        (("--detector", "bare"), "its metrics.json does not say how it was trained"),
    ],
)
def test_bad_calls_get_a_sentence(tiny, tmp_path, capsys, words, message):
    save_checkpoint(tmp_path / "digits", SeedCNN(), CheckpointConfig("SeedCNN", {}), {}, "card")
    bare = CheckpointConfig("PageNet", {"width": 8}, Normalization(0.0, 1.0))
    save_checkpoint(tmp_path / "bare", PageNet(width=8), bare, {}, "card")
    assert tiny(*words) == 1
    assert message in capsys.readouterr().err


def test_presets_are_within_bounds():
    for preset in REGION_PRESETS.values():
        assert replace(preset) == preset
