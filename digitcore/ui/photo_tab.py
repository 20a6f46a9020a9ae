"""The Photo tab: a picture in; the annotated picture, the text, the crops and a table out."""

from pathlib import Path
from typing import Any

import gradio as gr

from digitcore.drawing import draw_reading
from digitcore.errors import DigitcoreError
from digitcore.imaging import load_image
from digitcore.reader import DigitReader
from digitcore.ui.answer import NO_PHOTO, describe_nothing, render_cards, render_headline, render_notice, render_table
from digitcore.ui.guards import PhotoInput
from digitcore.ui.stages_html import render_stages

EXAMPLES_FOLDER = Path(__file__).parents[2] / "examples"
SCRIPT_PATH = Path(__file__).parent / "photo.js"
# What every current browser displays by itself; the rest is shown as a JPEG.
DISPLAYED_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"}
# Photo readings, of the tab and of the API together, run so many at a time; the others wait in the queue.
PHOTO_QUEUE: dict[str, Any] = {"concurrency_limit": 2, "concurrency_id": "photos"}
# The rear camera of a phone, unmirrored, at a width where small digits stay legible.
WEBCAM = gr.WebcamOptions(
    mirror=False, constraints={"video": {"facingMode": {"ideal": "environment"}, "width": {"ideal": 1920}}}
)


def build_photo_tab(reader: DigitReader, examples_folder: Path = EXAMPLES_FOLDER) -> None:
    """Lay out the tab inside the current `gr.Tab` and bind it.

    Args:
        reader: shared by all visitors.
        examples_folder: its *.jpg become the examples; none is fine.
    """

    def read(path: str | None) -> tuple[Any, ...]:
        return _read_photo(reader, path)

    examples = sorted(str(path) for path in examples_folder.glob("*.jpg"))
    with gr.Row(elem_classes="dc-two"):
        with gr.Column(min_width=320, scale=5):
            photo = PhotoInput(
                sources=["upload", "webcam", "clipboard"],
                label="Photo",
                show_label=False,
                height=320,
                webcam_options=WEBCAM,
                placeholder="Drop a photo here\n– or –\nClick to choose one",
                buttons=["fullscreen"],
                elem_id="photo-input",
            )
            gallery = None
            if examples:
                gallery = gr.Examples(
                    examples,
                    photo,
                    cache_examples=False,
                    label="Examples",
                    elem_id="photo-examples",
                    api_visibility="private",
                )
        with gr.Column(min_width=320, scale=6):
            headline = gr.HTML(
                render_notice(NO_PHOTO),
                elem_id="photo-answer",
                apply_default_css=False,
                js_on_load=SCRIPT_PATH.read_text(encoding="utf-8"),
            )
            annotated = gr.Image(
                format="jpeg",
                interactive=False,
                visible=False,
                show_label=False,
                label="What was read where",
                buttons=["download", "fullscreen"],
                elem_id="photo-annotated",
                alt_text="The photo with a box around each digit that was read",
            )
    details = gr.HTML(visible=False, elem_id="photo-details", apply_default_css=False, js_on_load=None)

    outputs = [photo, headline, annotated, details]
    binding: dict[str, Any] = {
        "fn": read,
        "inputs": photo,
        "outputs": outputs,
        # A photo chosen while another is being read must not be dropped.
        "trigger_mode": "always_last",
        "show_progress": "minimal",
        "show_progress_on": headline,
        "api_visibility": "private",
        **PHOTO_QUEUE,
    }
    # `input` is the visitor's doing alone; `change` would fire again when the handler itself sets the preview.
    photo.input(**binding)
    if gallery is not None:
        gallery.load_input_event.then(**binding)


def _read_photo(reader: DigitReader, path: str | None) -> tuple[Any, ...]:
    """The four outputs: the input's preview, the headline, the annotated picture, the details."""
    if path is None:
        return gr.skip(), render_notice(NO_PHOTO), _hidden(), _hidden()
    try:
        rgb = load_image(path)
        reading = reader.read_photo(rgb, keep_stages=True)
    except DigitcoreError as err:
        # The browser would show a broken picture; an empty input invites the next one.
        return None, render_notice(str(err), is_error=True), _hidden(), _hidden()
    preview = gr.skip() if Path(path).suffix.lower() in DISPLAYED_SUFFIXES else rgb
    annotated = gr.update(value=draw_reading(rgb, reading), visible=True)
    cards = render_cards(reading, has_bars=False) if reading.digits else ""
    details = gr.update(value=cards + render_table(reading) + render_stages(reading.stages), visible=True)
    if not reading.digits:
        return preview, render_notice(describe_nothing(reading, "photo")), annotated, details
    return preview, render_headline(reading, is_copyable=True), annotated, details


def _hidden() -> dict[str, Any]:
    return gr.update(value=None, visible=False)
