"""How long a visitor waits for an accuracy report: from the press on Run to the first figures, and to the last.

    python -m benchmarks.report [--dataset mnist|uci] [--runs N]

The app runs as its own process on this machine, Chromium without a head. DigitNet alone, then DigitNet and the
article's CNN side by side, each N times; the run before the first is not counted. "First" is the frame in which the
headline has figures, "done" the one in which it says so, "files" when the report can be downloaded, the last thing.
"""

import argparse
import json
import os
import shutil
import sys
from typing import Any

from benchmarks.latency import CHROMIUM_ARGUMENTS, Figures, print_table, run_app, summarize, why_no_browser
from digitcore.data import find_mnist

N_RUNS = 3
MAX_WAIT_S = 300.0
TITLES = {"mnist": "MNIST test set", "uci": "UCI digits"}
OTHERS = {"report": "Nothing", "comparison": "The article's CNN"}
# Presses Run and notes when the three come true, frame by frame, in milliseconds since.
TIME_RUN = """() => new Promise((resolve) => {
  const started = performance.now();
  const times = {};
  const headline = () => document.querySelector("#accuracy-headline");
  const look = () => {
    const now = performance.now() - started;
    if (!("first" in times) && headline().querySelector(".report-accuracy")) times.first = now;
    if (!("done" in times) && headline().innerText.includes("Done: ")) times.done = now;
    if ("done" in times && document.querySelector("#accuracy-json:enabled")) resolve({ ...times, files: now });
    else requestAnimationFrame(look);
  };
  document.querySelector("#accuracy-run").click();
  // The click empties the last report before it answers.
  const wait = () => headline().querySelector(".report-accuracy") ? requestAnimationFrame(wait) : look();
  wait();
})"""


def measure_reports(url: str, dataset: str, n_runs: int) -> Figures:
    """Median and p95 of the three times, for the report and for the comparison."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(1e3 * MAX_WAIT_S)
        page.goto(url)
        page.get_by_role("tab", name="Accuracy").click()
        page.locator("#accuracy-dataset").get_by_label(TITLES[dataset]).check()
        page.locator("#accuracy-checkpoint").get_by_label("DigitNet").check()
        figures: Figures = {}
        for what, other in OTHERS.items():
            page.locator("#accuracy-other").get_by_label(other).check()
            runs = [time_run(page) for _ in range(n_runs + (what == "report"))]
            for moment in ("first", "done", "files"):
                figures |= summarize(f"{what}_{moment}", [run[moment] for run in runs[-n_runs:]])
        browser.close()
    return figures


def time_run(page: Any) -> dict[str, float]:
    """Milliseconds of one run."""
    page.locator("#accuracy-run:enabled").wait_for()
    return page.evaluate(TIME_RUN)


def main() -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description="Measure how long a report takes.")
    parser.add_argument("--dataset", choices=tuple(TITLES), help="default: mnist if it is found, else uci")
    parser.add_argument("--runs", type=int, default=N_RUNS, help="of each kind (default: %(default)s)")
    options = parser.parse_args()
    if options.runs < 1:
        parser.error("--runs must be at least 1")
    dataset = options.dataset or ("uci" if find_mnist(split="test") is None else "mnist")
    if (missing := why_no_browser()) is not None:
        print(missing, file=sys.stderr)
        return 1
    with run_app("digitnet") as (url, _):
        figures = measure_reports(url, dataset, options.runs)
    print(f"{TITLES[dataset]}, {options.runs} runs of each, {os.cpu_count()} cores")
    print_table(figures)
    print(json.dumps({"benchmark": "report", "dataset": dataset, "cores": os.cpu_count()} | figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
