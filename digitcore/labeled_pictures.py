"""A zip or folder of pictures named by class → labelled digits, safely: it may be a stranger's.

The class of a picture is the nearest folder that is named 0 to 9 (`7/anna.png`), else the digit that its own name
starts with (`7_anna.png`). Nothing of a zip is ever written to disk, so its paths lead nowhere; counts and sizes are
capped before anything is unpacked.
"""

import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import numpy.typing as npt

from digitcore.cropping import cut_digit
from digitcore.data import LabeledImages, Progress
from digitcore.errors import DatasetError, ImageError
from digitcore.imaging import load_image
from digitcore.preprocessing import normalize_digit
from digitcore.segmentation import find_sketch_ink

# As many as MNIST's test set has.
MAX_PICTURES = 10_000
# A phone's JPEG has 3 to 8 MB; one digit needs a few kB.
MAX_FILE_BYTES = 16 * 1024 * 1024
MAX_UNPACKED_BYTES = 512 * 1024 * 1024
# Decoding and finding the ink cost some 30 ns a pixel: about ten seconds.
MAX_PIXELS = 400_000_000
# More entries than that are no data set, whatever they are.
MAX_ENTRIES = 4 * MAX_PICTURES
MAX_NAME_LENGTH = 80
# Share of the rim that may be touched by strokes of a tight crop …
RIM_PERCENTILE = 75
# … and how far the rest may stand off the ground, of 255: as much as preprocessing takes for the soft edge of a stroke.
MAX_GROUND_LEVEL = 32
# Under uneven light: what stands off the paper by this share of the strongest contrast, and by this many levels.
INK_RATIO, PEAK_PERCENTILE, MIN_CONTRAST = 0.5, 99.0, 16
# What file managers add.
CLUTTER = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})

WHAT_IS_RIGHT = (
    "Give a zip or a folder of pictures of one digit each, in folders named 0 to 9 (7/anna.png) or with names that "
    "start with the digit (7_anna.png)."
)


@dataclass(frozen=True, slots=True)
class SkippedPicture:
    """A file that is not in the data set: its name there, and why not, as the end of a sentence."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class LabeledPictures:
    """What a zip or folder held.

    Attributes:
        dataset: the pictures that were read, in the order of their names; named as the zip or folder.
        names: of each picture, in that order.
        skipped: what was left out, in that order too.
    """

    dataset: LabeledImages
    names: tuple[str, ...]
    skipped: tuple[SkippedPicture, ...]

    def describe_skipped(self, n_most: int = 3) -> str:
        """What was left out, as a sentence that names the first few; "" if nothing was."""
        if not self.skipped:
            return ""
        n_files = len(self.names) + len(self.skipped)
        first = "; ".join(f"{each.name} ({each.reason})" for each in self.skipped[:n_most])
        more = f"; and {len(self.skipped) - n_most:,} more" if len(self.skipped) > n_most else ""
        return f"{len(self.skipped):,} of {n_files:,} files were left out: {first}{more}."


@dataclass(frozen=True, slots=True)
class _Entry:
    """One file of a zip or folder: its path in it, its size by its header, and how to read it."""

    path: str
    n_bytes: int
    read: Callable[[], bytes]

    @property
    def name(self) -> str:
        """The path for people: without control characters, and not endless."""
        clean = "".join(character if character.isprintable() else "?" for character in self.path)
        return clean if len(clean) <= MAX_NAME_LENGTH else f"…{clean[-MAX_NAME_LENGTH:]}"


class _UnreadableError(Exception):
    """The entry cannot be read; the text says why, as the end of a sentence."""


def load_labeled_pictures(path: Path, name: str | None = None, progress: Progress | None = None) -> LabeledPictures:
    """Read a zip or folder of pictures named by class, and bring each to MNIST's form.

    Args:
        path: of the zip or the folder.
        name: of the data set, as reports print it; None for the folder's, or the zip's without its ending.
        progress: called with a picture's name and how much of the whole is done, 0 to 1. What it raises ends the work.

    Returns:
        The labelled digits, (N, 28, 28) uint8 white on black whatever the pictures' ink and ground, N at least 1; and
        what was left out: files without a class, what is no picture or damaged, blank ones.

    Raises:
        DatasetError: in a sentence, if there is no such file, it is no zip, exceeds a cap, or holds no labelled picture
            that can be read.
    """
    path = Path(path)
    report = progress or (lambda _what, _done: None)
    if path.is_dir():
        return _read_entries(list(_list_folder(path)), name or path.name, report)
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as err:
        raise DatasetError(f"{path.name} is no zip file that can be read. {WHAT_IS_RIGHT}") from err
    with archive:
        return _read_entries(list(_list_zip(archive)), name or path.stem, report)


def find_class(path: str) -> int | None:
    """The class that a path in a zip or folder names.

    Args:
        path: with slashes between its parts, or backslashes.

    Returns:
        0 to 9; None if neither a folder is a single digit nor the file's name starts with one.
    """
    *folders, file_name = PurePosixPath(path.replace("\\", "/")).parts or ("",)
    for folder in reversed(folders):
        if re.fullmatch("[0-9]", folder):
            return int(folder)
    # "12.png" may be the twelfth picture: two digits name no class.
    match = re.match("([0-9])(?![0-9])", file_name)
    return int(match[1]) if match else None


def normalize_picture(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Bring a picture of one digit to MNIST's form.

    Args:
        rgb: (H, W, 3) uint8, dark ink on a light ground or light on dark; on paper whose light is uneven, the paper is
            cleared as the reader clears it.

    Returns:
        (28, 28) uint8, white on black; all zero if nothing stands off the ground.
    """
    ink = find_sketch_ink(rgb)
    rim = np.concatenate([ink[0], ink[-1], ink[:, 0], ink[:, -1]])
    if np.percentile(rim, RIM_PERCENTILE) > MAX_GROUND_LEVEL:
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        box = _find_digit_box(grey)
        ink = np.zeros_like(ink) if box is None else cut_digit(grey, box)
    return normalize_digit(ink)


def _find_digit_box(grey: npt.NDArray[np.uint8]) -> tuple[int, int, int, int] | None:
    """Around what stands off the plane through the rim, the paper under light from one side; x, y, w, h."""
    height, width = grey.shape
    rows, columns = np.mgrid[:height, :width]
    plane = np.stack([columns.ravel() / width, rows.ravel() / height, np.ones(grey.size)], axis=1)
    on_rim = ((rows == 0) | (rows == height - 1) | (columns == 0) | (columns == width - 1)).ravel()
    levels = grey.ravel().astype(np.float64)
    slope, *_ = np.linalg.lstsq(plane[on_rim], levels[on_rim], rcond=None)
    contrast = np.abs(levels - plane @ slope).reshape(grey.shape)
    is_ink = contrast > max(INK_RATIO * np.percentile(contrast, PEAK_PERCENTILE), MIN_CONTRAST)
    if not is_ink.any():
        return None
    across, down = np.flatnonzero(is_ink.any(axis=0)), np.flatnonzero(is_ink.any(axis=1))
    return int(across[0]), int(down[0]), int(across[-1] - across[0] + 1), int(down[-1] - down[0] + 1)


def _read_entries(entries: list[_Entry], name: str, report: Progress) -> LabeledPictures:
    """Check the caps, then read one picture after the other."""
    _check_caps(entries)
    images: list[npt.NDArray[np.uint8]] = []
    labels: list[int] = []
    names: list[str] = []
    skipped: list[SkippedPicture] = []
    n_pixels = 0
    for i, entry in enumerate(entries):
        report(entry.name, i / len(entries))
        try:
            label, rgb = _read_picture(entry)
            n_pixels += rgb.shape[0] * rgb.shape[1]
            if n_pixels > MAX_PIXELS:
                raise DatasetError(
                    f"The pictures have more than {MAX_PIXELS // 1_000_000:,} megapixels together. Make them smaller: "
                    "200 pixels each way are plenty for a digit."
                )
            image = normalize_picture(rgb)
            if not image.any():
                raise _UnreadableError("it is blank")
        except _UnreadableError as err:
            skipped.append(SkippedPicture(entry.name, str(err)))
            continue
        images.append(image)
        labels.append(label)
        names.append(entry.name)
    if not images:
        why = f" Left out were, for one, {skipped[0].name}: {skipped[0].reason}." if skipped else ""
        raise DatasetError(f"{name} holds no labelled picture that can be read.{why} {WHAT_IS_RIGHT}")
    dataset = LabeledImages(np.stack(images), np.array(labels, dtype=np.int64), name)
    return LabeledPictures(dataset, tuple(names), tuple(skipped))


def _check_caps(entries: list[_Entry]) -> None:
    """Refuse too much by what the headers say, before anything is unpacked; readers hold entries to their headers."""
    if len(entries) > MAX_PICTURES:
        raise DatasetError(f"{len(entries):,} files are too many. Give at most {MAX_PICTURES:,} pictures.")
    n_bytes = sum(entry.n_bytes for entry in entries)
    if n_bytes > MAX_UNPACKED_BYTES:
        raise DatasetError(
            f"Unpacked, the files have {n_bytes / 2**20:,.0f} MB. Give at most {MAX_UNPACKED_BYTES // 2**20} MB: small "
            "pictures will do."
        )


def _read_picture(entry: _Entry) -> tuple[int, npt.NDArray[np.uint8]]:
    """Class and (H, W, 3) uint8 pixels."""
    label = find_class(entry.path)
    if label is None:
        raise _UnreadableError("neither its folder nor the start of its name is one digit")
    if entry.n_bytes > MAX_FILE_BYTES:
        raise _UnreadableError(f"it has more than {MAX_FILE_BYTES // 2**20} MB")
    try:
        return label, load_image(entry.read())
    except ImageError as err:
        # Its first sentence says what is wrong, as a sentence of its own.
        raise _UnreadableError(str(err).partition(". ")[0].rstrip(".")) from err


def _list_zip(archive: zipfile.ZipFile) -> Iterator[_Entry]:
    """Its files by path, without what file managers add."""
    infos = archive.infolist()
    if len(infos) > MAX_ENTRIES:
        raise DatasetError(f"{len(infos):,} entries are too many. Give at most {MAX_PICTURES:,} pictures.")
    for info in sorted(infos, key=lambda info: info.filename):
        if not info.is_dir() and not _is_clutter(info.filename):
            yield _Entry(info.filename, info.file_size, lambda info=info: _unpack(archive, info))


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The entry's bytes: never more than its header says, which is as far as zipfile reads."""
    if info.flag_bits & 1:
        raise _UnreadableError("it is encrypted")
    try:
        with archive.open(info) as file:
            return file.read(MAX_FILE_BYTES)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError) as err:
        # NotImplementedError, of an unknown compression, is a RuntimeError.
        raise _UnreadableError("it is damaged in the zip") from err


def _list_folder(folder: Path) -> Iterator[_Entry]:
    """Its files at any depth by path, without links that lead out of it."""
    root = folder.resolve()
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        if path.is_file() and not _is_clutter(relative) and path.resolve().is_relative_to(root):
            yield _Entry(relative, path.stat().st_size, lambda path=path: _read_file(path))


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as err:
        raise _UnreadableError("it cannot be opened") from err


def _is_clutter(path: str) -> bool:
    parts = PurePosixPath(path.replace("\\", "/")).parts
    return any(part in CLUTTER or (part.startswith(".") and part not in (".", "..")) for part in parts)
