"""The pictures between a photo and its reading, as HTML: how the reader saw it. Pure functions, nothing of Gradio."""

import base64
from html import escape

import cv2
import numpy as np
import numpy.typing as npt

from digitcore.results import Stages

# Three abreast on a desk, one on a phone: more pixels than this are never shown.
MAX_SIDE_PX = 420
JPEG_QUALITY = 80


def render_stages(stages: Stages) -> str:
    """A fold-out with the stage pictures.

    Args:
        stages: of a photo's reading.

    Returns:
        Local contrast, heatmap and ink, each with a sentence; what a reader without such a stage left out is not shown.
    """
    pictures = [
        (_shade(stages.contrast), "Contrast", "Ink against its own paper: shadows and gradients are gone."),
        (
            _heat(stages.heatmap),
            "Where digits are likely",
            "The page network's heatmap: bright where a digit is centred.",
        ),
        (
            _shade(stages.ink),
            "Digit ink",
            "The strokes that it takes for digits; rules, print and letters are left out.",
        ),
    ]
    figures = "".join(
        f'<figure><img src="{_to_source(picture)}" alt="{escape(name)}"><figcaption><b>{escape(name)}.</b> '
        f"{escape(sentence)}</figcaption></figure>"
        for picture, name, sentence in pictures
        if picture is not None
    )
    summary = "<summary>How it was read</summary>"
    return f'<details class="dc-stages">{summary}<div class="dc-figures">{figures}</div></details>'


def _shade(picture: npt.NDArray[np.uint8] | None) -> npt.NDArray[np.uint8] | None:
    return None if picture is None else _shrink(picture)


def _heat(heatmap: npt.NDArray[np.uint8] | None) -> npt.NDArray[np.uint8] | None:
    """Dark to bright in a scale that colour-blind readers and grey printers tell apart."""
    return None if heatmap is None else cv2.applyColorMap(_shrink(heatmap), cv2.COLORMAP_INFERNO)


def _shrink(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    scale = min(1.0, MAX_SIDE_PX / max(picture.shape))
    size_wh = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return cv2.resize(picture, size_wh, interpolation=cv2.INTER_AREA)


def _to_source(picture: npt.NDArray[np.uint8]) -> str:
    encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")
