"""train.push against the loopback Hub, with the Hub's real client."""

import io
import json
import shutil
import threading

import pytest
from huggingface_hub import ModelCard
from PIL import Image

from digitcore.checkpoint import load_checkpoint
from digitcore.errors import CheckpointError
from digitcore.hub import SHIPPED_FOLDER, load_pretrained
from tests.fakehub import User, lfs_oid
from tests.small_mnist import COUNTS, N_TEST, write_small_mnist
from train import push
from train.push import PICTURE_NAME, push_checkpoint

FILES = {"model.safetensors", "config.json", "metrics.json", "README.md"}


@pytest.fixture(autouse=True)
def no_mnist(monkeypatch, tmp_path):
    monkeypatch.setenv("DIGITCORE_DATA", str(tmp_path / "no-mnist"))


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setattr("digitcore.data.MNIST_COUNTS", COUNTS)
    return write_small_mnist(tmp_path / "data")


@pytest.fixture
def seed_folder(tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(SHIPPED_FOLDER / "seed", tmp_path / "mine")


def _change_weights(folder):
    """Another checkpoint: one weight and what is told of it differ."""
    path = folder / "model.safetensors"
    weights = bytearray(path.read_bytes())
    weights[-4] ^= 1
    path.write_bytes(weights)
    metrics = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps(metrics | {"test_accuracy": 0.5}))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"temperature": 1.5}))
    return folder


@pytest.mark.parametrize("lfs_suffixes", [(".safetensors",), (), (".safetensors", ".png", ".json")])
@pytest.mark.parametrize("name", ["seed", "digitnet", "detector"])
def test_push_makes_one_commit_that_loads_again(logged_in, capsys, name, lfs_suffixes):
    logged_in.lfs_suffixes = lfs_suffixes
    assert push.main([str(SHIPPED_FOLDER / name), "--repo-id", "ada/mine"]) == 0
    files = logged_in.files("ada/mine")
    assert set(files) == FILES | {".gitattributes"}
    for file in FILES - {"README.md"}:
        assert files[file] == (SHIPPED_FOLDER / name / file).read_bytes()
    assert len(logged_in.repo("ada/mine").commits) == 2, "the Hub's own first one, and ours"
    commit = logged_in.repo("ada/mine").refs["main"]
    told = capsys.readouterr().out.splitlines()
    assert told[-1] == commit and told[-2] == f"{logged_in.url}/ada/mine/commit/{commit}"
    loaded = load_pretrained("ada/mine")
    assert loaded.digest == load_checkpoint(SHIPPED_FOLDER / name).digest and loaded.revision == commit


def test_the_same_again_is_no_new_commit(logged_in, capsys, seed_folder):
    first = push_checkpoint(seed_folder, "mine")
    again = push_checkpoint(seed_folder, "ada/mine")
    assert (first.repo_id, first.is_new) == ("ada/mine", True)
    assert (again.commit, again.is_new) == (first.commit, False)
    push.main([str(seed_folder), "--repo-id", "ada/mine"])
    assert "Nothing to push" in capsys.readouterr().out
    assert logged_in.count("POST .*/commit/") == 1
    changed = push_checkpoint(_change_weights(seed_folder), "ada/mine")
    assert changed.is_new and logged_in.repo("ada/mine").commits[changed.commit].parent == first.commit


def test_the_card_of_a_digit_network(logged_in, data):
    push_checkpoint(SHIPPED_FOLDER / "digitnet", "ada/mine", data_root=data)
    files = logged_in.files("ada/mine")
    card = ModelCard(files["README.md"].decode())
    metrics = json.loads(files["metrics.json"])
    assert card.data.license == "apache-2.0" and card.data.datasets == ["ylecun/mnist"]
    assert {"handwritten-digits", "mnist"} <= set(card.data.tags) and card.data.metrics == ["accuracy"]
    (result,) = card.data.eval_results
    assert (result.metric_type, result.metric_value) == ("accuracy", metrics["test_accuracy"])
    assert 'from_pretrained("ada/mine")' in card.text
    assert metrics["command"] in card.text and "## Limits" in card.text and "| MNIST test |" in card.text
    assert f"]({PICTURE_NAME})" in card.text
    with Image.open(io.BytesIO(files[PICTURE_NAME])) as picture:
        assert picture.format == "PNG" and picture.width > 100


def test_the_picture_takes_the_test_set_alone_as_the_app_downloads_it(logged_in, data):
    for path in (data / "MNIST" / "raw").glob("train-*"):
        path.unlink()
    push_checkpoint(SHIPPED_FOLDER / "seed", "ada/mine", data_root=data)
    assert PICTURE_NAME in logged_in.files("ada/mine")


def test_the_card_of_a_detector(logged_in, data):
    push_checkpoint(SHIPPED_FOLDER / "detector", "ada/pages", data_root=data)
    files = logged_in.files("ada/pages")
    card = ModelCard(files["README.md"].decode())
    values = {result.metric_type: result.metric_value for result in card.data.eval_results}
    metrics = json.loads(files["metrics.json"])
    assert values["f1"] == pytest.approx(metrics["validation_f1"], abs=1e-4)
    assert values["recall"] == pytest.approx(metrics["validation_recall"], abs=1e-4)
    assert f"| {metrics['validation_f1']:.3f} |" in card.text and metrics["command"] in card.text
    assert 'detector="ada/pages"' in card.text and f"]({PICTURE_NAME})" in card.text
    assert PICTURE_NAME in files


@pytest.mark.parametrize("folder", ["seed", "detector"])
@pytest.mark.parametrize("name", ["2024", "1e5", "no", "Null", "v1.0", "_x"])
def test_a_name_that_yaml_would_not_take_for_text(logged_in, folder, name):
    push_checkpoint(SHIPPED_FOLDER / folder, f"ada/{name}")
    card = ModelCard(logged_in.files(f"ada/{name}")["README.md"].decode())
    assert card.data.model_name == name


def test_without_mnist_the_card_has_no_picture(logged_in, capsys):
    assert push.main([str(SHIPPED_FOLDER / "seed"), "--repo-id", "mine"]) == 0
    assert PICTURE_NAME not in logged_in.files("ada/mine")
    assert PICTURE_NAME not in logged_in.files("ada/mine")["README.md"].decode()
    assert "No picture of mistakes" in capsys.readouterr().out


def test_private_branch_and_pull_request(logged_in, seed_folder, capsys):
    arguments = [str(seed_folder), "--repo-id", "ada/mine"]
    assert push.main([*arguments, "--private", "--revision", "trial"]) == 0
    repo = logged_in.repo("ada/mine")
    assert repo.is_private and "model.safetensors" in logged_in.files("ada/mine", "trial")
    assert "model.safetensors" not in logged_in.files("ada/mine")
    assert push.main([*arguments, "--create-pr"]) == 0
    assert "model.safetensors" not in logged_in.files("ada/mine")
    assert "model.safetensors" in logged_in.files("ada/mine", "refs/pr/1")
    assert f"{logged_in.url}/ada/mine/discussions/1" in capsys.readouterr().out
    _change_weights(seed_folder)
    assert push.main([*arguments, "--revision", "refs/pr/1"]) == 0
    assert load_pretrained("ada/mine@refs/pr/1").digest == load_checkpoint(seed_folder).digest


def test_a_stranger_may_open_a_pull_request_and_nothing_else(logged_in, seed_folder, capsys, monkeypatch):
    logged_in.add("ada/mine", {"README.md": b"hello"})
    logged_in.users["hf_of_bob"] = User("bob")
    monkeypatch.setenv("HF_TOKEN", "hf_of_bob")
    assert push.main([str(seed_folder), "--repo-id", "ada/mine"]) == 1
    assert "may not write to ada/mine" in capsys.readouterr().err
    assert push.main([str(seed_folder), "--repo-id", "ada/mine", "--create-pr"]) == 0
    assert set(logged_in.files("ada/mine")) == {"README.md"}


def _without_metrics(folder):
    (folder / "metrics.json").unlink()


def _with_lean_metrics(folder):
    (folder / "metrics.json").write_text('{"test_accuracy": 0.9}')


def _with_broken_weights(folder):
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:999])


def _with_foreign_training(folder):
    metrics = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps(metrics | {"training": {"optimizer": "sgd", "lr": 1}}))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_without_metrics, "has no metrics.json"),
        (_with_lean_metrics, "lacks 'training'"),
        (_with_broken_weights, "is damaged"),
        (_with_foreign_training, "not what a training writes: unknown settings"),
        (shutil.rmtree, "no checkpoint folder"),
    ],
)
def test_what_is_no_whole_checkpoint_is_refused(logged_in, seed_folder, capsys, spoil, words):
    spoil(seed_folder)
    assert push.main([str(seed_folder), "--repo-id", "ada/mine"]) == 1
    assert words in capsys.readouterr().err
    assert logged_in.repos == {}, "no repo is made for nothing"


@pytest.mark.parametrize(
    ("token", "repo_id", "more", "words"),
    [
        ("", "ada/mine", (), "There is no Hub token"),
        ("hf_wrong", "ada/mine", (), "does not know the token"),
        ("hf_read", "ada/mine", (), "may not write to ada/mine"),
        ("hf_of_ada", "bob/mine", (), "may not write to bob/mine"),
        ("hf_of_ada", "ada/--mine", (), "no repo id of the Hub"),
        ("hf_of_ada", "ada/open", ("--private",), "there already, and public"),
        ("hf_of_ada", "ada/open", ("--revision", "v9", "--create-pr"), "no such revision"),
    ],
)
def test_refusals_are_sentences(hub, monkeypatch, capsys, token, repo_id, more, words):
    hub.users["hf_read"] = User("ada", may_write=False)
    hub.add("ada/open", {"README.md": b"hello"})
    monkeypatch.setenv("HF_TOKEN", token)
    assert push.main([str(SHIPPED_FOLDER / "seed"), "--repo-id", repo_id, *more]) == 1
    error = capsys.readouterr().err
    assert error.startswith("Error: ") and words in error and error.count("\n") == 1
    assert not token or token not in error
    assert hub.files("ada/open") == {"README.md": b"hello"}


def test_no_network_is_a_sentence(logged_in, monkeypatch, capsys):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert push.main([str(SHIPPED_FOLDER / "seed"), "--repo-id", "ada/mine"]) == 1
    assert "cannot be reached" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("POST .*/commit/", {"status": 500}),
        ("POST .*/commit/", {"status": 503}),
        ("POST .*/preupload/", {"status": 500}),
        ("PUT /lfs/", {"status": 500}),
        ("PUT /lfs/", {"cut_after": 0}),
        ("POST .*/objects/batch", {"status": 502}),
    ],
)
def test_a_server_that_fails_midway_changes_nothing(logged_in, seed_folder, impatient, capsys, pattern, fault):
    before = push_checkpoint(seed_folder, "ada/mine").commit
    _change_weights(seed_folder)
    planned = logged_in.fail(pattern, 1000, **fault)
    assert push.main([str(seed_folder), "--repo-id", "ada/mine"]) == 1
    assert "Error: Could not push to ada/mine: the Hub" in capsys.readouterr().err
    assert logged_in.repo("ada/mine").refs["main"] == before
    planned.n_times = 0
    assert push.main([str(seed_folder), "--repo-id", "ada/mine"]) == 0
    assert load_pretrained("ada/mine").digest == load_checkpoint(seed_folder).digest


def test_a_server_that_fails_once_is_asked_again(logged_in, seed_folder, impatient):
    for pattern in ("PUT /lfs/", "POST .*/preupload/"):
        logged_in.fail(pattern, status=500)
    logged_in.fail("PUT /lfs/", cut_after=0)
    assert push_checkpoint(seed_folder, "ada/mine").is_new


def test_a_push_that_came_in_between_is_looked_at_again(logged_in, seed_folder, tmp_path):
    """Of the same config: left out of the commit as known, it would be the other push's in the end."""
    push_checkpoint(seed_folder, "ada/mine")
    other = _change_weights(shutil.copytree(seed_folder, tmp_path / "other"))
    files = {path.name: path.read_bytes() for path in other.iterdir()}
    weights = bytearray(files["model.safetensors"])
    weights[-8] ^= 1
    (seed_folder / "model.safetensors").write_bytes(weights)

    def commit_first(request):
        if request.startswith("POST") and "/commit/" in request and not done:
            done.append(logged_in.add("ada/mine", files))

    done: list[str] = []
    logged_in.take_fault = commit_first
    try:
        pushed = push_checkpoint(seed_folder, "ada/mine")
    finally:
        del logged_in.take_fault
    assert logged_in.repo("ada/mine").commits[pushed.commit].parent == done[0]
    there = logged_in.files("ada/mine")
    for name in FILES - {"README.md"}:
        assert there[name] == (seed_folder / name).read_bytes(), name


def test_two_pushes_at_once_leave_one_of_them_whole(logged_in, seed_folder, tmp_path):
    folders = [seed_folder, _change_weights(shutil.copytree(seed_folder, tmp_path / "other"))]
    push_checkpoint(SHIPPED_FOLDER / "digitnet", "ada/mine")
    barrier = threading.Barrier(2)
    results = []

    def run(folder):
        barrier.wait()
        results.append(push_checkpoint(folder, "ada/mine"))

    threads = [threading.Thread(target=run, args=(folder,)) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len({result.commit for result in results}) == 2 and all(result.is_new for result in results)
    there = logged_in.files("ada/mine")
    digests = [load_checkpoint(folder).digest for folder in folders]
    winner = folders[digests.index(lfs_oid(there["model.safetensors"])[:7])]
    for name in FILES - {"README.md"}:
        assert there[name] == (winner / name).read_bytes(), name


def test_draw_mistakes_counts_what_is_wrong(data, monkeypatch):
    from digitcore.classifier import DigitClassifier
    from digitcore.data import load_mnist
    from train.mistakes import draw_misread

    test = load_mnist("test", data)
    classifier = DigitClassifier(load_pretrained("seed"))
    predicted = classifier.classify(test.images).probs.argmax(axis=1)
    n_wrong = int((predicted != test.labels).sum())
    assert 0 < n_wrong <= N_TEST
    assert draw_misread(classifier, test).sentence.startswith(f"{n_wrong} of {N_TEST} images are read wrong")
    right = type(test)(test.images, predicted, test.name)
    assert draw_misread(classifier, right) is None


def test_push_checkpoint_raises_what_it_says(logged_in, seed_folder):
    _without_metrics(seed_folder)
    with pytest.raises(CheckpointError, match="nobody could tell how good it is"):
        push_checkpoint(seed_folder, "ada/mine")
