"""A run of the Accuracy tab in headless Chromium: checkpoints of the Hub, streaming, Stop, other visitors."""

import re
import time

import pytest

from digitcore.classifier import DigitClassifier
from digitcore.data import load_uci
from digitcore.errors import DatasetError
from digitcore.evaluation import measure
from digitcore.hub import load_pretrained
from digitcore.ui import accuracy_choices, accuracy_run, evaluate_api
from tests.accuracy_page import choose, name_hub_checkpoint, start, wait_for_files, wait_for_headline
from tests.test_live import checkpoint_files

pytestmark = pytest.mark.browser

# About as long as the app waits between two reports: what the page can draw on a busy machine.
SLOW_BATCH_S = 0.3


@pytest.fixture
def slow(monkeypatch):
    """Makes the server's evaluations take some nine seconds."""

    def measure_slowly(classifiers, dataset, limit=0, **_):
        for snapshot in measure(classifiers, dataset, limit, batch_size=64, min_report_interval_s=0):
            time.sleep(SLOW_BATCH_S)
            yield snapshot

    monkeypatch.setattr(evaluate_api, "measure", measure_slowly)


def test_a_checkpoint_of_the_hub_wants_its_name(page):
    choose(page, checkpoint="One from the Hub")
    name_hub_checkpoint(page, "../../etc/passwd")
    start(page)
    page.locator("#accuracy-headline [role=alert]").get_by_text("no checkpoint's name").wait_for()
    page.locator("#accuracy-run:enabled").wait_for()


def test_a_checkpoint_of_the_hub_beside_digitnet(hub, page):
    commit = hub.add("ada/digits", checkpoint_files("seed", changed_byte=-4))
    choose(page, checkpoint="One from the Hub", other="DigitNet")
    name_hub_checkpoint(page, "ada/digits")
    start(page)
    wait_for_headline(page, "Done: 1,797 images")
    wait_for_files(page)
    fetched = [request for request in hub.requests if commit in request and "model.safetensors" in request]
    assert fetched, hub.requests
    pulled = DigitClassifier(load_pretrained("ada/digits"), "cpu")
    assert pulled.label.startswith("ada/digits@") and pulled.checkpoint.digest != load_pretrained("seed").digest
    *_, expected = measure([pulled, DigitClassifier(load_pretrained("digitnet"), "cpu")], load_uci())
    scores = page.locator("#accuracy-headline .report-score")
    for score, report in zip(scores.all(), expected.reports, strict=True):
        told = score.inner_text().replace("\u00a0", " ")
        assert report.checkpoint in told and f"{100 * report.accuracy:.2f} %" in told
    comparison = page.locator(".report-comparison").inner_text()
    assert f"{expected.comparison.n_only_first} are read right by {pulled.label} alone" in comparison
    tables = page.locator("#accuracy-confusion table")
    for table, report in zip(tables.all(), expected.reports, strict=True):
        counts = table.locator(".count").all_inner_texts()
        assert [int(count) for count in counts] == [count for row in report.confusion for count in row]


@pytest.mark.parametrize(
    ("repo_id", "words"),
    [
        ("ada/nothing", "no Hub repo ada/nothing"),
        ("ada/digits@v9", 'The Hub repo ada/digits has no revision "v9".'),
        ("ada/pages", "finds digits on a page"),
    ],
)
def test_what_the_hub_does_not_give_is_said_in_a_sentence(hub, page, repo_id, words):
    hub.add("ada/digits", checkpoint_files("seed"))
    hub.add("ada/pages", checkpoint_files("detector"))
    choose(page, checkpoint="One from the Hub")
    name_hub_checkpoint(page, repo_id)
    start(page)
    page.locator("#accuracy-headline [role=alert]").get_by_text(words).wait_for()
    page.locator("#accuracy-run:enabled").wait_for()


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
    wait_for_files(page)
    stopped = page.locator("#accuracy-headline").inner_text()
    page.wait_for_timeout(1000)
    assert page.locator("#accuracy-headline").inner_text() == stopped and "Error" not in stopped
    assert page.locator("#accuracy-mistakes figure").count() > 0
    assert page.locator(".toast-body").count() == 0
    # Once more, stopped at once: before or after the first images.
    start(page)
    page.get_by_role("button", name="Stop", exact=True).click()
    page.locator("#accuracy-headline").get_by_text(re.compile("Stopped (at|before)")).first.wait_for()
    page.locator("#accuracy-run:enabled").wait_for()


def test_a_cell_can_be_pressed_while_the_report_streams(page, slow):
    choose(page)
    start(page)
    wait_for_headline(page, "of 1,797 images")
    page.locator('#accuracy-confusion [data-cell="00"]').click()
    page.locator("#accuracy-cell h3").get_by_text("0 read right").wait_for()
    page.get_by_role("button", name="Stop", exact=True).click()
    wait_for_headline(page, "Stopped at")


def test_visitors_with_different_wishes_are_served_at_once(page, client, slow):
    choose(page)
    job = client.submit(dataset="uci", checkpoint="digitnet", api_name="/evaluate")
    while not job.outputs():
        assert not job.done()
        time.sleep(0.05)
    start(page)
    wait_for_headline(page, "of 1,797 images")
    assert not job.done()
    job.cancel()
    page.get_by_role("button", name="Stop", exact=True).click()
    wait_for_headline(page, "Stopped at")


def test_without_mnist_and_network_the_tab_falls_back_and_says_so(page, monkeypatch):
    def fail(is_stopped):
        raise DatasetError("no mirror answers")
        yield

    monkeypatch.setattr(accuracy_run, "find_mnist", lambda **_: None)
    monkeypatch.setattr(accuracy_choices, "find_mnist", lambda **_: None)
    monkeypatch.setattr(accuracy_run, "follow_download", fail)
    page.get_by_role("tab", name="Accuracy").click()
    page.locator("#accuracy-dataset").get_by_label("UCI digits").check()
    choose(page, dataset="MNIST test set")
    page.locator("#accuracy-note").get_by_text("is not on this machine").wait_for()
    start(page)
    wait_for_headline(page, "Done: 1,797 images")
    note = page.locator("#accuracy-note").inner_text()
    assert "could not be downloaded" in note and "DIGITCORE_DATA" in note
    assert "right on MNIST's" in note
