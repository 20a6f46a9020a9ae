import base64
import gzip
import hashlib
import io
import os
import struct
import tempfile
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import fastparquet
import numpy as np
import pandas
import pytest
from PIL import Image

from digitcore import data, mnist_download
from digitcore.data import LabeledImages, find_mnist, load_mnist
from digitcore.errors import DatasetError
from digitcore.mnist_download import HUB_FILES, download_mnist, make_idx, read_parquet

N_OF = {"train": 40, "test": 30}
HUB_PATH = "/hub/datasets/ylecun/mnist/resolve/main/"


class Sources:
    """A loopback server that is a mirror under /mirror/, a mirror that cuts off under /cut/, and the Hub under /hub."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[str] = []
        sources = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802 (the base class's name)
                sources.requests.append(self.path)
                path = self.path.replace("/cut/", "/mirror/")
                content = sources.files.get(path)
                self.send_response(404 if content is None else 200)
                announced = len(content or b"") + (1000 if path != self.path else 0)
                self.send_header("Content-Length", str(announced))
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def remove(self, start: str) -> None:
        self.files = {path: content for path, content in self.files.items() if not path.startswith(start)}


def encode_png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def make_parquet(dataset: LabeledImages, **changes) -> bytes:
    """The Hub's columns: PNGs and labels, or others instead."""
    columns = {"image.bytes": [encode_png(image) for image in dataset.images], "label": dataset.labels} | changes
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "t.parquet")
        fastparquet.write(path, pandas.DataFrame({k: v for k, v in columns.items() if v is not None}))
        with open(path, "rb") as file:
            return file.read()


@pytest.fixture
def digits() -> dict[str, LabeledImages]:
    rng = np.random.default_rng(0)
    return {
        split: LabeledImages(rng.integers(0, 256, (n, 28, 28), np.uint8), rng.integers(0, 10, n), f"mnist-{split}")
        for split, n in N_OF.items()
    }


@pytest.fixture
def sources(digits, monkeypatch):
    """Mirror and Hub of made-up digits, and what verifies them."""
    from torchvision.datasets import MNIST

    sources = Sources()
    resources = []
    for split, dataset in digits.items():
        for name, array in zip(data.MNIST_FILES[split], (dataset.images, dataset.labels), strict=True):
            content = gzip.compress(make_idx(array.astype(np.uint8)))
            sources.files[f"/mirror/{name}.gz"] = content
            resources.append((f"{name}.gz", hashlib.md5(content).hexdigest()))
        sources.files[HUB_PATH + HUB_FILES[split]] = make_parquet(dataset)
    monkeypatch.setattr(MNIST, "mirrors", [f"{sources.url}/mirror/"])
    monkeypatch.setattr(MNIST, "resources", resources)
    monkeypatch.setenv("HF_ENDPOINT", f"{sources.url}/hub")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for module in (data, mnist_download):
        monkeypatch.setattr(module, "MNIST_COUNTS", N_OF)
    monkeypatch.setattr(mnist_download, "MNIST_DIGESTS", {split: each.digest() for split, each in digits.items()})
    yield sources
    sources.server.shutdown()
    sources.server.server_close()


def check(root, digits, splits=("train", "test")) -> None:
    for split in splits:
        assert load_mnist(split, root).digest() == digits[split].digest()
    assert os.listdir(root) == ["MNIST"]


@pytest.mark.parametrize("gone", ["/hub", "/mirror"])
def test_download_mnist_from_whichever_answers(tmp_path, sources, digits, gone):
    sources.remove(gone)
    seen = []
    folder = download_mnist(tmp_path / "new", progress=lambda what, done: seen.append((what, done)))
    assert folder == find_mnist(tmp_path / "new")
    check(tmp_path / "new", digits)
    shares = [done for _, done in seen]
    assert shares == sorted(shares) and shares[-1] == 1.0 and 0 < shares[0] <= 0.5
    assert all(path.startswith("/mirror") for path in sources.requests) == (gone == "/hub")


@pytest.mark.parametrize("gone", ["/hub", "/mirror"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_download_mnist_one_split_only(tmp_path, sources, digits, gone, split):
    sources.remove(gone)
    download_mnist(tmp_path, splits=(split,))
    check(tmp_path, digits, (split,))
    assert find_mnist(tmp_path) is None and find_mnist(tmp_path, split)
    answered = [path for path in sources.requests if path in sources.files]
    assert answered and all(("t10k" in path or "/test-" in path) == (split == "test") for path in answered)


def test_download_mnist_tries_the_next_mirror(tmp_path, sources, digits, monkeypatch):
    from torchvision.datasets import MNIST

    sources.remove("/hub")
    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/", f"{sources.url}/cut/", f"{sources.url}/mirror/"])
    download_mnist(tmp_path)
    check(tmp_path, digits)


def test_download_mnist_takes_all_of_the_hub_if_a_mirror_has_only_some(tmp_path, sources, digits):
    del sources.files["/mirror/t10k-labels-idx1-ubyte.gz"]
    download_mnist(tmp_path)
    check(tmp_path, digits)
    assert not list(tmp_path.rglob("*.gz")), "nothing of the mirror's is left beside the Hub's"


def _drop_last(sources, _digits):
    del sources.files["/mirror/t10k-labels-idx1-ubyte.gz"]


def _spoil_last(sources, _digits):
    sources.files["/mirror/t10k-labels-idx1-ubyte.gz"] = gzip.compress(b"other bytes")


def _cut_off(sources, _digits):
    from torchvision.datasets import MNIST

    MNIST.mirrors = [f"{sources.url}/cut/"]  # the fixture's patch is undone after the test


@pytest.mark.parametrize(("spoil", "words"), [(_drop_last, "404"), (_spoil_last, "MD5"), (_cut_off, "bytes came")])
def test_a_failed_download_leaves_nothing(tmp_path, sources, digits, spoil, words):
    sources.remove("/hub")
    spoil(sources, digits)
    with pytest.raises(DatasetError, match=words) as caught:
        download_mnist(tmp_path)
    assert "ylecun/mnist" in str(caught.value) and "network connection" in str(caught.value)
    assert os.listdir(tmp_path) == []


def _one_pixel(dataset):
    images = dataset.images.copy()
    images[3, 4, 5] ^= 1
    return make_parquet(LabeledImages(images, dataset.labels, "other"))


def _one_label(dataset):
    labels = dataset.labels.copy()
    labels[3] = (labels[3] + 1) % 10
    return make_parquet(LabeledImages(dataset.images, labels, "other"))


def _not_pictures(dataset):
    return make_parquet(dataset, **{"image.bytes": [b"no picture"] * len(dataset)})


def _other_sizes(dataset):
    return make_parquet(dataset, **{"image.bytes": [encode_png(np.zeros((28, 29), np.uint8))] * len(dataset)})


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_one_pixel, "SHA-256 of its pixels and labels is wrong"),
        (_one_label, "SHA-256 of its pixels and labels is wrong"),
        (_not_pictures, "no Parquet file of MNIST's test set"),
        (_other_sizes, "no Parquet file of MNIST's test set|Expected .N, 28, 28. uint8"),
        (lambda dataset: make_parquet(dataset.part(0, 29, "fewer")), "29 rows came"),
        (lambda dataset: make_parquet(dataset, label=None), "no Parquet file of MNIST's test set"),
        (lambda dataset: make_parquet(dataset)[:-9], "no Parquet file of MNIST's test set"),
        (lambda dataset: b"<html>Gateway</html>", "no Parquet file of MNIST's test set"),
        (lambda dataset: b"", "no Parquet file of MNIST's test set"),
    ],
    ids=["pixel", "label", "no pictures", "sizes", "fewer", "no labels", "cut", "html", "empty"],
)
def test_a_damaged_file_of_the_hub_leaves_nothing(tmp_path, sources, digits, spoil, words):
    sources.remove("/mirror")
    sources.files[HUB_PATH + HUB_FILES["test"]] = spoil(digits["test"])
    with pytest.raises(DatasetError, match=words):
        download_mnist(tmp_path)
    assert os.listdir(tmp_path) == []


# Four bars in the Hub's own layout, a struct with the PNG and a path, in two row groups; written by pyarrow 26.
HUB_SAMPLE = zlib.decompress(
    base64.b64decode(
        "eNrVlk9IFFEcx3/v7ezs7OKfVfY9ZmSTDdZhklVWF6VgKayVNBYTSxbRw6627Rr+2Vb7dwsRwQ4FURIRIiKxJ+vkITx48JTRwSKiLhlaFGFCtw"
        "jqzcyujc4iK9HBGWbeb9578/39+cwPpr2po45wZJoj73CY8ATKAe7gnk4AmGxvO13sqHAws7i1JdTBRjfito4LzIDIxZst6kRrqOn89Ud90ZkT"
        "0fH232u+C0vjZz9n1jPrSwh+nEJKzeLEd3V/a3NbaP5kdCwCU10AlYe6kiH/k4A/OXumfu3VsWp2pgA2V5AyiafmNrvB2n1vYz4RFUJbD7a+uO"
        "+z8yjA13NIWVk9LBoFCRAXEX0sdCe7eHcjKJF8kauXMfJKQ+ShwlyJnYUI77skZWXsweHF7M5jbPEC4+ElSpgNKo3ykJWt+GtTQwnVqFMNU9JY"
        "sWoLolXbmJW0sLulApAFMy0P8eYknUEE+mHLjkywnNC/gqKQWxGF3F4KSp5ZzZXdo0WPdE8LiDxDYYI1X909kQK/JSORZdelRDQz/tRAZOM9Uq"
        "pXmz/ugq+Fjf8BfoGuxP8lbCggxgir9FlOufLZPSr0QBb67mStAR16YBv6TiEnceWEBDe3izXeZs1tU+UMrM2zRg9I8yD1NIDIj/Ql44MxwkED"
        "Fq39g7FEnNmkqIo99d4YjY/oNpeKjSarIKwWjXDq4kCsNz4AVJB8UlAGNymSGoB3Soquob9LMOXpBxud4eUxiywczP6WfGrnEazW3smGIJ3gJF"
        "5qZD3DNppT10qlZT6N6GMkf+PlTN4uNwu7NF3MZXU5XTdba03yBaKvkXxbkF/a9tfnJmdHeEnWMqDPHZSXBfrQDnuSxPQnR8es8i+HPGs/qN1q"
        "rvk80mHiPWFiegvRu0h+UyLPleTrXrOwY6euCSami4guI/lTqbxQur9Gzg9T9USXbBQzPvStDRRPKpa+fCU+WtOXStXE0unha56r8fRI//CQp7"
        "6x1l9bJwXdWmXV4jqZfjv7ofgDaOeeCA=="
    )
)


def test_read_parquet_in_the_layout_of_the_hub(monkeypatch):
    bars = np.zeros((4, 28, 28), np.uint8)
    for i, bar in enumerate(bars):
        bar[4:24, 6 + 4 * i : 9 + 4 * i] = 255 - 40 * i
    expected = LabeledImages(bars, np.array([1, 7, 1, 4]), "bars")
    monkeypatch.setattr(mnist_download, "MNIST_COUNTS", {"test": 4})
    monkeypatch.setattr(mnist_download, "MNIST_DIGESTS", {"test": expected.digest()})
    found = read_parquet(HUB_SAMPLE, "test")
    assert (found.images == bars).all() and found.labels.tolist() == [1, 7, 1, 4]


def test_read_parquet_gives_the_split(sources, digits):
    found = read_parquet(make_parquet(digits["test"]), "test")
    assert (found.images == digits["test"].images).all() and (found.labels == digits["test"].labels).all()


def test_an_endless_download_is_stopped(tmp_path, sources, monkeypatch):
    monkeypatch.setattr(mnist_download, "MAX_DOWNLOAD_BYTES", 100)
    with pytest.raises(DatasetError, match="more bytes"):
        download_mnist(tmp_path)
    assert os.listdir(tmp_path) == []


def test_download_is_broken_off_by_what_its_progress_raises(tmp_path, sources):
    def stop(what, done):
        raise DatasetError("The download was stopped.")

    with pytest.raises(DatasetError, match="was stopped"):
        download_mnist(tmp_path, stop)
    assert os.listdir(tmp_path) == [] and len(sources.requests) == 1


def test_download_to_a_place_that_cannot_be_written(tmp_path, sources):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DatasetError, match="written"):
        download_mnist(tmp_path / "file")


@pytest.mark.parametrize("shape", [(3,), (2, 28, 28), (0, 28, 28)])
def test_make_idx_by_its_specification(shape):
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    content = make_idx(array)
    assert content[:4] == bytes([0, 0, 8, len(shape)])
    assert struct.unpack(f">{len(shape)}I", content[4 : 4 + 4 * len(shape)]) == shape
    assert content[4 + 4 * len(shape) :] == array.tobytes()
