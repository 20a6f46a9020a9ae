"""How long a visitor waits: one digit classified, one sketch read, pen up → answer on screen, and start-up.

    python -m benchmarks.latency [--checkpoint NAME] [--strokes N] [--no-browser]

The sketches are drawn here, 320×240 as the pad sends them. The app runs as its own process on this machine, Chromium
without a head. "Pen up" is the browser's pointerup event; "on screen" is the frame after the last change of the answer,
with the pictures that were sent while the pen moved still under way. "First answer" runs from the start of
`python app.py` to the first reading over HTTP; run twice, since the first run warms the disk.

Measured on 2 cores of an Intel Xeon (Sapphire Rapids) with neighbours, digitnet@1f051c8, one run, medians: classify
one image 1.9 ms; read a sketch of one digit 3.8 ms, of three 6.0 ms; pen up → answer on screen 50 ms, p95 82; start to
first answer 7.1 and 8.9 s. In a worse hour a sketch took 10 to 12 ms, pen up to answer 53 to 62, and
digitnet@1ca3b21, half as large, no less in turns with it (13 and 54). An earlier network of that size had taken 4.6 and
29 ms on a quiet machine.
"""

import argparse
import io
import json
import math
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import numpy.typing as npt
from PIL import Image

from digitcore.device import describe_device
from digitcore.errors import DigitcoreError
from digitcore.reader import DigitReader

ROOT = Path(__file__).resolve().parent.parent
PAD_WH = (320, 240)
PEN_PX = 15
N_WARM_UP = 10
N_CALLS = 200
N_STROKES = 40
MAX_START_S = 120.0
# Any answer is long there by then; what changes the page last is the answer to the last picture.
SETTLE_MS = 500
CHROMIUM_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
WATCH_ANSWER = """() => {
  window.penUp = 0;
  window.onScreen = 0;
  document.addEventListener('pointerup', () => { window.penUp = performance.now(); }, true);
  new MutationObserver(() => requestAnimationFrame(() => { window.onScreen = performance.now(); }))
    .observe(document.querySelector('#sketch-answer'),
             { subtree: true, childList: true, attributes: true, characterData: true });
}"""

Point = tuple[float, float]
Figures = dict[str, float | None]


def _arc(cx: float, cy: float, rx: float, ry: float, start: float, end: float) -> list[Point]:
    angles = [math.radians(start + (end - start) * i / 24) for i in range(25)]
    return [(cx + rx * math.cos(a), cy + ry * math.sin(a)) for a in angles]


# One stroke each, in a box of one by one, y down.
STROKES: dict[int, list[Point]] = {
    0: _arc(0.5, 0.5, 0.33, 0.48, -90, 270),
    1: [(0.5, 0.03), (0.5, 0.5), (0.48, 0.97)],
    2: [*_arc(0.5, 0.27, 0.3, 0.24, -170, 40), (0.2, 0.95), (0.82, 0.95)],
    3: [*_arc(0.48, 0.27, 0.28, 0.23, -150, 90), *_arc(0.48, 0.73, 0.32, 0.24, -90, 150)],
    7: [(0.15, 0.06), (0.85, 0.06), (0.42, 0.97)],
}


def draw_sketch(digits: Sequence[int]) -> bytes:
    """Digits side by side as the pad sends them: a PNG file, black on white."""
    width, height = PAD_WH
    picture = np.full((height, width), 255, np.uint8)
    step = width / len(digits)
    w, h = min(step * 0.6, height * 0.5), height * 0.6
    for i, digit in enumerate(digits):
        points = [(i * step + (step - w) / 2 + x * w, height * 0.2 + y * h) for x, y in STROKES[digit]]
        cv2.polylines(picture, [np.round(np.array(points) * 16).astype(np.int32)], False, 0, PEN_PX, cv2.LINE_AA, 4)
    file = io.BytesIO()
    Image.fromarray(picture).convert("RGB").save(file, "PNG")
    return file.getvalue()


def time_calls(call: Callable[[], Any], n_calls: int = N_CALLS) -> list[float]:
    """Milliseconds of each call, after a warm-up."""
    for _ in range(N_WARM_UP):
        call()
    times = []
    for _ in range(n_calls):
        started = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - started))
    return times


def measure_reader(checkpoint: str | None) -> tuple[Figures, str, str]:
    """The classifier and `read_sketch` in this process; the figures, the checkpoint's label and the device."""
    reader = DigitReader.from_pretrained(checkpoint)
    image: npt.NDArray[np.uint8] = np.zeros((1, 28, 28), np.uint8)
    image[0, 4:24, 13:16] = 255
    one, three = draw_sketch([7]), draw_sketch([1, 7, 3])
    figures = (
        summarize("classify_one_image", time_calls(lambda: reader.classifier.classify(image)))
        | summarize("read_sketch_one_digit", time_calls(lambda: reader.read_sketch(one)))
        | summarize("read_sketch_three_digits", time_calls(lambda: reader.read_sketch(three)))
    )
    return figures, reader.classifier.label, describe_device(reader.classifier.device)


def summarize(name: str, times_ms: Sequence[float]) -> Figures:
    """Median and 95th percentile, named."""
    return {
        f"{name}_ms_median": round(statistics.median(times_ms), 2),
        f"{name}_ms_p95": round(float(np.percentile(times_ms, 95)), 2),
    }


@contextmanager
def run_app(checkpoint: str | None) -> Iterator[tuple[str, float]]:
    """Start app.py; yields its URL and the seconds from its start to its first answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "app.py", "--port", str(port)] + (["--checkpoint", checkpoint] if checkpoint else [])
    started = time.perf_counter()
    app = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for_answer(url, app)
        yield url, time.perf_counter() - started
    finally:
        app.terminate()
        app.wait(timeout=30)


def wait_for_answer(url: str, app: subprocess.Popen[bytes]) -> None:
    """Wait for the port, by a probe that costs the app nothing, then ask for one reading."""
    address = (httpx.URL(url).host, httpx.URL(url).port)
    deadline = time.perf_counter() + MAX_START_S
    while not _is_open(address):
        if time.perf_counter() > deadline or app.poll() is not None:
            raise TimeoutError(f"The app did not start within {MAX_START_S:.0f} s.")
        time.sleep(0.02)
    with httpx.Client(base_url=f"{url}/gradio_api", timeout=MAX_START_S) as client:
        uploaded = client.post("/upload", files={"files": ("sketch.png", draw_sketch([7]))}).json()[0]
        body = {"data": [{"path": uploaded, "meta": {"_type": "gradio.FileData"}}]}
        event_id = client.post("/call/read_sketch", json=body).json()["event_id"]
        answer = client.get(f"/call/read_sketch/{event_id}").text
    if "event: complete" not in answer:
        raise RuntimeError(f"The app answered: {answer}")


def _is_open(address: tuple[str, int]) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(address) == 0


def measure_browser(url: str, n_strokes: int) -> list[float]:
    """Milliseconds from pen up to the answer on screen, for each of `n_strokes` digits."""
    from playwright.sync_api import sync_playwright

    times = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(url)
        page.wait_for_selector(".pad-canvas")
        page.evaluate(WATCH_ANSWER)
        box = page.locator(".pad-canvas").bounding_box()
        for i in range(n_strokes + 1):
            stroke = list(STROKES.values())[i % len(STROKES)]
            points = [(box["x"] + (0.3 + 0.4 * x) * box["width"], box["y"] + (0.2 + 0.6 * y) * box["height"])
                      for x, y in stroke]  # fmt: skip
            page.mouse.move(*points[0])
            page.mouse.down()
            for point in points[1:]:
                page.mouse.move(*point, steps=3)
            page.mouse.up()
            page.wait_for_timeout(SETTLE_MS)
            times.append(page.evaluate("window.onScreen - window.penUp"))
            page.keyboard.press("Escape")
            page.wait_for_timeout(SETTLE_MS)
        browser.close()
    # The first stroke still compiles the page's scripts.
    return times[1:]


def why_no_browser() -> str | None:
    """What is missing for the browser's part, as a sentence; None if nothing."""
    try:
        import playwright  # noqa: F401
    except ImportError:
        return "Skipped the browser: playwright is not installed (requirements-dev.txt)."
    return None if shutil.which("chromium") else "Skipped the browser: there is no chromium on the PATH."


def print_table(figures: Figures) -> None:
    """Each figure on its line."""
    width = max(len(name) for name in figures)
    for name, value in figures.items():
        print(f"{name:<{width}}  {'–' if value is None else value}")


def main() -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description="Measure what a visitor waits.")
    parser.add_argument("--checkpoint", help="folder, shipped name or Hub repo (default: the shipped one)")
    parser.add_argument("--strokes", type=int, default=N_STROKES, help="drawn in the browser (default: %(default)s)")
    parser.add_argument("--no-browser", action="store_true", help="leave the browser's part out")
    options = parser.parse_args()
    try:
        figures, label, device = measure_reader(options.checkpoint)
    except DigitcoreError as err:
        print(f"Error: {err}", file=sys.stderr)
        return 1
    with run_app(options.checkpoint) as (_, seconds):
        figures["first_start_to_answer_s"] = round(seconds, 2)
    with run_app(options.checkpoint) as (url, seconds):
        figures["warm_start_to_answer_s"] = round(seconds, 2)
        missing = "Skipped pen up → answer, as asked." if options.no_browser else why_no_browser()
        times = [] if missing else measure_browser(url, options.strokes)
    empty: Figures = {"pen_up_to_answer_ms_median": None, "pen_up_to_answer_ms_p95": None}
    figures |= summarize("pen_up_to_answer", times) if times else empty
    print(f"{label} on {device}, {os.cpu_count()} cores")
    print_table(figures)
    if missing:
        print(missing)
    print(
        json.dumps({"benchmark": "latency", "checkpoint": label, "device": device, "cores": os.cpu_count()} | figures)
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
