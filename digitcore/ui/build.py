"""The page: header, three tabs, footer, and the endpoints behind them."""

from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr
from starlette.routing import BaseRoute

from digitcore.device import describe_device
from digitcore.live import LiveReader
from digitcore.metrics import prepare
from digitcore.reader import DigitReader
from digitcore.ui.accuracy_tab import build_accuracy_tab
from digitcore.ui.api import register_api
from digitcore.ui.evaluate_api import register_evaluate_api
from digitcore.ui.guards import MAX_FILE_SIZE
from digitcore.ui.photo_tab import build_photo_tab
from digitcore.ui.sketch_tab import TAB_ID, build_sketch_tab
from digitcore.ui.theme import CSS_PATHS, ICON_PATH, make_theme

TITLE = "digitcore"
SENTENCE = "Reads handwritten digits, from a sketch, a photo or a program, and says how sure it is."
# Uploaded pictures are deleted an hour after they came; looked at every hour.
DELETE_CACHE_S = (3600, 3600)
# Waiting longer than behind this many others is worse than being told to come back.
MAX_QUEUE = 64


def build_app(reader: DigitReader) -> gr.Blocks:
    """Build the app; `launch_options` goes to its `launch()`.

    Args:
        reader: loaded once, shared by all visitors; a `LiveReader` may exchange its networks meanwhile.
    """
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=DELETE_CACHE_S, fill_width=False) as demo:
        gr.HTML(render_header(), apply_default_css=False, js_on_load=None)
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab("Sketch", id=TAB_ID):
                sketch = build_sketch_tab(reader)
            with gr.Tab("Photo", id="photo"):
                build_photo_tab(reader)
            with gr.Tab("Accuracy", id="accuracy", elem_id="accuracy") as accuracy:
                build_accuracy_tab(reader, tabs, accuracy, sketch)
        footer = gr.HTML(render_footer(reader), apply_default_css=False, js_on_load=None)
        if isinstance(reader, LiveReader):
            # What answers may be another checkpoint by the time that a page is opened.
            demo.load(
                lambda: render_footer(reader),
                None,
                footer,
                queue=False,
                show_progress="hidden",
                api_visibility="private",
            )
        register_api(reader)
        register_evaluate_api(reader)
        # It takes a second or two, as does the visitor's first look at the page: no report is kept waiting for it.
        demo.load(prepare, queue=False, show_progress="hidden", api_visibility="private")
    demo.queue(max_size=MAX_QUEUE, default_concurrency_limit=2)
    return demo


def launch_options(routes: Sequence[BaseRoute] = ()) -> dict[str, Any]:
    """What `launch()` needs beside host and port: the looks, the limits, and nothing fetched from elsewhere.

    Args:
        routes: of the server's own, beside the app's.
    """
    return {
        "app_kwargs": {"routes": list(routes)},
        "theme": make_theme(),
        "css_paths": list(CSS_PATHS),
        "favicon_path": ICON_PATH,
        "max_file_size": MAX_FILE_SIZE,
        "ssr_mode": False,
        "enable_monitoring": False,
        "run_history": False,
        "footer_links": ["api"],
        "mcp_server": True,
    }


def render_header() -> str:
    """The name and one sentence."""
    return f'<header class="dc-header"><h1>{escape(TITLE)}</h1><p>{escape(SENTENCE)}</p></header>'


def render_footer(reader: DigitReader) -> str:
    """Which checkpoint and detector answer, and on which device; and why no newer ones do, if there are any."""
    classifier = reader.classifier
    facts = (
        ("Model", classifier.label),
        ("Detector", reader.detector_label),
        ("Device", describe_device(classifier.device)),
    )
    items = "".join(f"<span>{name} <b>{escape(value)}</b></span>" for name, value in facts)
    problem = reader.problem if isinstance(reader, LiveReader) else None
    note = f"<span>Not reloaded: {escape(problem)}</span>" if problem else ""
    return f'<p class="dc-footer">{items}{note}</p>'
