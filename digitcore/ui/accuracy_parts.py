"""The Accuracy tab's components and their layout."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from digitcore.corruptions import MAX_STRENGTH
from digitcore.reader import DigitReader
from digitcore.robustness import SUITE_LIMIT
from digitcore.ui.accuracy_choices import (
    MAX_SUITE_IMAGES,
    MIN_SUITE_IMAGES,
    NONE,
    STRENGTH_STEP,
    SUITE,
    SUITE_IMAGES_STEP,
    TITLES,
    default_dataset,
    offer_checkpoints,
)
from digitcore.ui.report_html import render_waiting
from digitcore.ui.upload import DatasetUpload

SCRIPT = (Path(__file__).parent / "report.js").read_text(encoding="utf-8")
INVITATION = "Press Run: every image is read before your eyes, and each mistake is shown."
DEFAULT_THRESHOLD, MAX_THRESHOLD, THRESHOLD_STEP = 0.9, 0.999, 0.001
COUNTS, SHARES = "Counts", "Shares of the row, %"
# On the tab, which no part of the report takes along when it comes and goes; Gradio's styles reach no further out.
TAB_SELECTOR = "#accuracy"
SHOW_SHARES_JS = (
    f'(mode) => {{ document.querySelector("{TAB_SELECTOR}").dataset.show = mode === "{COUNTS}" ? "count" : "share"; }}'
)
# A plot that was drawn while its tab was hidden learns its width when the window changes.
REDRAW_JS = '() => { requestAnimationFrame(() => window.dispatchEvent(new Event("resize"))); }'


@dataclass(frozen=True, slots=True)
class Parts:
    """The tab's components, by what they show."""

    dataset: gr.Radio
    own: gr.Column
    upload: DatasetUpload
    suite: gr.Column
    base: gr.Radio
    strength: gr.Slider
    is_swept: gr.Checkbox
    n_images: gr.Slider
    checkpoint: gr.Radio
    hub_id: gr.Textbox
    other: gr.Radio
    other_hub_id: gr.Textbox
    run: gr.Button
    stop: gr.Button
    note: gr.HTML
    headline: gr.HTML
    json_file: gr.DownloadButton
    html_file: gr.DownloadButton
    evaluation: gr.Column
    matrix_mode: gr.Radio
    confusion: gr.HTML
    per_digit: gr.HTML
    cell: gr.HTML
    threshold: gr.Slider
    threshold_text: gr.HTML
    risk_plot: gr.Plot
    reliability_plot: gr.Plot
    chart_tables: gr.HTML
    mistakes: gr.HTML
    robustness: gr.Column
    corruption_plot: gr.Plot
    strength_plot: gr.Plot
    error_table: gr.HTML
    current: gr.State

    @property
    def choice(self) -> list[Any]:
        """The inputs of a run, in the order of `Choice`."""
        return [
            self.dataset,
            self.upload,
            self.base,
            self.strength,
            self.is_swept,
            self.n_images,
            self.checkpoint,
            self.hub_id,
            self.other,
            self.other_hub_id,
        ]

    @property
    def report(self) -> list[Any]:
        """Whatever a run may change."""
        evaluation = [self.evaluation, self.confusion, self.per_digit, self.cell, self.threshold_text]
        charts = [self.risk_plot, self.reliability_plot, self.chart_tables, self.mistakes]
        robustness = [self.robustness, self.corruption_plot, self.strength_plot, self.error_table]
        files = [self.json_file, self.html_file]
        return [self.note, self.headline, self.run, self.stop, *files, *evaluation, *charts, *robustness]


def lay_out(reader: DigitReader) -> Parts:
    """Choices and buttons on top, then the report, whose parts appear with the first figures."""
    made: dict[str, Any] = {"current": gr.State()}
    _lay_out_choices(made, reader)
    made["note"] = _report_part("accuracy-note")
    made["headline"] = _report_part("accuracy-headline", render_waiting(INVITATION))
    with gr.Row():
        made["json_file"] = _download_button("Report as JSON", "accuracy-json")
        made["html_file"] = _download_button("Report as HTML", "accuracy-html")
    with gr.Column(visible=False) as made["evaluation"]:
        _lay_out_evaluation(made)
    with gr.Column(visible=False) as made["robustness"]:
        _lay_out_robustness(made)
    return Parts(**made)


def _lay_out_choices(made: dict[str, Any], reader: DigitReader) -> None:
    dataset = default_dataset()
    checkpoints, others, own = offer_checkpoints(reader)
    with gr.Row(equal_height=False):
        with gr.Column(min_width=300):
            made["dataset"] = gr.Radio(
                [(title, name) for name, title in TITLES.items()],
                value=dataset,
                label="Data set",
                elem_id="accuracy-dataset",
            )
            with gr.Column(visible=False) as made["suite"]:
                made["base"] = gr.Radio(
                    [(title, name) for name, title in TITLES.items() if name != SUITE],
                    value=dataset,
                    label="Images to corrupt",
                    elem_id="accuracy-base",
                )
                made["strength"] = gr.Slider(
                    STRENGTH_STEP, MAX_STRENGTH, 1.0, step=STRENGTH_STEP, label="Strength", elem_id="accuracy-strength"
                )
                made["is_swept"] = gr.Checkbox(False, label="Weaker strengths too: a quarter, half and three quarters")
                made["n_images"] = gr.Slider(
                    MIN_SUITE_IMAGES, MAX_SUITE_IMAGES, SUITE_LIMIT, step=SUITE_IMAGES_STEP, label="Images"
                )
            with gr.Column(visible=False) as made["own"]:
                made["upload"] = DatasetUpload(elem_id="accuracy-upload")
        with gr.Column(min_width=300):
            made["checkpoint"], made["hub_id"] = _checkpoint_choice(
                "Checkpoint", checkpoints, own, "accuracy-checkpoint"
            )
            made["other"], made["other_hub_id"] = _checkpoint_choice("Compare with", others, NONE, "accuracy-other")
    with gr.Row():
        made["run"] = gr.Button("Run", variant="primary", min_width=120, scale=0, elem_id="accuracy-run")
        made["stop"] = gr.Button("Stop", interactive=False, min_width=120, scale=0, elem_id="accuracy-stop")


def _checkpoint_choice(
    label: str, choices: list[tuple[str, str]], value: str, elem_id: str
) -> tuple[gr.Radio, gr.Textbox]:
    radio = gr.Radio(choices, value=value, label=label, elem_id=elem_id)
    hub_id = gr.Textbox(
        label=f"{label}: on the Hub",
        placeholder="user/name or user/name@revision",
        max_lines=1,
        max_length=200,
        visible=False,
        elem_id=f"{elem_id}-hub",
    )
    return radio, hub_id


def _lay_out_evaluation(made: dict[str, Any]) -> None:
    made["matrix_mode"] = gr.Radio(
        [COUNTS, SHARES], value=COUNTS, label="The matrix shows", elem_id="accuracy-mode", container=False
    )
    with gr.Row(equal_height=False):
        with gr.Column(min_width=320, scale=3):
            made["confusion"] = _report_part("accuracy-confusion", script=SCRIPT)
        with gr.Column(min_width=320, scale=2):
            made["per_digit"] = _report_part("accuracy-digits")
    made["cell"] = _report_part("accuracy-cell", script=SCRIPT)
    with gr.Row(equal_height=False):
        with gr.Column(min_width=320):
            made["risk_plot"] = gr.Plot(show_label=False, label="Risk and coverage", elem_id="accuracy-risk")
            made["threshold"] = gr.Slider(
                0.0,
                MAX_THRESHOLD,
                DEFAULT_THRESHOLD,
                step=THRESHOLD_STEP,
                label="Rejection threshold: answers less sure than this are withheld",
                elem_id="accuracy-threshold",
            )
            made["threshold_text"] = _report_part("accuracy-threshold-text")
        with gr.Column(min_width=320):
            made["reliability_plot"] = gr.Plot(show_label=False, label="Reliability", elem_id="accuracy-reliability")
    made["chart_tables"] = _report_part("accuracy-tables")
    made["mistakes"] = _report_part("accuracy-mistakes", script=SCRIPT)


def _lay_out_robustness(made: dict[str, Any]) -> None:
    with gr.Row(equal_height=False):
        with gr.Column(min_width=320):
            made["corruption_plot"] = gr.Plot(show_label=False, label="Error by corruption", elem_id="accuracy-kinds")
        with gr.Column(min_width=320):
            made["strength_plot"] = gr.Plot(
                show_label=False, label="Error by strength", visible=False, elem_id="accuracy-strengths"
            )
    made["error_table"] = _report_part("accuracy-errors")


def _report_part(elem_id: str, value: str = "", script: str | None = None) -> gr.HTML:
    """A place for a piece of the report."""
    return gr.HTML(value, elem_id=elem_id, apply_default_css=False, js_on_load=script)


def _download_button(label: str, elem_id: str) -> gr.DownloadButton:
    return gr.DownloadButton(label, size="sm", min_width=140, scale=0, interactive=False, elem_id=elem_id)
