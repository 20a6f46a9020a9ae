"""How the app looks: quiet paper and ink, one accent, the visitor's own system font (so nothing is fetched)."""

from pathlib import Path

import gradio as gr

_FOLDER = Path(__file__).parent
ICON_PATH = _FOLDER / "icon.svg"
CSS_PATHS = (_FOLDER / "style.css", _FOLDER / "pad.css", _FOLDER / "report.css")

# The accent is the blue of writing ink; contrast with its background is above 4.5 : 1 in both modes.
INK = gr.themes.Color(
    name="ink",
    c50="#eef2ff",
    c100="#dfe6ff",
    c200="#c3d0ff",
    c300="#9db1ff",
    c400="#8098fb",
    c500="#4a66e8",
    c600="#2f4bd0",
    c700="#263da9",
    c800="#223584",
    c900="#1f2f69",
    c950="#151d40",
)
SYSTEM_FONT = ("ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")
SYSTEM_MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


def make_theme() -> gr.themes.Base:
    """The app's theme, light and dark."""
    theme = gr.themes.Base(
        primary_hue=INK,
        secondary_hue=INK,
        neutral_hue="stone",
        radius_size="lg",
        font=list(SYSTEM_FONT),
        font_mono=list(SYSTEM_MONO),
    )
    return theme.set(
        body_background_fill="#faf9f7",
        body_background_fill_dark="#141312",
        block_background_fill="#ffffff",
        block_background_fill_dark="#1e1c1b",
        block_border_width="1px",
        block_label_background_fill="transparent",
        block_label_border_width="0px",
        border_color_primary="#e7e4df",
        border_color_primary_dark="#35312e",
        block_shadow="none",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_text_color="#ffffff",
    )
