import hashlib

import numpy as np
import pytest

from digitcore import corruptions
from digitcore.classifier import DigitClassifier
from digitcore.corruptions import KINDS, MAX_STRENGTH, corrupt
from digitcore.data import load_mnist, load_uci, split_train
from digitcore.errors import ConfigError, ImageError
from digitcore.hub import load_pretrained
from digitcore.robustness import measure_corruptions

# What draws nothing at random: the same whatever the seed.
STEADY = ("scale", "blur", "low contrast", "brightness", "edges only")
# What only adds light.
LIGHTENING = ("fog", "brightness", "stripes", "dotted lines", "spatter")


@pytest.fixture(scope="module")
def digits():
    return load_uci().images[:40]


def plant_bar(rows: slice, columns: slice) -> np.ndarray:
    images = np.zeros((30, 28, 28), np.uint8)
    images[:, rows, columns] = 255
    return images


def find_centers(images: np.ndarray) -> np.ndarray:
    """(N, 2) centres of mass, x and y."""
    pixels = images.astype(float)
    mass = pixels.sum(axis=(1, 2))
    return np.stack([pixels.sum(axis=1) @ np.arange(28), pixels.sum(axis=2) @ np.arange(28)], axis=1) / mass[:, None]


def find_angles(images: np.ndarray) -> np.ndarray:
    """(N,) degrees of the long axis against the vertical, -90 to 90."""
    rows, columns = np.mgrid[:28, :28]
    angles = []
    for image, (x, y) in zip(images.astype(float), find_centers(images), strict=True):
        dx, dy = columns - x, rows - y
        angles.append(0.5 * np.arctan2(2 * (image * dx * dy).sum(), (image * (dy**2 - dx**2)).sum()))
    return np.rad2deg(angles)


def test_kinds_are_the_fourteen():
    assert KINDS == (
        "shift", "rotate", "scale", "shear", "blur", "motion", "noise", "fog", "low contrast", "brightness", "stripes",
        "dotted lines", "spatter", "edges only",
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_corrupt_changes_every_image_and_keeps_its_form(digits, kind):
    before = digits.copy()
    corrupted = corrupt(digits, kind)
    assert corrupted.shape == digits.shape and corrupted.dtype == np.uint8
    assert (corrupted != digits).any(axis=(1, 2)).all()
    assert (digits == before).all(), "the input is left alone"


@pytest.mark.parametrize("kind", KINDS)
def test_corrupt_is_determined_by_images_and_seed(digits, kind):
    corrupted = corrupt(digits, kind, seed=3)
    assert (corrupt(digits, kind, seed=np.int64(3)) == corrupted).all()
    assert (corrupt(digits[:7], kind, seed=3) == corrupted[:7]).all(), "later images change nothing before them"
    assert (corrupt(digits, kind, seed=4) == corrupted).all() == (kind in STEADY)


# SHA-256, the first digits, of what each kind made of `draw_speckles` before strengths could be chosen.
FIXED = {
    "shift": "68b3ae456266", "rotate": "7e2079ace311", "scale": "a25d13835a69", "shear": "192f3d90c549",
    "blur": "1a26c918e0c8", "motion": "c189f07ed120", "noise": "3c128ea4a577", "fog": "f276eccaa8e5",
    "low contrast": "d1091879c74e", "brightness": "27ec06a6dd61", "stripes": "daa398b85f79",
    "dotted lines": "939ae9351760", "spatter": "6d29333723fa", "edges only": "4558a32ea79a",
}  # fmt: skip


def draw_speckles() -> np.ndarray:
    images = np.random.default_rng(7).integers(0, 256, (12, 28, 28), dtype=np.uint8)
    images[:, :, :6] = 0
    return images


@pytest.mark.parametrize("kind", KINDS)
def test_strength_one_is_the_fixed_strength_to_the_pixel(kind):
    for corrupted in (corrupt(draw_speckles(), kind, 3), corrupt(draw_speckles(), kind, 3, strength=1)):
        assert hashlib.sha256(corrupted.tobytes()).hexdigest().startswith(FIXED[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_strength_nought_is_a_copy(digits, kind):
    same = corrupt(digits, kind, strength=0)
    assert (same == digits).all() and same is not digits


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "edges only"])
def test_more_strength_changes_more(digits, kind):
    changes = [np.abs(corrupt(digits, kind, 3, s).astype(int) - digits).mean() for s in (0.25, 0.5, 1, MAX_STRENGTH)]
    assert changes == sorted(changes) and changes[0] < changes[-1] / 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strength", [0.01, 0.4, MAX_STRENGTH])
def test_other_strengths_keep_form_and_order(digits, kind, strength):
    corrupted = corrupt(digits, kind, 3, strength)
    assert corrupted.shape == digits.shape and corrupted.dtype == np.uint8
    assert (corrupt(digits[:7], kind, 3, strength) == corrupted[:7]).all(), "later images change nothing before them"


def test_strength_by_hand(digits):
    bar = plant_bar(slice(10, 18), slice(12, 16))
    moves = find_centers(corrupt(bar, "shift", strength=0.5)) - find_centers(bar)
    assert np.hypot(*moves.T) == pytest.approx(corruptions.SHIFT_PX / 2, abs=0.1)
    angles = find_angles(corrupt(plant_bar(slice(6, 22), slice(13, 15)), "rotate", strength=1.5))
    assert np.abs(angles) == pytest.approx(1.5 * corruptions.ROTATION_DEGREES, abs=1)
    image = np.tile(np.array([0, 100, 255, 0] * 7, np.uint8), (1, 28, 1))
    assert list(corrupt(image, "brightness", strength=0.5)[0, 0, :3]) == [51, 151, 255]
    covered = (corrupt(np.zeros((5, 28, 28), np.uint8), "spatter", strength=0.5) == 255).mean(axis=(1, 2))
    assert covered == pytest.approx(corruptions.SPATTER_SHARE / 2, abs=0.005)
    point = plant_bar(slice(14, 15), slice(14, 15))
    assert corrupt(point, "motion", strength=0.8).astype(float).sum(axis=(1, 2)) == pytest.approx(255, abs=8)


def test_dotted_lines_come_one_after_another(digits):
    few, all_six, more = (corrupt(digits, "dotted lines", 3, strength) for strength in (0.5, 1, 1.5))
    assert (few <= all_six).all() and (all_six <= more).all()


def test_edges_only_fades_the_inside_first_and_then_breaks_the_outline():
    square = plant_bar(slice(8, 20), slice(8, 20))
    assert (corrupt(square, "edges only", strength=0.5)[:, 12:16, 12:16] == 128).all()
    outline, broken = corrupt(square, "edges only"), corrupt(square, "edges only", strength=1.5)
    assert (broken <= outline).all()
    assert broken.sum() / outline.sum() == pytest.approx(1 - corruptions.OUTLINE_GAP_RATIO / 2, abs=0.05)


@pytest.mark.parametrize("strength", [-0.1, 1.51, float("nan"), float("inf"), True, None, "1"])
def test_corrupt_refuses_other_strengths(digits, strength):
    with pytest.raises(ConfigError, match="strength must be a number from 0 .untouched. over 1"):
        corrupt(digits, "blur", strength=strength)


@pytest.mark.parametrize("kind", KINDS)
def test_corrupt_of_no_images(kind):
    assert corrupt(np.zeros((0, 28, 28), np.uint8), kind).shape == (0, 28, 28)


# Where the others leave the ink, the tests of each say.
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("rotate", "scale", "shear")])
def test_digits_remain(digits, kind):
    """Once both are softened, more alike to the image they came from than to most others."""
    soft = np.stack([np.corrcoef(corrupted_and_sources(digits, kind, i))[0, 1:] for i in range(len(digits))])
    own = soft[np.arange(len(digits)), np.arange(len(digits))]
    assert np.median((soft < own[:, None]).mean(axis=1)) > 0.85
    assert np.median(own) > 0.3


def corrupted_and_sources(digits: np.ndarray, kind: str, i: int) -> np.ndarray:
    """(1 + N, 784): image `i` corrupted, then all as they were, under the same blur."""
    both = np.concatenate([corrupt(digits, kind)[i : i + 1], digits])
    return corruptions._blur(both, None, 1.0).reshape(len(both), -1)


@pytest.mark.parametrize("kind", LIGHTENING)
def test_what_adds_light_takes_no_ink_away(digits, kind):
    assert (corrupt(digits, kind) >= digits).all()


def test_shift_moves_by_its_distance_in_all_directions():
    bar = plant_bar(slice(10, 18), slice(12, 16))
    moves = find_centers(corrupt(bar, "shift")) - find_centers(bar)
    assert np.hypot(*moves.T) == pytest.approx(corruptions.SHIFT_PX, abs=0.1)
    assert (moves.min(axis=0) < -1).all() and (moves.max(axis=0) > 1).all()


def test_rotate_turns_by_its_angle_either_way():
    angles = find_angles(corrupt(plant_bar(slice(6, 22), slice(13, 15)), "rotate"))
    assert np.abs(angles) == pytest.approx(corruptions.ROTATION_DEGREES, abs=1)
    assert {-1.0, 1.0} == set(np.sign(angles))


def test_scale_shrinks_about_the_middle():
    bar = plant_bar(slice(6, 22), slice(8, 20))
    scaled = corrupt(bar, "scale")
    assert scaled.sum() / bar.sum() == pytest.approx(corruptions.SCALE**2, rel=0.1)
    assert find_centers(scaled) == pytest.approx(np.full((30, 2), 13.5), abs=0.1)


def test_shear_moves_rows_sideways_only():
    bar = plant_bar(slice(6, 22), slice(12, 16))
    sheared = corrupt(bar, "shear").astype(float)
    assert sheared.sum(axis=2) == pytest.approx(bar.sum(axis=2), rel=0.02)
    x = sheared @ np.arange(28) / np.maximum(sheared.sum(axis=2), 1)
    slopes = np.diff(x[:, 6:22], axis=1).mean(axis=1)
    assert np.abs(slopes) == pytest.approx(corruptions.SHEAR, abs=0.05)


def test_motion_draws_a_point_out_to_a_line():
    point = plant_bar(slice(14, 15), slice(14, 15))
    moved = corrupt(point, "motion")
    reach = [np.hypot(*np.argwhere(image).T[::-1] - 14).max() for image in moved]
    assert max(reach) <= corruptions.MOTION_PX // 2 and min(reach) > 2
    assert moved.astype(float).sum(axis=(1, 2)) == pytest.approx(255, abs=6)


def test_low_contrast_and_brightness_by_hand():
    image = np.tile(np.array([0, 100, 255, 0] * 7, np.uint8), (1, 28, 1))
    assert list(corrupt(image, "low contrast")[0, 0, :3]) == [70, 115, 185]
    assert list(corrupt(image, "brightness")[0, 0, :3]) == [102, 202, 255]


def test_spatter_covers_its_share():
    covered = (corrupt(np.zeros((5, 28, 28), np.uint8), "spatter") == 255).mean(axis=(1, 2))
    assert covered == pytest.approx(corruptions.SPATTER_SHARE, abs=0.005)


def test_edges_only_are_outlines():
    edges = corrupt(plant_bar(slice(8, 20), slice(8, 20)), "edges only")
    assert set(np.unique(edges)) == {0, 255}
    assert not edges[:, 11:17, 11:17].any(), "the inside is empty"


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 28, 28), np.float32),
        np.zeros((28, 28), np.uint8),
        np.zeros((2, 28, 27), np.uint8),
        np.zeros((2, 1, 28, 28), np.uint8),
        [[0]],
        None,
    ],
    ids=["float", "one image", "27 px", "channels", "list", "none"],
)
def test_corrupt_refuses_other_images(images):
    with pytest.raises(ImageError, match=r"Expected uint8 images of shape \(N, 28, 28\)"):
        corrupt(images, "blur")


@pytest.mark.parametrize("kind", ["snow", "", None, 3, ["blur"]])
def test_corrupt_refuses_other_kinds(digits, kind):
    with pytest.raises(ConfigError, match="There is no corruption .*; there are shift, rotate"):
        corrupt(digits, kind)


@pytest.mark.parametrize("seed", [-1, 0.5, True, None, "1"])
def test_corrupt_refuses_other_seeds(digits, seed):
    with pytest.raises(ConfigError, match="seed must be a whole number of at least 0"):
        corrupt(digits, "noise", seed)


@pytest.mark.mnist
def test_strengths_are_as_the_module_says():
    validation = split_train(load_mnist("train"))[1].part(0, 500, "validation")
    measured = measure_corruptions(DigitClassifier(load_pretrained("seed"), "cpu"), validation)
    assert tuple(kind for kind, _ in measured.errors) == KINDS
    assert 0.15 <= measured.mean <= 0.35
    assert 0.04 <= min(error for _, error in measured.errors) and measured.worst[1] <= 0.5
