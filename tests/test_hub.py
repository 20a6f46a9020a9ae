import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from digitcore.errors import CheckpointError
from digitcore.hub import SHIPPED_FOLDER, load_named, load_pretrained, resolve_checkpoint
from tests.fakehub import serve_hub

ROOT = Path(__file__).resolve().parent.parent
LOAD = """
import json, sys
from digitcore.errors import CheckpointError
from digitcore.hub import load_pretrained
def load(arguments):
    try:
        return load_pretrained(*arguments).label
    except CheckpointError as err:
        return f"error: {err}"
print(json.dumps([load(arguments) for arguments in json.loads(sys.argv[1])]))
"""


def _load_in_subprocess(home: Path, endpoint: str, *calls: tuple[str, ...]) -> list[str]:
    """The label or the error of each call, in a process of their own: the Hub's client reads its settings on import."""
    environment = os.environ | {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-c", LOAD, json.dumps(calls)]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def seed_files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (SHIPPED_FOLDER / "seed").iterdir()}


def test_resolve_checkpoint_shipped_and_folders(tmp_path):
    assert resolve_checkpoint() == SHIPPED_FOLDER / "digitnet"
    assert resolve_checkpoint("seed") == SHIPPED_FOLDER / "seed"
    mine = tmp_path / "mine"
    shutil.copytree(SHIPPED_FOLDER / "seed", mine)
    assert load_pretrained(mine).label == f"mine@{load_pretrained('seed').digest}"


def test_load_named_speaks_of_the_name_alone(tmp_path):
    shutil.copytree(SHIPPED_FOLDER / "seed", tmp_path / "snapshot")
    assert load_named(tmp_path / "snapshot", "ada/digits").label.startswith("ada/digits@")
    (tmp_path / "snapshot" / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(CheckpointError, match="ada/digits/model.safetensors is damaged") as raised:
        load_named(tmp_path / "snapshot", "ada/digits")
    assert str(tmp_path) not in str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("no folder and no repo",), "no checkpoint"),
        (("../../etc/passwd",), "no checkpoint"),
        (("seed", "v2"), "revision belongs to a Hub repo"),
        (("user/name@one", "two"), "Give one"),
        (("user/na--me",), "user/name"),
    ],
)
def test_resolve_checkpoint_refuses(arguments, words):
    with pytest.raises(CheckpointError, match=words):
        resolve_checkpoint(*arguments)


def test_pull_then_offline(tmp_path, seed_files):
    with serve_hub() as hub:
        commit = hub.add("ada/digits", {**seed_files, "huge.bin": b"not for us", "pytorch_model.bin": b"a pickle"})
        labels = _load_in_subprocess(tmp_path, hub.url, ("ada/digits",), (f"ada/digits@{commit}",))
        assert labels == [f"ada/digits@{load_pretrained('seed').digest}"] * 2
        assert not any("bin" in request for request in hub.requests), "only the checkpoint's files are fetched"
        dead = hub.url
    # The server is gone: what was fetched still works, by branch and by commit; what was not says so.
    *again, error = _load_in_subprocess(tmp_path, dead, ("ada/digits",), ("ada/digits", commit), ("ada/other",))
    assert again == labels
    assert "cannot be reached" in error


def test_pull_errors_are_sentences(tmp_path, seed_files):
    words = {
        "ada/missing": "private",
        "ada/digits@v9": 'no revision "v9"',
        "ada/pickled": "never pickles",
        "ada/large": "at most",
        "ada/damaged": "damaged",
    }
    with serve_hub() as hub:
        hub.add("ada/digits", seed_files)
        hub.add("ada/pickled", {"config.json": seed_files["config.json"], "pytorch_model.bin": b"x"})
        hub.add("ada/large", {**seed_files, "model.safetensors": bytes(17 * 1024 * 1024)})
        hub.add("ada/damaged", {**seed_files, "model.safetensors": seed_files["model.safetensors"][:500]})
        errors = _load_in_subprocess(tmp_path, hub.url, *((name,) for name in words))
        assert not any("GET" in request and "large/resolve" in request for request in hub.requests)
    for (name, expected), error in zip(words.items(), errors, strict=True):
        assert error.startswith("error: ") and expected in error, name
        assert str(tmp_path) not in error
