"""Made-up images in MNIST's form: a folder of files that our own reader takes for it, once it is told their number."""

from pathlib import Path

import numpy as np

from digitcore.data import MNIST_FILES

N_TRAIN, N_TEST = 300, 50
COUNTS = {"train": N_TRAIN, "test": N_TEST}


def write_small_mnist(root: Path, seed: int = 0) -> Path:
    """Write 300 and 50 images of bars, one height for each digit, to root/MNIST/raw; returns root."""
    rng = np.random.default_rng(seed)
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for split, n in COUNTS.items():
        labels = rng.integers(0, 10, n)
        images = np.zeros((n, 28, 28), np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[4 + 2 * label : 6 + 2 * label, 6:22] = 255
        for name, array in zip(MNIST_FILES[split], (images, labels), strict=True):
            (folder / name).write_bytes(_idx(array))
    return root


def _idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    return header + array.astype(np.uint8).tobytes()
