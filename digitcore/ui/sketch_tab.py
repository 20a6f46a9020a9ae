"""The Sketch tab: a pad, and beside it the number as it is being drawn."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from digitcore.reader import DigitReader
from digitcore.ui.answer import render_sketch
from digitcore.ui.guards import errors_as_sentences
from digitcore.ui.pad import SketchPad

TAB_ID = "sketch"
# Puts the keyboard where the tab's work is done, for whoever was sent to it from elsewhere on the page.
FOCUS_PAD_JS = """() => {
  window.scrollTo({ top: 0 });
  document.querySelector("#sketch-pad .pad-canvas")?.focus();
}"""


@dataclass(frozen=True, slots=True)
class SketchTab:
    """What other tabs use of this one.

    Attributes:
        pad: takes what `pad.lay_on_pad` gives, and reads it.
        note: a line of HTML above the answer, saying what lies on the pad; gone when the pad is emptied.
    """

    pad: SketchPad
    note: gr.HTML


def build_sketch_tab(reader: DigitReader) -> SketchTab:
    """Lay out the tab inside the current `gr.Tab` and bind it.

    Args:
        reader: shared by all visitors.
    """

    def read(drawing: bytes | None) -> tuple[str, Any]:
        with errors_as_sentences():
            reading = None if drawing is None else reader.read_sketch(drawing, keep_stages=True)
            return render_sketch(reading), "" if drawing is None else gr.skip()

    with gr.Row(elem_classes="dc-two"):
        # Without a width of its own the pad collapses on phones.
        with gr.Column(min_width=320, scale=6):
            pad = SketchPad(elem_id="sketch-pad", label="Drawing pad")
        with gr.Column(min_width=320, scale=5):
            note = gr.HTML("", elem_id="sketch-note", apply_default_css=False, js_on_load=None)
            answer = gr.HTML(render_sketch(None), elem_id="sketch-answer", apply_default_css=False, js_on_load=None)
    # Past the queue and without a progress overlay: an answer takes milliseconds, and only the last one matters.
    pad.input(
        read,
        pad,
        [answer, note],
        queue=False,
        trigger_mode="always_last",
        show_progress="hidden",
        api_visibility="private",
    )
    return SketchTab(pad, note)
