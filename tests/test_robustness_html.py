import numpy as np
import pytest

from digitcore.ui.report_html import RunState
from digitcore.ui.robustness_html import render_error_table, render_robustness
from tests.planted_reports import LABELS, Elements, make_robustness


def test_render_robustness_tells_the_figures():
    elements = Elements(render_robustness([make_robustness()], "MNIST test set", RunState.DONE))
    ((_, section),) = elements.all("section")
    for words in (
        "15.00 %",
        "over 2 corruptions at strength 1",
        "digitnet@1a2b3c4 on 100 of MNIST test set",
        "untouched 1.00 % wrong",
        "worst: fog, 20.00 %",
        "Done: 2 sets of 100 corrupted images · 1,000 images a second",
    ):
        assert words in section
    assert elements.all("div", role="progressbar")[0][0]["aria-valuenow"] == "100.0"


def test_render_robustness_before_the_first_corruption():
    early = make_robustness(curves=(), clean_error=None, n_done=0, n_total=2, n_read=50)
    elements = Elements(render_robustness([early], "MNIST test set", RunState.RUNNING))
    assert LABELS[0] in elements.all("section")[0][1]
    rate = elements.all("p", class_="report-rate")[0][1]
    assert rate.startswith("0 of 2 sets") and rate.endswith("about 0 s left")
    assert render_error_table([early])


def test_render_error_table_has_a_row_a_kind_and_a_column_a_strength():
    elements = Elements(render_error_table([make_robustness((0.5, 1.0))], {"fog": np.zeros((28, 28), np.uint8)}))
    assert [text for _, text in elements.all("th", scope="col")] == ["Corruption", "0.5", "1"]
    assert [text for _, text in elements.all("th", scope="row")] == ["shift", "fog"]
    assert [text for _, text in elements.all("td")] == ["5.0", "10.0", "10.0", "20.0"]
    assert len(elements.all("img")) == 1


@pytest.mark.parametrize("state", list(RunState))
def test_two_checkpoints_are_named_and_outside_words_escaped(state):
    reports = [make_robustness(), make_robustness(checkpoint="<b>x</b>@1")]
    for markup in (render_robustness(reports, "<u>set</u>", state), render_error_table(reports)):
        elements = Elements(markup)
        assert not {tag for tag, _, _ in elements.found} & {"b", "u"}
        assert LABELS[0] in markup and "&lt;b&gt;x" in markup
