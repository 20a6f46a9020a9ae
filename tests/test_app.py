import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

import app
from digitcore.ui.build import build_app, launch_options, render_footer
from tests.conftest import find_free_port
from tests.test_live import checkpoint_files

ROOT = Path(__file__).resolve().parent.parent


def run_app(*arguments: str, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "app.py", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_parse_arguments_defaults_to_this_machine_only(monkeypatch):
    for name in ("GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT", app.CHECKPOINT_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    arguments = app.parse_arguments([])
    assert (arguments.host, arguments.port, arguments.share, arguments.checkpoint) == ("127.0.0.1", 7860, False, None)


def test_parse_arguments_takes_what_a_space_sets(monkeypatch):
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")
    monkeypatch.setenv("GRADIO_SERVER_PORT", "7861")
    monkeypatch.setenv(app.CHECKPOINT_VARIABLE, "user/digits@v2")
    arguments = app.parse_arguments([])
    assert (arguments.host, arguments.port, arguments.checkpoint) == ("0.0.0.0", 7861, "user/digits@v2")
    assert app.parse_arguments(["--port", "80", "--checkpoint", "seed"]).port == 80


def test_main_says_in_a_sentence_that_the_checkpoint_is_missing(capsys):
    assert app.main(["--checkpoint", "no-such-checkpoint"]) == 1
    assert 'There is no checkpoint "no-such-checkpoint"' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("checkpoint", "words"),
    [("ada/nothing", "no Hub repo ada/nothing"), ("ada/digits@v9", 'no revision "v9"'), ("ada/pages", "is a PageNet")],
)
def test_main_says_in_a_sentence_what_is_wrong_with_a_hub_checkpoint(hub, capsys, checkpoint, words):
    hub.add("ada/digits", checkpoint_files("seed"))
    hub.add("ada/pages", checkpoint_files("detector"))
    assert app.main(["--checkpoint", checkpoint]) == 1
    told = capsys.readouterr().err
    assert "digitcore cannot start: " in told and words in told


def test_main_says_in_a_sentence_that_the_port_is_taken(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert app.main(["--checkpoint", "seed", "--port", str(port)]) == 1
    assert f"Port {port} is taken" in capsys.readouterr().err


@pytest.mark.slow
def test_app_serves_where_it_is_told_and_stops(tmp_path):
    port = find_free_port()
    process = run_app("--checkpoint", "seed", GRADIO_SERVER_PORT=str(port), GRADIO_TEMP_DIR=str(tmp_path))
    try:
        for _ in range(600):
            try:
                answer = httpx.get(f"http://127.0.0.1:{port}/")
                break
            except httpx.TransportError:
                assert process.poll() is None, process.stderr.read()
                time.sleep(0.1)
        assert answer.status_code == 200 and "seed@" in answer.text
    finally:
        process.terminate()
        process.wait(timeout=20)


def test_the_page_names_no_other_host(server):
    page = httpx.get(f"{server}/").text
    for host in ("googleapis", "gstatic", "cdnjs", "jsdelivr", "unpkg"):
        assert host not in page


def test_the_icon_is_ours(server):
    answer = httpx.get(f"{server}/favicon.ico")
    assert answer.status_code == 200 and "svg" in answer.headers["content-type"]


def test_render_footer_names_model_detector_and_device(reader):
    footer = render_footer(reader)
    assert reader.classifier.label in footer and "Detector" in footer and "Device" in footer


def test_build_app_binds_nothing_public_but_the_endpoints(reader):
    public = {fn.api_name for fn in build_app(reader).fns.values() if fn.api_visibility == "public"}
    assert public == {"read_sketch", "read_photo", "read_photos", "annotate_photo", "model_info", "evaluate"}


def test_launch_options_turn_off_what_phones_home():
    options = launch_options()
    assert options["ssr_mode"] is False and options["enable_monitoring"] is False and options["run_history"] is False
