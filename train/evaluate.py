"""Measure a checkpoint: error and calibration, corruptions, other people's digits, what is no digit, cost.

    python -m train.evaluate [CHECKPOINT] [--dataset uci|mnist] [--data DIR] [--limit N] [--device cpu|cuda] [--json]
        [--digits FOLDER] [--not-digits FOLDER] [--strokes FOLDER]

CHECKPOINT is a folder, "digitnet" or "seed" for a shipped one, or a Hub repo (user/name or user/name@revision); without
one, the shipped DigitNet. Prints the figures as tables, or with --json the report as the app's `/evaluate` gives it and
the other figures beside it. Sets that are not named are left out:

    --digits      .npz files with images (N, 28, 28) uint8, white on black, and labels: the error on each
    --not-digits  .npz files with such images: AUROC of "is it a digit?", the data set's images against each
    --strokes     digits_strokes.json, read through the pad's door: the error; and letters_strokes.json, less those that
                  look like a digit (O o I l i Z z S s B b g q D): AUROC as above. Each is a JSON list of
                  {"label": "7", "strokes": [[[x, y], …], …]}
"""

import argparse
import json
import sys
from pathlib import Path

from digitcore.classifier import DigitClassifier
from digitcore.data import LabeledImages, find_mnist, load_mnist, load_uci
from digitcore.errors import DigitcoreError
from digitcore.evaluation import evaluate
from digitcore.hub import load_pretrained
from digitcore.reports import Report
from train.suite import Suite, load_other_sets, measure_suite

N_WORST_CONFUSIONS = 8


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m train.evaluate", description="Measure a checkpoint on a test set.")
    parser.add_argument(
        "checkpoint", nargs="?", help="folder, digitnet, seed, or Hub repo user/name[@revision] (default: digitnet)"
    )
    parser.add_argument(
        "--dataset",
        choices=("mnist", "uci"),
        help="mnist: its 10,000 test images; uci: 1,797 bundled with scikit-learn (default: mnist if it is found)",
    )
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="folder that holds MNIST/raw (default: DIGITCORE_DATA)"
    )
    parser.add_argument(
        "--limit", type=int, default=0, metavar="N", help="read the first N images only; 0 (default): all"
    )
    parser.add_argument("--device", help="cpu or cuda (default: the best there is)")
    parser.add_argument("--digits", type=Path, metavar="FOLDER", help="other people's digits, as .npz files")
    parser.add_argument("--not-digits", type=Path, metavar="FOLDER", help="images of what is no digit, as .npz files")
    parser.add_argument(
        "--strokes", type=Path, metavar="FOLDER", help="holds digits_strokes.json and letters_strokes.json"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON and nothing else")
    return parser.parse_args(argv)


def load_test_set(name: str | None, root: Path | None) -> LabeledImages:
    """The data set of that name; without one MNIST's test set if it is found, else the UCI digits.

    Raises:
        DatasetError: if MNIST is asked for and not there.
    """
    if name is None:
        name = "uci" if find_mnist(root) is None else "mnist"
    return load_uci() if name == "uci" else load_mnist("test", root)


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


def format_suite(suite: Suite, report: Report) -> str:
    """The other figures as text; what was not measured is left out."""
    kind, error = suite.corruptions.worst
    lines = [
        f"parameters         {suite.n_parameters:8,}",
        f"multiply-adds      {suite.n_multiply_adds / 1e6:8.2f} M an image",
        f"time               {suite.seconds:8.2f} s for {report.n:,} images in one call",
        "",
        f"corrupted {report.dataset} images   error",
    ]
    lines += [f"{name:20} {value:8.2%}" for name, value in suite.corruptions.errors]
    lines += [f"{'mean':20} {suite.corruptions.mean:8.2%}", f"{'worst':20} {error:8.2%}   {kind}"]
    wrong = [*suite.digits, *([suite.sketches] if suite.sketches else [])]
    if wrong:
        lines += ["", "other people's digits   error  images"]
        lines += [f"{figure.name:20} {figure.value:8.2%}  {figure.n:6,}" for figure in wrong]
    told_apart = [*suite.not_digits, *([suite.letters] if suite.letters else [])]
    if told_apart:
        lines += ["", f"no digits            AUROC  images   is_digit, against {report.dataset}"]
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


def main(argv: list[str] | None = None) -> None:
    """Evaluate, measure the rest, and print."""
    arguments = parse_arguments(argv)
    try:
        dataset = load_test_set(arguments.dataset, arguments.data)
        others = load_other_sets(arguments.digits, arguments.not_digits, arguments.strokes)
        classifier = DigitClassifier(load_pretrained(arguments.checkpoint), arguments.device)
        for report in evaluate(classifier, dataset, arguments.limit):
            if sys.stderr.isatty() and not arguments.json:
                show_progress(report)
        suite = measure_suite(classifier, dataset.part(0, report.n, dataset.name), others)
    except DigitcoreError as err:
        sys.exit(f"error: {err}")
    if arguments.json:
        low, high = report.interval
        error = {"error": round(1 - report.accuracy, 6), "error_interval": [round(1 - high, 6), round(1 - low, 6)]}
        print(json.dumps(report.to_dict() | error | suite.to_dict()))
    else:
        print(format_report(report), format_suite(suite, report), sep="\n\n")


if __name__ == "__main__":
    main()
