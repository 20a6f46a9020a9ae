"""The drawing pad: a canvas that sends its picture while the pen moves."""

import base64
import binascii
import struct
from pathlib import Path
from typing import Any

import gradio as gr

PNG_PREFIX = "data:image/png;base64,"
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Signature, then the IHDR chunk's length and name, then width and height.
PNG_HEADER = struct.Struct(">8sI4sII")
# The pad sends 320 × 240: digits end at 20 px high. Twice that each way leaves room for a pad of another make.
MAX_WIDTH_PX = 640
MAX_HEIGHT_PX = 480
# A pad full of scribble is about 40 kB.
MAX_DATA_URL_CHARS = 500_000
NOT_A_DRAWING = "The drawing did not arrive whole. Clear the pad and draw again."

_FOLDER = Path(__file__).parent


class SketchPad(gr.HTML):
    """A pad to draw on with pen, finger, mouse or keys.

    Its value in the browser is the drawing as a PNG data URL, black on white, or "" when nothing is drawn; `input`
    fires while the pen moves and when it is lifted. Handlers receive the PNG's bytes, or None for an empty pad.
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
