import gzip
import struct

import numpy as np
import pytest

from digitcore import data
from digitcore.data import LabeledImages, find_mnist, load_mnist, load_uci, split_train
from digitcore.errors import DatasetError
from digitcore.preprocessing import normalize_digit

N_OF = {"train": 40, "test": 30}


def _idx(array):
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def small_mnist(monkeypatch):
    """Four idx files of made-up digits by name, and counts to match."""
    monkeypatch.setattr(data, "MNIST_COUNTS", N_OF)
    rng = np.random.default_rng(0)
    files = {}
    for split, (images_name, labels_name) in data.MNIST_FILES.items():
        files[images_name] = _idx(rng.integers(0, 256, (N_OF[split], 28, 28)))
        files[labels_name] = _idx(rng.integers(0, 10, N_OF[split]))
    return files


def _write(folder, files, pack=False):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / (name + ".gz" * pack)).write_bytes(gzip.compress(content) if pack else content)


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("inside", ["MNIST/raw", "."])
def test_load_mnist_from_every_layout(tmp_path, small_mnist, inside, pack):
    _write(tmp_path / inside, small_mnist, pack)
    assert find_mnist(tmp_path) == tmp_path / inside
    for split, n in N_OF.items():
        dataset = load_mnist(split, tmp_path)
        images_name, labels_name = data.MNIST_FILES[split]
        assert dataset.images.tobytes() == small_mnist[images_name][16:]
        assert dataset.labels.astype(np.uint8).tobytes() == small_mnist[labels_name][8:]
        assert len(dataset) == n


def test_find_mnist_uses_the_environment(tmp_path, small_mnist, monkeypatch):
    monkeypatch.setenv("DIGITCORE_DATA", str(tmp_path))
    assert find_mnist() is None
    _write(tmp_path / "MNIST" / "raw", small_mnist)
    assert find_mnist() == tmp_path / "MNIST" / "raw"


def test_find_mnist_without_the_environment_looks_in_the_cache(tmp_path, small_mnist, monkeypatch):
    monkeypatch.delenv("DIGITCORE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    _write(tmp_path / "digitcore" / "MNIST" / "raw", small_mnist)
    assert find_mnist() == tmp_path / "digitcore" / "MNIST" / "raw"


def test_three_of_four_files_are_not_mnist(tmp_path, small_mnist):
    small_mnist.popitem()
    _write(tmp_path, small_mnist)
    assert find_mnist(tmp_path) is None
    with pytest.raises(DatasetError, match="DIGITCORE_DATA"):
        load_mnist("test", tmp_path)
    # The other split is whole, and enough for who wants no more.
    assert find_mnist(tmp_path, "train") == tmp_path and find_mnist(tmp_path, "test") is None
    assert len(load_mnist("train", tmp_path)) == N_OF["train"]


@pytest.mark.parametrize(
    ("name", "spoil", "words"),
    [
        ("t10k-images-idx3-ubyte", lambda content: content[:-1], "damaged"),
        ("t10k-images-idx3-ubyte", lambda content: content + b"x", "damaged"),
        ("t10k-images-idx3-ubyte", lambda content: content[:10], "no idx file"),
        ("t10k-images-idx3-ubyte", lambda content: b"", "no idx file"),
        ("t10k-images-idx3-ubyte", lambda content: b"<html>" + content, "no idx file"),
        ("t10k-images-idx3-ubyte", lambda content: _idx(np.zeros((29, 28, 28))), "29 images"),
        ("t10k-images-idx3-ubyte", lambda content: _idx(np.zeros((30, 27, 28))), r"\(N, 28, 28\)"),
        ("t10k-labels-idx1-ubyte", lambda content: _idx(np.full(30, 10)), "0 to 9"),
        ("t10k-labels-idx1-ubyte", lambda content: _idx(np.zeros(29)), "30 int64 labels"),
    ],
)
def test_damaged_files(tmp_path, small_mnist, name, spoil, words):
    small_mnist[name] = spoil(small_mnist[name])
    _write(tmp_path, small_mnist)
    with pytest.raises(DatasetError, match=words):
        load_mnist("test", tmp_path)


def test_damaged_gzip(tmp_path, small_mnist):
    _write(tmp_path, small_mnist, pack=True)
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DatasetError, match="cannot be read"):
        load_mnist("test", tmp_path)


def test_split_train_keeps_the_last_5000():
    labels = np.arange(60_000) % 10
    images = np.zeros((60_000, 28, 28), np.uint8)
    images[:, 0, 0] = np.arange(60_000) // 250
    train, validation = split_train(LabeledImages(images, labels, "all"))
    assert (len(train), len(validation)) == (55_000, 5_000)
    assert (train.images[-1, 0, 0], validation.images[0, 0, 0]) == (54_999 // 250, 55_000 // 250)


def test_split_train_refuses_another_size():
    with pytest.raises(DatasetError, match="60000"):
        split_train(LabeledImages(np.zeros((1, 28, 28), np.uint8), np.zeros(1, np.int64), "one"))


def test_digest_depends_on_pixels_and_labels_only():
    images, labels = np.zeros((2, 28, 28), np.uint8), np.array([1, 2])
    digest = LabeledImages(images, labels, "a").digest()
    assert digest == LabeledImages(images.copy(), labels.copy(), "b").digest()
    assert digest != LabeledImages(images, labels[::-1].copy(), "a").digest()
    assert digest != LabeledImages(images + np.uint8(1), labels, "a").digest()


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (np.zeros((1, 28, 28), np.float32), np.zeros(1, np.int64)),
        (np.zeros((1, 28), np.uint8), np.zeros(1, np.int64)),
        (np.zeros((1, 28, 28), np.uint8), np.zeros(1, np.int32)),
        (np.zeros((1, 28, 28), np.uint8), np.zeros(2, np.int64)),
        (np.zeros((1, 28, 28), np.uint8), np.full(1, -1)),
    ],
)
def test_labeled_images_checks_what_it_holds(images, labels):
    with pytest.raises(DatasetError):
        LabeledImages(images, labels, "bad")


def test_labeled_images_may_be_empty():
    assert len(LabeledImages(np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.int64), "none")) == 0


def test_load_uci():
    dataset = load_uci()
    assert (len(dataset), dataset.name) == (1797, "uci")
    assert dataset.images.shape == (1797, 28, 28)
    assert np.bincount(dataset.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    # Already as preprocessing makes it: once more changes only the rounding.
    for image in dataset.images[::300]:
        assert np.abs(normalize_digit(image).astype(int) - image).mean() < 12


@pytest.mark.mnist
def test_real_mnist():
    train, test = load_mnist("train"), load_mnist("test")
    assert np.bincount(train.labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert {"train": train.digest(), "test": test.digest()} == data.MNIST_DIGESTS
    assert train.images.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert train.images.std() / 255 == pytest.approx(0.3081, abs=5e-5)
