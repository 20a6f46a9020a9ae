"""Read a folder of labelled photos with one or more pipelines, and print how well each did.

    python -m benchmarks.photos --folder DIR --labels labels.json --pipeline digitcore --pipeline article

labels.json is a list of {"file", "text": [a string for each line], "layout", "kind", "boxes": [[x, y, w, h, digit], …]}
Layout "scattered" means that the digits have no order, kind "negative" that there is none; boxes may be left out.
Seconds are from file to text, after one run to warm up; memory is the peak above the loaded state, of this process
alone. The last line printed is JSON.

On 46 photos and scans by strangers (345 digits, 7 pictures without any; they are not in the repository), one run:

    pipeline     F1    CER  exact  clean negatives
    digitcore   .947   .033   .83  6 of 7           digitnet, 99.64 % on MNIST's test images
    article     .361   .988   .00  0 of 7           checkpoints/seed
    tesseract   .409   .883   .07  1 of 7           5.3.0
    rapidocr    .825   .350   .43  6 of 7           3.10.0

Settings of finding.py (MIN_CLUTTER_RATIO, MIN_STEP_RATIO and others) were chosen with these pictures in view.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.photo_figures import PhotoFigures, PhotoLabel, PhotoText, measure_photos
from benchmarks.pipelines import PIPELINE_NAMES, Pipeline, PipelineMissingError, load_pipeline

COLUMNS = (
    ("images", "images"),
    ("digits", "digits"),
    ("F1", "digit_f1"),
    ("CER", "cer"),
    ("exact", "exact"),
    ("clean neg.", "clean_negatives"),
    ("box recall", "box_recall"),
    ("missed", "missed"),
    ("misread", "misread"),
    ("false", "false_digits"),
    ("misordered", "misordered"),
    ("median s", "median_seconds"),
)


@dataclass(frozen=True, slots=True)
class PhotoRun:
    """What one pipeline read in all pictures, its figures, and its peak memory above the loaded state, if known."""

    texts: dict[str, PhotoText]
    figures: PhotoFigures
    peak_mb: float | None


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the pipelines and print the table."""
    options = _parse(arguments)
    labels = load_labels(options.labels, options.folder)
    names = options.pipeline or ["digitcore"]
    runs: dict[str, PhotoRun] = {}
    for name in dict.fromkeys(names):
        try:
            pipeline = load_pipeline(name, options.checkpoint)
        except PipelineMissingError as err:
            print(err)
            continue
        runs[name] = run_pipeline(pipeline, options.folder, labels)
        if options.predictions:
            write_predictions(predictions_path(options.predictions, name, len(set(names))), runs[name].texts)
        if options.list:
            print_mistakes(name, labels, runs[name].texts)
    print_table(runs)
    summary = {name: {**run.figures.to_dict(), "peak_mb": run.peak_mb} for name, run in runs.items()}
    print(json.dumps({"benchmark": "photos", "pipelines": summary}))


def load_labels(path: Path, folder: Path) -> list[PhotoLabel]:
    """The labels, each of whose pictures must be in the folder."""
    labels = [PhotoLabel.from_dict(item) for item in json.loads(path.read_text())]
    missing = [label.file for label in labels if not (folder / label.file).is_file()]
    if missing:
        raise SystemExit(f"{len(missing)} labelled pictures are not in {folder}, the first is {missing[0]}.")
    return labels


def run_pipeline(pipeline: Pipeline, folder: Path, labels: Sequence[PhotoLabel]) -> PhotoRun:
    """Read every labelled picture, timed; the first one is read once more beforehand, to warm up."""
    if labels:
        pipeline(folder / labels[0].file)
    _reset_peak_memory()
    loaded_mb = _memory_mb("VmRSS")
    texts = {}
    for label in labels:
        started = time.perf_counter()
        text = pipeline(folder / label.file)
        texts[label.file] = PhotoText(text.lines, text.boxes, time.perf_counter() - started)
    peak_mb = _memory_mb("VmHWM")
    known = loaded_mb is not None and peak_mb is not None
    return PhotoRun(texts, measure_photos(labels, texts), round(peak_mb - loaded_mb, 1) if known else None)


def predictions_path(path: Path, name: str, n_pipelines: int) -> Path:
    """Where a pipeline's predictions go: FILE itself, or FILE with the pipeline's name where there are several."""
    return path if n_pipelines == 1 else path.with_name(f"{path.stem}-{name}{path.suffix}")


def write_predictions(path: Path, texts: dict[str, PhotoText]) -> None:
    """As {file: {"lines", "digits", "seconds"}}."""
    path.write_text(json.dumps({file: text.to_dict() for file, text in texts.items()}, indent=1) + "\n")


def print_mistakes(name: str, labels: Sequence[PhotoLabel], texts: dict[str, PhotoText]) -> None:
    """A line for each picture that was not read right."""
    for label in labels:
        want, got = label.text, texts[label.file].text
        right = want == got if label.has_order else sorted(want) == sorted(got)
        if not right:
            print(f"{name}: {label.file:32} want {want or '-'} got {got or '-'}")


def print_table(runs: dict[str, PhotoRun]) -> None:
    """A row for each pipeline."""
    heads = ["pipeline", *(head for head, _ in COLUMNS), "peak MB"]
    rows = [
        [name, *(_cell(getattr(run.figures, field)) for _, field in COLUMNS), _cell(run.peak_mb)]
        for name, run in runs.items()
    ]
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    for row in [heads, *rows]:
        print(
            "  ".join(
                cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
        )


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _memory_mb(field: str) -> float | None:
    """VmRSS or VmHWM of this process in MB; None where the system does not tell."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) / 1024


def _reset_peak_memory() -> None:
    """Let VmHWM start anew, where the system lets us."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the pictures are")
    parser.add_argument("--labels", type=Path, required=True, help="the labels, a JSON file")
    parser.add_argument(
        "--pipeline", action="append", choices=PIPELINE_NAMES, help="may be given several times; digitcore if not given"
    )
    parser.add_argument(
        "--checkpoint",
        help="of the digitcore pipeline: a folder, a shipped name or a Hub id; the shipped one if not given",
    )
    parser.add_argument(
        "--predictions", type=Path, help="write what was read; several pipelines write FILE-PIPELINE.json each"
    )
    parser.add_argument("--list", action="store_true", help="print each picture that is not read right")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
