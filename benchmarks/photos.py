"""Read a folder of labelled photos with one or more pipelines, and print how well each did.

    python -m benchmarks.photos --folder DIR --labels labels.json [--large] [--worst 10 --pictures runs/worst]

labels.json is a list of {"file", "text": [a string for each line], "layout", "kind", "boxes": [[x, y, w, h, digit], …]}
Layout "scattered" means that the digits have no order, kind "negative" that there is none; boxes may be left out.
Each pipeline runs in a process of its own. Seconds are from file to text, after one run to warm up; memory is the peak
above the loaded state. The last line printed is JSON.

On 46 photos and scans by strangers (345 digits, 7 pictures without any; they are not in the repository), one run:

    pipeline     F1    CER   exact  clean negatives
    digitcore   .990   .004   29/30  7 of 7           detector@769ce12, digitnet@62d414b
    article     .361   .988    0/30  0 of 7           checkpoints/seed
    tesseract   .409   .883    2/30  1 of 7           5.3.0
    rapidocr    .825   .350   13/30  6 of 7           3.10.0

The rules that merge finds (merging.py) and the threshold were chosen with these pictures in view.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2

from benchmarks.photo_figures import Mistake, PhotoFigures, find_mistakes, measure_photos
from benchmarks.photo_labels import PhotoLabel, PhotoText, load_labels
from benchmarks.photo_pictures import draw_mistakes
from benchmarks.photo_runs import PhotoRun, run_apart, write_large_picture
from benchmarks.pipelines import PIPELINE_NAMES, PipelineMissingError
from digitcore.imaging import load_image

# Pictures that are drawn where --pictures says nothing else.
N_WORST = 10
# Heads of the table, and the keys of a pipeline's summary under them: what was read, what went wrong, what it took.
TABLES = (
    (
        ("F1", "digit_f1"),
        ("CER", "cer"),
        ("exact", "exact_images"),
        ("clean neg.", "clean_negatives"),
        ("box recall", "box_recall"),
        ("box precision", "box_precision"),
    ),
    (
        ("missed", "missed"),
        ("false", "false_digits"),
        ("misread", "misread"),
        ("misordered", "misordered"),
        ("median s", "median_seconds"),
        ("p95 s", "p95_seconds"),
        ("peak MB", "peak_mb"),
        ("12 MP s", "large_seconds"),
        ("12 MP MB", "large_peak_mb"),
    ),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the pipelines and print the tables."""
    options = _parse(arguments)
    labels = load_labels(options.labels, options.folder)
    names = list(dict.fromkeys(options.pipeline or PIPELINE_NAMES))
    summaries: dict[str, dict[str, Any]] = {}
    missing: list[str] = []
    for name in names:
        try:
            run = run_photos(name, options.checkpoint, options.folder, labels, options.large)
        except PipelineMissingError as err:
            missing.append(str(err))
            continue
        mistakes = find_mistakes(labels, run.texts)[: options.worst]
        summaries[name] = summarize(measure_photos(labels, run.texts), run, mistakes)
        if options.predictions:
            write_predictions(predictions_path(options.predictions, name, len(names)), run.texts)
        if options.pictures:
            write_pictures(options.pictures, name, options.folder, labels, run.texts, mistakes)
    if not options.json:
        print(*missing, *format_tables(summaries), *format_mistakes(summaries), sep="\n")
    print(json.dumps({"benchmark": "photos", "images": len(labels), "pipelines": summaries}))


def run_photos(
    name: str, checkpoint: str | None, folder: Path, labels: Sequence[PhotoLabel], is_large_too: bool
) -> PhotoRun:
    """Run a pipeline over the labelled pictures, and over the first one enlarged if that is asked for."""
    paths = [folder / label.file for label in labels]
    if not (is_large_too and paths):
        return run_apart(name, checkpoint, paths)
    with tempfile.TemporaryDirectory() as temporary:
        large = Path(temporary) / "large.jpg"
        write_large_picture(paths[0], large)
        return run_apart(name, checkpoint, paths, large)


def summarize(figures: PhotoFigures, run: PhotoRun, mistakes: Sequence[Mistake]) -> dict[str, Any]:
    """A pipeline's part of the JSON line."""
    return {
        **figures.to_dict(),
        "peak_mb": run.peak_mb,
        "large_seconds": run.large_seconds,
        "large_peak_mb": run.large_peak_mb,
        "worst": [mistake.to_dict() for mistake in mistakes],
    }


def predictions_path(path: Path, name: str, n_pipelines: int) -> Path:
    """Where a pipeline's predictions go: FILE itself, or FILE with the pipeline's name where there are several."""
    return path if n_pipelines == 1 else path.with_name(f"{path.stem}-{name}{path.suffix}")


def write_predictions(path: Path, texts: Mapping[str, PhotoText]) -> None:
    """As {file: {"lines", "digits", "seconds"}}."""
    path.write_text(json.dumps({file: text.to_dict() for file, text in texts.items()}, indent=1) + "\n")


def write_pictures(
    target: Path,
    name: str,
    folder: Path,
    labels: Sequence[PhotoLabel],
    texts: Mapping[str, PhotoText],
    mistakes: Sequence[Mistake],
) -> None:
    """The worst pictures, annotated, as PIPELINE-RANK-NAME.jpg."""
    target.mkdir(parents=True, exist_ok=True)
    by_file = {label.file: label for label in labels}
    for rank, mistake in enumerate(mistakes, 1):
        drawn = draw_mistakes(load_image(folder / mistake.file), by_file[mistake.file], texts[mistake.file])
        path = target / f"{name}-{rank:02}-{Path(mistake.file).stem}.jpg"
        cv2.imwrite(str(path), cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))


def format_tables(summaries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The lines of the tables: a row for each pipeline."""
    lines: list[str] = []
    for columns in TABLES:
        # A column that nobody fills is left out: the large picture's, where it was not asked for.
        filled = [(head, key) for head, key in columns if any(s[key] is not None for s in summaries.values())]
        rows = [["pipeline", *(head for head, _ in filled)]]
        rows += [[name, *(_format_cell(s[key]) for _, key in filled)] for name, s in summaries.items()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for name, *cells in rows:
            padded = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
            lines.append("  ".join([name.ljust(widths[0]), *padded]))
        lines.append("")
    return lines


def format_mistakes(summaries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line for each of the worst pictures: what was wanted, what was got, and why."""
    causes = (("missed", "missed"), ("false", "false"), ("misread", "misread"), ("misordered", "out of order"))
    return [
        f"{name}: {mistake['file']}: want {mistake['want'] or '-'} got {mistake['got'] or '-'}: "
        + ", ".join(f"{mistake[key]} {words}" for key, words in causes if mistake[key])
        for name, summary in summaries.items()
        for mistake in summary["worst"]
    ]


def _format_cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the pictures are")
    parser.add_argument("--labels", type=Path, required=True, help="the labels, a JSON file")
    parser.add_argument(
        "--pipeline", action="append", choices=PIPELINE_NAMES, help="may be given several times; all if not given"
    )
    parser.add_argument(
        "--checkpoint",
        help="of the digitcore pipeline: a folder, a shipped name or a Hub id; the shipped one if not given",
    )
    parser.add_argument("--large", action="store_true", help="time the first picture enlarged to 12 megapixels, too")
    parser.add_argument("--worst", type=int, default=0, metavar="N", help="name the N worst pictures of each pipeline")
    parser.add_argument(
        "--pictures", type=Path, metavar="DIR", help="write them there, annotated; ten if N is not given"
    )
    parser.add_argument(
        "--predictions", type=Path, help="write what was read; several pipelines write FILE-PIPELINE.json each"
    )
    parser.add_argument("--json", action="store_true", help="print the JSON line alone")
    options = parser.parse_args(arguments)
    if options.pictures and not options.worst:
        options.worst = N_WORST
    return options


if __name__ == "__main__":
    main()
