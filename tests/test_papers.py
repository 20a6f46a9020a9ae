import numpy as np
import pytest

from digitcore.training.papers import draw_grain, draw_ground, draw_light, photograph


@pytest.mark.parametrize("seed", range(25))
def test_grounds_and_lights_are_finite_and_in_range(seed):
    rng = np.random.default_rng(seed)
    ground, light = draw_ground(rng, 96), draw_light(rng, 96)
    assert ground.shape == light.shape == (96, 96)
    assert np.isfinite(ground).all() and np.isfinite(light).all()
    assert -0.5 < ground.min() and ground.max() < 1.6
    assert 0 < light.min() and light.max() < 1.6


def test_photograph_of_even_grey_shows_the_noise_asked_for():
    scene = np.full((128, 128), 0.5, np.float32)
    stds = [photograph(np.random.default_rng(seed), scene, 5.0).std() for seed in range(30)]
    assert 3.0 < np.median(stds) < 7.0
    assert photograph(np.random.default_rng(0), scene, 0.0).std() == 0


def test_draw_grain_is_normal():
    grain = draw_grain(np.random.default_rng(3), (400, 300))
    assert grain.shape == (400, 300)
    assert abs(grain.mean()) < 0.02 and abs(grain.std() - 1) < 0.02


def test_the_same_seed_gives_the_same_picture():
    pictures = []
    for _ in range(2):
        rng = np.random.default_rng(11)
        pictures.append(photograph(rng, draw_ground(rng, 64) * draw_light(rng, 64), 3.0))
    np.testing.assert_array_equal(*pictures)
