import pytest

from digitcore.reports import RiskPoint, Snapshot
from digitcore.ui.report_html import (
    RunState,
    describe_comparison,
    describe_threshold,
    describe_time_left,
    render_chart_tables,
    render_headline,
    render_loading,
    render_note,
    render_per_digit,
    render_threshold,
    render_waiting,
)
from tests.planted_reports import EMPTY, LABELS, Elements, make_comparison, make_report, make_snapshot


def test_render_headline_tells_the_figures():
    elements = Elements(render_headline(make_snapshot(), "MNIST test set", RunState.RUNNING))
    ((_, section),) = elements.all("section")
    for words in (
        "98.90 %",
        "95 % interval 97.99–99.40 %",
        "digitnet@1a2b3c4 on MNIST test set",
        "10 of 910 wrong",
        "calibration error 1.23 %",
        "AUROC 0.970",
        "910 of 1,000 images · 500 images a second · 2.00 ms a digit · about 0 s left",
    ):
        assert words in section
    ((bar, _),) = elements.all("div", role="progressbar")
    assert (bar["aria-valuemin"], bar["aria-valuenow"], bar["aria-valuemax"]) == ("0", "91.0", "100")
    assert bar["aria-label"] and "910 of 1,000" in bar["aria-valuetext"]


@pytest.mark.parametrize(
    ("state", "n", "words", "announced"),
    [
        (RunState.RUNNING, 910, "910 of 1,000 images", 0),
        (RunState.STOPPED, 910, "Stopped at 910 of 1,000 images", 1),
        (RunState.DONE, 1000, "Done: 1,000 images", 1),
    ],
)
def test_render_headline_tells_the_state_and_announces_the_end_only(state, n, words, announced):
    elements = Elements(render_headline(make_snapshot(n=n, done=state is RunState.DONE), "MNIST test set", state))
    rate = elements.all("p", class_="report-rate")[0][1]
    assert rate.startswith(words) and ("left" in rate) == (state is RunState.RUNNING)
    assert len(elements.all("p", role="status")) == announced


def test_render_headline_of_two_checkpoints_shows_both_and_compares_them():
    elements = Elements(render_headline(make_snapshot(2), "MNIST test set", RunState.RUNNING))
    assert len(elements.all("div", class_="report-score")) == 2
    ((_, sentence),) = elements.all("p", class_="report-comparison")
    assert "McNemar" in sentence
    # 2 ms each: both together read 250 images a second.
    assert "250 images a second · 4.00 ms a digit" in elements.all("p", class_="report-rate")[0][1]


def test_render_headline_of_an_empty_data_set():
    assert "UCI digits is empty" in render_headline(Snapshot((EMPTY,), None, ()), "UCI digits", RunState.DONE)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {},
            "seed@5d6e7f8 is right 2.20 percentage points less often than digitnet@1a2b3c4 (95 % interval of the "
            "difference \u22123.40 to \u22121.00), more than chance explains (McNemar's exact test, p < 0.001). Of 910 "
            "images 25 are read right by digitnet@1a2b3c4 alone, 5 by seed@5d6e7f8 alone, 5 by neither.",
        ),
        (
            {"n_only_first": 5, "n_only_second": 25, "interval": (0.01, 0.034)},
            "seed@5d6e7f8 is right 2.20 percentage points more often than digitnet@1a2b3c4 (95 % interval of the "
            "difference +1.00 to +3.40)",
        ),
        (
            {"n_only_first": 15, "n_only_second": 15, "p_value": 1.0},
            "seed@5d6e7f8 and digitnet@1a2b3c4 are right equally often",
        ),
        ({"p_value": 0.0501}, "no more than chance explains (McNemar's exact test, p = 0.050)"),
        ({"p_value": 0.0499}, ", more than chance explains (McNemar's exact test, p = 0.050)"),
    ],
)
def test_describe_comparison(changes, words):
    assert words in describe_comparison(make_comparison(**changes))


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "about 0 s left"), (14.6, "about 15 s left"), (600.0, "about 10 min left")]
)
def test_describe_time_left(seconds, words):
    assert describe_time_left(seconds) == words


@pytest.mark.parametrize(
    ("labels", "points", "sentence"),
    [
        (
            LABELS[:1],
            [RiskPoint(0.9, 0.9961, 0.0005)],
            "At 0.9 it answers 99.6 % and errs on 0.05 % of what it answers.",
        ),
        (LABELS[:1], [RiskPoint(0.0, 1.0, 0.01)], "At 0 it answers 100.0 % and errs on 1.00 % of what it answers."),
        (
            LABELS[:1],
            [RiskPoint(0.1, 0.9999, 0.01)],
            "At 0.1 it answers 99.99 % and errs on 1.00 % of what it answers.",
        ),
        (LABELS[:1], [RiskPoint(0.999, 0.0, 0.0)], "At 0.999 it answers nothing."),
        (
            LABELS,
            [RiskPoint(0.9, 0.99, 0.001), RiskPoint(0.9, 0.95, 0.002)],
            "At 0.9 digitnet@1a2b3c4 answers 99.0 % and errs on 0.10 % of what it answers; "
            "seed@5d6e7f8 answers 95.0 % and errs on 0.20 % of what it answers.",
        ),
    ],
)
def test_describe_threshold(labels, points, sentence):
    assert describe_threshold(labels, points).replace("\u00a0", " ") == sentence
    assert Elements(render_threshold(labels, points)).all("p", role="status")


def test_render_per_digit_is_a_table_with_scopes_and_the_scores():
    elements = Elements(render_per_digit([make_report()]))
    assert [text for _, text in elements.all("th", scope="col")] == ["Digit", "Precision", "Recall", "F1", "Images"]
    cells = [text for _, text in elements.all("td")]
    assert len(cells) == 40
    assert cells[4:8] == ["51.00", "75.00", "60.00", "92"]


def test_render_per_digit_of_two_checkpoints_names_them():
    captions = [text for _, text in Elements(render_per_digit(make_snapshot(2).reports)).all("caption")]
    assert [label for label in LABELS for text in captions if label in text] == list(LABELS)


def test_render_chart_tables_hold_the_figures_and_leave_empty_bins_out():
    elements = Elements(render_chart_tables([make_report()]))
    rows = [text for _, text in elements.all("tr")]
    assert "0.997.00 %0.40 %" in rows
    assert "0.75–1.0090098.00 %99.60 %" in rows
    assert not any(row.startswith("0.00–0.50") for row in rows)


def test_render_loading_is_a_progress_bar():
    elements = Elements(render_loading("Downloading MNIST", "train-images", 0.425))
    ((bar, _),) = elements.all("div", role="progressbar")
    assert bar["aria-valuenow"] == "42.5"
    assert "train-images" in bar["aria-valuetext"]


@pytest.mark.parametrize(
    "markup",
    [
        render_note("<script>alert(1)</script> & co"),
        render_note('"><img src=x onerror=alert(1)>', is_problem=True),
        render_waiting("<b>bold</b>"),
        render_headline(make_snapshot(2), "<u>set</u>", RunState.DONE),
        render_per_digit([make_report(checkpoint="<i>x</i>@1")] * 2),
        render_chart_tables([make_report(checkpoint="<i>x</i>@1")]),
        render_threshold(("<b>a</b>", "<b>b</b>"), [RiskPoint(0.5, 1.0, 0.0)] * 2),
        render_loading("<b>", "<script>", 0.1),
    ],
)
def test_what_comes_from_outside_is_escaped(markup):
    tags = {tag for tag, _, _ in Elements(markup).found}
    assert not tags & {"script", "img", "b", "i", "u"}


def test_render_note_problem_is_announced_and_nothing_gives_nothing():
    assert Elements(render_note("Bad.", is_problem=True)).all("div", role="alert")
    assert Elements(render_note("Good.")).all("div", role="note")
    assert render_note("") == ""


def test_render_note_folds_the_cause_away():
    elements = Elements(render_note("Offline.", is_problem=True, cause="<urlopen error>"))
    assert elements.all("details")[0][1] == "Cause<urlopen error>"
