"""What stands between a request and the reader: files that were really uploaded, and errors as sentences."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import gradio as gr
from gradio.components import Component
from gradio.data_classes import ImageData
from gradio.utils import get_upload_folder
from gradio_client.utils import is_http_url_like

from digitcore.errors import DigitcoreError

logger = logging.getLogger(__name__)

# A 12-megapixel JPEG of a phone is 3 to 8 MB, its HEIC half of that, a 48-megapixel one up to 15.
MAX_FILE_SIZE = "16mb"
# Gradio serves an upload back under this; its MCP server names uploads so.
OWN_FILE_MARK = "/gradio_api/file="
# A call holds a place in the queue while it runs; more pictures belong in several calls.
MAX_PHOTOS = 32
NO_PICTURE = "There is no picture. Upload a photo, paste one, or take one with the camera."
NOT_UPLOADED = "This picture was not uploaded. Upload the file itself; a path on the server is not taken."
NO_LINKS = "A link is not fetched. Upload the picture itself."
UNEXPECTED = "The picture could not be read because of a fault on our side. Try again, or try another picture."


def find_upload(file: object) -> Path:
    """The file that a visitor or client uploaded.

    A request's body can name any path of the server. Only a file in Gradio's upload folder, links followed, is one
    that came from a client.

    Args:
        file: what Gradio hands over for a file: a mapping or an object with `path`.

    Returns:
        The file's path; it exists.

    Raises:
        gr.Error: in a sentence for the visitor, if there is no file or it was not uploaded.
    """
    if file is None or file == "":
        raise gr.Error(NO_PICTURE, print_exception=False)
    name = file.get("path") if isinstance(file, dict) else getattr(file, "path", None)
    if not isinstance(name, str) or "\0" in name:
        raise gr.Error(NOT_UPLOADED, print_exception=False)
    folder = Path(os.path.realpath(get_upload_folder()))
    path = Path(os.path.realpath(name))
    if not path.is_relative_to(folder) or not path.is_file():
        logger.warning("refused a file outside the upload folder")
        raise gr.Error(NOT_UPLOADED, print_exception=False)
    return path


def find_uploads(files: object) -> list[Path]:
    """The files of a call with several pictures.

    Args:
        files: a list of at most MAX_PHOTOS, each as for `find_upload`.

    Returns:
        Their paths, in order.

    Raises:
        gr.Error: in a sentence, if it is no such list or one of the files was not uploaded.
    """
    if not isinstance(files, list) or not files:
        raise gr.Error("Expected a list of uploaded pictures, at least one.", print_exception=False)
    if len(files) > MAX_PHOTOS:
        raise gr.Error(
            f"{len(files)} pictures are too many for one call. Send at most {MAX_PHOTOS} at a time.",
            print_exception=False,
        )
    return [find_upload(file) for file in files]


def take_uploads_only(component: Component) -> None:
    """Keep Gradio from fetching links for an input.

    Left alone, it downloads any link that a body names, of any size, before our code runs. A link to an upload on this
    server is no download: its file is taken where it lies.
    """
    move = component.async_move_resource_to_block_cache

    async def move_upload(name: str | Path | None) -> str | None:
        text = str(name)
        if is_http_url_like(text):
            _, mark, path = text.partition(OWN_FILE_MARK)
            if not mark:
                raise gr.Error(NO_LINKS, print_exception=False)
            name = find_upload({"path": unquote(path)})
        return await move(name)

    component.async_move_resource_to_block_cache = move_upload


@contextmanager
def errors_as_sentences(prefix: str = "", unexpected: str = UNEXPECTED) -> Iterator[None]:
    """Turn digitcore's errors into messages that reach the visitor and the API client; log any other.

    Gradio's own pass as they are: on ZeroGPU they say that a quota is used up, and when to come back.

    Args:
        prefix: of digitcore's sentences.
        unexpected: what is said of any other error.
    """
    try:
        yield
    except DigitcoreError as err:
        raise gr.Error(f"{prefix}{err}", print_exception=False) from err
    except gr.Error:
        raise
    except Exception as err:
        logger.exception("unexpected failure")
        raise gr.Error(unexpected, print_exception=False) from err


class PhotoInput(gr.Image):
    """`gr.Image` that hands over the uploaded file as it is, and opens nothing itself.

    The stock component decodes the file before any handler sees it, with whatever format Pillow knows.
    """

    def __init__(self, **kwargs: Any) -> None:
        """Build the input; takes the arguments of `gr.Image` but for `type`."""
        super().__init__(type="filepath", **kwargs)
        take_uploads_only(self)

    def get_block_name(self) -> str:
        """The front end shows it as the stock component."""
        return "image"

    def get_config(self, cls: type | None = None) -> dict[str, Any]:
        """The front end gets the stock component's properties; Gradio reads their names off a constructor."""
        return super().get_config(cls or gr.Image)

    def preprocess(self, payload: ImageData | None) -> str | None:
        """The uploaded file's path, or None; raises gr.Error if the body names a file that was not uploaded."""
        return None if payload is None else str(find_upload(payload))
