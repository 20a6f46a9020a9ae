"""ZeroGPU's environment, with the real `spaces`: what runs where, and what is asked of the scheduler."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from digitcore.classifier import DigitClassifier
from digitcore.data import load_uci
from digitcore.evaluation import evaluate
from digitcore.hub import load_pretrained
from digitcore.reader import DigitReader
from tests.conftest import PAGE_LINES, find_free_port
from tests.drawn import draw_page, encode
from tests.fakezerogpu import serve_device_api, zero_gpu_environment
from tests.test_live import checkpoint_files
from tests.zerogpu_scenario import EXHAUSTED_TOKEN

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.slow


@pytest.fixture
def api():
    pytest.importorskip("spaces", reason="needs the package spaces")
    with serve_device_api() as api:
        yield api


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "page.png"
    path.write_bytes(encode(draw_page(PAGE_LINES)))
    return path


def _start(scenario: str, picture: Path, api, folder: Path, **more: str) -> subprocess.Popen:
    home = folder / "zero"
    home.mkdir()
    environment = os.environ | zero_gpu_environment(api, home) | more | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.zerogpu_scenario", scenario, str(picture)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _read_steps(process: subprocess.Popen, until: str | None = None) -> dict[str, dict]:
    steps = {}
    for line in process.stdout:
        if until and line.startswith(until):
            return steps
        if line.startswith("{"):
            step = json.loads(line)
            steps[step.pop("step")] = step
    assert process.wait(60) == 0, process.stderr.read()
    return steps


def _digits(reading: dict) -> list[tuple[int, list[int]]]:
    return [(digit["value"], digit["box"]) for digit in reading["digits"]]


def test_sketches_stay_on_the_cpu_and_photos_borrow_a_gpu(hub, api, picture, tmp_path):
    hub.add("ada/digits", checkpoint_files("digitnet"))
    process = _start("reader", picture, api, tmp_path, HF_HOME=str(tmp_path / "hf"))
    steps = _read_steps(process, "reload?")
    assert steps["import"] == {"has_spaces": True, "is_cuda_started": False}
    assert steps["load"] == {"sketches": "cpu", "photos": "cuda"}
    here = DigitReader.from_pretrained("digitnet", device="cpu")
    assert _digits(steps["sketch"]) == _digits(here.read_sketch(picture).to_dict())
    expected = here.read_photo(picture).to_dict()
    for step in ("photo", "photo again"):
        assert steps[step]["lines"] == expected["lines"] == PAGE_LINES
        assert [value for value, _ in _digits(steps[step])] == [value for value, _ in _digits(expected)]
    assert "no picture" in steps, "what is wrong with a picture is said in its own words"
    *_, report = evaluate(here.classifier, load_uci(), 300)
    assert steps["report"] == {"n": 300, "n_correct": report.n_correct}
    *_, report = evaluate(DigitClassifier(load_pretrained("seed"), "cpu"), load_uci(), 300)
    assert steps["other report"] == {"device": "cuda", "n": 300, "n_correct": report.n_correct}
    # Two photos and two reports, and nothing for loading, warming up, the sketch and what was no picture.
    durations = [query["durationSeconds"] for path, query in api.calls if path == "/schedule"]
    assert durations == [["15"], ["15"], ["60"], ["60"]]
    assert api.count("/allow") == 3, "the process of the first photo read the second too"
    assert api.count("/release") == 4

    hub.add("ada/digits", checkpoint_files("digitnet", changed_byte=-4))
    process.stdin.write("\n")
    process.stdin.flush()
    reload = _read_steps(process)["reload"]
    assert reload["changed"] == [True]
    assert reload["sketch"] == reload["photo"]["model"] == f"ada/digits@{load_pretrained('ada/digits').digest}"
    assert reload["photo"]["lines"] == PAGE_LINES
    assert api.count("/allow") == 4, "a process with the new weights"


def test_the_app_on_zerogpu(api, picture, tmp_path):
    api.exhausted_tokens.add(EXHAUSTED_TOKEN)
    process = _start("app", picture, api, tmp_path, PORT=str(find_free_port()))
    steps = _read_steps(process)
    assert api.count("/startup-report") == 1
    assert steps["info"]["device"] == "CPU and ZeroGPU"
    assert steps["read_sketch"]["digits"] and steps["read_photo"]["lines"] == PAGE_LINES
    assert steps["evaluate"]["n"] == 200 and steps["evaluate"]["accuracy"] > 0.9
    assert (tmp_path / "zero" / "tensors").is_dir(), "the weights were packed for moving"
    assert "exceeded your ZeroGPU quota" in steps["quota"]["error"] and "1:00:00" in steps["quota"]["error"]
    assert api.count("/schedule") == 3, "the photo, the report, and the one that nothing was left for"


def test_elsewhere_spaces_is_not_imported_by_us():
    code = "import sys, digitcore.reader, digitcore.live; print('spaces' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.stdout.strip() == "False", result.stderr
