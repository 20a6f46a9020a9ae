"""Regions around a page network's finds on synthetic pages, with the truth: what RegionNet learns from."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset

from digitcore.detection import PageDetector
from digitcore.regions import REGION_PX, REGION_RATIO, cut_greys
from digitcore.training.page_matching import NO_DIGIT, match_finds
from digitcore.training.page_stream import Maker, digest_pages
from digitcore.training.pages import Page
from digitcore.training.workers import iterate_in_order

# Cut a little wider than they are looked at, so that they can be moved and turned.
MARGIN_RATIO = 1.25
STORED_PX = round(REGION_PX * MARGIN_RATIO)
# A page of eighty digits shall not drown the others.
MAX_FINDS_PER_PAGE = 30
REGIONS_FORMAT = 1


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """Surroundings of n finds.

    Attributes:
        greys: (n, `STORED_PX`, `STORED_PX`) uint8, wider by `MARGIN_RATIO` than what RegionNet looks at.
        sides: (n, 2) float32 width and height of the find's box, in pixels of the page.
        labels: (n,) int64 which digit it is, or `NO_DIGIT`.
    """

    greys: npt.NDArray[np.uint8]
    sides: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """How many."""
        return len(self.labels)

    @property
    def is_digit(self) -> npt.NDArray[np.bool_]:
        """(n,) whether each is one."""
        return self.labels != NO_DIGIT

    def digest(self) -> str:
        """SHA-256 of all of it, in hex."""
        content = hashlib.sha256()
        for part in (self.greys, self.sides, self.labels):
            content.update(np.ascontiguousarray(part))
        return content.hexdigest()


def make_regions(
    maker: Maker, detector: PageDetector, n_pages: int, seed: int, stream: int, n_workers: int = 0
) -> Regions:
    """Have pages made and looked at.

    Args:
        maker: of the pages.
        detector: whose finds are meant.
        n_pages: to look at; each gives some twenty finds.
        seed: of everything; page by page, so that a longer run begins as a shorter one.
        stream: apart from other pages of the same seed.
        n_workers: processes that do it, 0 for this one; the regions do not depend on it.
    """
    parts = [
        (np.zeros((0, STORED_PX, STORED_PX), np.uint8), np.zeros((0, 2), np.float32), np.zeros(0, np.int64)),
        *iterate_in_order(_SearchPages(maker, detector, n_pages, seed, stream), n_workers),
    ]
    return Regions(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def load_or_make_regions(
    maker: Maker,
    detector: PageDetector,
    n_pages: int,
    seed: int,
    stream: int,
    recipe: str,
    cache_folder: Path,
    n_workers: int = 0,
) -> Regions:
    """`make_regions`, kept in a folder for the next time; 24,000 pages take 2.7 GB.

    Args:
        maker: see `make_regions`.
        detector: see `make_regions`.
        n_pages: see `make_regions`.
        seed: see `make_regions`.
        stream: see `make_regions`.
        recipe: what the maker's pages are, in words that change with it.
        cache_folder: where they are kept.
        n_workers: see `make_regions`.
    """
    pages = (n_pages, seed, stream, recipe, digest_pages(maker, seed))
    sources = (REGIONS_FORMAT, pages, detector.label, detector.config)
    path = cache_folder / f"regions-{hashlib.sha256(repr(sources).encode()).hexdigest()[:12]}.npz"
    if path.exists():
        with np.load(path) as kept:
            return Regions(kept["greys"], kept["sides"], kept["labels"])
    regions = make_regions(maker, detector, n_pages, seed, stream, n_workers)
    cache_folder.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.npz")
    np.savez(part, greys=regions.greys, sides=regions.sides, labels=regions.labels)
    part.replace(path)
    return regions


def gather_regions(page: Page, detector: PageDetector, rng: np.random.Generator) -> Regions:
    """A page's finds; those that the truth excuses are left out, and of very many some.

    Args:
        page: to look at.
        detector: whose finds are meant.
        rng: which of very many.
    """
    found = detector.detect(page.image)
    matches = match_finds(found.boxes, found.scores, page)
    kept = np.flatnonzero(~matches.is_excused)
    if len(kept) > MAX_FINDS_PER_PAGE:
        kept = np.sort(rng.choice(kept, MAX_FINDS_PER_PAGE, replace=False))
    digits = matches.digits[kept]
    labels = np.full(len(kept), NO_DIGIT, np.int64)
    labels[digits != NO_DIGIT] = page.labels[digits[digits != NO_DIGIT]]
    boxes = found.boxes[kept]
    greys = cut_greys(page.image, boxes, STORED_PX, REGION_RATIO * MARGIN_RATIO)
    return Regions(greys, boxes[:, 2:].astype(np.float32), labels)


class _SearchPages(Dataset):
    """Page by page: its regions' greys, sides and labels."""

    def __init__(self, maker: Maker, detector: PageDetector, n_pages: int, seed: int, stream: int) -> None:
        self.maker, self.detector, self.n_pages, self.seed, self.stream = maker, detector, n_pages, seed, stream

    def __len__(self) -> int:
        return self.n_pages

    def __getitem__(self, index: int) -> tuple[npt.NDArray, npt.NDArray, npt.NDArray]:
        if index >= self.n_pages:
            raise IndexError(index)
        rng = np.random.default_rng((self.seed, self.stream, index))
        regions = gather_regions(self.maker.make(rng), self.detector, rng)
        return regions.greys, regions.sides, regions.labels
