import time

import pytest

from digitcore.classifier import DigitClassifier
from digitcore.data import load_uci
from digitcore.errors import DatasetError
from digitcore.evaluation import evaluate
from digitcore.hub import load_pretrained
from digitcore.ui import accuracy_tab, evaluate_api

pytestmark = pytest.mark.browser

SLOW_BATCH_S = 0.15


def choose(page, dataset="UCI digits", checkpoint="The article's CNN"):
    page.get_by_role("tab", name="Accuracy").click()
    page.get_by_label(dataset).check()
    page.get_by_label(checkpoint).check()


def start(page):
    page.get_by_role("button", name="Run", exact=True).click()


def wait_for_headline(page, words, timeout_s=30):
    page.locator("#accuracy-headline").get_by_text(words).first.wait_for(timeout=timeout_s * 1000)


@pytest.fixture(scope="module")
def expected():
    """The report that the tab has to come to."""
    *_, report = evaluate(DigitClassifier(load_pretrained("seed"), "cpu"), load_uci())
    return report


@pytest.fixture
def slow(monkeypatch):
    """Makes the server's evaluations take some four seconds."""

    def evaluate_slowly(classifier, dataset, limit=0):
        for report in evaluate(classifier, dataset, limit, batch_size=64, min_report_interval_s=0):
            time.sleep(SLOW_BATCH_S)
            yield report

    monkeypatch.setattr(accuracy_tab, "evaluate", evaluate_slowly)
    monkeypatch.setattr(evaluate_api, "evaluate", evaluate_slowly)


def test_report_on_uci(page, expected):
    choose(page)
    start(page)
    wait_for_headline(page, "Done: 1,797 images")
    headline = page.locator("#accuracy-headline").inner_text().replace("\u00a0", " ")
    assert f"{100 * expected.accuracy:.2f} %" in headline
    assert f"{expected.n - expected.n_correct} of 1,797 wrong" in headline
    assert expected.checkpoint in headline
    counts = page.locator("#accuracy-confusion tbody td").all_inner_texts()
    assert [int(count) for count in counts] == [count for row in expected.confusion for count in row]
    assert page.locator("#accuracy-digits tbody tr").count() == 10
    figures = page.locator("#accuracy-mistakes figure")
    assert figures.count() == min(60, expected.n - expected.n_correct)
    first = expected.mistakes[0]
    assert figures.first.inner_text().startswith(f"{first.truth} → {first.predicted}")
    assert page.locator("#accuracy-mistakes img").first.evaluate("img => img.complete && img.naturalWidth") == 28
    assert page.get_by_role("progressbar", name="Images read").get_attribute("aria-valuenow") == "100.0"
    assert page.get_by_role("button", name="Run", exact=True).is_enabled()


def test_report_streams_and_stop_keeps_what_was_measured(page, slow):
    choose(page)
    start(page)
    wait_for_headline(page, "of 1,797 images")
    assert page.get_by_role("button", name="Run", exact=True).is_disabled()
    first = page.locator("#accuracy-headline .report-rate").inner_text()
    page.wait_for_function(
        "old => document.querySelector('#accuracy-headline .report-rate').innerText !== old", arg=first
    )
    started_at = time.perf_counter()
    page.get_by_role("button", name="Stop", exact=True).click()
    wait_for_headline(page, "Stopped at")
    assert time.perf_counter() - started_at < 5
    stopped = page.locator("#accuracy-headline").inner_text()
    page.wait_for_timeout(1000)
    assert page.locator("#accuracy-headline").inner_text() == stopped and "Error" not in stopped
    assert page.locator("#accuracy-mistakes figure").count() > 0
    assert page.locator(".toast-body").count() == 0
    page.get_by_role("button", name="Run", exact=True).click()
    wait_for_headline(page, "of 1,797 images")
    page.get_by_role("button", name="Stop", exact=True).click()
    wait_for_headline(page, "Stopped at")


def test_evaluations_take_turns_whichever_door_they_come_by(page, client, slow):
    choose(page)
    job = client.submit(dataset="uci", checkpoint="seed", api_name="/evaluate")
    while not job.outputs():
        assert not job.done()
        time.sleep(0.05)
    start(page)
    wait_for_headline(page, "Waiting")
    assert not job.done()
    job.cancel()
    wait_for_headline(page, "of 1,797 images")
    page.get_by_role("button", name="Stop", exact=True).click()
    wait_for_headline(page, "Stopped at")


def test_report_fits_a_phone(open_page):
    page = open_page(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    choose(page)
    start(page)
    wait_for_headline(page, "Done: 1,797 images")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    cut = "cells => cells.filter(cell => cell.scrollWidth > cell.clientWidth).length"
    assert page.locator("#accuracy-confusion td, #accuracy-digits td").evaluate_all(cut) == 0


def test_without_mnist_and_network_the_tab_falls_back_and_says_so(page, monkeypatch):
    def fail():
        raise DatasetError("no mirror answers")
        yield

    monkeypatch.setattr(accuracy_tab, "find_mnist", lambda: None)
    monkeypatch.setattr(accuracy_tab, "iterate_download", fail)
    choose(page, dataset="MNIST test set")
    page.locator("#accuracy-note").get_by_text("MNIST is not on this machine").wait_for()
    start(page)
    wait_for_headline(page, "Done: 1,797 images")
    note = page.locator("#accuracy-note").inner_text()
    assert "could not be downloaded" in note and "DIGITCORE_DATA" in note
    assert "right on MNIST's" in note
