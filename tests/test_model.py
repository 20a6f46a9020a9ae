import pytest
import torch
import torch.nn.functional as F
from torch import nn

from digitcore.checkpoint import CheckpointConfig, save_checkpoint
from digitcore.errors import CheckpointError, ConfigError
from digitcore.model import ARCHITECTURES, DigitNet, SeedCNN, count_multiply_adds, count_parameters


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("n_images", [0, 1, 3])
def test_forward_gives_ten_logits_an_image(architecture, n_images):
    model = ARCHITECTURES[architecture]().eval()
    assert model(torch.zeros(n_images, 1, 28, 28)).shape == (n_images, 10)


def test_seed_cnn_equals_the_articles_layers():
    torch.manual_seed(0)
    ours = SeedCNN()
    conv1, conv2, fc = nn.Conv2d(1, 16, 5, 1, 2), nn.Conv2d(16, 32, 5, 1, 2), nn.Linear(1568, 10)
    article = nn.Sequential(conv1, nn.ReLU(), nn.MaxPool2d(2), conv2, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), fc)
    for theirs, mine in zip((conv1, conv2, fc), (ours.conv1, ours.conv2, ours.fc), strict=True):
        theirs.load_state_dict(mine.state_dict())
    images, labels = torch.randn(8, 1, 28, 28), torch.arange(8)
    torch.testing.assert_close(ours(images), article(images))
    F.cross_entropy(ours(images), labels).backward()
    F.cross_entropy(article(images), labels).backward()
    torch.testing.assert_close(ours.conv1.weight.grad, conv1.weight.grad)


def test_seed_cnn_counts_by_hand():
    assert count_parameters(SeedCNN()) == (25 * 16 + 16) + (25 * 16 * 32 + 32) + (1568 * 10 + 10)
    assert count_multiply_adds(SeedCNN()) == 784 * 16 * 25 + 196 * 32 * 16 * 25 + 1568 * 10


def test_digitnet_stays_small():
    model = DigitNet()
    assert 300_000 <= count_parameters(model) <= 550_000
    assert count_multiply_adds(model) <= 16_000_000


def test_count_multiply_adds_leaves_the_model_as_it_was():
    model = DigitNet().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    count_multiply_adds(model)
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("width", [0, -8, 10**9, "wide", 24.0, True])
def test_digitnet_refuses_a_width_out_of_range(width):
    with pytest.raises(ConfigError, match="width"):
        DigitNet(width=width)


@pytest.mark.parametrize("dropout", [-0.1, 1.0, 1, "some", True])
def test_digitnet_refuses_a_dropout_out_of_range(dropout):
    with pytest.raises(ConfigError, match="dropout"):
        DigitNet(width=8, dropout=dropout)


def test_dropout_is_for_training_alone():
    torch.manual_seed(0)
    model = DigitNet(width=8, dropout=0.5)
    images = torch.rand(4, 1, 28, 28)
    assert not torch.equal(model.train()(images), model(images))
    assert torch.equal(model.eval()(images), model(images))


def test_residual_blocks_start_as_the_identity():
    torch.manual_seed(0)
    model = DigitNet()
    features = torch.rand(2, model.block3.first[0].in_channels, 4, 4)
    torch.testing.assert_close(model.block3(features), features)


@pytest.mark.parametrize("width", [8, 16])
def test_from_pretrained_reads_our_checkpoint_folder(tmp_path, width):
    model = DigitNet(width=width).eval()
    save_checkpoint(tmp_path, model, CheckpointConfig("DigitNet", {"width": width}), {}, "card")
    loaded = DigitNet.from_pretrained(tmp_path)
    images = torch.randn(2, 1, 28, 28)
    torch.testing.assert_close(loaded(images), model(images))


def test_from_pretrained_reads_what_save_pretrained_wrote(tmp_path):
    model = DigitNet(width=8).eval()
    model.save_pretrained(tmp_path)
    images = torch.randn(2, 1, 28, 28)
    torch.testing.assert_close(DigitNet.from_pretrained(tmp_path)(images), model(images))


def test_a_pickle_is_refused():
    with pytest.raises(CheckpointError, match="pickle"):
        SeedCNN._load_as_pickle(SeedCNN(), "pytorch_model.bin", "cpu", True)
