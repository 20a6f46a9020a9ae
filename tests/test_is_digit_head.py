"""The eleventh logit, from the network through training to the classifier's answer."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from digitcore.checkpoint import Checkpoint, CheckpointConfig
from digitcore.classifier import DigitClassifier
from digitcore.data import LabeledImages
from digitcore.errors import ConfigError, DatasetError
from digitcore.metrics import measure_auroc
from digitcore.model import DigitNet
from digitcore.training import TrainConfig, TrainingSets, fit
from digitcore.training.calibration import fit_platt
from digitcore.training.canvas import is_like_one
from digitcore.training.crop_set import NOT_A_DIGIT, Crops
from digitcore.training.crops import load_or_make_crops, make_crops
from digitcore.training.pages import PageMaker
from digitcore.training.writing import Writing
from tests.test_pages import draw_digits

CONFIG = TrainConfig(
    arguments={"width": 8, "is_digit_head": True},
    n_epochs=6,
    batch_size=16,
    optimizer="adamw",
    learning_rate=0.003,
    n_crop_pages=1,
)


def make_bars(n: int, seed: int, share_of_others: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A level bar at the height that the label says; what is no digit is an upright one."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, n)
    images = rng.integers(0, 60, (n, 28, 28)).astype(np.uint8)
    for i, label in enumerate(labels):
        if rng.random() < share_of_others:
            images[i, 3:25, 4 + 2 * label : 6 + 2 * label] = 255
            labels[i] = NOT_A_DIGIT
        else:
            images[i, 4 + 2 * label : 6 + 2 * label, 6:22] = 255
    return images, labels


@pytest.fixture(scope="module")
def sets() -> TrainingSets:
    return TrainingSets(
        LabeledImages(*make_bars(160, 0), "train"),
        LabeledImages(*make_bars(60, 1), "validation"),
        Crops(*make_bars(160, 2, 0.7), "crops"),
        Crops(*make_bars(80, 3, 0.5), "validation-crops"),
    )


def test_digitnet_with_the_head_gives_eleven_logits():
    assert DigitNet(8, is_digit_head=True).eval()(torch.zeros(2, 1, 28, 28)).shape == (2, 11)


def test_digitnet_refuses_a_head_that_is_no_yes_or_no():
    with pytest.raises(ConfigError, match="true or false"):
        DigitNet(8, is_digit_head=1)


def test_checkpoint_config_holds_head_and_arguments_together():
    with pytest.raises(ConfigError, match="the two must agree"):
        CheckpointConfig("DigitNet", {"is_digit_head": True})


class _Eleven(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.arange(11.0).repeat(len(images), 1) - 8.0


def test_classifier_reads_the_head_apart_from_the_classes():
    config = CheckpointConfig("DigitNet", {"is_digit_head": True}, is_digit_head=True, temperature=2.0)
    classifier = DigitClassifier(Checkpoint(_Eleven(), config, {}, "planted", "0000000"), "cpu")
    says = classifier.classify(np.zeros((3, 28, 28), np.uint8))
    assert says.probs.shape == (3, 10)
    np.testing.assert_allclose(says.probs.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(says.is_digit, 1 / (1 + np.exp(-2.0)), rtol=1e-5)


def test_fit_learns_both_from_digits_and_others(sets):
    result = fit(CONFIG, sets, device="cpu")
    assert result.config.is_digit_head
    classifier = DigitClassifier(Checkpoint(result.model, result.config, {}, "fitted", "0000000"), "cpu")
    crops = sets.validation_crops
    says = classifier.classify(crops.images)
    assert (says.probs.argmax(axis=1)[crops.is_digit] == crops.labels[crops.is_digit]).mean() > 0.95
    assert measure_auroc(says.is_digit, crops.is_digit) > 0.99
    assert ((says.is_digit >= 0.5) == crops.is_digit).mean() > 0.95


def test_fit_with_a_head_needs_crops(sets):
    with pytest.raises(ConfigError, match="learns from crops"):
        fit(CONFIG, TrainingSets(sets.train, sets.validation), device="cpu")


def test_crops_go_with_the_head_and_the_head_with_crops():
    with pytest.raises(ConfigError, match="n_crop_pages"):
        replace(CONFIG, n_crop_pages=0)


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.4, 1.5), (3.0, -2.0)])
def test_fit_platt_finds_what_was_planted(scale, shift):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 40_000)
    is_digit = rng.random(40_000) < 1 / (1 + np.exp(-(scale * logits + shift)))
    fitted = fit_platt(torch.from_numpy(logits), torch.from_numpy(is_digit))
    assert fitted == pytest.approx((scale, shift), abs=0.12)


def test_fit_platt_of_one_kind_changes_nothing():
    assert fit_platt(torch.zeros(5), torch.ones(5, dtype=torch.bool)) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("scores", "truth", "expected"),
    [([0.1, 0.9], [False, True], 1.0), ([0.9, 0.1], [False, True], 0.0), ([0.5, 0.5], [False, True], 0.5)],
)
def test_measure_auroc(scores, truth, expected):
    assert measure_auroc(np.array(scores), np.array(truth)) == expected


@pytest.fixture(scope="module")
def maker() -> PageMaker:
    return PageMaker(draw_digits(), Writing.from_folder(None))


def test_make_crops_gives_digits_and_others_and_repeats_itself(maker):
    crops, again = make_crops(maker, 3, seed=5), make_crops(maker, 3, seed=5)
    assert crops.digest() == again.digest()
    assert 0.25 < crops.is_digit.mean() < 0.75
    # The glyphs are ones and noughts; other digits come from the hand of strokes.
    assert {NOT_A_DIGIT, 0, 1} <= set(crops.labels.tolist())
    longer = make_crops(maker, 4, seed=5)
    np.testing.assert_array_equal(longer.images[: len(crops)], crops.images)


def test_workers_make_the_same_crops(maker):
    assert make_crops(maker, 3, seed=5, n_workers=2).digest() == make_crops(maker, 3, seed=5).digest()


def test_no_pages_give_no_crops(maker):
    assert len(make_crops(maker, 0, seed=5)) == 0


def test_load_or_make_crops_keeps_them(maker, tmp_path, monkeypatch):
    first = load_or_make_crops(maker, 1, 5, "crops", tmp_path)
    monkeypatch.setattr("digitcore.training.crops.make_crops", None)
    assert load_or_make_crops(maker, 1, 5, "crops", tmp_path).digest() == first.digest()


@pytest.mark.parametrize("label", [-2, 10])
def test_crops_refuse_other_labels(label):
    with pytest.raises(DatasetError, match="-1 to 9"):
        Crops(np.zeros((1, 28, 28), np.uint8), np.array([label]), "bad")


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [((28, 4), (28, 52), True), ((14, 50), (42, 6), True), ((4, 28), (52, 28), False), ((4, 36), (52, 24), False)],
)
def test_is_like_one_knows_upright_strokes(start, end, expected):
    ink = np.zeros((56, 56), np.uint8)
    cv2.line(ink, start, end, 255, 5)
    assert is_like_one(ink) is expected


def test_is_like_one_takes_no_ring_for_a_stroke():
    ring = np.zeros((56, 56), np.uint8)
    cv2.ellipse(ring, (28, 28), (14, 24), 0, 0, 360, 255, 4)
    assert not is_like_one(ring)
    assert not is_like_one(np.zeros((5, 5), np.uint8))
