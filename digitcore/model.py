"""The digit networks: SeedCNN, the article's, and DigitNet, ours. Plain modules, no file access of their own.

Both take (B, 1, 28, 28) float images, normalised with the mean and standard deviation that their checkpoint carries,
and give (B, 10) logits, DigitNet with its head an eleventh. `PyTorchModelHubMixin` is there for strangers:
`DigitNet.from_pretrained("user/name")` works without the rest of the package. Our own loading is stricter:
`digitcore.checkpoint.load_checkpoint`.
"""

from copy import deepcopy
from typing import Any, Self

import torch
import torch.nn.functional as F
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from digitcore.errors import CheckpointError, ConfigError
from digitcore.results import N_CLASSES

IMAGE_SIZE_PX = 28
# A checkpoint from elsewhere names its width: wide enough for any digit network, too narrow to eat the memory.
MIN_WIDTH, MAX_WIDTH = 8, 128


class HubModel(nn.Module, PyTorchModelHubMixin):
    """A module whose `from_pretrained` reads digitcore's config.json and refuses pickles."""

    @classmethod
    def _from_pretrained(cls, *, config: dict[str, Any] | None = None, **options: Any) -> Self:
        """Take the constructor's arguments from "arguments", where digitcore's config.json keeps them."""
        arguments = (config or {}).get("arguments", {})
        return super()._from_pretrained(**{"strict": True, **arguments, **options})

    @classmethod
    def _load_as_pickle(cls, model: nn.Module, model_file: str, map_location: str, strict: bool) -> nn.Module:
        """A pickle can run code when it is opened: never."""
        raise CheckpointError(f"{model_file} is a pickle; digitcore opens safetensors only.")


class SeedCNN(HubModel, library_name="digitcore", license="apache-2.0", pipeline_tag="image-classification"):
    """The article's network: two 5×5 convolutions (16 and 32 channels), each max-pooled by two, and one linear layer.

    28,938 parameters, 2.8 M multiply-adds an image.
    """

    def __init__(self) -> None:
        """Initialise as PyTorch does by default, as the article did."""
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, kernel_size=5, padding=2)
        self.conv2 = nn.Conv2d(16, 32, kernel_size=5, padding=2)
        self.fc = nn.Linear(32 * 7 * 7, N_CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 1, 28, 28) float, normalised → (B, 10) logits."""
        # The maximum and the ReLU commute, gradients included: pooled first, the ReLU has a quarter of the work.
        features = F.relu(F.max_pool2d(self.conv1(images), 2), inplace=True)  # (B, 16, 14, 14)
        features = F.relu(F.max_pool2d(self.conv2(features), 2), inplace=True)  # (B, 32, 7, 7)
        return self.fc(features.flatten(1))


class ConvNorm(nn.Sequential):
    """A convolution and its batch norm, without activation."""

    def __init__(self, n_in: int, n_out: int, kernel_size: int = 3, stride: int = 1) -> None:
        """No bias: the batch norm has one."""
        convolution = nn.Conv2d(n_in, n_out, kernel_size, stride, padding=kernel_size // 2, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(n_out))


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions around a shortcut (He et al., CVPR 2016)."""

    def __init__(self, n_channels: int) -> None:
        """Start as the identity: the last batch norm's scale is zero (Goyal et al., 2017, section 5.1)."""
        super().__init__()
        self.first = ConvNorm(n_channels, n_channels)
        self.second = ConvNorm(n_channels, n_channels)
        nn.init.zeros_(self.second[1].weight)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        hidden = F.relu(self.first(features), inplace=True)
        return F.relu(features + self.second(hidden), inplace=True)


class DigitNet(HubModel, library_name="digitcore", license="apache-2.0", pipeline_tag="image-classification"):
    """Our network: a strided stem, a convolution at 14 px, then residual blocks at 7 and 4 px.

    Halving in the stem leaves no work at 28 px, where a CPU spends most of its time on moving numbers. With the shipped
    width of 44 and the head 688,039 parameters, 24.0 M multiply-adds.
    """

    def __init__(self, width: int = 32, is_digit_head: bool = False, dropout: float = 0.0) -> None:
        """Build it.

        Args:
            width: channels of the stem; the later stages have 2, 2 and 3 times as many.
            is_digit_head: whether an eleventh logit says if the image is a digit at all.
            dropout: share of the last features that training leaves out.
        """
        super().__init__()
        if type(is_digit_head) is not bool:
            raise ConfigError(f"DigitNet's is_digit_head must be true or false, got {is_digit_head!r}.")
        if type(width) is not int or not MIN_WIDTH <= width <= MAX_WIDTH:
            raise ConfigError(
                f"DigitNet's width must be a whole number from {MIN_WIDTH} to {MAX_WIDTH}, got {width!r}."
            )
        if not isinstance(dropout, float) or not 0 <= dropout < 1:
            raise ConfigError(f"DigitNet's dropout must be a number from 0 to below 1, got {dropout!r}.")
        self.stem = ConvNorm(1, width, kernel_size=5, stride=2)
        self.wide = ConvNorm(width, 2 * width)
        self.down2 = ConvNorm(2 * width, 2 * width, stride=2)
        self.block2 = ResidualBlock(2 * width)
        self.down3 = ConvNorm(2 * width, 3 * width, stride=2)
        self.block3 = ResidualBlock(3 * width)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(3 * width * 4 * 4, N_CLASSES + is_digit_head)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 1, 28, 28) float, normalised → (B, 10) logits; with the head (B, 11), the last for "is it a digit?"."""
        features = F.relu(self.stem(images), inplace=True)  # (B, W, 14, 14)
        features = F.relu(self.wide(features), inplace=True)  # (B, 2W, 14, 14)
        features = self.block2(F.relu(self.down2(features), inplace=True))  # (B, 2W, 7, 7)
        features = self.block3(F.relu(self.down3(features), inplace=True))  # (B, 3W, 4, 4)
        return self.fc(self.dropout(features.flatten(1)))


ARCHITECTURES: dict[str, type[HubModel]] = {"SeedCNN": SeedCNN, "DigitNet": DigitNet}


def fold_norms(net: nn.Module) -> nn.Module:
    """A copy for looking only: each batch norm becomes a part of the convolution before it."""
    folded = deepcopy(net).eval()
    for module in folded.modules():
        if isinstance(module, ConvNorm):
            module[0], module[1] = fuse_conv_bn_eval(module[0], module[1]), nn.Identity()
    return folded


def count_parameters(model: nn.Module) -> int:
    """How many numbers the model learns."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_multiply_adds(model: nn.Module, shape: tuple[int, int, int] = (1, IMAGE_SIZE_PX, IMAGE_SIZE_PX)) -> int:
    """Multiply-adds of convolutions and linear layers for one image of `shape`, (C, H, W)."""
    counts: list[int] = []

    def count(module: nn.Module, inputs: tuple[Tensor, ...], result: Tensor) -> None:
        # Each value of the result is one dot product with one filter.
        counts.append(result.numel() * module.weight[0].numel())

    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    handles = [layer.register_forward_hook(count) for layer in layers]
    was_training = model.training
    try:
        device = next(model.parameters()).device
        with torch.inference_mode():
            model.eval()(torch.zeros(1, *shape, device=device))
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()
    return sum(counts)
