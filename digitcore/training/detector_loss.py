"""What PageNet's mistakes cost."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from digitcore.detector import PageMaps
from digitcore.training.detector_config import DetectorConfig
from digitcore.training.targets import PageBatch

# Zhou et al., Objects as Points, 2019, equation 1: how little easy places count, and those near a centre.
FOCAL_POWER, NEAR_POWER = 2, 4
IGNORED_INK = 255
# Log sizes and offsets in places: GIoU leads to the box, these keep both in range before boxes overlap at all.
SIZE_L1_WEIGHT, OFFSET_L1_WEIGHT = 0.5, 0.2
# Keeps GIoU's exp of a wild log size finite.
MAX_LOG_SIZE = 7.0
TINY = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Losses:
    """The parts, each a scalar."""

    center: Tensor
    classes: Tensor
    box: Tensor
    ink: Tensor

    def total(self, config: DetectorConfig) -> Tensor:
        """Their weighted sum."""
        return (
            config.center_weight * self.center
            + config.class_weight * self.classes
            + config.box_weight * self.box
            + config.ink_weight * self.ink
        )


def compute_losses(maps: PageMaps, batch: PageBatch) -> Losses:
    """Compare what the network says with the truth.

    Args:
        maps: of the batch's pages.
        batch: on the same device.

    Returns:
        The losses of centres, classes and boxes as means over the batch's digits, that of the ink over its pixels.
    """
    page, row, column = batch.places.T
    n_digits = batch.weights.sum().clamp(min=1)
    # One gather for the maps, digits first: (n, channels).
    classes = maps.classes.permute(0, 2, 3, 1)[page, row, column].float()
    log_wh = maps.size.permute(0, 2, 3, 1)[page, row, column].float()
    offsets = maps.offset.permute(0, 2, 3, 1)[page, row, column].float()
    class_losses = F.cross_entropy(classes, batch.labels, reduction="none")
    box_losses = _box_losses(offsets, log_wh, batch.boxes)
    return Losses(
        center=_center_loss(maps.center.float(), batch) / n_digits,
        classes=(class_losses * batch.weights).sum() / n_digits,
        box=(box_losses * batch.weights).sum() / n_digits,
        ink=_ink_loss(maps.ink, batch.ink),
    )


def _center_loss(logits: Tensor, batch: PageBatch) -> Tensor:
    """CenterNet's focal loss, summed over the places that count."""
    probs = logits.sigmoid()
    is_center = batch.centers == 1
    hits = F.logsigmoid(logits) * (1 - probs) ** FOCAL_POWER
    misses = F.logsigmoid(-logits) * probs**FOCAL_POWER * (1 - batch.centers) ** NEAR_POWER
    return -(torch.where(is_center, hits, misses) * batch.center_mask).sum()


def _box_losses(offsets: Tensor, log_wh: Tensor, boxes: Tensor) -> Tensor:
    """(n, 2) and (n, 2) against (n, 4) → (n,): 1 − GIoU and the two L1 distances."""
    size_l1 = (log_wh - boxes[:, 2:].log()).abs().sum(dim=1)
    offset_l1 = (offsets - boxes[:, :2]).abs().sum(dim=1)
    overlap = generalized_iou(torch.cat([offsets, log_wh.clamp(max=MAX_LOG_SIZE).exp()], dim=1), boxes)
    return 1 - overlap + SIZE_L1_WEIGHT * size_l1 + OFFSET_L1_WEIGHT * offset_l1


def generalized_iou(first: Tensor, second: Tensor) -> Tensor:
    """(n, 4) and (n, 4) boxes as middle x, y, width, height → (n,) in −1..1.

    Source: Rezatofighi et al., Generalized Intersection over Union, CVPR 2019.
    """
    low1, high1 = first[:, :2] - first[:, 2:] / 2, first[:, :2] + first[:, 2:] / 2
    low2, high2 = second[:, :2] - second[:, 2:] / 2, second[:, :2] + second[:, 2:] / 2
    shared = (torch.minimum(high1, high2) - torch.maximum(low1, low2)).clamp(min=0).prod(dim=1)
    union = first[:, 2:].prod(dim=1) + second[:, 2:].prod(dim=1) - shared
    hull = (torch.maximum(high1, high2) - torch.minimum(low1, low2)).prod(dim=1)
    return shared / union.clamp(min=TINY) - (hull - union) / hull.clamp(min=TINY)


def _ink_loss(logits: Tensor, ink: Tensor) -> Tensor:
    """Cross-entropy over the pixels that count; 0 if none does."""
    losses = F.cross_entropy(logits.float(), ink.long(), ignore_index=IGNORED_INK, reduction="sum")
    return losses / (ink != IGNORED_INK).sum().clamp(min=1)
