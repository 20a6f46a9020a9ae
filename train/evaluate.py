"""Measure a checkpoint: error, calibration, against another one, corruptions, other people's digits, what is no digit.

    python -m train.evaluate [CHECKPOINT] [--against CHECKPOINT] [--dataset uci|mnist | --pictures ZIP_OR_FOLDER]
        [--data DIR] [--limit N] [--strengths S …] [--suite-limit N] [--suite-only] [--device cpu|cuda] [--json]
        [--cost] [--digits FOLDER] [--not-digits FOLDER] [--strokes FOLDER] [--store]

CHECKPOINT is a folder, "digitnet" or "seed" for a shipped one, or a Hub repo (user/name or user/name@revision); without
one, the shipped DigitNet. Prints the figures as tables, or with --json the report that the app exports, the same in
every field but times and dates. What is not asked for is left out of either:

    --against     a second checkpoint on the same images, and the paired difference
    --pictures    a zip or folder of pictures named by class (7/anna.png or 7_anna.png), instead of a data set
    --strengths   14 corruptions of the first --suite-limit images, each at these factors of its fixed strength; with
                  --suite-only that alone

and of CHECKPOINT alone, beside the report:

    --cost        parameters, multiply-adds, and the time of one call with all images
    --digits      .npz files with images (N, 28, 28) uint8, white on black, and labels: the error on each
    --not-digits  .npz files with such images: AUROC of "is it a digit?", the data set's images against each
    --strokes     digits_strokes.json, read through the pad's door: the error; and letters_strokes.json, less those that
                  look like a digit (O o I l i Z z S s B b g q D): AUROC as above. Each is a JSON list of
                  {"label": "7", "strokes": [[[x, y], …], …]}

--store also writes CHECKPOINT's single figures into its folder: metrics.json and the card.
"""

import argparse
import json
import shlex
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from digitcore.classifier import DigitClassifier
from digitcore.corruptions import MAX_STRENGTH
from digitcore.data import LabeledImages, find_mnist, load_mnist, load_uci
from digitcore.errors import DigitcoreError
from digitcore.evaluation import measure
from digitcore.hub import load_pretrained
from digitcore.labeled_pictures import load_labeled_pictures
from digitcore.reports import Comparison, Report, Snapshot, export_report
from digitcore.robustness import SUITE_LIMIT, measure_robustness
from digitcore.robustness_reports import RobustnessReport
from train.stored_figures import store_figures, summarize
from train.suite import Cost, OtherFigures, load_other_sets, measure_cost, measure_other_sets

N_WORST_CONFUSIONS = 8


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m train.evaluate", description="Measure a checkpoint on a test set.")
    parser.add_argument(
        "checkpoint", nargs="?", help="folder, digitnet, seed, or Hub repo user/name[@revision] (default: digitnet)"
    )
    parser.add_argument("--against", metavar="CHECKPOINT", help="a second one, measured on the same images")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--dataset",
        choices=("mnist", "uci"),
        help="mnist: its 10,000 test images; uci: 1,797 bundled with scikit-learn (default: mnist if it is found)",
    )
    which.add_argument(
        "--pictures", type=Path, metavar="PATH", help="zip or folder of pictures named by class, instead of a data set"
    )
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="folder that holds MNIST/raw (default: DIGITCORE_DATA)"
    )
    parser.add_argument(
        "--limit", type=int, default=0, metavar="N", help="read the first N images only; 0 (default): all"
    )
    parser.add_argument(
        "--strengths",
        type=float,
        nargs="+",
        default=[],
        metavar="S",
        help=f"corrupt the images in 14 ways, at these factors (0 to {MAX_STRENGTH}) of the fixed strengths",
    )
    parser.add_argument(
        "--suite-limit",
        type=int,
        default=SUITE_LIMIT,
        metavar="N",
        help="corrupt the first N images only; 0: all (default: %(default)s)",
    )
    parser.add_argument(
        "--suite-only", action="store_true", help="the corrupted images alone, without the report (needs --strengths)"
    )
    parser.add_argument("--device", help="cpu or cuda (default: the best there is)")
    parser.add_argument("--digits", type=Path, metavar="FOLDER", help="other people's digits, as .npz files")
    parser.add_argument("--not-digits", type=Path, metavar="FOLDER", help="images of what is no digit, as .npz files")
    parser.add_argument(
        "--strokes", type=Path, metavar="FOLDER", help="holds digits_strokes.json and letters_strokes.json"
    )
    parser.add_argument("--cost", action="store_true", help="parameters, multiply-adds, and the time of one call")
    parser.add_argument("--json", action="store_true", help="print the report as the app exports it, and nothing else")
    parser.add_argument(
        "--store", action="store_true", help="write the figures into the checkpoint's metrics.json and card, too"
    )
    arguments = parser.parse_args(argv)
    # Said before the work is done rather than after it.
    if arguments.store and not (arguments.checkpoint and Path(arguments.checkpoint).is_dir()):
        parser.error("--store needs the checkpoint's folder, such as checkpoints/digitnet")
    if arguments.store and (arguments.suite_only or arguments.limit):
        parser.error("--store needs the whole report: no --suite-only, no --limit")
    if arguments.suite_only and not arguments.strengths:
        parser.error("--suite-only needs --strengths, such as --strengths 1")
    return arguments


def load_test_set(name: str | None, root: Path | None) -> LabeledImages:
    """The data set of that name; without one MNIST's test set if it is found, else the UCI digits.

    Raises:
        DatasetError: if MNIST is asked for and not there.
    """
    if name is None:
        name = "uci" if find_mnist(root, "test") is None else "mnist"
    return load_uci() if name == "uci" else load_mnist("test", root)


def load_images(pictures: Path | None, name: str | None, root: Path | None) -> LabeledImages:
    """The pictures that were named, else the data set; what had to be left out of the pictures is said on stderr.

    Raises:
        DatasetError: if they are not there, or hold nothing to measure.
    """
    if pictures is None:
        return load_test_set(name, root)
    loaded = load_labeled_pictures(pictures)
    if loaded.skipped:
        print(loaded.describe_skipped(), file=sys.stderr)
    return loaded.dataset


def format_report(report: Report) -> str:
    """The report as text: the single figures, a table of the digits, the most frequent confusions."""
    low, high = report.interval
    lines = [
        f"{report.checkpoint} on {report.dataset}: {report.n_correct:,} of {report.n:,} right",
        f"accuracy           {report.accuracy:8.2%}   95 % interval {low:.2%} to {high:.2%}",
        f"error              {1 - report.accuracy:8.2%}   95 % interval {1 - high:.2%} to {1 - low:.2%}",
        f"calibration error  {report.ece:8.2%}   15 bins",
        f"speed              {report.images_per_second:8,.0f}   images a second",
        "",
        "digit  precision  recall      F1  images",
    ]
    lines += [
        f"{digit:5}  {score.precision:9.2%} {score.recall:7.2%} {score.f1:7.2%}  {score.support:6,}"
        for digit, score in enumerate(report.per_digit)
    ]
    confusions = find_worst_confusions(report)
    if confusions:
        lines += ["", "most frequent confusions"]
        lines += [f"{truth} read as {read}  {count:5,}" for truth, read, count in confusions]
    return "\n".join(lines)


def format_comparison(comparison: Comparison) -> str:
    """The paired difference as text."""
    low, high = comparison.interval
    return "\n".join(
        [
            f"{comparison.second} against {comparison.first} on the same {comparison.n:,} images",
            f"difference         {comparison.difference:+8.2%}   95 % interval {low:+.2%} to {high:+.2%}, paired",
            f"McNemar's test     {comparison.p_value:8.2g}   p, exact",
            f"both right         {comparison.n_both_right:8,}   both wrong {comparison.n_both_wrong:,}",
            f"right alone        {comparison.n_only_first:8,}   {comparison.first}",
            f"right alone        {comparison.n_only_second:8,}   {comparison.second}",
        ]
    )


def format_robustness(report: RobustnessReport) -> str:
    """Errors by kind and strength as a table."""
    strengths = report.strengths
    lines = [
        f"{report.checkpoint}, corrupted {report.dataset} images ({report.n:,} of each), error by strength",
        f"{'untouched':20} {report.clean_error:8.2%}",
        f"{'':20} " + " ".join(f"{strength:8g}" for strength in strengths),
    ]
    lines += [f"{curve.kind:20} " + " ".join(f"{error:8.2%}" for error in curve.errors) for curve in report.curves]
    at = [report.errors_at(strength) for strength in strengths]
    lines += [f"{'mean':20} " + " ".join(f"{errors.mean:8.2%}" for errors in at)]
    worst = [(strength, *errors.worst) for strength, errors in zip(strengths, at, strict=True)]
    lines += [f"{'worst':20} {error:8.2%}   {kind}, at {strength:g}" for strength, kind, error in worst]
    return "\n".join(lines)


def format_cost(cost: Cost, n_images: int) -> str:
    """What the network takes, as text."""
    return "\n".join(
        [
            f"parameters         {cost.n_parameters:8,}",
            f"multiply-adds      {cost.n_multiply_adds / 1e6:8.2f} M an image",
            f"time               {cost.seconds:8.2f} s for {n_images:,} images in one call",
        ]
    )


def format_other_sets(figures: OtherFigures, dataset_name: str) -> str:
    """The figures of the sets that were named, as text; "" without any."""
    lines = []
    wrong = [*figures.digits, *([figures.sketches] if figures.sketches else [])]
    if wrong:
        lines += ["other people's digits   error  images"]
        lines += [f"{figure.name:20} {figure.value:8.2%}  {figure.n:6,}" for figure in wrong]
    told_apart = [*figures.not_digits, *([figures.letters] if figures.letters else [])]
    if told_apart:
        lines += [*([""] if lines else []), f"no digits            AUROC  images   is_digit, against {dataset_name}"]
        lines += [f"{figure.name:20} {figure.value:8.4f}  {figure.n:6,}" for figure in told_apart]
    return "\n".join(lines)


def find_worst_confusions(report: Report, n_most: int = N_WORST_CONFUSIONS) -> list[tuple[int, int, int]]:
    """The most frequent errors as (truth, read as, count), in that order; equal ones by digit."""
    errors = [
        (truth, read, count)
        for truth, row in enumerate(report.confusion)
        for read, count in enumerate(row)
        if truth != read and count
    ]
    return sorted(errors, key=lambda error: -error[2])[:n_most]


def show_progress(report: Report) -> None:
    """Overwrite one line of the terminal."""
    end = "\n" if report.done else ""
    line = f"\r{report.n:,} of {report.n_total:,} images, {report.accuracy:.2%} right"
    print(f"{line:60}", end=end, file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Measured:
    """All that was asked for; what was not is empty or None.

    Attributes:
        dataset: the images that were read, under the data set's name.
        snapshot: the report, or two and their comparison.
        robustness: one report for each checkpoint.
        cost: of the first checkpoint.
        others: the first checkpoint's figures of other sets.
    """

    dataset: LabeledImages
    snapshot: Snapshot | None
    robustness: tuple[RobustnessReport, ...]
    cost: Cost | None
    others: OtherFigures

    def to_dict(self) -> dict[str, Any]:
        """The app's export, and beside it what the app does not measure."""
        reports, comparison = (self.snapshot.reports, self.snapshot.comparison) if self.snapshot else ((), None)
        export = export_report(reports, comparison, self.robustness, measured=datetime.now(UTC))
        return export | self.others.to_dict() | (self.cost.to_dict() if self.cost else {})

    def to_text(self) -> str:
        """The same as tables."""
        parts = [format_report(report) for report in self.snapshot.reports] if self.snapshot else []
        if self.snapshot and self.snapshot.comparison:
            parts.append(format_comparison(self.snapshot.comparison))
        parts += [format_robustness(report) for report in self.robustness]
        if self.cost:
            parts.append(format_cost(self.cost, len(self.dataset)))
        parts.append(format_other_sets(self.others, self.dataset.name))
        return "\n\n".join(filter(None, parts))


def run(arguments: argparse.Namespace) -> Measured:
    """Measure all that was asked for.

    Raises:
        DigitcoreError: if an argument leads nowhere or is out of range.
    """
    dataset = load_images(arguments.pictures, arguments.dataset, arguments.data)
    others = load_other_sets(arguments.digits, arguments.not_digits, arguments.strokes)
    names = [arguments.checkpoint, *([arguments.against] if arguments.against else [])]
    classifiers = [DigitClassifier(load_pretrained(name), arguments.device) for name in names]
    snapshot = None
    if not arguments.suite_only:
        for snapshot in measure(classifiers, dataset, arguments.limit):
            if sys.stderr.isatty() and not arguments.json:
                show_progress(snapshot.reports[0])
    robustness: tuple[RobustnessReport, ...] = ()
    if arguments.strengths:
        *_, robustness = measure_robustness(classifiers, dataset, arguments.strengths, limit=arguments.suite_limit)
    read = dataset.part(0, snapshot.reports[0].n if snapshot else len(dataset), dataset.name)
    cost = measure_cost(classifiers[0], read) if arguments.cost else None
    return Measured(read, snapshot, robustness, cost, measure_other_sets(classifiers[0], read, others))


def store(arguments: argparse.Namespace, measured: Measured) -> None:
    """Write the checkpoint's single figures into its folder.

    Raises:
        CheckpointError: if it is no folder, or one whose card cannot be written.
    """
    others = measured.others.to_dict() | ({"cost": measured.cost.to_dict()} if measured.cost else {})
    robustness = measured.robustness[0] if measured.robustness else None
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    figures = summarize(measured.snapshot.reports[0], robustness, others, today, repeat_command(arguments))
    store_figures(Path(arguments.checkpoint), load_pretrained(arguments.checkpoint), figures)


def repeat_command(arguments: argparse.Namespace) -> str:
    """The command that repeats the stored figures; of this machine's folders the last names only."""
    words = ["python", "-m", "train.evaluate", Path(arguments.checkpoint).resolve().name]
    words += [f"--dataset={arguments.dataset}"] if arguments.dataset else []
    words += ["--strengths", *(f"{each:g}" for each in arguments.strengths)] if arguments.strengths else []
    words += [f"--suite-limit={arguments.suite_limit}"] if arguments.strengths else []
    words += ["--cost"] if arguments.cost else []
    for name in ("pictures", "digits", "not_digits", "strokes"):
        if (folder := getattr(arguments, name)) is not None:
            words.append(f"--{name.replace('_', '-')}={folder.resolve().name}")
    return shlex.join(words)


def main(argv: list[str] | None = None) -> None:
    """Evaluate, measure the rest, and print."""
    arguments = parse_arguments(argv)
    try:
        measured = run(arguments)
        if arguments.store:
            store(arguments, measured)
    except DigitcoreError as err:
        sys.exit(f"error: {err}")
    print(json.dumps(measured.to_dict()) if arguments.json else measured.to_text())


if __name__ == "__main__":
    main()
