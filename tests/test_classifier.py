import numpy as np
import pytest
import torch
from torch import nn

from digitcore.checkpoint import Checkpoint, CheckpointConfig
from digitcore.classifier import MAX_BATCH, MIN_REDUCED_BATCH, Classification, DigitClassifier
from digitcore.errors import ImageError
from digitcore.hub import load_pretrained


class _MeanPixel(nn.Module):
    """Logit k is k times the mean of the normalised pixels: every output can be worked out by hand."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(1, 2, 3))[:, None] * torch.arange(10.0)


def _classifier(temperature: float = 1.0) -> DigitClassifier:
    config = CheckpointConfig("SeedCNN", temperature=temperature)
    return DigitClassifier(Checkpoint(_MeanPixel(), config, {}, "planted", "0000000"), "cpu")


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_classify_normalises_and_divides_by_the_temperature(temperature):
    images = np.stack([np.full((28, 28), level, np.uint8) for level in (0, 100, 255)])
    result = _classifier(temperature).classify(images)
    means = (np.array([0, 100, 255]) / 255 - 0.1307) / 0.3081
    expected = _softmax(means[:, None] * np.arange(10) / temperature)
    assert result.probs.dtype == np.float32 and result.is_digit.dtype == np.float32
    assert np.allclose(result.probs, expected, atol=1e-5)
    assert np.allclose(result.is_digit, expected.max(axis=1), atol=1e-5)


def test_classify_none():
    result = _classifier().classify(np.zeros((0, 28, 28), np.uint8))
    assert result.probs.shape == (0, 10) and result.is_digit.shape == (0,)


def test_classify_splits_large_batches():
    images = np.random.default_rng(0).integers(0, 256, (MAX_BATCH + 3, 28, 28), np.uint8)
    probs = _classifier().classify(images).probs
    assert np.allclose(probs[-3:], _classifier().classify(images[-3:]).probs, atol=1e-6)


@pytest.mark.parametrize("n_images", [1, MIN_REDUCED_BATCH])
def test_what_is_done_for_speed_changes_the_answers_little(monkeypatch, n_images):
    monkeypatch.setattr("digitcore.classifier.autocast_dtype", lambda device: torch.bfloat16)
    checkpoint = load_pretrained("digitnet")
    before = {name: value.clone() for name, value in checkpoint.model.state_dict().items()}
    images = np.random.default_rng(0).integers(0, 256, (n_images, 28, 28), np.uint8)
    probs = DigitClassifier(checkpoint, "cpu").classify(images).probs
    after = checkpoint.model.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(after[name], before[name]) for name in before)
    norm = checkpoint.config.normalization
    with torch.inference_mode():
        logits = checkpoint.model.eval()((torch.from_numpy(images)[:, None] / 255 - norm.mean) / norm.std)
    expected = _softmax(logits[:, :10].numpy() / checkpoint.config.temperature)
    is_reduced = n_images >= MIN_REDUCED_BATCH
    np.testing.assert_allclose(probs, expected, atol=0.05 if is_reduced else 1e-5)
    assert (np.abs(probs - expected).max() > 1e-5) == is_reduced


@pytest.mark.parametrize("shape", [(28, 28), (1, 27, 28), (1, 1, 28, 28)])
def test_classify_refuses_other_shapes(shape):
    with pytest.raises(ImageError, match="28, 28"):
        _classifier().classify(np.zeros(shape, np.uint8))
    with pytest.raises(ImageError, match="uint8"):
        _classifier().classify(np.zeros((1, 28, 28), np.float32))


def test_confidence_is_the_lesser_of_whether_and_which():
    probs = np.full((2, 10), 0.02, np.float32)
    probs[:, 3] = 0.82
    says = Classification(probs, np.array([0.3, 0.95], np.float32))
    np.testing.assert_allclose(says.confidence, [0.3, 0.82])
    assert Classification(np.zeros((0, 10), np.float32), np.zeros(0, np.float32)).confidence.shape == (0,)
