import numpy as np
import pytest

from digitcore.fusion import FusionWeights, fuse_classes, fuse_presence

EVEN = FusionWeights(page_class=0.5, digit_class=0.5, page_presence=1.0, digit_presence=1.0, presence_bias=0.0)


def peaked(value: int, p: float) -> np.ndarray:
    probs = np.full(10, (1 - p) / 9)
    probs[value] = p
    return probs[None].astype(np.float32)


def test_fuse_classes_of_equal_opinions_is_that_opinion():
    np.testing.assert_allclose(fuse_classes(peaked(3, 0.8), peaked(3, 0.8), EVEN), peaked(3, 0.8), rtol=1e-5)


def test_fuse_classes_follows_the_surer_one():
    fused = fuse_classes(peaked(3, 0.99), peaked(5, 0.6), EVEN)
    assert fused.argmax() == 3 and fused[0, 5] > fused[0, 1]


def test_fuse_classes_is_the_geometric_mean():
    rng = np.random.default_rng(0)
    a, b = rng.dirichlet(np.ones(10), (2, 7)).astype(np.float32)
    expected = np.sqrt(np.clip(a, 1e-4, 1) * np.clip(b, 1e-4, 1))
    np.testing.assert_allclose(fuse_classes(a, b, EVEN), expected / expected.sum(1, keepdims=True), rtol=1e-4)


def test_fuse_classes_survives_a_zero():
    assert np.isfinite(fuse_classes(peaked(3, 1.0), peaked(4, 1.0), EVEN)).all()


def test_fuse_of_none_is_none():
    assert fuse_classes(np.zeros((0, 10), np.float32), np.zeros((0, 10), np.float32)).shape == (0, 10)
    assert fuse_presence(np.zeros(0, np.float32), np.zeros(0, np.float32)).shape == (0,)


def test_fuse_classes_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"\(n, 10\)"):
        fuse_classes(np.zeros((2, 10), np.float32), np.zeros((3, 10), np.float32))


@pytest.mark.parametrize(
    ("page", "digit", "expected"), [(0.5, 0.5, 0.5), (0.8, 0.5, 0.8), (0.8, 0.2, 0.5), (0.8, 0.8, 16 / 17)]
)
def test_fuse_presence_adds_log_odds(page, digit, expected):
    fused = fuse_presence(np.array([page], np.float32), np.array([digit], np.float32), EVEN)
    assert fused[0] == pytest.approx(expected, abs=1e-5)
