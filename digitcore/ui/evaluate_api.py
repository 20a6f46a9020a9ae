"""What visitors and clients may evaluate: data sets and checkpoints by name; and the endpoint `/evaluate`.

A name never leads to a path of the server: it is a data set's, a shipped checkpoint's, or a repository's on the Hub.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypedDict

import gradio as gr

from digitcore.checkpoint import WEIGHTS_NAME
from digitcore.classifier import DigitClassifier
from digitcore.data import LabeledImages, find_mnist, load_mnist, load_uci
from digitcore.errors import CheckpointError, DatasetError
from digitcore.evaluation import check_count, measure
from digitcore.hub import REPO_PATTERN, SHIPPED_NAMES, load_named, pull, resolve_checkpoint
from digitcore.mnist_download import download_mnist
from digitcore.reader import DigitReader
from digitcore.reports import Snapshot
from digitcore.robustness import FIXED_STRENGTH, SUITE_LIMIT, measure_robustness
from digitcore.robustness_reports import RobustnessReport
from digitcore.ui.guards import errors_as_sentences
from digitcore.ui.shared_runs import SharedRuns

DATASET_TITLES = {"mnist": "MNIST test set", "uci": "UCI digits"}
# Visitors who follow a run, the tab's and the endpoint's alike: each holds one of Gradio's 40 threads while it waits
# for the next report, and sketches need some too. The work itself is shared, or takes turns (`shared_runs`).
EVALUATE_QUEUE = {"concurrency_id": "evaluate", "concurrency_limit": 16}
# Of at most 16 MB each.
MAX_LOADED_CLASSIFIERS = 4
DOWNLOAD_STEP_S = 0.25
UNEXPECTED = "The evaluation failed because of a fault on our side. Try again, or try another checkpoint or data set."


_RUNS: SharedRuns[Any] = SharedRuns()
# Apart from the others: a download does not use the machine, and need not wait for its turn.
_DOWNLOADS: SharedRuns[tuple[str, float]] = SharedRuns()


class DigitScoreJson(TypedDict):
    """`DigitScore.to_dict()`."""

    precision: float
    recall: float
    f1: float
    support: int


class MistakeJson(TypedDict):
    """`Mistake.to_dict()`."""

    index: int
    truth: int
    predicted: int
    confidence: float
    disputed: bool


class ReliabilityBinJson(TypedDict):
    """`ReliabilityBin.to_dict()`."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


class RiskPointJson(TypedDict):
    """`RiskPoint.to_dict()`."""

    threshold: float
    coverage: float
    risk: float


class ReportJson(TypedDict):
    """`Report.to_dict()`: the shape that clients are shown; the rows of confusion are the truth."""

    dataset: str
    checkpoint: str
    n: int
    n_total: int
    n_correct: int
    accuracy: float
    interval: list[float]
    confusion: list[list[int]]
    per_digit: list[DigitScoreJson]
    ece: float
    mistakes: list[MistakeJson]
    done: bool
    images_per_second: int
    auroc: float | None
    reliability: list[ReliabilityBinJson]
    risk_coverage: list[RiskPointJson]


def find_classifier(reader: DigitReader, name: str) -> DigitClassifier:
    """The classifier of that name: the reader's own if it is the same, else one of the few kept, else loaded.

    Args:
        reader: the device that it was asked to use is used.
        name: "digitnet" or "seed", or a Hub repo as `user/name` or `user/name@revision`; never a path.

    Raises:
        CheckpointError: if there is none of that name, or it cannot be had.
    """
    match = REPO_PATTERN.fullmatch(name) if isinstance(name, str) else None
    if isinstance(name, str) and name in SHIPPED_NAMES:
        folder = resolve_checkpoint(name)
    elif match is not None:
        # Not by resolve_checkpoint: "user/name" may also be a folder of the server.
        folder, name = pull(match["repo"], match["revision"]), match["repo"]
    else:
        shipped = ", ".join(f'"{each}"' for each in SHIPPED_NAMES)
        raise CheckpointError(
            f"{name!r} is no checkpoint's name. Use {shipped}, or a Hub repo as user/name or user/name@revision."
        )
    weights = folder / WEIGHTS_NAME
    changed_at = weights.stat().st_mtime_ns if weights.is_file() else 0
    # Once: a `LiveReader` may have another one in the next moment.
    own = reader.classifier
    # What was asked for, and not where it runs: None has a lent GPU picked for reports.
    classifier = _load_classifier(folder, changed_at, name, own.asked_device)
    is_same = own.label == classifier.label and own.checkpoint.config == classifier.checkpoint.config
    return own if is_same else classifier


def find_dataset(name: str) -> LabeledImages:
    """The data set of that name, kept once loaded.

    Args:
        name: "uci" or "mnist".

    Raises:
        DatasetError: if there is none of that name, or MNIST is not on this machine.
    """
    if name == "uci":
        return _load_uci()
    if name == "mnist":
        folder = find_mnist(split="test")
        return load_mnist("test") if folder is None else _load_mnist_test(folder)
    known = " or ".join(f'"{each}"' for each in sorted(DATASET_TITLES, reverse=True))
    raise DatasetError(f"There is no data set {name!r}. Use {known}.")


def follow_measurement(
    dataset: LabeledImages,
    classifiers: Sequence[DigitClassifier],
    limit: int = 0,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Snapshot]:
    """Evaluate one checkpoint or two, together with whoever evaluates the same at this moment.

    Args:
        dataset: told by its content.
        classifiers: told by label and config.
        limit: as for `evaluation.measure`.
        is_stopped: True ends it within `shared_runs.POLL_S`, for this visitor alone.

    Returns:
        A generator of the newest snapshots, the last one `done` unless it was stopped.

    Raises:
        ConfigError: at once, if `limit` is not a whole number in range; what is wrong else, on the first step.
    """
    check_count("limit", limit, least=0)
    key = ("measure", dataset.name, dataset.digest(), _identify(classifiers), int(limit))
    return _RUNS.follow(key, lambda: measure(classifiers, dataset, limit), is_stopped)


def follow_robustness(
    dataset: LabeledImages,
    classifiers: Sequence[DigitClassifier],
    strengths: Sequence[float] = (FIXED_STRENGTH,),
    limit: int = SUITE_LIMIT,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[RobustnessReport, ...]]:
    """Run the robustness suite, together with whoever runs the same at this moment.

    Args:
        dataset: told by its content.
        classifiers: told by label and config.
        strengths: as for `robustness.measure_robustness`.
        limit: likewise.
        is_stopped: as for `follow_measurement`.

    Returns:
        A generator of the newest reports, one for each checkpoint, the last ones `done` unless it was stopped.

    Raises:
        ConfigError: at once, if `limit` is not a whole number in range; what is wrong else, on the first step.
    """
    check_count("limit", limit, least=0)
    key = ("robustness", dataset.name, dataset.digest(), _identify(classifiers), tuple(strengths), int(limit))
    return _RUNS.follow(key, lambda: measure_robustness(classifiers, dataset, strengths, limit=limit), is_stopped)


def follow_download(is_stopped: Callable[[], bool] = lambda: False) -> Iterator[tuple[str, float]]:
    """Download MNIST's test set, together with whoever does so at this moment.

    Args:
        is_stopped: as for `follow_measurement`; the download is broken off when nobody waits for it any more.

    Returns:
        A generator of what is being fetched and how much of the whole is done, 0 to 1.

    Raises:
        DatasetError: if nobody gives it.
    """
    return _DOWNLOADS.follow("mnist", iterate_download, is_stopped)


def iterate_download() -> Iterator[tuple[str, float]]:
    """Download MNIST's test set, yielding what is being fetched and how much is done, 0 to 1; closing it breaks it off.

    Raises:
        DatasetError: if nobody gives it.
    """
    steps = [("MNIST", 0.0)]
    stopped = threading.Event()

    def note(what: str, done: float) -> None:
        if stopped.is_set():
            raise DatasetError("The download was stopped.")
        steps[0] = (what, done)

    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mnist")
    try:
        download = pool.submit(download_mnist, None, note, ("test",))
        while not download.done():
            yield steps[0]
            wait([download], DOWNLOAD_STEP_S)
        download.result()
    finally:
        # Not waiting: a mirror that hangs would hold the visitor's Stop for as long.
        stopped.set()
        pool.shutdown(wait=False)


def register_evaluate_api(reader: DigitReader) -> None:
    """Add the endpoint `/evaluate` to the current `gr.Blocks`.

    Args:
        reader: shared by all callers.
    """

    def evaluate_api(
        dataset: Literal["uci", "mnist"] = "uci", checkpoint: str = "digitnet", limit: int = 0
    ) -> Iterator[dict[str, Any]]:
        """Measure a checkpoint on labelled digits; partial reports stream in, the last one has done = true.

        Args:
            dataset: "uci" (1,797 digits, bundled) or "mnist" (the 10,000 of its test set, if the server has them).
            checkpoint: "digitnet", "seed" (the article's CNN), or a Hub repo as user/name or user/name@revision.
            limit: read the first so many images only; 0 reads all.

        Returns:
            Accuracy with its 95 % Wilson interval, confusion matrix (rows are truth), precision, recall and F1,
            calibration error and the bins of the reliability diagram, the most confident mistakes (100 at most;
            disputed are those whose label research disputes), images a second, risk and coverage by rejection
            threshold, and how well confidence tells right from wrong (AUROC).
        """
        with errors_as_sentences(unexpected=UNEXPECTED):
            classifiers = [find_classifier(reader, checkpoint)]
            for snapshot in follow_measurement(find_dataset(dataset), classifiers, _whole(limit)):
                yield snapshot.reports[0].to_dict()

    # Gradio names the endpoint and the MCP tool by the function, and documents what is returned as what is yielded.
    evaluate_api.__name__ = "evaluate"
    evaluate_api.__annotations__["return"] = ReportJson
    gr.api(evaluate_api, api_name="evaluate", **EVALUATE_QUEUE)


def _identify(classifiers: Sequence[DigitClassifier]) -> tuple[tuple[str, str], ...]:
    """Weights and config: after a reload the same weights may come with another temperature."""
    return tuple((each.label, repr(each.checkpoint.config)) for each in classifiers)


def _whole(limit: object) -> object:
    """JSON knows one kind of number: 100.0 is 100. What is no whole number is left for `evaluate` to refuse."""
    return int(limit) if isinstance(limit, float) and limit.is_integer() else limit


@lru_cache(maxsize=MAX_LOADED_CLASSIFIERS)
def _load_classifier(folder: Path, changed_at: int, name: str, device: str | None) -> DigitClassifier:
    """Loaded anew when the weights change (`changed_at`)."""
    return DigitClassifier(load_named(folder, name), device)


@lru_cache(maxsize=1)
def _load_uci() -> LabeledImages:
    return load_uci()


@lru_cache(maxsize=1)
def _load_mnist_test(folder: Path) -> LabeledImages:
    return load_mnist("test", folder)
