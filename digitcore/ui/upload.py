"""The visitor's own data set: a zip or a folder of labelled pictures, uploaded as one zip."""

from pathlib import Path
from typing import Any

import gradio as gr

from digitcore.errors import DatasetError
from digitcore.ui.guards import find_upload

NO_UPLOAD = "There are no pictures yet. Choose a zip or a folder of pictures first."
UPLOAD_GONE = "Your pictures are no longer here: uploads are deleted after an hour or two. Choose them again."
_FOLDER = Path(__file__).parent


class DatasetUpload(gr.HTML):
    """Two buttons, for a zip and for a folder, which the page packs into a zip.

    Its value in the browser is the path that Gradio gave the upload, or ""; `input` fires when one has come. Handlers
    receive it, or None, and give it to `open_upload`.
    """

    def __init__(self, **kwargs: Any) -> None:
        """Build the buttons; takes the layout arguments of `gr.HTML`."""
        super().__init__(
            value="",
            html_template=(_FOLDER / "upload.html").read_text(encoding="utf-8"),
            js_on_load=(_FOLDER / "upload.js").read_text(encoding="utf-8"),
            apply_default_css=False,
            **kwargs,
        )

    def preprocess(self, payload: object) -> str | None:
        """What the browser says the path is; `open_upload` checks it, when it is wanted.

        An upload that is gone must not fail the measuring of another data set.
        """
        return payload if isinstance(payload, str) and payload else None


def open_upload(path: str | None) -> Path:
    """The zip that a visitor uploaded.

    Args:
        path: what `DatasetUpload` handed over.

    Raises:
        DatasetError: if there is none, or it is not an upload, or no longer there.
    """
    if path is None:
        raise DatasetError(NO_UPLOAD)
    try:
        return find_upload({"path": path})
    except gr.Error as err:
        raise DatasetError(UPLOAD_GONE) from err
