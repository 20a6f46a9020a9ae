"""RegionNet, the page network's second stage: one find and its surroundings, at one size.

PageNet sees a whole page, digits of all sizes at once; this one is shown each find in the middle of a square and tells
which digit it is, if it is one, with its neighbours in sight (the second stage of Ren et al., Faster R-CNN, 2015).
"""

import torch.nn.functional as F
from torch import Tensor, nn

from digitcore.errors import ConfigError
from digitcore.model import ConvNorm, ResidualBlock
from digitcore.results import N_CLASSES

# The standardised grey and the find's frame.
N_REGION_CHANNELS = 2
MIN_WIDTH, MAX_WIDTH = 8, 64


class RegionNet(nn.Module):
    """A residual network from 64 px down to 4, and one linear layer.

    527,603 parameters and 31.8 M multiply-adds for a find at the default width.
    """

    def __init__(self, width: int = 24, dropout: float = 0.2) -> None:
        """Build it.

        Args:
            width: channels at 32 px; at 16, 8 and 4 px there are 2, 4 and 4 times as many.
            dropout: share of the last features that training leaves out.
        """
        super().__init__()
        if type(width) is not int or not MIN_WIDTH <= width <= MAX_WIDTH:
            raise ConfigError(
                f"RegionNet's width must be a whole number from {MIN_WIDTH} to {MAX_WIDTH}, got {width!r}."
            )
        self.stem = nn.Conv2d(N_REGION_CHANNELS, width, kernel_size=5, stride=2, padding=2)
        self.down16 = ConvNorm(width, 2 * width, stride=2)
        self.block16 = ResidualBlock(2 * width)
        self.down8 = ConvNorm(2 * width, 4 * width, stride=2)
        self.block8 = ResidualBlock(4 * width)
        self.down4 = ConvNorm(4 * width, 4 * width, stride=2)
        self.block4 = ResidualBlock(4 * width)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(4 * width * 4 * 4, N_CLASSES + 1)

    def forward(self, regions: Tensor) -> Tensor:
        """(B, 2, 64, 64) float as `cut_regions` makes them → (B, 11) logits: ten classes, and "is it a digit?"."""
        features = F.relu(self.stem(regions), inplace=True)  # (B, W, 32, 32)
        features = self.block16(F.relu(self.down16(features), inplace=True))  # (B, 2W, 16, 16)
        features = self.block8(F.relu(self.down8(features), inplace=True))  # (B, 4W, 8, 8)
        features = self.block4(F.relu(self.down4(features), inplace=True))  # (B, 4W, 4, 4)
        return self.fc(self.dropout(features.flatten(1)))
