import numpy as np
import pytest
import torch

from digitcore.checkpoint import CheckpointConfig, load_checkpoint, save_checkpoint
from digitcore.classifier import DigitClassifier
from digitcore.detector import N_INK_KINDS, InkKind, PageNet, prepare_channels
from digitcore.errors import CheckpointError, ConfigError, ImageError
from digitcore.model import count_multiply_adds, count_parameters
from digitcore.region_net import RegionNet


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 96), (96, 32)])
def test_maps_have_the_promised_shapes(height, width):
    maps = PageNet(width=8)(torch.zeros(2, 2, height, width))
    h, w = height // 4, width // 4
    assert maps.center.shape == (2, 1, h, w)
    assert maps.classes.shape == (2, 10, h, w)
    assert maps.size.shape == maps.offset.shape == (2, 2, h, w)
    assert maps.ink.shape == (2, N_INK_KINDS, height // 2, width // 2)


def test_a_new_network_expects_few_digits_of_common_size():
    torch.manual_seed(0)
    net = PageNet(width=8).eval()
    with torch.inference_mode():
        maps = net(torch.randn(1, 2, 64, 64))
    assert maps.center.sigmoid().mean() == pytest.approx(0.01, abs=0.005)
    assert (4 * maps.size.exp()).mean() == pytest.approx(40, rel=0.3)
    assert maps.offset.mean() == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize("width", [0, 7, 9, 66, "32", 32.0, True])
def test_a_bad_width_is_refused(width):
    with pytest.raises(ConfigError, match="even number from 8 to 64"):
        PageNet(width)


def test_docstring_tells_the_size():
    net = PageNet()
    assert f"{count_parameters(net):,} parameters" in PageNet.__doc__
    assert f"{count_multiply_adds(net, (2, 384, 384)) / 1e9:.2f} G multiply-adds" in PageNet.__doc__


def test_ink_kinds_count_from_zero():
    assert [kind.value for kind in InkKind] == list(range(N_INK_KINDS))


def _prepare_naively(grey):
    """The formulas as they stand, pixel by pixel, borders mirrored."""
    height, width = grey.shape
    padded = np.pad(grey.astype(np.float64), 32, mode="symmetric")
    contrast = np.empty((height, width))
    for y in range(height):
        for x in range(width):
            light = padded[y : y + 65, x : x + 65].mean()
            contrast[y, x] = np.arcsinh(10 * (grey[y, x] - light) / (light + 10))
    return np.stack([contrast, (grey - grey.mean()) / max(grey.std(), 8)])


@pytest.mark.parametrize("shape", [(40, 70), (65, 33), (5, 90)])
def test_prepare_channels_equals_the_formula(shape):
    grey = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    channels = prepare_channels(grey)
    assert channels.dtype == np.float32
    np.testing.assert_allclose(channels, _prepare_naively(grey), atol=2e-4)


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (50, 50)])
def test_prepare_channels_of_one_grey_is_zero(shape, level):
    np.testing.assert_allclose(prepare_channels(np.full(shape, level, np.uint8)), 0, atol=1e-5)


@pytest.mark.parametrize(
    "picture", [np.zeros((4, 4), np.float32), np.zeros((4, 4, 3), np.uint8), np.zeros((0, 4), np.uint8)]
)
def test_prepare_channels_refuses_what_is_no_grey_picture(picture):
    with pytest.raises(ImageError, match=r"uint8 array of shape \(H, W\)"):
        prepare_channels(picture)


def test_shadows_leave_the_contrast_alone():
    """Half the light, the same contrast, but for what keeps black finite."""
    grey = np.full((100, 100), 240, np.uint8)
    grey[40:60, 48:52] = 60
    bright, dim = prepare_channels(grey)[0], prepare_channels(grey // 2)[0]
    np.testing.assert_allclose(bright, dim, atol=0.1)
    assert bright[50, 50] < -2


def _save(folder, net, architecture="PageNet", arguments=None):
    save_checkpoint(
        folder, net, CheckpointConfig(architecture, {"width": 8} if arguments is None else arguments), {}, ""
    )
    return load_checkpoint(folder)


def test_a_checkpoint_gives_the_same_maps(tmp_path):
    net = PageNet(width=8).eval()
    loaded = _save(tmp_path / "page", net).model
    images = torch.randn(1, 2, 64, 64)
    torch.testing.assert_close(loaded(images).classes, net(images).classes)


def test_from_pretrained_reads_the_folder(tmp_path):
    net = PageNet(width=8).eval()
    _save(tmp_path / "page", net)
    images = torch.randn(1, 2, 32, 32)
    torch.testing.assert_close(PageNet.from_pretrained(tmp_path / "page").eval()(images).ink, net(images).ink)


def test_the_digit_reader_refuses_a_page_network(tmp_path):
    checkpoint = _save(tmp_path / "page", PageNet(width=8))
    with pytest.raises(CheckpointError, match="is a PageNet, which finds digits on a page.*SeedCNN or a DigitNet"):
        DigitClassifier(checkpoint, "cpu")


def test_the_second_stage_is_as_large_as_its_docstring_says():
    net = RegionNet()
    assert f"{count_parameters(net):,} parameters" in RegionNet.__doc__
    assert f"{count_multiply_adds(net, (2, 64, 64)) / 1e6:.1f} M multiply-adds" in RegionNet.__doc__
    assert net.eval()(torch.zeros(3, 2, 64, 64)).shape == (3, 11)


@pytest.mark.parametrize("width", [7, 65, 8.0, -1, True])
def test_the_second_stage_refuses_other_widths(width):
    with pytest.raises(ConfigError, match="RegionNet's width must be a whole number from 8 to 64"):
        PageNet(8, region_width=width)


def test_the_second_stage_leaves_the_first_alone(tmp_path):
    torch.manual_seed(0)
    alone = PageNet(width=8).eval()
    torch.manual_seed(0)
    both = PageNet(width=8, region_width=8).eval()
    images = torch.randn(1, 2, 64, 64)
    assert torch.equal(alone(images).center, both(images).center)
    loaded = _save(tmp_path / "page", both, arguments={"width": 8, "region_width": 8}).model
    regions = torch.randn(2, 2, 64, 64)
    torch.testing.assert_close(loaded.regions(regions), both.regions(regions))
