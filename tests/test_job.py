"""The Job: the README's command against the loopback Hub, and the script that it runs, with its tools stood in for."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakehub import TOKEN, hub_environment
from train import train, train_detector

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ("pip", "npm", "python")
MARK = "<!-- jobs command -->\n```bash\n"


def _documented_command() -> str:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.count(MARK) == 1
    return readme.split(MARK)[1].split("```")[0]


def test_the_documented_command_asks_the_hub_for_the_job(logged_in, tmp_path):
    environment = (
        os.environ
        | hub_environment(logged_in.url, tmp_path)
        | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    )
    result = subprocess.run(
        ["bash", "-euc", _documented_command()], env=environment, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    (job,) = logged_in.jobs
    assert job["dockerImage"] == "python:3.12" and job["flavor"] != "cpu-basic"
    assert job["secrets"] == {"HF_TOKEN": TOKEN}, "the Job pushes with the token of whoever started it"
    assert TOKEN not in result.stdout + result.stderr + str(job["command"]) + str(job["environment"])
    assert job["timeoutSeconds"] >= 3600
    shell, option, script = job["command"]
    assert (shell, option) == ("bash", "-c")
    match = re.search(r"bash (train/job\.sh) (\w+) (\S+)", script)
    assert match and (ROOT / match[1]).is_file() and match[2] in train.PRESETS
    assert logged_in.count("POST /api/jobs/ada") == 1


def _run_job(folder: Path, *words: str, token: str = "hf_x") -> tuple[subprocess.CompletedProcess, list[list[str]]]:
    """The script with tools that write down how they were called."""
    tools = folder / "tools"
    tools.mkdir()
    for tool in TOOLS:
        (tools / tool).write_text(f'#!/bin/sh\nprintf "%s\\n" "{tool} $*" >> "{folder}/calls"\n')
        (tools / tool).chmod(0o755)
    environment = os.environ | {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "HF_TOKEN": token,
        "DIGITCORE_DATA": str(folder / "data"),
    }
    command = ["bash", str(ROOT / "train" / "job.sh"), *words]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    calls = folder / "calls"
    return result, [shlex.split(line) for line in calls.read_text().splitlines()] if calls.exists() else []


@pytest.mark.parametrize(
    ("preset", "module", "has_fonts"),
    [
        ("seed", train, False),
        ("seed-augmented-fixed", train, False),
        ("digitnet", train, True),
        ("detector", train_detector, True),
    ],
)
def test_the_script_fetches_what_the_preset_needs_and_trains(tmp_path, preset, module, has_fonts):
    result, calls = _run_job(tmp_path, preset, "ada/mine", "--push-every", "4")
    assert result.returncode == 0, result.stderr
    assert [call[0] for call in calls] == ["pip", "python", *(["npm"] if has_fonts else []), "python"]
    assert "torchvision.datasets" in " ".join(calls[1]) and calls[1][-1] == str(tmp_path / "data")
    *_, last = calls
    assert last[1:3] == ["-m", module.__name__]
    options = module._parse(last[3:])
    assert (options.preset, options.push_to_hub, options.push_every) == (preset, "ada/mine", 4)


@pytest.mark.parametrize(("words", "token", "told"), [((), "hf_x", "usage"), (("seed", "x"), "", "--secrets HF_TOKEN")])
def test_the_script_says_what_it_lacks(tmp_path, words, token, told):
    result, calls = _run_job(tmp_path, *words, token=token)
    assert result.returncode != 0 and told in result.stderr and calls == []
