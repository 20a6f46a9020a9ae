"""Synthetic test pages: MNIST digits and fonts that training never saw, each page named by its scene and number."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from digitcore.data import load_mnist, split_train
from digitcore.training.glyphs import DigitGlyphs
from digitcore.training.pages import TURNED_LOOK_ALIKES, Page, PageConfig, PageMaker, Scene
from digitcore.training.writing import Writing

SCENES = ("words", "touching", "dense", "mixed", "turned")
# Beside the streams of training's pages (page_stream.py) and of the fusion's (train/fit_fusion.py).
SEED, TEST_STREAM = 2026, 2
ROTATIONS = (90, 180, 270)
MIN_TURNED_DIGITS = 3
# A page turned as a whole is what "turned" measures; elsewhere its digits would be read and count as false.
MIXED_CONFIG = PageConfig(turned_ratio=0.0)
ROWS_CONFIG = PageConfig(
    rows=1, dense=0, column=0, grid=0, scattered=0, large=0, words=0, nothing=0, turned_ratio=0.0, inset_ratio=0.0
)
# Pages of rows are drawn again until there is enough on them to tell which way up they are; half of them have it.
MAX_TRIES = 100


class Maker(Protocol):
    """Whatever makes pages: `PageMaker`, or a test's own."""

    def make(self, rng: np.random.Generator, scene: Scene = "mixed") -> Page:
        """One page, from these random numbers alone."""


@dataclass(frozen=True, slots=True, eq=False)
class ScenePages:
    """Makes the pages of all scenes.

    Attributes:
        mixed: of every scene but "turned".
        rows: of that.
    """

    mixed: Maker
    rows: Maker

    @classmethod
    def load(cls, fonts: Path, root: Path | None = None, cache_folder: Path | None = None) -> "ScenePages":
        """Draw from MNIST's validation images and the fonts that are for tests.

        Args:
            fonts: folder of fonts.
            root: of MNIST, as for `load_mnist`.
            cache_folder: where the thinned digits are kept; None for nowhere.

        Raises:
            DatasetError: if MNIST or the fonts are missing.
        """
        held_out = split_train(load_mnist("train", root))[1]
        digits, writing = DigitGlyphs.from_images(held_out, cache_folder), Writing.from_folder(fonts, "test")
        return cls(PageMaker(digits, writing, MIXED_CONFIG), PageMaker(digits, writing, ROWS_CONFIG))

    def make(self, scene: str, n_pages: int) -> Iterator[Page]:
        """The first pages of a scene, always the same ones."""
        for index in range(n_pages):
            rng = np.random.default_rng((SEED, TEST_STREAM, SCENES.index(scene), index))
            yield self._make_upright(rng, pick_rotation(index)) if scene == "turned" else self.mixed.make(rng, scene)

    def _make_upright(self, rng: np.random.Generator, rotation: int) -> Page:
        """A page of rows, upright, that shows which way up it is."""
        alike = TURNED_LOOK_ALIKES[rotation]
        for _ in range(MAX_TRIES):
            page = self.rows.make(rng)
            if len(page.labels) >= MIN_TURNED_DIGITS and not alike.issuperset(page.labels.tolist()):
                break
        return page


def pick_rotation(index: int) -> int:
    """Degrees clockwise by which a page of "turned" must be turned to be read."""
    return ROTATIONS[index % len(ROTATIONS)]


def turn_away(image: npt.NDArray[np.uint8], rotation: int) -> npt.NDArray[np.uint8]:
    """Lay an upright picture so that it must be turned so many degrees clockwise to be read."""
    return np.ascontiguousarray(np.rot90(image, rotation // 90))


def find_pairs(page: Page) -> list[tuple[int, int]]:
    """Pairs of digits that touch, on a page of nothing but pairs.

    Args:
        page: of the scene "touching".

    Returns:
        Indices into `page.boxes`; a pair with a digit that is excused, as too faint, is left out.
    """
    # Two of one pair are nearer than two of different ones; the excused are partners like any other.
    boxes = np.vstack([page.boxes, page.ignored])
    if len(boxes) < 2:
        return []
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    gaps = np.maximum(low[:, None] - high, low - high[:, None]).max(axis=2)
    np.fill_diagonal(gaps, np.inf)
    nearest = gaps.argmin(axis=1)
    n_asked = len(page.boxes)
    return [(i, int(j)) for i, j in enumerate(nearest) if i < j < n_asked and nearest[j] == i]
