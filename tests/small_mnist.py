"""Made-up images in MNIST's form: a folder of files that our own reader takes for it, once it is told their number."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from digitcore.data import MNIST_FILES
from digitcore.preprocessing import normalize_digits
from tests.drawn import STROKES, draw_strokes, place

N_TRAIN, N_TEST = 300, 50
COUNTS = {"train": N_TRAIN, "test": N_TEST}


def write_small_mnist(
    root: Path, counts: dict[str, int] = COUNTS, draw: Callable[..., np.ndarray] | None = None, seed: int = 0
) -> Path:
    """Write images to root/MNIST/raw; returns root.

    Args:
        root: a folder.
        counts: of images, by split.
        draw: (labels, rng) → (n, 28, 28) uint8, white on black; None for bars, one height for each digit.
        seed: of everything random.
    """
    rng = np.random.default_rng(seed)
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for split, n in counts.items():
        labels = rng.choice(list(STROKES), n) if draw is draw_hand else rng.integers(0, 10, n)
        images = (draw or draw_bars)(labels, rng)
        for name, array in zip(MNIST_FILES[split], (images, labels), strict=True):
            (folder / name).write_bytes(_idx(array))
    return root


def draw_bars(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A bar across, at the digit's height."""
    images = np.zeros((len(labels), 28, 28), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[4 + 2 * label : 6 + 2 * label, 6:22] = 255
    return images


def draw_hand(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The digits of `drawn`, of other proportions and with another pen each time, in MNIST's form."""
    inks = []
    for label in labels:
        w, h = rng.uniform(50, 110), rng.uniform(110, 170)
        strokes = place(int(label), 160 - w / 2, 120 - h / 2, w, h)
        slant = rng.uniform(-0.25, 0.25)
        slanted = [[(x + slant * (120 - y), y) for x, y in stroke] for stroke in strokes]
        inks.append(255 - draw_strokes(slanted, (320, 240), int(rng.integers(8, 22)))[:, :, 0])
    return normalize_digits(inks)


def _idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    return header + array.astype(np.uint8).tobytes()
