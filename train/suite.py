"""What `train.evaluate` measures beside the report: other people's digits, what is no digit, cost."""

import time
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from digitcore.classifier import DigitClassifier
from digitcore.data import LabeledImages
from digitcore.detection import PageDetector
from digitcore.errors import DatasetError
from digitcore.evaluation import measure_error
from digitcore.hub import DEFAULT_DETECTOR, load_pretrained
from digitcore.metrics import measure_auroc
from digitcore.model import count_multiply_adds, count_parameters
from digitcore.preprocessing import normalize_digits
from digitcore.reader import DigitReader
from digitcore.strokes import RecordedDrawing, draw_single, load_digit_strokes, load_strokes

DIGIT_STROKES_NAME, LETTER_STROKES_NAME = "digits_strokes.json", "letters_strokes.json"
# Letters that many people write as they write a digit: 0, 1, 2, 5, 8 or 6, 9; nobody could refuse them.
LOOK_ALIKES = frozenset("OoIliZzSsBbgqD")


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of one set: its name, how many images it has, and an error or an AUROC, 0 to 1."""

    name: str
    n: int
    value: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What a network takes.

    Attributes:
        n_parameters: of the network.
        n_multiply_adds: for one image.
        seconds: in which one call read all images of the data set.
    """

    n_parameters: int
    n_multiply_adds: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types only."""
        return {
            "n_parameters": self.n_parameters,
            "n_multiply_adds": self.n_multiply_adds,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class OtherFigures:
    """The figures of the other sets; those of what was not named are empty or None.

    Attributes:
        digits: error on each set of other people's digits.
        not_digits: AUROC of `is_digit`, the data set's images against each set of what is no digit.
        sketches: share of recorded single digits that `DigitReader.read_sketch` does not read as they are.
        letters: AUROC of `is_digit`, the data set's images against recorded letters less the look-alikes.
    """

    digits: tuple[Figure, ...] = ()
    not_digits: tuple[Figure, ...] = ()
    sketches: Figure | None = None
    letters: Figure | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types only; what was not measured is left out."""
        sets = {
            "digits": {f.name: {"n": f.n, "error": round(f.value, 6)} for f in self.digits},
            "not_digits": {f.name: {"n": f.n, "auroc": round(f.value, 6)} for f in self.not_digits},
            "sketches": {"n": self.sketches.n, "error": round(self.sketches.value, 6)} if self.sketches else {},
            "letters": {"n": self.letters.n, "auroc": round(self.letters.value, 6)} if self.letters else {},
        }
        return {name: figures for name, figures in sets.items() if figures}


@dataclass(frozen=True, slots=True)
class OtherSets:
    """What is measured beside the data set itself, read and checked; all may be empty.

    Attributes:
        digits: other people's digits.
        not_digits: name and (N, 28, 28) uint8 images of each set of what is no digit.
        sketches: recorded digits.
        letters: recorded letters, less the look-alikes.
    """

    digits: tuple[LabeledImages, ...] = ()
    not_digits: tuple[tuple[str, npt.NDArray[np.uint8]], ...] = ()
    sketches: tuple[RecordedDrawing, ...] = ()
    letters: tuple[RecordedDrawing, ...] = ()


def load_other_sets(digits: Path | None, not_digits: Path | None, strokes: Path | None) -> OtherSets:
    """Read the folders that were named.

    Args:
        digits: folder of .npz files with `images` (N, 28, 28) uint8, white on black, and `labels` (N,); None for none.
        not_digits: folder of .npz files with such `images`; None for none.
        strokes: folder of digits_strokes.json and letters_strokes.json, as `strokes.load_strokes` takes them; None for
            none.

    Raises:
        DatasetError: if a folder or a file is missing, empty or of another form.
    """
    sketches, letters = (), ()
    if strokes is not None:
        sketches = tuple(load_digit_strokes(strokes / DIGIT_STROKES_NAME))
        letters = tuple(d for d in load_strokes(strokes / LETTER_STROKES_NAME) if d.label not in LOOK_ALIKES)
        if not letters:
            raise DatasetError(f"{strokes / LETTER_STROKES_NAME} holds no letter that is unlike every digit.")
    return OtherSets(
        digits=tuple(_load_digits(path) for path in _list_archives(digits)),
        not_digits=tuple((path.stem, _load_not_digits(path)) for path in _list_archives(not_digits)),
        sketches=sketches,
        letters=letters,
    )


def measure_cost(classifier: DigitClassifier, dataset: LabeledImages) -> Cost:
    """Count what the network is made of, and time it.

    Args:
        classifier: what is measured; it should have been used before, or `seconds` includes its start.
        dataset: what one call reads.
    """
    started = time.perf_counter()
    classifier.classify(dataset.images)
    seconds = time.perf_counter() - started
    model = classifier.checkpoint.model
    return Cost(count_parameters(model), count_multiply_adds(model), seconds)


def measure_other_sets(classifier: DigitClassifier, dataset: LabeledImages, others: OtherSets) -> OtherFigures:
    """Measure what was named beside the data set.

    Args:
        classifier: what is measured.
        dataset: at least one image; the digits that what is no digit is told from.
        others: what was named.
    """
    is_digit = classifier.classify(dataset.images).is_digit if others.not_digits or others.letters else np.zeros(0)
    return OtherFigures(
        digits=tuple(Figure(d.name, len(d), measure_error(classifier, d)) for d in others.digits),
        not_digits=tuple(_measure_refusal(classifier, is_digit, name, images) for name, images in others.not_digits),
        sketches=_measure_sketches(classifier, others.sketches) if others.sketches else None,
        letters=_measure_refusal(classifier, is_digit, "letters", _draw_images(others.letters))
        if others.letters
        else None,
    )


def _list_archives(folder: Path | None) -> list[Path]:
    """The folder's .npz files by name; none without a folder."""
    if folder is None:
        return []
    if not folder.is_dir():
        raise DatasetError(f"There is no folder {folder}.")
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise DatasetError(f"{folder} holds no .npz file.")
    return paths


def _load_arrays(path: Path, names: tuple[str, ...]) -> list[npt.NDArray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = [archive[name] for name in names]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as err:
        raise DatasetError(f"{path} is no .npz file with {' and '.join(names)}: {err}") from err
    if not len(arrays[0]):
        raise DatasetError(f"{path} holds no image.")
    return arrays


def _load_digits(path: Path) -> LabeledImages:
    images, labels = _load_arrays(path, ("images", "labels"))
    try:
        return LabeledImages(images, labels.astype(np.int64), path.stem)
    except (DatasetError, ValueError) as err:
        raise DatasetError(f"{path} is not labelled digits: {err}") from err


def _load_not_digits(path: Path) -> npt.NDArray[np.uint8]:
    (images,) = _load_arrays(path, ("images",))
    if images.dtype != np.uint8 or images.shape[1:] != (28, 28):
        raise DatasetError(f"{path}: expected (N, 28, 28) uint8 images, got {images.dtype} {images.shape}.")
    return images


def _measure_refusal(
    classifier: DigitClassifier, is_digit: npt.NDArray[np.float32], name: str, images: npt.NDArray[np.uint8]
) -> Figure:
    """AUROC of digits whose `is_digit` is given against images of what is none."""
    others = classifier.classify(images).is_digit
    truth = np.arange(len(is_digit) + len(others)) < len(is_digit)
    return Figure(name, len(images), measure_auroc(np.concatenate([is_digit, others]), truth))


def _measure_sketches(classifier: DigitClassifier, sketches: tuple[RecordedDrawing, ...]) -> Figure:
    # The detector has no part in sketches; a reader has one all the same.
    reader = DigitReader(classifier, PageDetector(load_pretrained(DEFAULT_DETECTOR), str(classifier.device)))
    n_wrong = sum(reader.read_sketch(draw_single(d.strokes)).text != d.label for d in sketches)
    return Figure("sketches", len(sketches), n_wrong / len(sketches))


def _draw_images(drawings: tuple[RecordedDrawing, ...]) -> npt.NDArray[np.uint8]:
    """(n, 28, 28) uint8, white on black, each drawn as on the pad and brought to MNIST's form."""
    return normalize_digits([255 - draw_single(drawing.strokes) for drawing in drawings])
