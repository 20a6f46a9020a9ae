"""This package's reader."""

from pathlib import Path

from benchmarks.photo_labels import PhotoText
from benchmarks.pipelines import Pipeline
from digitcore.reader import DigitReader


def load(checkpoint: str | None = None) -> Pipeline:
    """The reader with this checkpoint, or the shipped one."""
    reader = DigitReader.from_pretrained(checkpoint)

    def read(path: Path) -> PhotoText:
        reading = reader.read_photo(path)
        return PhotoText(reading.lines, tuple((digit.box, str(digit.value)) for digit in reading.digits))

    return read
