"""How long a sketch takes while others evaluate: quiet, and under load.

    python -m benchmarks.load [--checkpoint NAME] [--sketches N] [--visitors N] [--dataset uci|mnist]

The app runs as its own process on this machine. One visitor sends sketches of one digit, one after the other, and waits
for each answer: through the real client, which opens its connections anew, and over one kept connection as a page has
it, upload included. First alone, then while other visitors evaluate without a pause, half of them the one shipped
checkpoint and half the other, so that some share a run and the runs take turns.

Measured on 2 cores of an Intel Xeon (Sapphire Rapids) with other jobs on the machine (load 3 to 4), one run, four
visitors on MNIST: a sketch by the client 213 ms, p95 364, and 224 ms, p95 351, while they evaluate; over one connection
45 ms, p95 72, and 67 ms, p95 110. Their first report came after 0.5 s, p95 2.3 (the first of all imports scikit-learn),
a whole evaluation of 10,000 images after 10.5 s, two runs in turns.
"""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from benchmarks.latency import Figures, draw_sketch, print_table, run_app, summarize
from digitcore.data import find_mnist

N_WARM_UP = 5
N_SKETCHES = 60
N_VISITORS = 4
CHECKPOINTS = ("digitnet", "seed")
# So that all runs are under way before the first sketch is timed.
MAX_WAIT_S = 60.0


class Visitor(threading.Thread):
    """Evaluates again and again until told to stop, noting how long the first report and the whole took.

    Over plain HTTP: iterating over a job of `gradio_client` spins, and would load this machine by itself.
    """

    def __init__(self, url: str, dataset: str, checkpoint: str) -> None:
        """Make the visitor; `start()` sends it off."""
        super().__init__(daemon=True)
        self.url = url
        self.body = {"data": [dataset, checkpoint, 0]}
        self.first_report_ms: list[float] = []
        self.whole_ms: list[float] = []
        self.error: Exception | None = None
        self.has_begun, self.is_told_to_stop = threading.Event(), threading.Event()

    def run(self) -> None:
        """The thread's work."""
        try:
            with httpx.Client(base_url=f"{self.url}/gradio_api", timeout=MAX_WAIT_S) as client:
                while not self.is_told_to_stop.is_set():
                    self._evaluate(client)
        except (httpx.HTTPError, RuntimeError) as err:
            self.error = err
            self.has_begun.set()

    def _evaluate(self, client: httpx.Client) -> None:
        started_at = time.perf_counter()
        event_id = client.post("/call/evaluate", json=self.body).json()["event_id"]
        n_reports = 0
        with client.stream("GET", f"/call/evaluate/{event_id}") as stream:
            for line in stream.iter_lines():
                if line == "event: error":
                    raise RuntimeError("An evaluation failed.")
                if line == "event: generating":
                    n_reports += 1
                    if n_reports == 1:
                        self.first_report_ms.append(1e3 * (time.perf_counter() - started_at))
                        self.has_begun.set()
                if self.is_told_to_stop.is_set():
                    return
        self.whole_ms.append(1e3 * (time.perf_counter() - started_at))


def time_sketches(url: str, n_sketches: int, suffix: str) -> Figures:
    """Milliseconds from sending a sketch to its answer, after a warm-up, by the client and over one connection."""
    picture = draw_sketch([7])
    client = Client(url, verbose=False)
    with (
        tempfile.TemporaryDirectory() as folder,
        httpx.Client(base_url=f"{url}/gradio_api", timeout=MAX_WAIT_S) as http,
    ):
        file = Path(folder) / "sketch.png"
        file.write_bytes(picture)
        ways = {
            "client": lambda: client.predict(handle_file(file), api_name="/read_sketch")["text"],
            "connection": lambda: read_sketch(http, picture),
        }
        return {
            name: value
            for way, read in ways.items()
            for name, value in summarize(f"sketch_by_{way}_{suffix}", time_reading(read, n_sketches)).items()
        }


def time_reading(read: Callable[[], str], n_sketches: int) -> list[float]:
    """Milliseconds of each reading, after a warm-up."""
    times = []
    for i in range(N_WARM_UP + n_sketches):
        started_at = time.perf_counter()
        text = read()
        elapsed_ms = 1e3 * (time.perf_counter() - started_at)
        if text != "7":
            raise RuntimeError(f"The sketch of a 7 was read as {text!r}.")
        if i >= N_WARM_UP:
            times.append(elapsed_ms)
    return times


def read_sketch(http: httpx.Client, picture: bytes) -> str:
    """Upload, call, answer: what was read."""
    path = http.post("/upload", files={"files": ("sketch.png", picture)}).json()[0]
    body = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}]}
    event_id = http.post("/call/read_sketch", json=body).json()["event_id"]
    answer = http.get(f"/call/read_sketch/{event_id}").text
    return json.loads(answer.partition("data: ")[2])[0]["text"]


@contextmanager
def visitors_at_work(url: str, dataset: str, n_visitors: int) -> Iterator[list[Visitor]]:
    """So many visitors evaluating while the block runs."""
    visitors = [Visitor(url, dataset, CHECKPOINTS[i % len(CHECKPOINTS)]) for i in range(n_visitors)]
    for visitor in visitors:
        visitor.start()
    try:
        for visitor in visitors:
            if not visitor.has_begun.wait(MAX_WAIT_S):
                raise TimeoutError(f"No report came within {MAX_WAIT_S:.0f} s.")
        yield visitors
    finally:
        for visitor in visitors:
            visitor.is_told_to_stop.set()
        for visitor in visitors:
            visitor.join(MAX_WAIT_S)


def measure(url: str, dataset: str, n_sketches: int, n_visitors: int) -> Figures:
    """Sketches alone, then among evaluations."""
    figures = time_sketches(url, n_sketches, "quiet")
    with visitors_at_work(url, dataset, n_visitors) as visitors:
        figures |= time_sketches(url, n_sketches, "loaded")
    for visitor in visitors:
        if visitor.error is not None:
            raise visitor.error
    figures |= summarize("first_report", [ms for visitor in visitors for ms in visitor.first_report_ms])
    whole = [ms for visitor in visitors for ms in visitor.whole_ms]
    empty: Figures = {"whole_evaluation_ms_median": None, "whole_evaluation_ms_p95": None}
    return figures | (summarize("whole_evaluation", whole) if whole else empty)


def main() -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description="Time sketches under evaluations.")
    parser.add_argument("--checkpoint", help="the app's: folder, shipped name or Hub repo (default: the shipped one)")
    parser.add_argument("--sketches", type=int, default=N_SKETCHES, help="timed in each part (default: %(default)s)")
    parser.add_argument("--visitors", type=int, default=N_VISITORS, help="who evaluate (default: %(default)s)")
    parser.add_argument("--dataset", choices=("uci", "mnist"), help="what they evaluate on (default: mnist if found)")
    options = parser.parse_args()
    if options.sketches < 1 or options.visitors < 1:
        parser.error("--sketches and --visitors must be at least 1")
    dataset = options.dataset or ("uci" if find_mnist(split="test") is None else "mnist")
    with run_app(options.checkpoint) as (url, _):
        try:
            figures = measure(url, dataset, options.sketches, options.visitors)
        except (AppError, httpx.HTTPError, RuntimeError, TimeoutError) as err:
            print(f"Error: {err}", file=sys.stderr)
            return 1
    print(f"{options.visitors} visitors evaluating {dataset}, {os.cpu_count()} cores")
    print_table(figures)
    settings = {"benchmark": "load", "dataset": dataset, "visitors": options.visitors, "cores": os.cpu_count()}
    print(json.dumps(settings | figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
