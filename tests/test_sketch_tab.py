"""The wiring of the Sketch tab; how it behaves is in test_browser.py."""

import gradio as gr
import pytest

from digitcore.ui.pad import SketchPad
from digitcore.ui.sketch_tab import build_sketch_tab


@pytest.fixture(scope="module")
def demo(reader) -> gr.Blocks:
    with gr.Blocks(analytics_enabled=False) as demo:
        build_sketch_tab(reader)
    return demo


def test_the_fast_path_passes_the_queue_and_is_private(demo):
    (fn,) = demo.fns.values()
    assert isinstance(fn.inputs[0], SketchPad)
    assert fn.queue is False
    assert fn.trigger_mode == "always_last"
    assert fn.show_progress == "hidden"
    assert fn.api_visibility == "private"


def test_the_handler_answers_with_html_for_a_drawing_and_for_none(demo):
    from tests.drawn import draw_number, encode

    (fn,) = demo.fns.values()
    assert "Draw a digit" in fn.fn(None)[0]
    assert '<span class="dc-line">72</span>' in fn.fn(encode(draw_number("72")))[0]


def test_the_note_on_what_lies_on_the_pad_goes_with_it(demo):
    from tests.drawn import draw_number, encode

    (fn,) = demo.fns.values()
    assert fn.fn(encode(draw_number("72")))[1] == gr.skip()
    assert fn.fn(None)[1] == ""


def test_a_picture_that_cannot_be_decoded_is_a_sentence(demo):
    (fn,) = demo.fns.values()
    with pytest.raises(gr.Error, match="damaged|not a picture"):
        fn.fn(b"\x89PNG\r\n\x1a\n" + b"x" * 50)
