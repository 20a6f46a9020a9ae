"""PageNet, the page network: where are digits, which ones, and what is the other ink.

A small convolutional network looks at the whole picture at once. A quarter of the picture's size on, it gives for each
place the chance that a digit has its centre there, its class, size and exact middle (Zhou et al., Objects as Points,
2019), and at half the size what each pixel's ink is. `detection` makes digits of these maps. Its second stage,
RegionNet (region_net.py), looks at each of them once more.
"""

import math
from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from digitcore.errors import ConfigError, ImageError
from digitcore.model import ConvNorm, HubModel, ResidualBlock
from digitcore.region_net import RegionNet
from digitcore.results import N_CLASSES

# One place of the maps stands for 4×4 pixels of the input, one of the ink map for 2×2.
STRIDE, INK_STRIDE = 4, 2
# The deepest features have a 32nd of the input's size, so its sides are multiples of that.
SIZE_MULTIPLE = 32
N_CHANNELS = 2
MIN_WIDTH, MAX_WIDTH = 8, 64

# The neighbourhood whose mean counts as the paper's light: wider than strokes, narrower than shadows.
LIGHT_WINDOW_PX = 65
# Keeps the ratio of ink to light finite where the picture is black.
DARKEST_LIGHT = 10.0
# A contrast of one tenth is where arcsinh turns from a line into a logarithm: faint pencil stays in sight.
CONTRAST_GAIN = 10.0
# A page of one grey has noise only; this keeps it from being blown up to look like ink.
MIN_STANDARD_DEVIATION = 8.0

# Digits are rare: about one place in a hundred is a centre (Lin et al., Focal Loss, 2017, section 4.1).
CENTER_PRIOR = 0.01
# What sizes start from, before anything is learnt: the middle of what pages have, on a log scale.
TYPICAL_SIZE_PX = 40.0


class InkKind(IntEnum):
    """What a pixel of a page belongs to; in training, pixels marked 255 do not count."""

    PAPER = 0
    DIGIT = 1
    LETTERS = 2  # handwriting that is no digit
    PRINT = 3
    RULE = 4
    SCRIBBLE = 5  # marks with pen-like strokes that are no writing


N_INK_KINDS = len(InkKind)


@dataclass(frozen=True, slots=True, eq=False)
class PageMaps:
    """What PageNet says of B pictures; h and w are the input's sides divided by `STRIDE`.

    Attributes:
        center: (B, 1, h, w) logits: is a digit's centre here?
        classes: (B, 10, h, w) logits: if so, which digit?
        size: (B, 2, h, w) natural logarithm of its width and height, in units of `STRIDE` px.
        offset: (B, 2, h, w) from the place's corner to the box's middle, x and y, in units of `STRIDE` px.
        ink: (B, 6, H/2, W/2) logits over `InkKind`.
    """

    center: Tensor
    classes: Tensor
    size: Tensor
    offset: Tensor
    ink: Tensor


class PageNet(HubModel, library_name="digitcore", license="apache-2.0", pipeline_tag="object-detection"):
    """A U-Net from stride 4 down to stride 32 and back, with one 1×1 convolution for all that it says.

    A stem of two strided convolutions leaves no work at the picture's full size, where a CPU spends its time on moving
    numbers; the first has no batch norm for the same reason. 2,125,463 parameters and 1.37 G multiply-adds for a
    picture of 384×384 at the default width, without the second stage.

    Attributes:
        regions: the second stage, which `forward` leaves alone; None without one.
    """

    def __init__(self, width: int = 32, region_width: int = 0) -> None:
        """Build it.

        Args:
            width: channels at stride 4; strides 8, 16 and 32 have 2, 4 and 5 times as many.
            region_width: `RegionNet`'s width; 0 for no second stage.
        """
        super().__init__()
        if type(width) is not int or not MIN_WIDTH <= width <= MAX_WIDTH or width % 2:
            raise ConfigError(f"PageNet's width must be an even number from {MIN_WIDTH} to {MAX_WIDTH}, got {width!r}.")
        self.stem = nn.Conv2d(N_CHANNELS, width // 2, kernel_size=5, stride=2, padding=2)
        self.down4 = ConvNorm(width // 2, width, stride=2)
        self.blocks4 = ResidualBlock(width)
        self.down8 = ConvNorm(width, 2 * width, stride=2)
        self.blocks8 = ResidualBlock(2 * width)
        self.down16 = ConvNorm(2 * width, 4 * width, stride=2)
        self.blocks16 = nn.Sequential(ResidualBlock(4 * width), ResidualBlock(4 * width))
        self.down32 = ConvNorm(4 * width, 5 * width, stride=2)
        self.blocks32 = nn.Sequential(ResidualBlock(5 * width), ResidualBlock(5 * width))
        self.up16 = nn.Conv2d(5 * width, 4 * width, kernel_size=1, bias=False)
        self.merge16 = ConvNorm(4 * width, 4 * width)
        self.up8 = nn.Conv2d(4 * width, 2 * width, kernel_size=1, bias=False)
        self.merge8 = ConvNorm(2 * width, 2 * width)
        self.up4 = nn.Conv2d(2 * width, width, kernel_size=1, bias=False)
        self.merge4 = ConvNorm(width, 2 * width)
        self._n_channels = (1, N_CLASSES, 2, 2, N_INK_KINDS * (STRIDE // INK_STRIDE) ** 2)
        self.head = nn.Conv2d(2 * width, sum(self._n_channels), kernel_size=1)
        self._start_from_what_is_common()
        self.regions = None if region_width == 0 else RegionNet(region_width)

    def forward(self, images: Tensor) -> PageMaps:
        """(B, 2, H, W) float as `prepare_channels` makes them, sides multiples of 32 → maps of a quarter the size."""
        features2 = F.relu(self.stem(images), inplace=True)  # (B, W/2, H/2, W/2)
        features4 = self.blocks4(F.relu(self.down4(features2), inplace=True))
        features8 = self.blocks8(F.relu(self.down8(features4), inplace=True))
        features16 = self.blocks16(F.relu(self.down16(features8), inplace=True))
        features32 = self.blocks32(F.relu(self.down32(features16), inplace=True))
        merged16 = F.relu(self.merge16(features16 + _double(self.up16(features32))), inplace=True)
        merged8 = F.relu(self.merge8(features8 + _double(self.up8(merged16))), inplace=True)
        merged4 = F.relu(self.merge4(features4 + _double(self.up4(merged8))), inplace=True)
        center, classes, size, offset, ink = self.head(merged4).split(self._n_channels, dim=1)
        return PageMaps(center, classes, size, offset, F.pixel_shuffle(ink, STRIDE // INK_STRIDE))

    @torch.no_grad()
    def _start_from_what_is_common(self) -> None:
        """Set the head's biases to no digit anywhere, of typical size, its centre in the middle of a place."""
        center, _, size, offset, _ = self.head.bias.split(self._n_channels)
        center.fill_(-math.log((1 - CENTER_PRIOR) / CENTER_PRIOR))
        size.fill_(math.log(TYPICAL_SIZE_PX / STRIDE))
        offset.fill_(0.5)


def prepare_channels(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """A grey picture as PageNet takes it: the one copy, for training and for serving.

    Args:
        grey: (H, W) uint8.

    Returns:
        (2, H, W) float32: the local contrast arcsinh(10·(g−b)/(b+10)), b the mean of 65×65 px around, which shadows
        leave alone; and the grey itself, with mean 0 and standard deviation 1 over the picture.

    Raises:
        ImageError: if `grey` is not a 2-D uint8 array with at least one pixel.
    """
    if grey.ndim != 2 or grey.dtype != np.uint8 or grey.size == 0:
        raise ImageError(f"Expected a grey picture, a uint8 array of shape (H, W); got {grey.dtype} {grey.shape}.")
    levels = grey.astype(np.float32)
    light = cv2.blur(levels, (LIGHT_WINDOW_PX, LIGHT_WINDOW_PX), borderType=cv2.BORDER_REFLECT)
    channels = np.empty((N_CHANNELS, *grey.shape), np.float32)
    np.subtract(levels, light, out=channels[0])
    channels[0] *= CONTRAST_GAIN / (light + DARKEST_LIGHT)
    _take_arcsinh(channels[0])
    mean, deviation = (value.item() for value in cv2.meanStdDev(grey))
    np.subtract(levels, mean, out=channels[1])
    channels[1] /= max(deviation, MIN_STANDARD_DEVIATION)
    return channels


def _take_arcsinh(values: npt.NDArray[np.float32]) -> None:
    """In place, by its logarithm: numpy computes that many numbers at once, and its own arcsinh one by one."""
    magnitude = np.abs(values)
    root = np.sqrt(np.square(magnitude) + 1)
    np.copysign(np.log(magnitude + root), values, out=values)


def _double(features: Tensor) -> Tensor:
    return F.interpolate(features, scale_factor=2.0, mode="nearest")
