"""One started server for the whole run, and a headless Chromium that notes what it must not do."""

import atexit
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from pillow_heif import register_heif_opener

from tests.drawn import draw_page, encode
from tests.fakehub import TOKEN, FakeHub, hub_environment, start_hub

register_heif_opener()
# The Hub of this whole run is a loopback one: the client reads its address when it is imported, and no test is to
# reach the real one.
HUB, _ = start_hub()
HUB_HOME = Path(tempfile.mkdtemp(prefix="digitcore-hub-"))
os.environ |= hub_environment(HUB.url, HUB_HOME, token=None)
atexit.register(shutil.rmtree, HUB_HOME, ignore_errors=True)
# Where the server keeps uploads: a folder of this run's own. Gradio reads the variable when it is imported.
UPLOAD_FOLDER = Path(tempfile.mkdtemp(prefix="digitcore-tests-"))
os.environ["GRADIO_TEMP_DIR"] = str(UPLOAD_FOLDER)
atexit.register(shutil.rmtree, UPLOAD_FOLDER, ignore_errors=True)

CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
    # A camera that shows a test picture, and no question whether it may be used.
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
MNIST_MISSING = "MNIST is not there: set DIGITCORE_DATA to the folder that holds MNIST/raw"
PAGE_LINES = ["1730", "2047"]


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """One thread for torch: sums come out the same, and tests beside each other do not wait for cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs MNIST where it is not, and say what is missing."""
    # Not above: with digitcore comes the Hub's client, which reads its address then.
    from digitcore.data import find_mnist

    if find_mnist() is None:
        for item in items:
            if item.get_closest_marker("mnist"):
                item.add_marker(pytest.mark.skip(reason=MNIST_MISSING))


@dataclass
class Recorder:
    """What a page did that no page of ours may do."""

    base_url: str
    errors: list[str] = field(default_factory=list)
    foreign_requests: list[str] = field(default_factory=list)

    def watch(self, page) -> None:
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self._note_request)

    def _note_request(self, request) -> None:
        if not request.url.startswith((self.base_url, "data:", "blob:")):
            self.foreign_requests.append(request.url)


@pytest.fixture
def hub(monkeypatch, tmp_path) -> FakeHub:
    """The loopback Hub, empty; the client's cache is empty too, and nobody is logged in."""
    from huggingface_hub import constants

    assert constants.ENDPOINT == HUB.url, "huggingface_hub was imported before tests/conftest.py"
    HUB.reset()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    return HUB


@pytest.fixture
def logged_in(hub, monkeypatch) -> FakeHub:
    """The loopback Hub, with a token of ada's that may write."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return hub


@pytest.fixture
def impatient(monkeypatch) -> None:
    """The client does not wait before it tries again."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)


@pytest.fixture(scope="session")
def upload_folder() -> Path:
    """Where the server keeps uploads."""
    return UPLOAD_FOLDER


@pytest.fixture(scope="session")
def reader():
    """The reader that the app would load."""
    from digitcore.reader import DigitReader

    return DigitReader.from_pretrained(os.environ.get("DIGITCORE_CHECKPOINT") or None)


@pytest.fixture(scope="session")
def server(reader) -> Iterator[str]:
    """The app as app.py serves it, on a free port of this machine; its URL, without a slash at the end."""
    from digitcore.ui.build import build_app, launch_options

    demo = build_app(reader)
    _, url, _ = demo.launch(
        server_name="127.0.0.1", server_port=find_free_port(), prevent_thread_lock=True, quiet=True, **launch_options()
    )
    yield url.rstrip("/")
    demo.close(verbose=False)


@pytest.fixture(scope="session")
def client(server):
    """A real gradio_client on the started server."""
    from gradio_client import Client

    return Client(server, verbose=False)


@pytest.fixture(scope="session")
def chromium() -> Iterator:
    """A headless Chromium; the tests that need one are skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("needs Chromium on the PATH")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(CHROMIUM_ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium, server) -> Iterator:
    """Open the app in a fresh context: `page = open_page("?__theme=dark", viewport=…)`.

    When the test is over, no page may have logged an error or asked another host for anything.
    """
    contexts, recorders = [], []

    def open_app(query: str = "", **options):
        context = chromium.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        recorder = Recorder(server)
        recorder.watch(page)
        recorders.append(recorder)
        page.goto(f"{server}/{query}")
        page.wait_for_selector(".pad-canvas")
        return page

    yield open_app
    for context in contexts:
        context.close()
    for recorder in recorders:
        assert recorder.errors == []
        assert recorder.foreign_requests == []


@pytest.fixture
def page(open_page):
    """The app in a desktop window, light."""
    return open_page()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    """A folder of files as visitors send them: photo.jpg, .png, .heic, and what is no picture."""
    folder = tmp_path_factory.mktemp("pictures")
    rgb = draw_page(PAGE_LINES)
    for name, format in (("photo.jpg", "JPEG"), ("photo.png", "PNG"), ("photo.heic", "HEIF"), ("photo.gif", "GIF")):
        (folder / name).write_bytes(encode(rgb, format))
    jpeg = (folder / "photo.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("This is a note, not a picture.\n")
    (folder / "drawing.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="99" height="99"/>')
    (folder / "tiny.png").write_bytes(encode(rgb[:1, :1]))
    (folder / "huge.png").write_bytes(make_bomb())
    return folder


def make_bomb() -> bytes:
    """108 megapixels of white in about 13 kB."""
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.new("1", (12_000, 9_000), 1).save(file, "PNG")
    return file.getvalue()


def find_free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
