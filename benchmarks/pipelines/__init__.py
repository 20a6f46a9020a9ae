"""What benchmarks/photos.py compares: a pipeline takes the path of a picture and gives what it read.

digitcore   this package's reader
article     the article's Otsu threshold, contours and CNN
tesseract   the tesseract command, where installed
rapidocr    the rapidocr package, where installed
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from benchmarks.photo_labels import PhotoText

Pipeline = Callable[[Path], PhotoText]

PIPELINE_NAMES = ("digitcore", "article", "tesseract", "rapidocr")


class PipelineMissingError(Exception):
    """A pipeline's program or package is not installed; the message says how to get it."""


def load_pipeline(name: str, checkpoint: str | None = None) -> Pipeline:
    """Make a pipeline ready to read.

    Args:
        name: one of `PIPELINE_NAMES`.
        checkpoint: of the digitcore pipeline, as `DigitReader.from_pretrained` takes it; the others ignore it.

    Returns:
        A function from a picture's path to its text.

    Raises:
        PipelineMissingError: if it is not installed.
        ValueError: if there is no such pipeline.
    """
    if name not in PIPELINE_NAMES:
        raise ValueError(f"pipeline must be one of {', '.join(PIPELINE_NAMES)}, got {name!r}")
    # Each in its own module, imported on demand: nobody should need rapidocr to measure digitcore.
    module = import_module(f"benchmarks.pipelines.{name}_pipeline")
    return module.load(checkpoint)
