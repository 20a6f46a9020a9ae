"""Random variation of regions, whole batches at once: as boxes err, and as pens and cameras differ."""

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from digitcore.regions import REGION_PX, prepare_regions
from digitcore.training.detector_config import RegionConfig
from digitcore.training.region_set import MARGIN_RATIO, STORED_PX

# Where the middle of what is stored begins: that is what is looked at.
_EDGE_PX = (STORED_PX - REGION_PX) // 2


def crop_regions(greys: Tensor, sides: Tensor) -> Tensor:
    """What is stored → what RegionNet looks at, unvaried.

    Args:
        greys: (B, `STORED_PX`, `STORED_PX`) uint8.
        sides: (B, 2) float32 of the finds' boxes.
    """
    middle = slice(_EDGE_PX, _EDGE_PX + REGION_PX)
    return prepare_regions(greys[:, middle, middle], sides)


class RegionAugmenter:
    """Varies batches as a `RegionConfig` says, with random numbers of its own.

    Attributes:
        generator: on the device; its state is all that resuming needs.
    """

    def __init__(self, config: RegionConfig, device: torch.device) -> None:
        """Seed the generator."""
        self.config = config
        self.generator = Generator(device).manual_seed(config.seed)

    def __call__(self, greys: Tensor, sides: Tensor) -> Tensor:
        """Vary each region.

        Args:
            greys: (B, `STORED_PX`, `STORED_PX`) uint8, on the generator's device.
            sides: (B, 2) float32 of the finds' boxes.

        Returns:
            (B, 2, `REGION_PX`, `REGION_PX`) float32, see `prepare_regions`.
        """
        config, n_regions = self.config, len(greys)
        angle = self._normal(n_regions, math.radians(config.rotation_std))
        scale, stretch = (torch.exp(self._normal(n_regions, std)) for std in (config.scale_std, config.stretch_std))
        cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
        rows = torch.stack([torch.stack([cos * stretch, sin], 1), torch.stack([-sin, cos / stretch], 1)], 1)
        shift = self._normal(2 * n_regions, config.shift_std).view(n_regions, 2, 1)
        maps = torch.cat([rows / MARGIN_RATIO, shift], dim=2)  # (B, 2, 3), in halves of what is stored
        grid = F.affine_grid(maps, [n_regions, 1, REGION_PX, REGION_PX], align_corners=False)
        levels = F.grid_sample(greys[:, None].float(), grid, padding_mode="border", align_corners=False)[:, 0]
        strength = torch.rand(n_regions, generator=self.generator, device=greys.device) ** 3 * config.max_noise
        levels = levels + self._normal(levels.numel(), 1.0).view_as(levels) * strength[:, None, None]
        sides = sides * torch.exp(self._normal(sides.numel(), config.frame_std).view_as(sides))
        return prepare_regions(levels, sides)

    def _normal(self, n: int, std: float) -> Tensor:
        return torch.randn(n, generator=self.generator, device=self.generator.device) * std
