"""The webhook on a started app, asked as the Hub asks."""

import httpx
import pytest
from gradio_client import Client

from digitcore.classifier import DigitClassifier
from digitcore.data import load_uci
from digitcore.evaluation import evaluate
from digitcore.hub import load_pretrained
from digitcore.live import LiveReader
from digitcore.ui.build import build_app, launch_options
from digitcore.ui.webhook import MAX_BODY_BYTES, WEBHOOK_PATH, find_reason_to_ignore, make_webhook_routes
from tests.conftest import find_free_port
from tests.test_live import checkpoint_files

SECRET = "only the Space knows"
UPDATE = {
    "event": {"action": "update", "scope": "repo.content"},
    "repo": {"type": "model", "name": "ada/digits", "headSha": "0" * 40, "private": False},
    "updatedRefs": [{"ref": "refs/heads/main", "oldSha": "1" * 40, "newSha": "0" * 40}],
    "webhook": {"id": "6390e855e30d9209411de93b", "version": 3},
}


@pytest.fixture
def app(hub):
    """The app's address, following ada/digits."""
    hub.add("ada/digits", checkpoint_files("seed"))
    reader = LiveReader.from_pretrained("ada/digits", device="cpu")
    demo = build_app(reader)
    options = launch_options(make_webhook_routes(reader, SECRET))
    _, url, _ = demo.launch(
        server_name="127.0.0.1", server_port=find_free_port(), prevent_thread_lock=True, quiet=True, **options
    )
    yield url.rstrip("/")
    demo.close(verbose=False)


def _post(app, payload=UPDATE, secret=SECRET, **options):
    return httpx.post(f"{app}{WEBHOOK_PATH}", json=payload, headers={"X-Webhook-Secret": secret}, timeout=60, **options)


def test_the_app_picks_up_a_new_revision_without_a_restart(hub, app):
    client = Client(app, verbose=False)
    before = client.predict(api_name="/model_info")
    commit = hub.add("ada/digits", checkpoint_files("seed", changed_byte=-4))
    answer = _post(app)
    assert answer.status_code == 200
    told = answer.json()
    after = client.predict(api_name="/model_info")
    assert told["changed"] is True and told["revision"] == after["revision"] == commit != before["revision"]
    assert told["model"] == after["model"] != before["model"]
    assert _post(app, {}).json()["changed"] is False


def test_a_damaged_revision_is_told_and_the_old_one_answers(hub, app):
    client = Client(app, verbose=False)
    before = client.predict(api_name="/model_info")
    hub.add("ada/digits", {**checkpoint_files("seed"), "config.json": b"{"})
    answer = _post(app)
    assert answer.status_code == 502
    assert "not valid JSON" in answer.json()["error"] and "stays in use" in answer.json()["error"]
    assert answer.json()["model"] == before["model"]
    assert client.predict(api_name="/model_info") == before


@pytest.mark.parametrize("secret", ["", "guess", SECRET + "!", "ключ".encode()])
def test_who_does_not_know_the_secret_changes_nothing(hub, app, secret):
    hub.add("ada/digits", checkpoint_files("seed", changed_byte=-4))
    hub.requests.clear()
    answer = _post(app, secret=secret)
    assert answer.status_code == 401 and "X-Webhook-Secret" in answer.json()["error"]
    assert hub.requests == []


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"{", 400), (b"[1]", 400), (b'{"event": 1}', 400), (b" " * (MAX_BODY_BYTES + 1), 413), (b"\xff\xfe", 400)],
)
def test_a_payload_that_is_none_is_refused(app, content, status):
    answer = httpx.post(f"{app}{WEBHOOK_PATH}", content=content, headers={"X-Webhook-Secret": SECRET}, timeout=60)
    assert answer.status_code == status and answer.json()["error"]


def test_only_a_post_is_a_webhook(app):
    assert httpx.get(f"{app}{WEBHOOK_PATH}").status_code in (404, 405)


def test_without_a_secret_there_is_no_webhook():
    assert make_webhook_routes(None, None) == make_webhook_routes(None, "") == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        ({"event": {"action": "update", "scope": "repo.content.new"}}, None),
        ({"event": {"action": "update", "scope": "repo"}}, None),
        ({"event": {"action": "create", "scope": "discussion"}}, "changes no weights"),
        ({"event": {"action": "update", "scope": "repo.config"}}, "changes no weights"),
        ({"repo": {"type": "model", "name": "bob/digits"}}, "follows ada/digits"),
        ({"repo": {"type": "dataset", "name": "ada/digits"}}, "follows ada/digits"),
    ],
)
def test_find_reason_to_ignore(changes, words):
    reason = find_reason_to_ignore(UPDATE | changes, ("ada/digits",))
    assert reason is None if words is None else words in reason


def test_find_reason_to_ignore_without_a_repo_to_follow():
    assert "no repo of the Hub" in find_reason_to_ignore(UPDATE, ())
    assert find_reason_to_ignore({}, ()) is None


@pytest.mark.browser
def test_the_accuracy_tab_measures_what_answers_now_and_a_new_page_names_it(hub, app, chromium):
    page = chromium.new_page()
    page.set_default_timeout(30_000)
    choice = page.locator("#accuracy-checkpoint label").first

    def open_tab(label: str) -> None:
        page.goto(app)
        page.get_by_role("tab", name="Accuracy").click()
        choice.get_by_text(f"This app's: {label}").wait_for()
        assert choice.locator("input").is_checked()

    try:
        open_tab(f"ada/digits@{load_pretrained('seed').digest}")
        page.locator("#accuracy-dataset").get_by_label("UCI digits").check()
        hub.add("ada/digits", checkpoint_files("digitnet"))
        label = _post(app).json()["model"]
        # On the page that was opened before; its title is the old one, its report bears the name of what it measured.
        page.get_by_role("button", name="Run", exact=True).click()
        headline = page.locator("#accuracy-headline")
        headline.get_by_text("Done: 1,797 images").wait_for()
        *_, report = evaluate(DigitClassifier(load_pretrained("digitnet"), "cpu"), load_uci())
        told = headline.inner_text().replace("\u00a0", " ")
        assert label in told and f"{100 * report.accuracy:.2f} %" in told
        open_tab(label)
    finally:
        page.close()


@pytest.mark.browser
def test_the_footer_tells_what_answers_and_what_was_not_taken(hub, app, chromium):
    page = chromium.new_page()

    def read_footer(words: str) -> str:
        page.goto(app)
        page.wait_for_function("words => document.querySelector('.dc-footer')?.innerText.includes(words)", arg=words)
        return page.inner_text(".dc-footer")

    try:
        before = read_footer("ada/digits@")
        hub.add("ada/digits", checkpoint_files("seed", changed_byte=-4))
        model = _post(app).json()["model"]
        assert model not in before and "Not reloaded" not in read_footer(model)
        hub.add("ada/digits", {**checkpoint_files("seed"), "config.json": b"{"})
        _post(app)
        assert f"{model} stays in use" in read_footer("Not reloaded")
    finally:
        page.close()
