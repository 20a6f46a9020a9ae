"""The drawing pad: a canvas that sends its picture while the pen moves."""

import base64
import binascii
import io
import struct
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import numpy.typing as npt
from PIL import Image

PNG_PREFIX = "data:image/png;base64,"
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Signature, then the IHDR chunk's length and name, then width and height.
PNG_HEADER = struct.Struct(">8sI4sII")
# What the pad sends: digits end at 20 px high.
PAD_WIDTH_PX, PAD_HEIGHT_PX = 320, 240
# A 28×28 picture laid on the pad is 224 px high: a margin is left, and each pixel stays a square, which the reader's
# area averaging turns back into that pixel. Of 37 mistakes on MNIST 31 are then read as before. Of an earlier
# network's 45, 34 were; smoothed, 23 to 30.
LAID_SCALE = 8
# Twice the pad's size each way leaves room for a pad of another make.
MAX_WIDTH_PX = 640
MAX_HEIGHT_PX = 480
# A pad full of scribble is about 40 kB.
MAX_DATA_URL_CHARS = 500_000
NOT_A_DRAWING = "The drawing did not arrive whole. Clear the pad and draw again."

_FOLDER = Path(__file__).parent


class SketchPad(gr.HTML):
    """A pad to draw on with pen, finger, mouse or keys.

    Its value in the browser is the drawing as a PNG data URL, black on white, or "" when nothing is drawn; `input`
    fires while the pen moves and when it is lifted. Handlers receive the PNG's bytes, or None for an empty pad. A
    handler may return "" to empty the pad, or what `lay_on_pad` gives: the pad starts anew with that picture, to be
    drawn on, and `input` fires.
    """

    def __init__(self, **kwargs: Any) -> None:
        """Build the pad; takes the layout arguments of `gr.HTML`."""
        super().__init__(
            value="",
            html_template=(_FOLDER / "pad.html").read_text(encoding="utf-8"),
            js_on_load=(_FOLDER / "pad.js").read_text(encoding="utf-8"),
            apply_default_css=False,
            **kwargs,
        )

    def preprocess(self, payload: str | None) -> bytes | None:
        """Check what the browser sent.

        Args:
            payload: a PNG data URL, or "" or None for an empty pad.

        Returns:
            The PNG file's bytes, or None for an empty pad.

        Raises:
            gr.Error: if it is not a PNG data URL, or is larger than a drawing can be.
        """
        if payload is None or payload == "":
            return None
        return decode_drawing(payload)


def lay_on_pad(image: npt.NDArray[np.uint8]) -> str:
    """A digit's picture as a value for the pad, in its middle.

    Args:
        image: (28, 28) uint8, white on black.

    Returns:
        A PNG data URL of the pad's size: black ink, as opaque as the picture's pixels are bright, on nothing.
    """
    enlarged = np.repeat(np.repeat(image, LAID_SCALE, axis=0), LAID_SCALE, axis=1)
    height, width = enlarged.shape
    top, left = (PAD_HEIGHT_PX - height) // 2, (PAD_WIDTH_PX - width) // 2
    ink = np.zeros((PAD_HEIGHT_PX, PAD_WIDTH_PX, 2), np.uint8)  # (H, W, grey and opacity)
    ink[top : top + height, left : left + width, 1] = enlarged
    file = io.BytesIO()
    Image.fromarray(ink, "LA").save(file, "PNG")
    return PNG_PREFIX + base64.b64encode(file.getvalue()).decode("ascii")


def decode_drawing(payload: object) -> bytes:
    """The bytes of a drawing's PNG file, checked for length, format and the size in its header.

    Args:
        payload: what came in place of a PNG data URL.

    Returns:
        A PNG file of at most MAX_WIDTH_PX × MAX_HEIGHT_PX by its header; not decoded yet.

    Raises:
        gr.Error: in a sentence for the visitor, if it is anything else.
    """
    if not isinstance(payload, str) or len(payload) > MAX_DATA_URL_CHARS or not payload.startswith(PNG_PREFIX):
        raise gr.Error(NOT_A_DRAWING, print_exception=False)
    try:
        png = base64.b64decode(payload[len(PNG_PREFIX) :], validate=True)
        signature, _, chunk, width, height = PNG_HEADER.unpack_from(png)
    except (binascii.Error, ValueError, struct.error) as err:
        raise gr.Error(NOT_A_DRAWING, print_exception=False) from err
    is_sized = 0 < width <= MAX_WIDTH_PX and 0 < height <= MAX_HEIGHT_PX
    if signature != PNG_SIGNATURE or chunk != b"IHDR" or not is_sized:
        raise gr.Error(NOT_A_DRAWING, print_exception=False)
    return png
