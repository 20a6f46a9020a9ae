"""One pipeline over a folder of pictures, timed and weighed, in a process of its own.

    python -m benchmarks.photo_runs --task TASK.json --result RESULT.json

is what `run_apart` starts: memory can be told apart only where no other pipeline was loaded before.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.photo_labels import PhotoText
from benchmarks.pipelines import Pipeline, PipelineMissingError, load_pipeline
from digitcore.imaging import load_image

logger = logging.getLogger(__name__)

LARGE_PIXELS = 12_000_000
LARGE_JPEG_QUALITY = 90
N_LARGE_RUNS = 5
KB_PER_MB = 1024
CHILD_SAMPLE_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class PhotoRun:
    """What one pipeline read, and what that took.

    Attributes:
        texts: by file name.
        peak_mb: memory at most above the state after loading, its child processes' included; None where the system
            does not tell.
        large_seconds: median from the file of a large picture to JSON, or None.
        large_peak_mb: as `peak_mb`, for the large picture.
    """

    texts: dict[str, PhotoText]
    peak_mb: float | None
    large_seconds: float | None = None
    large_peak_mb: float | None = None

    @classmethod
    def from_dict(cls, item: dict[str, Any]) -> "PhotoRun":
        """From `to_dict`."""
        return cls(**{**item, "texts": {file: PhotoText.from_dict(text) for file, text in item["texts"].items()}})

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "texts": {file: text.to_dict() for file, text in self.texts.items()},
            "peak_mb": self.peak_mb,
            "large_seconds": self.large_seconds,
            "large_peak_mb": self.large_peak_mb,
        }


def run_apart(name: str, checkpoint: str | None, paths: Sequence[Path], large: Path | None = None) -> PhotoRun:
    """Run a pipeline in a fresh process.

    Args:
        name: one of `PIPELINE_NAMES`.
        checkpoint: of the digitcore pipeline, or None.
        paths: the pictures.
        large: a large picture, or None.

    Returns:
        What it read and took.

    Raises:
        PipelineMissingError: if the pipeline is not installed.
        RuntimeError: if the process failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        task, result = Path(folder) / "task.json", Path(folder) / "result.json"
        task.write_text(
            json.dumps(
                {
                    "name": name,
                    "checkpoint": checkpoint,
                    "paths": [str(path.resolve()) for path in paths],
                    "large": str(large.resolve()) if large else None,
                }
            )
        )
        command = [sys.executable, "-m", "benchmarks.photo_runs", "--task", str(task), "--result", str(result)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode or not result.exists():
            raise RuntimeError(f"The {name} pipeline failed:\n{done.stderr[-2000:]}")
        answer = json.loads(result.read_text())
    if "missing" in answer:
        raise PipelineMissingError(answer["missing"])
    return PhotoRun.from_dict(answer)


def run_pipeline(pipeline: Pipeline, paths: Sequence[Path], large: Path | None = None) -> PhotoRun:
    """Read every picture, timed; the first one is read once more beforehand, to warm up."""
    with _PeakMemory() as memory:
        if paths:
            pipeline(paths[0])
        texts = {}
        for path in paths:
            started = time.perf_counter()
            text = pipeline(path)
            texts[path.name] = PhotoText(text.lines, text.boxes, time.perf_counter() - started)
        peak_mb = memory.measure_mb()
    if large is None:
        return PhotoRun(texts, peak_mb)
    with _PeakMemory(memory.loaded_mb) as memory:
        large_seconds = sorted(_time_to_json(pipeline, large) for _ in range(N_LARGE_RUNS))[N_LARGE_RUNS // 2]
        return PhotoRun(texts, peak_mb, round(large_seconds, 4), memory.measure_mb())


def write_large_picture(source: Path, path: Path) -> None:
    """A picture enlarged to 12 megapixels, as a JPEG; its aspect is kept."""
    rgb = load_image(source)
    height, width = rgb.shape[:2]
    scale = np.sqrt(LARGE_PIXELS / (height * width))
    large = cv2.resize(rgb, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_CUBIC)
    bgr = cv2.cvtColor(large, cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(path), bgr, [cv2.IMWRITE_JPEG_QUALITY, LARGE_JPEG_QUALITY])


def _time_to_json(pipeline: Pipeline, path: Path) -> float:
    started = time.perf_counter()
    json.dumps(pipeline(path).to_dict())
    return time.perf_counter() - started


class _PeakMemory:
    """This process's peak memory above the loaded state, or that of a child process where it is more.

    A child's peak is sampled: the system's own count for it starts at this process's size.
    """

    def __init__(self, loaded_mb: float | None = None) -> None:
        """Start from the state as it is, or from an earlier one."""
        self.loaded_mb = _memory_mb("self", "VmRSS") if loaded_mb is None else loaded_mb
        self._child_mb = 0.0
        # Children that were there before are not the pipeline's.
        self._strangers = _list_children()
        self._is_done = threading.Event()
        self._sampler = threading.Thread(target=self._sample_children, daemon=True)

    def __enter__(self) -> "_PeakMemory":
        _reset_peak_memory()
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_done.set()
        self._sampler.join()

    def measure_mb(self) -> float | None:
        """The peak so far; None where the system does not tell."""
        peak_mb = _memory_mb("self", "VmHWM")
        if self.loaded_mb is None or peak_mb is None:
            return None
        return round(max(peak_mb - self.loaded_mb, self._child_mb), 1)

    def _sample_children(self) -> None:
        own_command = _read_command("self")
        while not self._is_done.wait(CHILD_SAMPLE_SECONDS):
            for child in _list_children() - self._strangers:
                # Until it starts its own program, a child is a copy of this process, and as large.
                if _read_command(child) not in (own_command, None):
                    self._child_mb = max(self._child_mb, _memory_mb(child, "VmRSS") or 0.0)


def _list_children() -> set[str]:
    """This process's children; none where the system does not tell."""
    try:
        return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())
    except OSError:
        return set()


def _read_command(process: str) -> bytes | None:
    """A process's command line; None where the system does not tell, or the process has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes() or None
    except OSError:
        return None


def _memory_mb(process: str, field: str) -> float | None:
    """VmRSS or VmHWM of a process in MB; None where the system does not tell, or the process has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return None
    line = next((line for line in status.splitlines() if line.startswith(f"{field}:")), None)
    return int(line.split()[1]) / KB_PER_MB if line else None


def _reset_peak_memory() -> None:
    """Let VmHWM start anew, where the system lets us; elsewhere the peak is too high by what loading took."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError as err:
        logger.warning("peak memory includes that of loading: %s", err)


def main(arguments: Sequence[str] | None = None) -> None:
    """Do the task that `run_apart` wrote down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", type=Path, required=True, help="a JSON file: name, checkpoint, paths, large")
    parser.add_argument("--result", type=Path, required=True, help="where the answer goes, as JSON")
    options = parser.parse_args(arguments)
    task = json.loads(options.task.read_text())
    try:
        pipeline = load_pipeline(task["name"], task["checkpoint"])
    except PipelineMissingError as err:
        options.result.write_text(json.dumps({"missing": str(err)}))
        return
    large = Path(task["large"]) if task["large"] else None
    run = run_pipeline(pipeline, [Path(path) for path in task["paths"]], large)
    options.result.write_text(json.dumps(run.to_dict()))


if __name__ == "__main__":
    main()
