"""Pushes while a training runs, against the loopback Hub."""

import argparse
import json
import logging
import shutil
import threading

import pytest

from digitcore.checkpoint import load_checkpoint
from digitcore.errors import ConfigError, HubError
from digitcore.hub import SHIPPED_FOLDER, load_pretrained
from tests.small_mnist import COUNTS, write_small_mnist
from train import train
from train.pusher import Pusher, add_push_options, list_push_options

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr("digitcore.data.MNIST_COUNTS", COUNTS)
    monkeypatch.setenv("DIGITCORE_DATA", str(write_small_mnist(tmp_path / "data")))
    return tmp_path


def _train(root, *more):
    folders = ["--out", root / "mynet", "--run-folder", root / "run"]
    return train.main(
        [str(word) for word in ["--preset", "seed", "--device", "cpu", "--batch-size", 20, *folders, *more]]
    )


def test_training_pushes_at_the_end_and_meanwhile(logged_in, root, capsys, monkeypatch):
    push_behind = Pusher.push_behind

    def push_and_wait(self, folder, progress):
        # These epochs take milliseconds: the next one would find the push still under way.
        push_behind(self, folder, progress)
        self._under_way.result()

    monkeypatch.setattr(Pusher, "push_behind", push_and_wait)
    assert _train(root, "--epochs", 5, "--push-to-hub", "mynet", "--push-every", 2) == 0
    repo = logged_in.repo("ada/mynet")
    messages = [commit.message for commit in repo.commits.values()]
    assert [message.partition(", ")[2] for message in messages] == ["", "2 of 5 epochs", "4 of 5 epochs", ""]
    assert load_pretrained("ada/mynet").digest == load_checkpoint(root / "mynet").digest
    interim = next(commit.files for commit in repo.commits.values() if "2 of 5" in commit.message)
    metrics = json.loads(interim["metrics.json"])
    assert len(metrics["history"]) == 2
    assert "test_accuracy" not in metrics, "the test images are read once, at the end"
    assert "2 of 5 epochs so far" in interim["README.md"].decode()
    assert f"{logged_in.url}/ada/mynet/commit/{repo.refs['main']}" in capsys.readouterr().out


def test_pushing_meanwhile_does_not_change_the_run(logged_in, root):
    assert _train(root, "--epochs", 3) == 0
    alone = load_checkpoint(root / "mynet").digest
    assert _train(root, "--epochs", 3, "--push-to-hub", "mynet", "--push-every", 1) == 0
    assert load_checkpoint(root / "mynet").digest == alone


def test_a_background_push_that_fails_does_not_end_the_training(logged_in, root, caplog, impatient):
    planned = logged_in.fail("POST .*/commit/", 1, status=500)
    with caplog.at_level(logging.WARNING):
        assert _train(root, "--epochs", 2, "--push-to-hub", "mynet", "--push-every", 1) == 0
    assert planned.n_times == 0 and "The training goes on" in caplog.text
    assert load_pretrained("ada/mynet").digest == load_checkpoint(root / "mynet").digest


def test_a_last_push_that_fails_leaves_the_checkpoint_and_says_how_to_push_it(logged_in, root, capsys):
    logged_in.fail("POST .*/commit/", 10, status=500)
    assert _train(root, "--epochs", 1, "--push-to-hub", "mynet") == 1
    error = capsys.readouterr().err
    assert f"python -m train.push {root / 'mynet'} --repo-id ada/mynet" in error
    assert load_checkpoint(root / "mynet").metrics["n_test"] == COUNTS["test"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--push-every", 2), "go with --push-to-hub"),
        (("--private",), "go with --push-to-hub"),
        (("--push-to-hub", "x", "--push-every", -1), "must be at least 0"),
        (("--push-to-hub", "bob/x"), "may not write to bob/x"),
    ],
)
def test_what_cannot_be_pushed_is_said_before_the_training(logged_in, root, capsys, more, words):
    assert _train(root, "--epochs", 1, *more) == 1
    told = capsys.readouterr()
    assert words in told.err and "epoch" not in told.out.partition("images")[2]
    assert not (root / "mynet").exists()


def test_no_token_is_said_before_the_training(hub, root, capsys):
    assert _train(root, "--epochs", 1, "--push-to-hub", "mynet") == 1
    assert "There is no Hub token" in capsys.readouterr().err and not (root / "mynet").exists()


def _options(*words):
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default=None)
    add_push_options(parser, "epochs")
    return parser.parse_args([str(word) for word in words])


@pytest.mark.parametrize(
    "words", [[], ["--push-to-hub", "x"], ["--push-to-hub", "x", "--push-every", "3", "--private"]]
)
def test_list_push_options_repeats_them(words):
    assert list_push_options(_options(*words)) == words


def test_from_options_without_a_repo_is_nothing():
    assert Pusher.from_options(_options()) is None
    with pytest.raises(ConfigError):
        Pusher.from_options(_options("--push-every", 1))


def test_a_checkpoint_that_comes_while_another_is_pushed_waits_for_its_next_turn(logged_in, tmp_path, caplog):
    folder = shutil.copytree(SHIPPED_FOLDER / "seed", tmp_path / "latest")
    pusher = Pusher("mynet", 1, None, False)
    gate = threading.Event()
    take_fault = logged_in.take_fault
    logged_in.take_fault = lambda request: (gate.wait(20) if "/preupload/" in request else None, None)[1]
    try:
        pusher.push_behind(folder, "1 of 9")
        pusher.push_behind(folder, "2 of 9")
        # The folder may change meanwhile: what was read is what is pushed.
        shutil.rmtree(folder)
        gate.set()
        pusher.close()
    finally:
        logged_in.take_fault = take_fault
    assert "2 of 9 is not pushed" in caplog.text
    assert [commit.message for commit in logged_in.repo("ada/mynet").commits.values()][1:] == [
        "SeedCNN d0a7f14, 1 of 9"
    ]


def test_the_last_push_says_what_is_wrong(logged_in, tmp_path):
    pusher = Pusher("mynet", 0, None, False)
    logged_in.fail("POST .*/commit/", status=403)
    with pytest.raises(HubError, match="may not write.*push it later with:\n    python -m train.push"):
        pusher.push_at_end(SHIPPED_FOLDER / "seed")
