"""Fetching MNIST: from torchvision's mirrors or from the Hub's `ylecun/mnist`, whichever answers; verified either way.

torchvision and fastparquet are imported where they are used: serving must start without them.
"""

import hashlib
import http.client
import io
import os
import shutil
import struct
import tempfile
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from huggingface_hub import hf_hub_url

from digitcore.data import MNIST_COUNTS, MNIST_DIGESTS, MNIST_FILES, LabeledImages, Progress, Split, default_root
from digitcore.errors import DatasetError
from digitcore.imaging import load_image

# Of each split a file of rows {"image": {"bytes": PNG, "path"}, "label"}: 15.6 and 2.6 MB.
HUB_REPO = "ylecun/mnist"
HUB_FILES: dict[Split, str] = {
    "train": "mnist/train-00000-of-00001.parquet",
    "test": "mnist/test-00000-of-00001.parquet",
}
# The largest file of either source has 16 MB.
MAX_DOWNLOAD_BYTES = 32 * 1024 * 1024
# Without a byte; the next source may be at hand.
DOWNLOAD_TIMEOUT_S = 10
CHUNK_BYTES = 256 * 1024
ALL_SPLITS: tuple[Split, ...] = ("train", "test")


def download_mnist(
    root: Path | None = None, progress: Progress | None = None, splits: Sequence[Split] = ALL_SPLITS
) -> Path:
    """Fetch MNIST into `root/MNIST/raw`: from torchvision's mirrors, or from the Hub if none of them gives it.

    What comes from a mirror is checked by torchvision's MD5 of each file, what comes from the Hub by the SHA-256 of the
    decoded pixels and labels. The files appear together once all are verified; after a failure nothing of them is left.

    Args:
        root: made if it is missing; None for `default_root()`.
        progress: called with what is being fetched and how much of the whole is done, 0 to 1; from 0 again if another
            source is tried. What it raises breaks the download off.
        splits: "train" (60,000 images), "test" (10,000) or both.

    Returns:
        The folder with the files.

    Raises:
        DatasetError: if nobody gives it, or what comes is not MNIST, or it cannot be written.
    """
    root = default_root() if root is None else Path(root)
    report = progress or (lambda _what, _done: None)
    problems: list[str] = []
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=".mnist-") as staging:
            if not any(fetch(splits, Path(staging), report, problems) for fetch in (_fetch_mirrored, _fetch_from_hub)):
                raise DatasetError(
                    "MNIST could not be downloaded (" + "; ".join(problems) + "). Is there a network connection?"
                )
            folder = root / "MNIST" / "raw"
            folder.mkdir(parents=True, exist_ok=True)
            for path in Path(staging).iterdir():
                shutil.move(path, folder / path.name)
    except OSError as err:
        raise DatasetError(f"MNIST could not be written to {root}: {err}") from err
    report("MNIST", 1.0)
    return folder


def _fetch_mirrored(splits: Sequence[Split], staging: Path, report: Progress, problems: list[str]) -> bool:
    """Each file from the first of torchvision's mirrors that has it intact; False, and why, if there is none."""
    from torchvision.datasets import MNIST

    wanted = {f"{name}.gz" for split in splits for name in MNIST_FILES[split]}
    resources = [(name, md5) for name, md5 in MNIST.resources if name in wanted]
    for index, (name, md5) in enumerate(resources):
        content = None
        for mirror in MNIST.mirrors:
            url = mirror.rstrip("/") + "/" + name
            fetched = _try_to_fetch(url, name, index, len(resources), report, problems)
            if fetched is not None and hashlib.md5(fetched, usedforsecurity=False).hexdigest() == md5:
                content = fetched
                break
            if fetched is not None:
                problems.append(f"{url}: the MD5 checksum is wrong")
        if content is None:
            _empty(staging)
            return False
        (staging / name).write_bytes(content)
    return True


def _fetch_from_hub(splits: Sequence[Split], staging: Path, report: Progress, problems: list[str]) -> bool:
    """Both files of each split, made of the Hub's one; False, and why, if it does not give what MNIST is."""
    for index, split in enumerate(splits):
        url = hf_hub_url(
            HUB_REPO, HUB_FILES[split], repo_type="dataset", endpoint=os.environ.get("HF_ENDPOINT") or None
        )
        content = _try_to_fetch(url, HUB_FILES[split], index, len(splits), report, problems)
        if content is None:
            _empty(staging)
            return False
        try:
            dataset = read_parquet(content, split)
        except DatasetError as err:
            problems.append(f"{url}: {err}")
            _empty(staging)
            return False
        images_name, labels_name = MNIST_FILES[split]
        (staging / images_name).write_bytes(make_idx(dataset.images))
        (staging / labels_name).write_bytes(make_idx(dataset.labels.astype(np.uint8)))
    return True


def read_parquet(content: bytes, split: Split) -> LabeledImages:
    """Decode the Hub's file of a split and check that it is MNIST.

    Args:
        content: of the Parquet file.
        split: which it must be.

    Returns:
        Its images in their order, which is that of the idx files.

    Raises:
        DatasetError: if it is no such file, or its pixels or labels are others.
    """
    import fastparquet

    try:
        file = fastparquet.ParquetFile(io.BytesIO(content))
        n_rows = file.count()
        if n_rows != MNIST_COUNTS[split]:
            raise DatasetError(f"{n_rows:,} rows came; MNIST's {split} set has {MNIST_COUNTS[split]:,}")
        # The fields of a struct are columns of their own, named so.
        table = file.to_pandas(columns=["image.bytes", "label"])
        images = [load_image(png)[:, :, 0] for png in table["image.bytes"]]
        dataset = LabeledImages(np.stack(images), table["label"].to_numpy(np.int64), f"mnist-{split}")
    except DatasetError:
        raise
    # A parser fails on foreign bytes in more ways than it documents; whatever the way, this is not the file.
    except Exception as err:
        raise DatasetError(f"it is no Parquet file of MNIST's {split} set ({type(err).__name__}: {err})") from err
    if dataset.digest() != MNIST_DIGESTS[split]:
        raise DatasetError("the SHA-256 of its pixels and labels is wrong")
    return dataset


def make_idx(array: npt.NDArray[np.uint8]) -> bytes:
    """An array of unsigned bytes in MNIST's own file format (http://yann.lecun.com/exdb/mnist, "file formats")."""
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + np.ascontiguousarray(array).tobytes()


def _try_to_fetch(url: str, name: str, index: int, n_files: int, report: Progress, problems: list[str]) -> bytes | None:
    """The file, its share of the whole reported; None, and why, if it does not come."""
    try:
        return _fetch(url, lambda done: report(name, (index + done) / n_files))
    except (OSError, ValueError, http.client.HTTPException) as err:
        problems.append(f"{url}: {err}")
        return None


def _fetch(url: str, report: Callable[[float], None]) -> bytes:
    """The body behind a URL, at most `MAX_DOWNLOAD_BYTES` of it; raises OSError or ValueError."""
    with urllib.request.urlopen(url, timeout=DOWNLOAD_TIMEOUT_S) as response:
        n_expected = int(response.headers.get("Content-Length") or 0)
        content = bytearray()
        while chunk := response.read(CHUNK_BYTES):
            content += chunk
            if len(content) > MAX_DOWNLOAD_BYTES:
                raise ValueError("more bytes came than MNIST has")
            if n_expected:
                report(min(len(content) / n_expected, 1.0))
    if n_expected and len(content) != n_expected:
        raise ValueError(f"{len(content):,} of {n_expected:,} bytes came")
    return bytes(content)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
