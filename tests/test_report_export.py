import json
import re
from datetime import UTC, datetime

import pytest

from digitcore.reports import export_report
from digitcore.ui.report_export import Shown, export_html, export_json, write_files
from digitcore.ui.report_html import RunState
from tests.planted_reports import IMAGES, Elements, make_report, make_robustness, make_snapshot

MEASURED = datetime(2026, 11, 22, 14, 30, tzinfo=UTC)
ANY_URL = re.compile(r"""(?:src|href|url|@import|srcset|action)\s*[=(]?\s*["']?\s*((?:https?:)?//[^"')\s]+)""")


def make_shown(n_checkpoints: int = 1, **changes) -> Shown:
    snapshot = make_snapshot(n_checkpoints, **changes)
    chosen = tuple(report.at_threshold(0.9) for report in snapshot.reports)
    return Shown("MNIST test set", RunState.DONE, IMAGES, snapshot, chosen=chosen)


def make_suite(strengths=(0.5, 1.0)) -> Shown:
    samples = (("fog", IMAGES[7]),)
    return Shown("MNIST test set", RunState.STOPPED, IMAGES, robustness=(make_robustness(strengths),), samples=samples)


SHOWN = [make_shown(), make_shown(2), make_suite(), make_suite((1.0,))]


@pytest.mark.parametrize("shown", SHOWN)
def test_export_json_is_the_one_export(shown):
    reports = shown.snapshot.reports if shown.snapshot else ()
    comparison = shown.snapshot.comparison if shown.snapshot else None
    expected = export_report(reports, comparison, shown.robustness, measured=MEASURED)
    assert json.loads(export_json(shown, MEASURED)) == json.loads(json.dumps(expected))


@pytest.mark.parametrize("shown", SHOWN)
def test_export_html_is_a_whole_page_that_fetches_nothing(shown):
    page = export_html(shown, MEASURED)
    elements = Elements(page.removeprefix("<!doctype html>"))
    tags = {tag for tag, _, _ in elements.found}
    assert not tags & {"script", "link", "iframe", "object", "button"}
    # A link may be followed; nothing else may lead away.
    links = {attrs["href"] for attrs, _ in elements.all("a")}
    assert set(ANY_URL.findall(page)) <= links
    assert all(attrs["src"].startswith("data:image/png;base64,") for attrs, _ in elements.all("img"))
    assert "MNIST test set" in elements.all("title")[0][1] and "2026-11-22 14:30 UTC" in page
    assert elements.all("svg", role="img")


def test_export_html_holds_figures_charts_and_pictures():
    elements = Elements(export_html(make_shown(), MEASURED).removeprefix("<!doctype html>"))
    text = elements.all("body")[0][1]
    for words in ("98.90 %", "At 0.9 it answers 97.0 %", "Risk and coverage", "Reliability", "Confusion matrix"):
        assert words in text
    assert len(elements.all("img")) == 10


def test_export_html_of_a_data_set_without_images():
    shown = make_shown(n=0, n_total=0, n_correct=0, mistakes=(), done=True, reliability=(), risk_coverage=())
    assert "is empty" in export_html(shown, MEASURED)


def test_what_comes_from_outside_is_escaped():
    report = make_report(checkpoint="<script>x</script>@1")
    snapshot = make_snapshot()
    shown = Shown("<b>zip</b>", RunState.DONE, IMAGES, type(snapshot)((report,), None, snapshot.predictions))
    shown = type(shown)(**{**{f: getattr(shown, f) for f in shown.__slots__}, "chosen": (report.at_threshold(0.9),)})
    page = export_html(shown, MEASURED)
    assert "<script" not in page and "<b>zip" not in page


def test_write_files_are_named_by_what_they_hold(tmp_path):
    json_path, html_path = write_files(make_shown(2), tmp_path)
    assert json_path.name == "digitcore-MNIST-test-set-digitnet@1a2b3c4-seed@5d6e7f8.json"
    assert html_path.name.endswith(".html") and json_path.parent == html_path.parent != tmp_path
    assert json.loads(json_path.read_text())["n"] == 910
    again, _ = write_files(make_shown(2), tmp_path)
    assert again != json_path


def test_write_files_of_a_name_from_outside_stays_in_the_folder(tmp_path):
    shown = Shown("../../etc/passwd", RunState.DONE, IMAGES, make_snapshot(), chosen=make_shown().chosen)
    for path in write_files(shown, tmp_path):
        assert path.resolve().is_relative_to(tmp_path) and path.is_file()
