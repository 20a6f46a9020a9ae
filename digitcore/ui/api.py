"""The endpoints for programs: gradio_client, curl and MCP tools. Plain functions with types and docstrings."""

from collections.abc import Callable
from typing import Any, TypedDict

import gradio as gr
from gradio.context import get_blocks_context
from gradio.data_classes import FileData
from gradio.processing_utils import save_img_array_to_cache
from gradio.utils import get_upload_folder

from digitcore.device import describe_device
from digitcore.drawing import draw_reading
from digitcore.imaging import load_image
from digitcore.reader import DigitReader
from digitcore.ui.guards import errors_as_sentences, find_upload, find_uploads, take_uploads_only
from digitcore.ui.photo_tab import PHOTO_QUEUE


class DigitJson(TypedDict):
    """`Digit.to_dict()`; box is [x, y, w, h], alternatives are [value, confidence]."""

    value: int
    confidence: float
    box: list[int]
    line: int
    alternatives: list[list[float]]


class RejectedJson(TypedDict):
    """`Rejected.to_dict()`."""

    box: list[int]
    reason: str


class ReadingJson(TypedDict):
    """`Reading.to_dict()`: the shape that clients are shown; size is [w, h]."""

    text: str
    lines: list[str]
    confidence: float
    rotation: int
    size: list[int]
    digits: list[DigitJson]
    rejected: list[RejectedJson]
    model: str
    detector: str
    milliseconds: dict[str, int]


class ModelInfoJson(TypedDict):
    """What answers, and what was measured of it."""

    model: str
    detector: str
    device: str
    revision: str | None
    metrics: dict[str, Any]


def register_api(reader: DigitReader) -> None:
    """Add the reading endpoints to the current `gr.Blocks`.

    Args:
        reader: shared by all callers.
    """

    def read_sketch(image: FileData) -> ReadingJson:
        """Read digits drawn on an even ground, dark on light or light on dark, as one number.

        Args:
            image: a picture file (PNG, JPEG, WebP, HEIC, GIF, BMP or TIFF).

        Returns:
            The text, and for each digit its value, confidence, box [x, y, width, height] in pixels and alternatives.
        """
        with errors_as_sentences():
            return reader.read_sketch(find_upload(image)).to_dict()

    def read_photo(image: FileData) -> ReadingJson:
        """Find and read the handwritten digits in a photo or scan, line by line.

        Args:
            image: a picture file (JPEG, PNG, WebP, HEIC, GIF, BMP or TIFF).

        Returns:
            The text and its lines; for each digit its value, confidence, box [x, y, width, height] in pixels of the
            upright picture and alternatives; and what was seen and not read, with the reason.
        """
        with errors_as_sentences():
            return reader.read_photo(find_upload(image)).to_dict()

    def read_photos(images: list[FileData]) -> list[ReadingJson]:
        """Read several photos in one call, at most 32; the answers come in the order of the pictures.

        Args:
            images: picture files, each as for read_photo.

        Returns:
            A reading for each picture. If one cannot be read, the call fails and says which.
        """
        readings = []
        for i, path in enumerate(find_uploads(images)):
            with errors_as_sentences(f"Picture {i + 1}: "):
                readings.append(reader.read_photo(path).to_dict())
        return readings

    def annotate_photo(image: FileData) -> FileData:
        """Draw what was read into a photo: a box around each digit, with its value and confidence.

        Args:
            image: a picture file, as for read_photo.

        Returns:
            The annotated picture as a JPEG, its longest side at most 1600 pixels.
        """
        with errors_as_sentences():
            rgb = load_image(find_upload(image))
            annotated = draw_reading(rgb, reader.read_photo(rgb))
            path = save_img_array_to_cache(annotated, get_upload_folder(), format="jpeg")
        return FileData(path=path, orig_name="annotated.jpeg", mime_type="image/jpeg")

    def model_info() -> ModelInfoJson:
        """Tell which checkpoint and detector answer, on which device, and what was measured of the checkpoint.

        Returns:
            Names with the first digits of the weights' SHA-256, the device, the Hub commit if any, and the metrics.
        """
        classifier = reader.classifier
        return {
            "model": classifier.label,
            "detector": reader.detector_label,
            "device": describe_device(classifier.device),
            "revision": classifier.checkpoint.revision,
            "metrics": dict(classifier.checkpoint.metrics),
        }

    _register(read_sketch, queue=False)
    _register(model_info, queue=False)
    for fn in (read_photo, read_photos, annotate_photo):
        _register(fn, **PHOTO_QUEUE)


def _register(fn: Callable[..., Any], **options: Any) -> None:
    """Add one endpoint under its function's name, which is the MCP tool's too."""
    dependency = gr.api(fn, api_name=fn.__name__, **options)
    for component in get_blocks_context().fns[dependency["id"]].inputs:
        take_uploads_only(component)
