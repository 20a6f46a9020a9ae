"""Labelled digits: MNIST (find, read, split) and the UCI digits that scikit-learn bundles.

scikit-learn is imported where it is used: serving must start without it.
"""

import gzip
import hashlib
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from digitcore.errors import DatasetError
from digitcore.preprocessing import FIELD_PX, normalize_digits
from digitcore.results import N_CLASSES

DATA_VARIABLE = "DIGITCORE_DATA"
# The last part of MNIST's training images chooses settings and is never trained on by DigitNet.
N_TRAIN, N_VALIDATION = 55_000, 5_000
# Images and labels of each split, as everybody names the files.
MNIST_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
MNIST_COUNTS = {"train": 60_000, "test": 10_000}
# `LabeledImages.digest()` of each split, of the files whose MD5 torchvision knows.
MNIST_DIGESTS = {
    "train": "edc0d1098aa497be14ace79ddd5171e5a3dcf9c4d196c015389203eb3ba1f59b",
    "test": "c3f9adf9c66efb572b1f9326c3a511b45910c7173b97be66ceceeeeaef6b802b",
}
# The first bytes of an idx file: two zeros, 8 for unsigned bytes, the number of axes.
IDX_MAGIC = {1: b"\x00\x00\x08\x01", 3: b"\x00\x00\x08\x03"}
# The largest of the four files has 47 MB unpacked and 10 MB packed.
MAX_IDX_BYTES = 64 * 1024 * 1024
# 8×8 cells of the UCI digits, each 0..16, are enlarged five times: twice as fine as the 20 px box they end in.
UCI_SIZE_PX, UCI_LEVELS, UCI_SCALE = 8, 16, 5

Split = Literal["train", "test"]
# What is being read or fetched, and how much of the whole is done, 0 to 1.
Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, eq=False)
class LabeledImages:
    """Images of single digits with their truth.

    Attributes:
        images: (N, 28, 28) uint8, white on black.
        labels: (N,) int64, 0 to 9.
        name: of the data set, as reports print it.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    name: str

    def __post_init__(self) -> None:
        """Check shapes, types and range."""
        check_labeled(self.images, self.labels, least_label=0)

    def __len__(self) -> int:
        """How many images."""
        return len(self.labels)

    def part(self, start: int, stop: int, name: str) -> "LabeledImages":
        """Images `start` to `stop`, under another name."""
        return LabeledImages(self.images[start:stop], self.labels[start:stop], name)

    def digest(self) -> str:
        """SHA-256 of the pixels and labels, in hex: the same wherever and however the files were stored."""
        labels = self.labels.astype(np.uint8)
        return hashlib.sha256(np.ascontiguousarray(self.images).tobytes() + labels.tobytes()).hexdigest()


def check_labeled(images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], least_label: int) -> None:
    """Check images (N, 28, 28) uint8 and their labels (N,) int64, from the least one to 9.

    Raises:
        DatasetError: if a shape, a type or a label is another.
    """
    if images.dtype != np.uint8 or images.shape[1:] != (FIELD_PX, FIELD_PX):
        raise DatasetError(f"Expected (N, 28, 28) uint8 images, got {images.dtype} {images.shape}.")
    if labels.dtype != np.int64 or labels.shape != images.shape[:1]:
        raise DatasetError(f"Expected {len(images)} int64 labels, got {labels.dtype} {labels.shape}.")
    if labels.size and not least_label <= labels.min() <= labels.max() < N_CLASSES:
        raise DatasetError(f"Labels must be {least_label} to 9, got {labels.min()} to {labels.max()}.")


def default_root() -> Path:
    """Where data sets are looked for and put if nobody says otherwise: DIGITCORE_DATA, or the user's cache folder."""
    if named := os.environ.get(DATA_VARIABLE):
        return Path(named).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "digitcore"


def find_mnist(root: Path | None = None, split: Split | None = None) -> Path | None:
    """Look for MNIST's files, packed (.gz) or not, in `root/MNIST/raw` as torchvision puts them, or in `root`.

    Args:
        root: None for `default_root()`.
        split: whose two files it takes; None for all four.

    Returns:
        The folder that has them, or None.
    """
    root = default_root() if root is None else Path(root)
    names = [name for each, pair in MNIST_FILES.items() for name in pair if split in (None, each)]
    for folder in (root / "MNIST" / "raw", root):
        if all(_find_idx(folder, name) for name in names):
            return folder
    return None


def load_mnist(split: Split, root: Path | None = None) -> LabeledImages:
    """Read a split of MNIST.

    Args:
        split: "train" (60,000 images) or "test" (10,000).
        root: as for `find_mnist`.

    Returns:
        The images in the order of the files, named "mnist-train" or "mnist".

    Raises:
        DatasetError: if the files are not there or are damaged.
    """
    folder = find_mnist(root, split)
    if folder is None:
        where = default_root() if root is None else root
        raise DatasetError(
            f"MNIST is not in {where}. Put its four files into {Path(where) / 'MNIST' / 'raw'}, "
            f"or set {DATA_VARIABLE} to the folder that holds MNIST/raw."
        )
    images_name, labels_name = MNIST_FILES[split]
    images = _read_idx(folder, images_name, n_axes=3)
    labels = _read_idx(folder, labels_name, n_axes=1).astype(np.int64)
    if len(images) != MNIST_COUNTS[split]:
        raise DatasetError(
            f"{folder / images_name} holds {len(images)} images; MNIST's {split} set has {MNIST_COUNTS[split]}."
        )
    return LabeledImages(images, labels, "mnist" if split == "test" else "mnist-train")


def split_train(dataset: LabeledImages) -> tuple[LabeledImages, LabeledImages]:
    """The 60,000 training images as the first 55,000, to train on, and the last 5,000, to choose by."""
    if len(dataset) != N_TRAIN + N_VALIDATION:
        raise DatasetError(f"Expected MNIST's {N_TRAIN + N_VALIDATION} training images, got {len(dataset)}.")
    train = dataset.part(0, N_TRAIN, f"{dataset.name}[:{N_TRAIN}]")
    return train, dataset.part(N_TRAIN, len(dataset), f"{dataset.name}[{N_TRAIN}:]")


def load_uci() -> LabeledImages:
    """The UCI optical digits' test set that scikit-learn bundles: 1,797 digits of 13 writers, no network needed.

    Returns:
        The 8×8 digits enlarged smoothly and brought to MNIST's form by `preprocessing.normalize_digits`.

    Source: Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.
    """
    from sklearn.datasets import load_digits

    bundle = load_digits()
    size_wh = (UCI_SIZE_PX * UCI_SCALE, UCI_SIZE_PX * UCI_SCALE)
    inks = []
    for cells in bundle.images:
        pixels = cv2.resize(cells * (255.0 / UCI_LEVELS), size_wh, interpolation=cv2.INTER_CUBIC)
        inks.append(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
    return LabeledImages(normalize_digits(inks), bundle.target.astype(np.int64), "uci")


def _find_idx(folder: Path, name: str) -> Path | None:
    """The file, unpacked or packed."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _read_idx(folder: Path, name: str, n_axes: int) -> npt.NDArray[np.uint8]:
    """Parse an idx file of unsigned bytes (http://yann.lecun.com/exdb/mnist, "file formats")."""
    path = _find_idx(folder, name)
    if path is None:
        raise DatasetError(f"{folder / name} is missing.")
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            content = file.read(MAX_IDX_BYTES)
    except (OSError, EOFError, zlib.error) as err:
        raise DatasetError(f"{path} cannot be read: {err}") from err
    n_header_bytes = 4 + 4 * n_axes
    if content[:4] != IDX_MAGIC[n_axes] or len(content) < n_header_bytes:
        raise DatasetError(f"{path} is no idx file of unsigned bytes with {n_axes} axes.")
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", count=n_axes, offset=4))
    n_values = int(np.prod(shape, dtype=np.int64))
    if len(content) != n_header_bytes + n_values:
        raise DatasetError(
            f"{path} is damaged: {n_values:,} values announced, {len(content) - n_header_bytes:,} there."
        )
    return np.frombuffer(content, np.uint8, offset=n_header_bytes).reshape(shape).copy()
