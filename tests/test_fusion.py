import numpy as np
import pytest

from digitcore.context import N_CONTEXT
from digitcore.errors import ConfigError
from digitcore.fusion import (
    FITTED_WEIGHTS,
    MAX_DEVIATION,
    N_OPINION_FEATURES,
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


EVEN = FusionWeights((0.5, 0.5, 0.5), make_net(np.ones((N_OPINION_FEATURES + 1, 1))))


def peaked(value: int, p: float) -> np.ndarray:
    probs = np.full(10, (1 - p) / 9)
    probs[value] = p
    return probs[None].astype(np.float32)


def stack(*opinions: np.ndarray) -> np.ndarray:
    return np.stack(opinions, axis=1)


def test_fuse_classes_of_equal_opinions_is_that_opinion():
    weights = FusionWeights((0.2, 0.5, 0.3), EVEN.presence)
    np.testing.assert_allclose(fuse_classes(stack(*[peaked(3, 0.8)] * 3), weights), peaked(3, 0.8), rtol=1e-5)


def test_fuse_classes_follows_the_surer_one():
    fused = fuse_classes(stack(peaked(3, 0.99), peaked(5, 0.6), peaked(5, 0.1)), EVEN)
    assert fused.argmax() == 3 and fused[0, 5] > fused[0, 1]


def test_fuse_classes_is_a_product_of_powers():
    opinions = np.random.default_rng(0).dirichlet(np.ones(10), (7, 3)).astype(np.float32)
    exponents = (0.7, 0.2, 1.1)
    expected = np.prod(np.clip(opinions, 1e-4, 1) ** np.array(exponents)[:, None], axis=1)
    fused = fuse_classes(opinions, FusionWeights(exponents, EVEN.presence))
    np.testing.assert_allclose(fused, expected / expected.sum(1, keepdims=True), rtol=1e-4)


def test_fuse_classes_survives_a_zero():
    assert np.isfinite(fuse_classes(stack(peaked(3, 1.0), peaked(4, 1.0), peaked(4, 1.0)), EVEN)).all()


def test_fuse_of_none_is_none():
    none = np.zeros((0, 3, 10), np.float32)
    fused = fuse_classes(none)
    assert fused.shape == (0, 10)
    features = gather_features(none[:, :, 0], none, fused, np.zeros((0, N_CONTEXT), np.float32))
    assert fuse_presence(features).shape == (0,)


def test_fuse_classes_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"\(n, 3, 10\)"):
        fuse_classes(np.zeros((2, 10), np.float32))


def test_gather_features_by_hand():
    probs = stack(peaked(3, 0.6), peaked(4, 0.5), peaked(3, 0.9))
    context = np.array([[7.0, -2.0]], np.float32)
    features = gather_features(np.array([[0.8, 0.5, 0.2]]), probs, peaked(3, 0.75), context)
    agreements = [
        0.6 * 0.5 / 9 + 0.4 / 9 * 0.5 + 8 * 0.4 / 9 * 0.5 / 9,
        0.6 * 0.9 + 9 * (0.4 / 9) * (0.1 / 9),
        0.9 * 0.5 / 9 + 0.1 / 9 * 0.5 + 8 * 0.1 / 9 * 0.5 / 9,
    ]
    expected = [[np.log(4), 0.0, -np.log(4), *agreements, np.log(3), 7.0, -2.0]]
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-6)


def test_gather_features_of_sure_opinions_are_finite():
    probs = stack(*[peaked(1, 1.0)] * 3)
    features = gather_features(np.array([[1.0, 0.0, 1.0]]), probs, peaked(1, 1.0), np.zeros((1, 2), np.float32))
    assert np.isfinite(features).all()


def test_fuse_presence_by_hand():
    hidden = np.zeros((N_OPINION_FEATURES + 1, 2))
    hidden[0, 0], hidden[-1, 1] = 0.5, -1.0
    net = make_net(hidden, output_bias=0.25)
    features = np.full((1, N_OPINION_FEATURES + 1), 9.0, np.float32)
    features[0, 0], features[0, -1] = 1.0, 0.3
    expected = 1 / (1 + np.exp(-(np.tanh(0.5) + np.tanh(-0.3) + 0.25)))
    assert fuse_presence(features, FusionWeights((1.0, 1.0, 1.0), net))[0] == pytest.approx(expected, abs=1e-6)


def test_features_far_from_those_learnt_count_no_more_than_the_furthest():
    features = np.zeros((2, N_OPINION_FEATURES + 1), np.float32)
    features[:, 0] = MAX_DEVIATION, 100 * MAX_DEVIATION
    first, second = fuse_presence(features, EVEN)
    assert first == second


def test_presence_net_refuses_shapes_that_do_not_fit():
    with pytest.raises(ConfigError, match="do not fit"):
        PresenceNet(np.zeros(6), np.ones(5), np.ones((6, 2)), np.zeros(2), np.ones(2), 0.0)


def test_weights_survive_json():
    again = FusionWeights.from_dict(FITTED_WEIGHTS.to_dict())
    features = np.random.default_rng(0).normal(0, 1, (20, N_OPINION_FEATURES + N_CONTEXT)).astype(np.float32)
    np.testing.assert_array_equal(fuse_presence(features, again), fuse_presence(features))
    assert again.exponents == FITTED_WEIGHTS.exponents


def test_weights_want_one_exponent_an_opinion():
    with pytest.raises(ConfigError, match="an exponent for each of page network, region network, digit network"):
        FusionWeights((1.0, 1.0), EVEN.presence)


def test_shipped_weights_want_a_digit_where_all_networks_see_one():
    """With the surroundings of an average find, all sure that it is a digit, or all that it is none."""
    features = np.tile(FITTED_WEIGHTS.presence.mean, (2, 1)).astype(np.float32)
    features[0, :3], features[1, :3] = 4.0, -4.0
    sure, none = fuse_presence(features)
    assert sure > 0.9 and none < 0.1
