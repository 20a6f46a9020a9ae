import numpy as np
import pytest

from digitcore.context import N_CONTEXT
from digitcore.errors import ConfigError
from digitcore.fusion import (
    FITTED_WEIGHTS,
    MAX_DEVIATION,
    N_OPINIONS,
    FusionWeights,
    PresenceNet,
    fuse_classes,
    fuse_presence,
    gather_features,
)


def make_net(hidden, output_bias=0.0) -> PresenceNet:
    """Of features that are as they should be; units with an output of 1 each."""
    n_features, n_units = hidden.shape
    return PresenceNet(
        np.zeros(n_features), np.ones(n_features), hidden, np.zeros(n_units), np.ones(n_units), output_bias
    )


EVEN = FusionWeights(page_class=0.5, digit_class=0.5, presence=make_net(np.ones((N_OPINIONS + 1, 1))))


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
    none = np.zeros((0, 10), np.float32)
    assert fuse_classes(none, none).shape == (0, 10)
    features = gather_features(none[:, 0], none, none[:, 0], none, none, np.zeros((0, N_CONTEXT), np.float32))
    assert fuse_presence(features).shape == (0,)


def test_fuse_classes_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"\(n, 10\)"):
        fuse_classes(np.zeros((2, 10), np.float32), np.zeros((3, 10), np.float32))


def test_gather_features_by_hand():
    page, digit = peaked(3, 0.6), peaked(3, 0.9)
    context = np.array([[7.0, -2.0]], np.float32)
    features = gather_features(np.array([0.8]), page, np.array([0.2]), digit, peaked(3, 0.75), context)
    agreement = 0.6 * 0.9 + 9 * (0.4 / 9) * (0.1 / 9)
    np.testing.assert_allclose(features, [[np.log(4), -np.log(4), agreement, np.log(3), 7.0, -2.0]], rtol=1e-4)


def test_gather_features_of_sure_opinions_are_finite():
    features = gather_features(
        np.ones(1), peaked(1, 1.0), np.zeros(1), peaked(1, 1.0), peaked(1, 1.0), np.zeros((1, 2), np.float32)
    )
    assert np.isfinite(features).all()


def test_fuse_presence_by_hand():
    hidden = np.zeros((N_OPINIONS + 1, 2))
    hidden[0, 0], hidden[4, 1] = 0.5, -1.0
    net = make_net(hidden, output_bias=0.25)
    features = np.array([[1.0, 9.0, 9.0, 9.0, 0.3]], np.float32)
    expected = 1 / (1 + np.exp(-(np.tanh(0.5) + np.tanh(-0.3) + 0.25)))
    assert fuse_presence(features, FusionWeights(1.0, 1.0, net))[0] == pytest.approx(expected, abs=1e-6)


def test_features_far_from_those_learnt_count_no_more_than_the_furthest():
    features = np.zeros((2, N_OPINIONS + 1), np.float32)
    features[:, 0] = MAX_DEVIATION, 100 * MAX_DEVIATION
    first, second = fuse_presence(features, EVEN)
    assert first == second


def test_presence_net_refuses_shapes_that_do_not_fit():
    with pytest.raises(ConfigError, match="do not fit"):
        PresenceNet(np.zeros(6), np.ones(5), np.ones((6, 2)), np.zeros(2), np.ones(2), 0.0)


def test_weights_survive_json():
    again = FusionWeights.from_dict(FITTED_WEIGHTS.to_dict())
    features = np.random.default_rng(0).normal(0, 1, (20, N_OPINIONS + N_CONTEXT)).astype(np.float32)
    np.testing.assert_array_equal(fuse_presence(features, again), fuse_presence(features))
    assert (again.page_class, again.digit_class) == (FITTED_WEIGHTS.page_class, FITTED_WEIGHTS.digit_class)


def test_shipped_weights_want_a_digit_where_both_networks_see_one():
    """With the surroundings of an average find, both sure that it is a digit, or both that it is none."""
    features = np.tile(FITTED_WEIGHTS.presence.mean, (2, 1)).astype(np.float32)
    features[0, :2], features[1, :2] = 4.0, -4.0
    sure, none = fuse_presence(features)
    assert sure > 0.9 and none < 0.1
