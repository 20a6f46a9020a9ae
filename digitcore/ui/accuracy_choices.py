"""What the Accuracy tab measures: the visitor's choices, and the images and checkpoints that they name."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from digitcore.classifier import DigitClassifier
from digitcore.corruptions import MAX_STRENGTH
from digitcore.data import LabeledImages, Progress, find_mnist
from digitcore.errors import CheckpointError, ConfigError, DigitcoreError
from digitcore.hub import SHIPPED_NAMES
from digitcore.labeled_pictures import load_labeled_pictures
from digitcore.reader import DigitReader
from digitcore.ui.evaluate_api import DATASET_TITLES, find_classifier, find_dataset
from digitcore.ui.report_html import render_note
from digitcore.ui.upload import open_upload

logger = logging.getLogger(__name__)

OWN_DATASET, SUITE = "own", "suite"
TITLES = {**DATASET_TITLES, OWN_DATASET: "Your pictures", SUITE: "Robustness suite"}
# The radio's name for a checkpoint that the app was started with and that is none of those shipped.
OWN = "own"
HUB, NONE = "hub", "none"
CHECKPOINT_TITLES = {"digitnet": "DigitNet", "seed": "The article's CNN"}
HUB_TITLE = "One from the Hub"
STRENGTH_STEP = 0.25
# With "weaker ones too", these shares of the strength.
SWEEP = (0.25, 0.5, 0.75, 1.0)
MIN_SUITE_IMAGES, MAX_SUITE_IMAGES, SUITE_IMAGES_STEP = 100, 2000, 100

UCI_SENTENCE = "1,797 digits of 13 writers, 8×8 pixels each, brought to 28×28; bundled with scikit-learn."
MNIST_SENTENCE = "The 10,000 test images of MNIST. Neither checkpoint shipped here was trained on or chosen by them."
OWN_SENTENCE = "Pictures of single digits, yours: each is brought to 28×28 as a sketch would be, and read."
SUITE_SENTENCE = (
    "Fourteen ways to spoil a digit, made on the fly: strength 1 is the one that all checkpoints are compared at."
)
MNIST_MISSING = "MNIST's test set is not on this machine. Run downloads it (2 MB) and checks it."
HOW_TO_SUPPLY = (
    "To supply MNIST by hand, put its four files into MNIST/raw of the folder that DIGITCORE_DATA names on the server."
)
NO_HUB_ID = "Name the checkpoint on the Hub, as user/name or user/name@revision."
SAME_CHECKPOINT = "Both checkpoints are the same one. Choose another one to compare with."
# As in 2026-11-22T14:30:00+00:00.
MAX_DATE_LENGTH = 25


@dataclass(frozen=True, slots=True)
class Choice:
    """The visitor's choices, in the order of the tab's inputs.

    Attributes:
        dataset: one of `TITLES`.
        upload: where the zip of the visitor's own pictures is said to be, or None.
        base: for the suite, the images to corrupt: one of `TITLES`.
        strength: for the suite, a factor of the fixed strength.
        is_swept: for the suite, whether weaker strengths are measured too.
        n_images: for the suite, how many images.
        checkpoint: "digitnet", "seed", "own" or "hub".
        hub_id: for "hub", user/name or user/name@revision.
        other: the checkpoint to compare with, or "none".
        other_hub_id: as `hub_id`, for the other.
    """

    dataset: str
    upload: str | None
    base: str
    strength: float
    is_swept: bool
    n_images: int
    checkpoint: str
    hub_id: str
    other: str
    other_hub_id: str

    @property
    def is_suite(self) -> bool:
        """Whether the images are to be corrupted."""
        return self.dataset == SUITE

    @property
    def source(self) -> str:
        """The data set that the images come from."""
        return self.base if self.is_suite else self.dataset

    @property
    def strengths(self) -> tuple[float, ...]:
        """For the suite, rising.

        Raises:
            ConfigError: if the strength is not above 0, or too large.
        """
        if not isinstance(self.strength, int | float) or not 0 < self.strength <= MAX_STRENGTH:
            raise ConfigError(f"The strength must be above 0 and at most {MAX_STRENGTH}, got {self.strength!r}.")
        return tuple(share * self.strength for share in SWEEP) if self.is_swept else (float(self.strength),)


@dataclass(frozen=True, slots=True, eq=False)
class FoundImages:
    """A data set, its title for the visitor, and what there is to say of it: what was left out, or ""."""

    labeled: LabeledImages
    title: str
    remark: str = ""


def default_dataset() -> str:
    """MNIST where it is, else what is always there."""
    return "uci" if find_mnist(split="test") is None else "mnist"


def list_checkpoints(reader: DigitReader) -> tuple[list[tuple[str, str]], str]:
    """Titles and names to choose from, and which is the app's: what is shipped, and the app's own if it is another."""
    shipped = [(title, name) for name, title in CHECKPOINT_TITLES.items()]
    for name in CHECKPOINT_TITLES:
        try:
            if find_classifier(reader, name) is reader.classifier:
                return shipped, name
        except CheckpointError as err:
            logger.warning("the checkpoint %s cannot be evaluated: %s", name, err)
    return [(f"This app's: {reader.classifier.label}", OWN), *shipped], OWN


def offer_checkpoints(reader: DigitReader) -> tuple[list[tuple[str, str]], list[tuple[str, str]], str]:
    """What both radios offer, those to measure and those to compare with, and which is the app's."""
    offered, own = list_checkpoints(reader)
    hub = (HUB_TITLE, HUB)
    return [*offered, hub], [("Nothing", NONE), *offered, hub], own


def find_checkpoints(reader: DigitReader, choice: Choice) -> tuple[DigitClassifier, ...]:
    """The one or two classifiers that the visitor chose.

    Raises:
        CheckpointError: if one cannot be had, or both are the same.
    """
    first = find_checkpoint(reader, choice.checkpoint, choice.hub_id)
    if choice.other == NONE:
        return (first,)
    other = find_checkpoint(reader, choice.other, choice.other_hub_id)
    if other.label == first.label:
        raise CheckpointError(SAME_CHECKPOINT)
    return first, other


def find_checkpoint(reader: DigitReader, name: str, hub_id: str = "") -> DigitClassifier:
    """The classifier behind a radio's name; raises CheckpointError with a sentence if there is none."""
    if name == OWN:
        return reader.classifier
    if name in SHIPPED_NAMES:
        return find_classifier(reader, name)
    wanted = hub_id.strip() if isinstance(hub_id, str) else ""
    if not wanted:
        raise CheckpointError(NO_HUB_ID)
    return find_classifier(reader, wanted)


def find_images(name: str, upload: str | None, progress: Progress | None = None) -> FoundImages:
    """The data set of that name, or the visitor's own.

    Args:
        name: one of `TITLES`, but for the suite.
        upload: where the visitor's own is said to be.
        progress: called with the picture that is being read and how much of the whole is done, 0 to 1.

    Raises:
        DatasetError: if there is none, or it cannot be read.
    """
    if name != OWN_DATASET:
        return FoundImages(find_dataset(name), TITLES[name])
    path = open_upload(upload)
    pictures = load_labeled_pictures(path, progress=progress)
    return FoundImages(pictures.dataset, f"{TITLES[OWN_DATASET]} ({path.stem})", pictures.describe_skipped())


def render_choice(reader: DigitReader, dataset: str, base: str, checkpoint: str) -> str:
    """What the data set is; and if MNIST is missing, how to get it and what is known of the checkpoint on it."""
    sentences = {"uci": UCI_SENTENCE, "mnist": MNIST_SENTENCE, OWN_DATASET: OWN_SENTENCE, SUITE: SUITE_SENTENCE}
    if find_mnist(split="test") is not None or dataset == OWN_DATASET:
        return render_note(sentences[dataset])
    needs_mnist = "mnist" in (dataset, base if dataset == SUITE else "")
    first = MNIST_MISSING if needs_mnist else sentences[dataset]
    return render_note(f"{first} {HOW_TO_SUPPLY} {stored_sentence(reader, checkpoint)}".strip())


def stored_sentence(reader: DigitReader, checkpoint: str) -> str:
    """The MNIST figures stored with a checkpoint; "" if it cannot be loaded: the run itself will say why."""
    if checkpoint == HUB:
        return ""
    try:
        classifier = find_checkpoint(reader, checkpoint)
    except DigitcoreError:
        return ""
    return describe_stored(classifier.label, classifier.checkpoint.metrics)


def describe_stored(label: str, metrics: Mapping[str, Any]) -> str:
    """The test accuracy that metrics.json holds, as a sentence that says it is stored; "" without one.

    Args:
        label: name@hash of the checkpoint.
        metrics: content of metrics.json; from a stranger's repository, so nothing in it is taken on trust.
    """
    accuracy, n_test, measured = (metrics.get(key) for key in ("test_accuracy", "n_test", "measured"))
    if not isinstance(accuracy, float) or not 0 <= accuracy <= 1:
        return ""
    images = f"{n_test:,} test images" if isinstance(n_test, int) else "test images"
    when = f", measured {measured[:MAX_DATE_LENGTH]}" if isinstance(measured, str) else ""
    return f"Stored with {label}: {100 * accuracy:.2f} % right on MNIST's {images}{when}."
