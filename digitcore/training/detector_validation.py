"""How well a page network finds and reads the digits of synthetic pages, each looked at once, as it is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from digitcore.detection import find_peaks, predict_maps
from digitcore.detector import prepare_channels
from digitcore.merging import DetectionConfig, Finds, merge_finds
from digitcore.training.page_matching import match_finds
from digitcore.training.pages import Page

# Pages that the network looks at together.
BATCH_SIZE = 16


@dataclass(frozen=True, slots=True)
class PageScore:
    """Counts over pages.

    Attributes:
        n_pages: looked at.
        n_digits: there to be found.
        n_found: of those, found at IoU .5 or more.
        n_right: of those, read right.
        n_false: finds where no digit is.
    """

    n_pages: int = 0
    n_digits: int = 0
    n_found: int = 0
    n_right: int = 0
    n_false: int = 0

    def __add__(self, other: "PageScore") -> "PageScore":
        """Of both together."""
        return PageScore(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    @property
    def recall(self) -> float:
        """Share of the digits that were found, whatever they were read as; 1.0 if there was none."""
        return self.n_found / self.n_digits if self.n_digits else 1.0

    @property
    def f1(self) -> float:
        """F1 of digits found in the right place and read right; 1.0 if there was none and none was found."""
        n_claims = self.n_digits + self.n_found + self.n_false
        return 2 * self.n_right / n_claims if n_claims else 1.0

    @property
    def false_per_page(self) -> float:
        """Finds where no digit is; 0.0 without pages."""
        return self.n_false / self.n_pages if self.n_pages else 0.0


def measure_pages(
    net: nn.Module,
    pages: Sequence[Page],
    device: torch.device,
    config: DetectionConfig = DetectionConfig(),  # noqa: B008
) -> PageScore:
    """Look at pages of one size and count.

    Args:
        net: a PageNet in evaluation mode, on `device`.
        pages: sides multiples of 32.
        device: where to compute.
        config: how digits are picked.
    """
    score = PageScore()
    for start in range(0, len(pages), BATCH_SIZE):
        some = pages[start : start + BATCH_SIZE]
        channels = torch.from_numpy(np.stack([prepare_channels(page.image) for page in some]))
        peaks = find_peaks(predict_maps(net, channels, device), config.min_score, config.max_peaks)
        for page, finds in zip(some, peaks, strict=True):
            score += score_page(merge_finds([finds], config), page)
    return score


def score_page(finds: Finds, page: Page) -> PageScore:
    """Count what became of the finds of a page, and of its digits."""
    matches = match_finds(finds.boxes, finds.scores, page)
    n_right = int(matches.find_right(finds.probs.argmax(axis=1), page).sum())
    return PageScore(1, len(page.boxes), int(matches.is_found.sum()), n_right, int(matches.is_false.sum()))
