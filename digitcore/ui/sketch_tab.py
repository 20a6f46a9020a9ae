"""The Sketch tab: a pad, and beside it the number as it is being drawn."""

import gradio as gr

from digitcore.reader import DigitReader
from digitcore.ui.answer import render_sketch
from digitcore.ui.guards import errors_as_sentences
from digitcore.ui.pad import SketchPad


def build_sketch_tab(reader: DigitReader) -> None:
    """Lay out the tab inside the current `gr.Tab` and bind it.

    Args:
        reader: shared by all visitors.
    """

    def read(drawing: bytes | None) -> str:
        with errors_as_sentences():
            reading = None if drawing is None else reader.read_sketch(drawing, keep_stages=True)
            return render_sketch(reading)

    with gr.Row(elem_classes="dc-two"):
        # Without a width of its own the pad collapses on phones.
        with gr.Column(min_width=320, scale=6):
            pad = SketchPad(elem_id="sketch-pad", label="Drawing pad")
        with gr.Column(min_width=320, scale=5):
            answer = gr.HTML(render_sketch(None), elem_id="sketch-answer", apply_default_css=False, js_on_load=None)
    # Past the queue and without a progress overlay: an answer takes milliseconds, and only the last one matters.
    pad.input(
        read,
        pad,
        answer,
        queue=False,
        trigger_mode="always_last",
        show_progress="hidden",
        api_visibility="private",
    )
