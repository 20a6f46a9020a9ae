import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from digitcore.errors import CheckpointError
from digitcore.hub import SHIPPED_FOLDER, load_named, load_pretrained, pull, resolve_checkpoint
from digitcore.reader import DigitReader
from tests.fakehub import TOKEN, hub_environment, serve_hub

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
    environment = os.environ | hub_environment(endpoint, home, token=None) | {"OMP_NUM_THREADS": "1"}
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


@pytest.fixture
def other_files(seed_files) -> dict[str, bytes]:
    """Another checkpoint of the same kind: one weight differs."""
    weights = bytearray(seed_files["model.safetensors"])
    weights[-4] ^= 1
    return {**seed_files, "model.safetensors": bytes(weights)}


def _cut_off(monkeypatch):
    """From here on nobody answers under the Hub's address."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")


def test_each_commit_and_branch_keeps_its_own_weights(hub, seed_files, other_files):
    first = hub.add("ada/digits", seed_files)
    second = hub.add("ada/digits", other_files)
    hub.add("ada/digits", seed_files, "old")
    mine, theirs = load_pretrained("seed").digest, load_pretrained("ada/digits").digest
    assert mine != theirs
    assert load_pretrained("ada/digits", first).digest == load_pretrained("ada/digits@old").digest == mine
    assert load_pretrained(f"ada/digits@{second}").digest == theirs
    assert load_pretrained("ada/digits").revision == second
    assert load_pretrained("seed").revision is None


def test_a_commit_in_the_cache_is_not_asked_for(hub, seed_files):
    commit = hub.add("ada/digits", seed_files)
    pull("ada/digits", commit)
    hub.requests.clear()
    assert pull("ada/digits", commit).name == commit
    assert hub.requests == []


def test_a_private_repo_takes_a_token(hub, seed_files, monkeypatch):
    hub.add("ada/digits", seed_files)
    hub.repo("ada/digits").is_private = True
    with pytest.raises(CheckpointError, match="private: then set HF_TOKEN"):
        load_pretrained("ada/digits")
    monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
    with pytest.raises(CheckpointError, match="does not know the token"):
        load_pretrained("ada/digits")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert load_pretrained("ada/digits").name == "ada/digits"


def test_a_missing_repo_is_missing_for_whoever_is_logged_in(logged_in):
    with pytest.raises(CheckpointError, match="no Hub repo ada/nothing, or it is private and the token"):
        load_pretrained("ada/nothing")


def test_what_is_gone_from_the_hub_is_not_taken_from_the_cache(logged_in, seed_files):
    """A wrong name must not look right because of what was there once."""
    logged_in.add("ada/digits", seed_files)
    pull("ada/digits")
    del logged_in.repos["models", "ada/digits"]
    with pytest.raises(CheckpointError, match="no Hub repo"):
        pull("ada/digits")


@pytest.mark.parametrize("revision", ["../../main", "a..b"])
def test_a_revision_that_git_cannot_have(hub, seed_files, revision):
    hub.add("ada/digits", seed_files)
    with pytest.raises(CheckpointError, match="no revision"):
        pull("ada/digits", revision)
    assert hub.requests == []


def test_a_cache_that_is_not_ours_to_write_will_do(hub, seed_files, monkeypatch, caplog):
    commit = hub.add("ada/digits", seed_files)

    def refuse(folder, contents):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("digitcore.hub.replace_files", refuse)
    assert pull("ada/digits").name == commit
    assert "not noted" in caplog.text


FAULTS = [
    ("GET /lfs/", {"status": 500}, "fault of its own"),
    ("GET /lfs/", {"cut_after": 5000}, "broke off"),
    ("GET /lfs/", {"cut_after": 0}, "broke off"),
    ("GET /api/models/ada/digits(/revision/.*)?$", {"status": 503}, "fault of its own"),
    ("resolve/.*/config.json", {"status": 500}, "fault of its own"),
]


@pytest.mark.parametrize(("pattern", "fault", "words"), FAULTS)
def test_a_failed_download_leaves_the_old_checkpoint(
    hub, seed_files, other_files, monkeypatch, impatient, caplog, pattern, fault, words
):
    old = hub.add("ada/digits", seed_files)
    assert pull("ada/digits").name == old
    new = hub.add("ada/digits", {**other_files, "config.json": other_files["config.json"] + b"\n"})
    planned = hub.fail(pattern, 1000, **fault)
    with pytest.raises(CheckpointError, match=words):
        pull("ada/digits", allow_cached=False)
    with caplog.at_level(logging.WARNING, "digitcore"):
        assert pull("ada/digits").name == old
    assert words in caplog.text and old[:7] in caplog.text
    with monkeypatch.context() as offline:
        _cut_off(offline)
        assert pull("ada/digits").name == old
        assert load_pretrained("ada/digits").digest == load_pretrained("seed").digest
    with pytest.raises(CheckpointError):
        pull("ada/digits", new)
    planned.n_times = 0
    assert pull("ada/digits").name == new
    assert load_pretrained("ada/digits").digest != load_pretrained("seed").digest


def test_a_connection_that_breaks_off_once_is_taken_up_where_it_was(hub, seed_files, impatient):
    hub.add("ada/digits", seed_files)
    hub.fail("GET /lfs/", cut_after=50_000)
    assert (pull("ada/digits") / "model.safetensors").read_bytes() == seed_files["model.safetensors"]
    assert hub.count("GET /lfs/") == 2


@pytest.mark.parametrize(
    ("pattern", "name"), [("GET /lfs/", "model.safetensors"), ("GET .*config.json", "config.json")]
)
def test_a_damaged_file_is_refused_and_fetched_anew(hub, seed_files, pattern, name):
    hub.add("ada/digits", seed_files)
    hub.fail(pattern, corrupt=True)
    with pytest.raises(CheckpointError, match=f"ada/digits/{name} came damaged"):
        pull("ada/digits")
    assert (pull("ada/digits") / name).read_bytes() == seed_files[name]


def _with_config(files: dict[str, bytes], **changes) -> dict[str, bytes]:
    return {**files, "config.json": json.dumps(json.loads(files["config.json"]) | changes).encode()}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architecture": "DigitNet"}, "does not fit its config.json"),
        ({"architecture": "PageNet"}, "does not fit its config.json"),
        ({"architecture": "GPT"}, "architecture must be one of"),
        ({"arguments": {"width": 9}}, "refuses"),
        ({"format": 2}, "format must be 1"),
    ],
)
def test_weights_that_do_not_fit_their_config_are_named(hub, seed_files, changes, words):
    hub.add("ada/digits", _with_config(seed_files, **changes))
    with pytest.raises(CheckpointError, match=words) as raised:
        load_pretrained("ada/digits")
    assert "ada/digits" in str(raised.value)


def test_a_repo_of_the_other_kind_is_named(hub, seed_files):
    hub.add("ada/pages", {path.name: path.read_bytes() for path in (SHIPPED_FOLDER / "detector").iterdir()})
    hub.add("ada/digits", seed_files)
    with pytest.raises(CheckpointError, match="ada/pages@.* is a PageNet"):
        DigitReader.from_pretrained("ada/pages")
    with pytest.raises(CheckpointError, match="ada/digits@.* is a SeedCNN"):
        DigitReader.from_pretrained("seed", detector="ada/digits")
    reader = DigitReader.from_pretrained("ada/digits", detector="ada/pages")
    assert reader.classifier.label.startswith("ada/digits@")


def test_strangers_load_the_network_alone(hub, seed_files):
    """By PyTorchModelHubMixin, without our reader; strict, and never a pickle."""
    from digitcore.model import SeedCNN

    hub.add("ada/digits", seed_files)
    weights = SeedCNN.from_pretrained("ada/digits").state_dict()
    ours = load_pretrained("ada/digits").model.state_dict()
    assert weights.keys() == ours.keys() and all((weights[name] == ours[name]).all() for name in ours)
