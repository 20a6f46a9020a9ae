"""The Accuracy tab in headless Chromium, as a visitor uses it."""

import json
import re
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from digitcore.classifier import DigitClassifier
from digitcore.data import load_uci
from digitcore.evaluation import measure
from digitcore.hub import load_pretrained
from digitcore.reports import export_report
from digitcore.ui import accuracy_run
from tests.accuracy_page import choose, run_uci, start, wait_for_files, wait_for_headline
from tests.drawn import draw_number, encode

pytestmark = pytest.mark.browser

NUMBER = "#sketch-answer .dc-number"


@pytest.fixture(scope="module")
def expected():
    """The report that the tab has to come to."""
    *_, snapshot = measure([DigitClassifier(load_pretrained("seed"), "cpu")], load_uci())
    return snapshot


def test_report_on_uci(page, expected):
    run_uci(page)
    report = expected.reports[0]
    headline = page.locator("#accuracy-headline").inner_text().replace("\u00a0", " ")
    assert f"{100 * report.accuracy:.2f} %" in headline
    assert f"{report.n - report.n_correct} of 1,797 wrong" in headline
    assert report.checkpoint in headline
    counts = page.locator("#accuracy-confusion .count").all_inner_texts()
    assert [int(count) for count in counts] == [count for row in report.confusion for count in row]
    assert page.locator("#accuracy-digits tbody tr").count() == 10
    figures = page.locator("#accuracy-mistakes figure")
    assert figures.count() == min(60, report.n - report.n_correct)
    first = report.mistakes[0]
    assert figures.first.inner_text().startswith(f"{first.truth} → {first.predicted}")
    assert page.locator("#accuracy-mistakes img").first.evaluate("img => img.complete && img.naturalWidth") == 28
    assert page.get_by_role("progressbar", name="Images read").get_attribute("aria-valuenow") == "100.0"
    page.locator("#accuracy-run:enabled").wait_for()


def test_charts_show_the_final_figures_and_follow_the_slider(page, expected):
    run_uci(page)
    ece = f"off by {100 * expected.reports[0].ece:.2f} % (ECE)"
    page.locator("#accuracy-reliability .legendtext").get_by_text(ece).wait_for()
    page.locator("#accuracy-risk .legendtext").get_by_text("threshold 0.9").wait_for()
    slider = page.locator("#accuracy-threshold input[type=range]")
    slider.focus()
    for _ in range(10):
        slider.press("ArrowRight")
    (point,) = accuracy_run.choose_points(expected, 0.91)
    sentence = (
        f"At 0.91 it answers {100 * point.coverage:.1f} % and errs on {100 * point.risk:.2f} % of what it answers."
    )
    page.wait_for_function(
        "s => document.querySelector('#accuracy-threshold-text').innerText.replaceAll('\u00a0', ' ').trim() === s",
        arg=sentence,
    )


def test_two_checkpoints_side_by_side(page):
    run_uci(page, checkpoint="DigitNet", other="The article's CNN")
    assert page.locator("#accuracy-headline .report-score").count() == 2
    comparison = page.locator(".report-comparison").inner_text()
    assert re.search(r"95 % interval of the difference \S+ to \S+\).*McNemar's exact test, p [<=] 0\.\d+", comparison)
    assert page.locator("#accuracy-confusion table").count() == 2
    page.locator("#accuracy-risk .legendtext").nth(1).wait_for()
    page.locator('#accuracy-confusion [data-which="1"] [data-cell="11"]').click()
    page.locator("#accuracy-cell h3").get_by_text("1 read right").wait_for()
    assert "seed@" in page.locator("#accuracy-cell h3").inner_text()


def test_the_matrix_shows_counts_or_shares(page, expected):
    run_uci(page)
    cell = page.locator('#accuracy-confusion [data-cell="00"]')
    row = expected.reports[0].confusion[0]
    assert cell.inner_text() == str(row[0])
    page.get_by_label("Shares of the row").check()
    share = 100 * row[0] / sum(row)
    page.wait_for_function(
        "([s, t]) => document.querySelector(s).innerText === t",
        arg=['#accuracy-confusion [data-cell="00"]', "100" if share >= 99.95 else f"{share:.1f}"],
    )
    page.get_by_label("Counts").check()
    page.wait_for_function(
        "([s, t]) => document.querySelector(s).innerText === t",
        arg=['#accuracy-confusion [data-cell="00"]', str(row[0])],
    )


def test_a_cell_shows_its_images_by_click_and_by_keys(page, expected):
    run_uci(page)
    predictions = expected.predictions[0]
    page.locator('#accuracy-confusion [data-cell="00"]').click()
    page.locator("#accuracy-cell h3").get_by_text("0 read right").wait_for()
    shown = page.locator("#accuracy-cell [data-open]").evaluate_all("all => all.map(b => Number(b.dataset.open))")
    assert shown == list(predictions.indices_of(0, 0)[:60])
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.dataset.cell") == "11"
    page.keyboard.press("Enter")
    page.locator("#accuracy-cell h3").get_by_text("1 read right").wait_for()
    page.keyboard.press("End")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.dataset.cell") == "19"
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.dataset.cell") is None
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.cell") == "19"


def test_a_mistake_opens_in_the_sketch_tab_and_a_stroke_changes_the_answer(page, expected):
    run_uci(page)
    first = expected.reports[0].mistakes[0]
    page.locator("#accuracy-mistakes [data-open]").first.click()
    page.locator("#sketch-note").get_by_text(f"UCI digits, image {first.index}: a").wait_for()
    page.wait_for_selector(NUMBER)
    before = page.locator("#sketch-answer").inner_html()
    assert page.evaluate("document.activeElement.className") == "pad-canvas"
    # The picture is ink on the pad, and so is what is drawn over it.
    box = page.locator(".pad-canvas").bounding_box()
    page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 0.1 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.9 * box["height"], steps=8)
    page.mouse.up()
    page.wait_for_function("old => document.querySelector('#sketch-answer').innerHTML !== old", arg=before)
    page.get_by_role("button", name="Undo").click()
    page.wait_for_function("old => document.querySelector('#sketch-answer').innerHTML === old", arg=before)
    assert page.locator("#sketch-note").inner_text()
    page.get_by_role("button", name="Undo").click()
    page.locator("#sketch-answer").get_by_text("Draw a digit").wait_for()
    assert page.get_by_role("button", name="Undo").is_disabled()
    page.wait_for_function("() => !document.querySelector('#sketch-note').innerText.trim()")


def test_mistakes_open_one_after_the_other_by_keys_and_clear_takes_them_away(page, expected):
    run_uci(page)
    for i in (1, 2):
        page.get_by_role("tab", name="Accuracy").click()
        page.locator("#accuracy-mistakes [data-open]").nth(i).focus()
        page.keyboard.press("Enter")
        index = expected.reports[0].mistakes[i].index
        page.locator("#sketch-note").get_by_text(f"image {index}:").wait_for()
        page.wait_for_function("() => document.activeElement.className === 'pad-canvas'")
        page.wait_for_selector(NUMBER)
    page.keyboard.press("Escape")
    page.locator("#sketch-answer").get_by_text("Draw a digit").wait_for()


def test_export(page, expected, tmp_path, chromium):
    run_uci(page)
    paths = {}
    for kind in ("json", "html"):
        with page.expect_download() as downloading:
            page.locator(f"#accuracy-{kind}").click()
        paths[kind] = tmp_path / f"report.{kind}"
        downloading.value.save_as(paths[kind])
        assert downloading.value.suggested_filename.endswith(f".{kind}")
    report = json.loads(paths["json"].read_text())
    wanted = json.loads(json.dumps(export_report(expected.reports, measured=datetime.now(UTC))))
    for changing in ("images_per_second", "measured"):
        assert report.pop(changing) and wanted.pop(changing)
    assert report == wanted
    _check_offline(chromium, paths["html"], expected.reports[0])


def _check_offline(chromium, path: Path, report) -> None:
    """The exported page opens from the disk without a network, whole and without errors."""
    context = chromium.new_context(offline=True, viewport={"width": 360, "height": 800})
    page = context.new_page()
    errors, requests = [], []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    assert f"{100 * report.accuracy:.2f}" in page.locator(".report-accuracy").inner_text()
    assert page.locator("svg[role=img]").count() == 2
    assert page.locator("img").evaluate_all("all => all.every(img => img.complete && img.naturalWidth === 28)")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert errors == [] and [url for url in requests if not url.startswith(("file:", "data:"))] == []
    context.close()


def test_robustness_suite(page):
    choose(page, dataset="Robustness suite", checkpoint="The article's CNN")
    page.locator("#accuracy-base").get_by_label("UCI digits").check()
    page.get_by_label("number input for Images").fill("100")
    page.get_by_label("number input for Images").press("Enter")
    page.get_by_label("number input for Strength").fill("0.5")
    page.get_by_label("number input for Strength").press("Enter")
    start(page)
    wait_for_headline(page, "Done: 14 sets of 100 corrupted images")
    wait_for_files(page)
    assert "at strength 0.5" in page.locator("#accuracy-headline").inner_text()
    assert page.locator("#accuracy-errors tbody tr").count() == 14
    page.locator("#accuracy-kinds .bars path").nth(13).wait_for(state="attached")


def test_own_pictures_from_a_zip_and_from_a_folder(page, tmp_path):
    folder = tmp_path / "mine"
    for digit in "1247":
        (folder / digit).mkdir(parents=True)
        (folder / digit / "é.png").write_bytes(encode(draw_number(digit)))
    (folder / "notes.txt").write_text("no picture")
    choose(page, dataset="Your pictures")
    start(page)
    page.locator("#accuracy-headline [role=alert]").get_by_text("Choose a zip or a folder").wait_for()
    page.locator('#accuracy-upload [data-input="folder"]').set_input_files(folder)
    page.locator(".upload-status").get_by_text("mine (4 pictures) is here").wait_for()
    start(page)
    wait_for_headline(page, "Done: 4 images")
    assert "Your pictures (mine)" in page.locator("#accuracy-headline").inner_text()
    archive = tmp_path / "mine.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for digit in "12":
            packed.write(folder / digit / "é.png", f"{digit}/a.png")
    page.locator('#accuracy-upload [data-input="zip"]').set_input_files(archive)
    page.locator(".upload-status").get_by_text("mine.zip is here").wait_for()
    start(page)
    wait_for_headline(page, "Done: 2 images")


def test_report_fits_a_phone(open_page):
    page = open_page(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    run_uci(page, checkpoint="DigitNet", other="The article's CNN")
    page.locator("#accuracy-risk .main-svg").first.wait_for()
    page.locator('#accuracy-confusion [data-which="0"] [data-cell="00"]').tap()
    page.locator("#accuracy-cell h3").get_by_text("0 read right").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    cut = "cells => cells.filter(cell => cell.scrollWidth > cell.clientWidth).length"
    for mode in ("Shares of the row", "Counts"):
        page.get_by_label(mode).check()
        assert page.locator("#accuracy-confusion td, #accuracy-digits td").evaluate_all(cut) == 0
    sticking_out = "all => all.filter(e => e.getBoundingClientRect().right > innerWidth + 1).length"
    assert page.locator("#accuracy-risk svg, #accuracy-reliability svg").evaluate_all(sticking_out) == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_charts_are_readable_in_both_modes(open_page, theme):
    page = open_page(f"?__theme={theme}")
    run_uci(page)
    page.locator("#accuracy-reliability .xtick text").first.wait_for()
    text = page.evaluate("getComputedStyle(document.body).getPropertyValue('--dc-text').trim()")
    fills = page.locator("#accuracy-reliability text, #accuracy-risk text").evaluate_all(
        """all => [...new Set(all.filter(t => t.getClientRects().length).map(t => getComputedStyle(t).fill))]"""
    )
    red, green, blue = bytes.fromhex(text.removeprefix("#"))
    assert fills == [f"rgb({red}, {green}, {blue})"]
