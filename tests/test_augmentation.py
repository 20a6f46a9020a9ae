from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as torchvision_functional

from digitcore.training.augmentation import BatchAugmenter, affine_grid, draw_inverse_affines
from digitcore.training.config import ARTICLE_AUGMENTATION, DIGITNET_AUGMENTATION, AugmentationConfig

CPU = torch.device("cpu")


@pytest.fixture
def images():
    """Four smooth blobs off the middle, one of them touching the edge."""
    y, x = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    centers = [(10, 12), (18, 9), (14, 14), (2, 25)]
    return torch.stack([torch.exp(-((y - cy) ** 2 / 18 + (x - cx) ** 2 / 40)) for cy, cx in centers])[:, None]


def _sample(images, inverse_affines):
    grid = affine_grid(inverse_affines, images.shape[-1])
    return torch.nn.functional.grid_sample(images, grid, padding_mode="zeros", align_corners=False)


def test_affine_equals_scipys(images):
    inverse_affines = draw_inverse_affines(ARTICLE_AUGMENTATION, 4, torch.Generator().manual_seed(1))
    ours = _sample(images, inverse_affines).numpy()[:, 0]
    for image, matrix, mine in zip(images.numpy()[:, 0], inverse_affines.double().numpy(), ours, strict=True):
        # SciPy counts rows first and from the middle of the first pixel; ours are shares of 28 px from the centre.
        linear = matrix[::-1, 1::-1]
        offset = 13.5 + matrix[::-1, 2] * 28 - linear @ [13.5, 13.5]
        padded = ndimage.affine_transform(np.pad(image, 1), linear, offset + linear @ [-1, -1] + 1, order=1)
        assert np.abs(padded[1:-1, 1:-1] - mine).max() < 1e-4


@pytest.mark.parametrize(
    ("angle", "shear", "scale", "shift"),
    [(30, 0, 1, (0, 0)), (0, 25, 1, (0, 0)), (0, 0, 0.4, (0, 0)), (0, 0, 1, (7, -3)), (-17, 21, 0.7, (3, 5))],
)
def test_affine_equals_torchvisions(images, monkeypatch, angle, shear, scale, shift):
    wanted = iter([angle, shear, scale, 0.0, shift[0] / 28, shift[1] / 28])
    monkeypatch.setattr(
        "digitcore.training.augmentation._uniform",
        lambda n, low, high, generator: torch.full((n,), float(next(wanted))),
    )
    ours = _sample(images, draw_inverse_affines(ARTICLE_AUGMENTATION, 4, torch.Generator()))
    theirs = torchvision_functional.affine(
        images, angle, list(shift), scale, [shear, 0.0], interpolation=InterpolationMode.BILINEAR
    )
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_drawn_parameters_stay_in_bounds_and_fill_them():
    config = AugmentationConfig(rotation_degrees=30, translation_ratio=0.5, min_scale=0.25, max_scale=1)
    maps = draw_inverse_affines(config, 5000, torch.Generator().manual_seed(0)).double()
    forward = torch.linalg.inv(maps[:, :, :2])
    scale = torch.linalg.det(forward).sqrt()
    angle = torch.rad2deg(torch.atan2(forward[:, 1, 0], forward[:, 0, 0]))
    shift = -(forward @ maps[:, :, 2:])
    for values, low, high in ((scale, 0.25, 1), (angle, -30, 30), (shift, -0.5, 0.5)):
        assert low - 1e-4 <= values.min() <= low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) <= values.max() <= high + 1e-4


def test_aspect_stretches_one_axis_and_keeps_the_area():
    maps = draw_inverse_affines(AugmentationConfig(max_aspect=1.44), 2000, torch.Generator().manual_seed(0))
    stretch_x, stretch_y = 1 / maps[:, 0, 0], 1 / maps[:, 1, 1]
    torch.testing.assert_close(stretch_x * stretch_y, torch.ones(2000))
    assert 1.19 < stretch_x.max() <= 1.2001 and 1 / 1.2001 <= stretch_x.min() < 1 / 1.19


def test_nothing_asked_changes_nothing(images):
    torch.testing.assert_close(BatchAugmenter(AugmentationConfig(), 0, CPU)(images), images, atol=1e-5, rtol=0)


@pytest.mark.parametrize("n_images", [0, 1, 4])
@pytest.mark.parametrize("config", [ARTICLE_AUGMENTATION, DIGITNET_AUGMENTATION])
def test_shape_and_range(images, config, n_images):
    varied = BatchAugmenter(config, 0, CPU)(images[:n_images])
    assert varied.shape == (n_images, 1, 28, 28)
    assert varied.dtype == torch.float32
    assert ((varied >= 0) & (varied <= 1)).all()


def test_same_seed_same_images_and_each_its_own(images):
    same = images[:1].expand(4, -1, -1, -1)
    first = BatchAugmenter(DIGITNET_AUGMENTATION, 5, CPU)
    varied = first(same)
    assert torch.equal(varied, BatchAugmenter(DIGITNET_AUGMENTATION, 5, CPU)(same))
    assert not torch.equal(varied, first(same))
    assert not torch.equal(varied[0], varied[1])


def test_generator_state_is_all_there_is(images):
    augmenter = BatchAugmenter(DIGITNET_AUGMENTATION, 5, CPU)
    augmenter(images)
    state = augmenter.generator.get_state()
    varied = augmenter(images)
    other = BatchAugmenter(DIGITNET_AUGMENTATION, 99, CPU)
    other.generator.set_state(state)
    assert torch.equal(other(images), varied)


def test_global_random_numbers_are_left_alone(images):
    before = torch.get_rng_state()
    BatchAugmenter(DIGITNET_AUGMENTATION, 0, CPU)(images)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("config", "sign"), [(AugmentationConfig(max_thickening=1), 1), (AugmentationConfig(max_thinning=1), -1)]
)
def test_stroke_thickness_stays_between_the_picture_and_its_morphology(images, config, sign):
    varied = BatchAugmenter(config, 0, CPU)(images).numpy()[:, 0]
    for image, mine in zip(images.numpy()[:, 0], varied, strict=True):
        morphology = ndimage.grey_dilation if sign > 0 else ndimage.grey_erosion
        limit = morphology(image, size=(3, 3), mode="nearest")
        assert (sign * (mine - image) >= -1e-5).all()
        assert (sign * (limit - mine) >= -1e-5).all()
        assert np.abs(mine - image).max() > 0.001


def test_blur_lies_on_the_way_to_scipys(images):
    varied = BatchAugmenter(AugmentationConfig(max_blur=1), 0, CPU)(images).numpy()[:, 0]
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    for image, mine in zip(images.numpy()[:, 0], varied, strict=True):
        whole = ndimage.convolve(image, kernel, mode="constant") - image
        share = (mine - image)[np.abs(whole) > 0.005] / whole[np.abs(whole) > 0.005]
        assert 0 <= share.min() and share.max() <= 1 and np.ptp(share) < 0.02


def test_elastic_bends_smoothly_by_the_strength_asked():
    ramp = torch.linspace(0, 1, 28).expand(200, 1, 28, 28).contiguous()
    varied = BatchAugmenter(AugmentationConfig(elastic_px=1.0), 0, CPU)(ramp)
    moved_px = ((varied - ramp) * 27)[:, 0, 4:24, 4:24]
    # The strength is uniform in 0..1 px, so its mean square is a third; interpolation between nodes lowers it.
    assert 0.25 < moved_px.square().mean().sqrt() < 0.6
    assert moved_px.diff(dim=2).abs().mean() < 0.2


def test_some_images_lie_on_a_ground_and_the_ink_stays_lighter(images):
    many = images[:1].repeat(400, 1, 1, 1)
    laid = BatchAugmenter(AugmentationConfig(ground_ratio=0.5), 0, CPU)(many)
    is_laid = (laid - many).abs().amax(dim=(1, 2, 3)) > 1e-3
    assert 0.4 < is_laid.float().mean() < 0.6
    ink, bare = many[0, 0] > 0.9, many[0, 0] < 0.02
    stands_out = (laid[is_laid][:, 0, ink].mean(dim=1) - laid[is_laid][:, 0, bare].mean(dim=1)).tolist()
    assert min(stands_out) > 0.05 and max(stands_out) > 0.8
    level = laid[is_laid][:, 0, bare].mean(dim=1)
    assert level.min() < 0.1 and level.max() > 0.5


def test_grain_is_rougher_than_the_light_alone():
    blank = torch.zeros(300, 1, 28, 28)
    config = AugmentationConfig(ground_ratio=1.0, grain_std=0.2)
    with_grain, without = (BatchAugmenter(c, 1, CPU)(blank) for c in (config, replace(config, grain_std=0.0)))
    inner = with_grain[:, 0, 4:-4, 4:-4]
    across = (inner[:, :, 1:] - inner[:, :, :-1]).std(dim=(1, 2))
    smooth = without[:, 0, 4:-4, 4:-4]
    assert across.mean() > 2 * (smooth[:, :, 1:] - smooth[:, :, :-1]).std(dim=(1, 2)).mean()


def test_lines_cross_some_images_from_edge_to_edge():
    blank = torch.zeros(400, 1, 28, 28)
    lined = BatchAugmenter(AugmentationConfig(line_ratio=0.25), 2, CPU)(blank)[:, 0]
    is_lined = lined.amax(dim=(1, 2)) > 0.1
    assert 0.1 < is_lined.float().mean() < 0.3
    n_inked = (lined[is_lined] > 0.05).sum(dim=(1, 2))
    assert n_inked.max() <= 28 * 4 and n_inked.float().median() >= 20
    assert torch.equal(lined[~is_lined], torch.zeros_like(lined[~is_lined]))


def test_some_images_are_stretched_until_their_ink_fills_a_square_and_not_beyond_twice():
    tall = torch.zeros(400, 1, 28, 28)
    tall[:200, :, 4:24, 8:20] = 1  # 12 px wide, 20 tall
    tall[200:, :, 4:24, 12:16] = 1  # 4 px wide
    varied = BatchAugmenter(AugmentationConfig(square_ratio=0.3), 0, CPU)(tall)[:, 0] > 0.5
    widths, heights = varied.any(dim=1).sum(dim=1), varied.any(dim=2).sum(dim=1)
    assert torch.equal(heights, torch.full_like(heights, 20))
    for found, as_it_was, filled in ((widths[:200], 12, 20), (widths[200:], 4, 8)):
        assert set(found.tolist()) == {as_it_was, filled}
        assert 0.2 < (found == filled).float().mean() < 0.4


def test_filling_leaves_what_is_blank_or_square_alone(images):
    square = torch.zeros(1, 1, 28, 28)
    square[:, :, 4:24, 4:24] = 1
    for still in (square, torch.zeros_like(square), torch.ones_like(square)):
        varied = BatchAugmenter(AugmentationConfig(square_ratio=1.0), 0, CPU)(still)
        torch.testing.assert_close(varied, still, atol=1e-5, rtol=0)


def test_some_images_are_coarse_and_of_two_levels_where_the_ink_was(images):
    many = images[:1].repeat(400, 1, 1, 1)
    varied = BatchAugmenter(AugmentationConfig(coarse_ratio=0.4), 0, CPU)(many)[:, 0]
    is_coarse = ((varied == 0) | (varied == 1)).all(dim=2).all(dim=1)
    assert 0.3 < is_coarse.float().mean() < 0.5
    torch.testing.assert_close(varied[~is_coarse], many[: int((~is_coarse).sum()), 0], atol=1e-5, rtol=0)
    coarse, image = varied[is_coarse], many[0, 0]
    # Cells are at most 28 / 16 px wide, so its edge wanders by no more than two pixels; the blob's levels fall slowly.
    assert (coarse[:, image > 0.85] == 1).all() and (coarse[:, image < 0.1] == 0).all()
    # Coarser ones among them hold the same row twice.
    assert ((coarse[:, 1:] == coarse[:, :-1]).all(dim=2) & (coarse[:, 1:] > 0).any(dim=2)).any()


def test_mild_ones_are_varied_a_third_as_far_and_have_no_ground_line_or_coarse_form(images):
    by_shares = AugmentationConfig(
        square_ratio=1, coarse_ratio=1, hollow_ratio=1, line_ratio=1, ground_ratio=1, mild_ratio=1
    )
    torch.testing.assert_close(BatchAugmenter(by_shares, 0, CPU)(images), images, atol=1e-5, rtol=0)
    many = images[:1].repeat(600, 1, 1, 1)
    bent, mild = (
        (BatchAugmenter(AugmentationConfig(translation_ratio=0.2, mild_ratio=ratio), 0, CPU)(many) - many)
        .abs()
        .amax(dim=(1, 2, 3))
        for ratio in (0.0, 1.0)
    )
    assert 0.25 < mild.mean() / bent.mean() < 0.6
    for config in (DIGITNET_AUGMENTATION, ARTICLE_AUGMENTATION):
        far, near = (
            (BatchAugmenter(replace(config, mild_ratio=ratio), 0, CPU)(many) - many).square().mean() for ratio in (0, 1)
        )
        assert near < 0.5 * far


def test_as_many_are_mild_as_the_ratio_says(images):
    many = images[:1].repeat(600, 1, 1, 1)
    varied = BatchAugmenter(AugmentationConfig(coarse_ratio=1, mild_ratio=0.3), 0, CPU)(many)[:, 0]
    is_coarse = ((varied == 0) | (varied == 1)).all(dim=2).all(dim=1)
    assert 0.65 < is_coarse.float().mean() < 0.75


def test_hollow_ones_have_rims_and_little_within():
    stroke = torch.zeros(400, 1, 28, 28)
    stroke[:, :, 4:24, 12:16] = 1
    varied = BatchAugmenter(AugmentationConfig(hollow_ratio=0.3), 0, CPU)(stroke)[:, 0]
    within = varied[:, 6:22, 12:16].amax(dim=(1, 2))
    is_hollow = within < 0.5
    assert 0.2 < is_hollow.float().mean() < 0.4
    assert (within[is_hollow] <= 0.4 + 1e-5).all() and within[is_hollow].max() > 0.3
    for beside in (11, 16):
        torch.testing.assert_close(varied[is_hollow][:, 4:24, beside], torch.ones(int(is_hollow.sum()), 20))
    torch.testing.assert_close(varied[~is_hollow], stroke[~is_hollow, 0], atol=1e-5, rtol=0)
