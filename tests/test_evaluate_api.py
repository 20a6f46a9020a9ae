import json
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from gradio_client.exceptions import AppError

from digitcore.classifier import Classification, DigitClassifier
from digitcore.data import LabeledImages, load_uci
from digitcore.errors import CheckpointError, ConfigError, DatasetError
from digitcore.evaluation import evaluate
from digitcore.hub import SHIPPED_FOLDER, load_pretrained
from digitcore.reader import DigitReader
from digitcore.reports import DigitScore, Mistake, Report
from digitcore.ui import evaluate_api
from digitcore.ui.evaluate_api import (
    DigitScoreJson,
    MistakeJson,
    ReportJson,
    find_classifier,
    find_dataset,
    follow_measurement,
    follow_robustness,
    iterate_download,
)
from train import evaluate as script


@pytest.fixture(scope="module")
def seed_reader() -> DigitReader:
    return DigitReader.from_pretrained("seed", device="cpu")


@pytest.fixture
def seed_copy(tmp_path) -> Path:
    """The same weights under another folder's name."""
    return Path(shutil.copytree(SHIPPED_FOLDER / "seed", tmp_path / "copy"))


def test_find_classifier_gives_the_readers_own_where_it_is_the_same(seed_reader):
    assert find_classifier(seed_reader, "seed") is seed_reader.classifier


def test_find_classifier_tells_the_same_weights_with_another_temperature_apart(seed_reader):
    checkpoint = seed_reader.classifier.checkpoint
    hotter = replace(checkpoint, config=replace(checkpoint.config, temperature=2.0))
    reader = DigitReader(DigitClassifier(hotter, "cpu"), seed_reader.detector)
    found = find_classifier(reader, "seed")
    assert found.label == reader.classifier.label and found.checkpoint.config == checkpoint.config


@pytest.mark.parametrize("device", [None, "cpu"])
def test_find_classifier_asks_for_the_device_that_the_reader_was_asked_for(seed_reader, device):
    reader = DigitReader(DigitClassifier(load_pretrained("digitnet"), device), seed_reader.detector)
    assert find_classifier(reader, "seed").asked_device == device


def test_find_classifier_keeps_what_it_loaded_until_the_weights_change(seed_reader, seed_copy, monkeypatch):
    monkeypatch.setattr(evaluate_api, "pull", lambda repo, revision: seed_copy)
    first = find_classifier(seed_reader, "someone/digits")
    assert first.label == seed_reader.classifier.label.replace("seed@", "someone/digits@")
    assert find_classifier(seed_reader, "someone/digits") is first
    (seed_copy / "model.safetensors").touch()
    assert find_classifier(seed_reader, "someone/digits") is not first


@pytest.mark.parametrize(
    ("name", "pulled"),
    [
        ("someone/digits", ("someone/digits", None)),
        ("someone/digits@v1.2", ("someone/digits", "v1.2")),
        ("checkpoints/seed", ("checkpoints/seed", None)),
    ],
)
def test_find_classifier_asks_the_hub_even_where_a_folder_has_the_name(seed_reader, monkeypatch, name, pulled):
    calls = []

    def pull(repo, revision):
        calls.append((repo, revision))
        raise CheckpointError("not there")

    monkeypatch.chdir(SHIPPED_FOLDER.parent)
    monkeypatch.setattr(evaluate_api, "pull", pull)
    with pytest.raises(CheckpointError, match="not there"):
        find_classifier(seed_reader, name)
    assert calls == [pulled]


@pytest.mark.parametrize(
    "name",
    ["", "other", "/etc/passwd", "./checkpoints/seed", "a/b/c", "../seed/x/..", "~/seed/x", "seed\n", None, 3, []],
)
def test_find_classifier_refuses_other_names_with_a_sentence(seed_reader, monkeypatch, name):
    monkeypatch.setattr(evaluate_api, "pull", lambda *_: pytest.fail("the Hub was asked"))
    with pytest.raises(CheckpointError, match='Use "digitnet", "seed", or a Hub repo as user/name'):
        find_classifier(seed_reader, name)


def test_find_dataset_uci_is_kept():
    dataset = find_dataset("uci")
    assert (dataset.name, len(dataset)) == ("uci", 1797)
    assert find_dataset("uci") is dataset


def test_find_dataset_mnist_missing_says_where_it_should_be(monkeypatch, tmp_path):
    monkeypatch.setenv("DIGITCORE_DATA", str(tmp_path))
    with pytest.raises(DatasetError, match="MNIST/raw"):
        find_dataset("mnist")


@pytest.mark.parametrize("name", ["", "MNIST", "../mnist", None, 5])
def test_find_dataset_refuses_other_names_with_a_sentence(name):
    with pytest.raises(DatasetError, match='Use "uci" or "mnist"'):
        find_dataset(name)


def test_iterate_download_tells_how_far_it_is(monkeypatch):
    def download(root, progress, splits):
        for i in range(5):
            progress("train-images", i / 5)
            time.sleep(0.02)

    monkeypatch.setattr(evaluate_api, "DOWNLOAD_STEP_S", 0.005)
    monkeypatch.setattr(evaluate_api, "download_mnist", download)
    steps = list(iterate_download())
    shares = [share for _, share in steps]
    assert shares == sorted(shares) and shares[-1] > 0
    assert steps[-1][0] == "train-images"


def test_iterate_download_passes_the_failure_on(monkeypatch):
    def download(root, progress, splits):
        raise DatasetError("no mirror answers")

    monkeypatch.setattr(evaluate_api, "download_mnist", download)
    with pytest.raises(DatasetError, match="no mirror answers"):
        list(iterate_download())


def test_iterate_download_closed_breaks_the_download_off(monkeypatch):
    ended = threading.Event()

    def download(root, progress, splits):
        try:
            while True:
                progress("train-images", 0.5)
                time.sleep(0.005)
        finally:
            ended.set()

    monkeypatch.setattr(evaluate_api, "download_mnist", download)
    steps = iterate_download()
    next(steps)
    steps.close()
    assert ended.wait(5)


def test_what_clients_are_told_is_what_a_report_gives():
    scores = (DigitScore(1.0, 1.0, 1.0, 1),) * 10
    report = Report(
        "uci", "x@1", 1, 1, 0, (0.0, 1.0), ((0,) * 10,) * 10, scores, 0.5, (Mistake(0, 1, 7, 0.5),), 10.0, True
    )
    fields = report.to_dict()
    assert set(fields) == set(ReportJson.__annotations__)
    assert set(fields["per_digit"][0]) == set(DigitScoreJson.__annotations__)
    assert set(fields["mistakes"][0]) == set(MistakeJson.__annotations__)


@pytest.mark.mnist
def test_find_dataset_mnist_is_the_test_set():
    try:
        dataset = find_dataset("mnist")
    except DatasetError as err:
        pytest.skip(str(err))
    assert isinstance(dataset, LabeledImages) and dataset.images.shape == (10_000, 28, 28)
    assert np.bincount(dataset.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_endpoint_streams_to_the_same_report_as_in_python(client):
    job = client.submit(dataset="uci", checkpoint="seed", limit=300, api_name="/evaluate")
    last = job.result(timeout=60)
    reports = job.outputs()
    assert [report["done"] for report in reports] == [False] * (len(reports) - 1) + [True]
    assert [report["n"] for report in reports] == sorted(report["n"] for report in reports)
    classifier = DigitClassifier(load_pretrained("seed"), "cpu")
    *_, expected = evaluate(classifier, load_uci(), limit=300)
    assert last | {"images_per_second": 0} == expected.to_dict() | {"images_per_second": 0}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"dataset": "uci", "checkpoint": "/etc/passwd"}, "no checkpoint's name"),
        ({"dataset": "uci", "checkpoint": "./checkpoints/seed"}, "no checkpoint's name"),
        ({"dataset": "cifar", "checkpoint": "seed"}, "There is no data set 'cifar'"),
        ({"dataset": "uci", "checkpoint": "seed", "limit": -1}, "limit must be a whole number of at least 0"),
        ({"dataset": "uci", "checkpoint": "seed", "limit": 2.5}, "limit must be a whole number"),
    ],
)
def test_endpoint_refuses_with_a_sentence(client, arguments, words):
    with pytest.raises(AppError, match=words):
        client.predict(**arguments, api_name="/evaluate")


def test_endpoint_takes_a_whole_number_as_json_writes_it(client):
    assert client.predict(dataset="uci", checkpoint="seed", limit=20.0, api_name="/evaluate")["n"] == 20


class SlowClassifier:
    """Reads the right digit off a pixel, slowly, and counts its calls."""

    def __init__(self, label: str = "slow@0000000", delay_s: float = 0.02, temperature: float = 1.0) -> None:
        self.checkpoint = SimpleNamespace(config=SimpleNamespace(temperature=temperature))
        self.label, self.delay_s, self.n_calls = label, delay_s, 0

    def classify(self, images):
        self.n_calls += 1
        time.sleep(self.delay_s)
        return Classification(np.eye(10, dtype=np.float32)[images[:, 0, 0] % 10], np.ones(len(images), np.float32))


def plant_right(n: int = 1280) -> LabeledImages:
    images = np.zeros((n, 28, 28), np.uint8)
    images[:, 0, 0] = np.arange(n) % 10
    return LabeledImages(images, np.arange(n) % 10, "planted")


def follow_in_threads(n: int, follow) -> list[list]:
    seen = [[] for _ in range(n)]
    threads = [threading.Thread(target=lambda each=each: each.extend(follow())) for each in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return seen


def test_visitors_who_measure_the_same_share_the_work():
    classifier, dataset = SlowClassifier(), plant_right()
    seen = follow_in_threads(5, lambda: follow_measurement(dataset, [classifier]))
    assert all(snapshots[-1].done and snapshots[-1].reports[0].accuracy == 1.0 for snapshots in seen)
    # 1280 images are ten batches, for all five together.
    assert classifier.n_calls == 10


def test_visitors_who_measure_other_things_do_not_share():
    first, second, dataset = SlowClassifier("a@1"), SlowClassifier("b@2"), plant_right(256)
    hotter = SlowClassifier("a@1", temperature=2.0)
    keys = [(dataset, [first], 0), (dataset, [second], 0), (dataset, [first], 128), (plant_right(384), [first], 0)]
    waiting = [*keys, (dataset, [hotter], 0)]
    seen = follow_in_threads(5, lambda: follow_measurement(*waiting.pop()))
    assert sorted((s[-1].reports[0].checkpoint, s[-1].reports[0].n) for s in seen) == [
        ("a@1", 128), ("a@1", 256), ("a@1", 256), ("a@1", 384), ("b@2", 256)]  # fmt: skip
    assert (first.n_calls, hotter.n_calls) == (2 + 1 + 3, 2)


def test_visitors_who_run_the_suite_share_it():
    classifier, dataset = SlowClassifier(delay_s=0.01), plant_right(64)
    seen = follow_in_threads(3, lambda: follow_robustness(dataset, [classifier], (1.0,), 64))
    assert all(reports[-1][0].done for reports in seen)
    assert classifier.n_calls == 15  # the untouched images, then 14 kinds


def test_follow_measurement_stopped_ends_for_this_visitor_alone():
    classifier, dataset, stop = SlowClassifier(delay_s=0.05), plant_right(), threading.Event()
    stopped: list = []

    def follow_and_stop():
        for snapshot in follow_measurement(dataset, [classifier], is_stopped=stop.is_set):
            stopped.append(snapshot)
            stop.set()

    thread = threading.Thread(target=follow_and_stop)
    thread.start()
    *_, snapshot = follow_measurement(dataset, [classifier])
    thread.join(5)
    assert snapshot.done and stopped and not stopped[-1].done


@pytest.mark.parametrize("follow", [follow_measurement, follow_robustness])
@pytest.mark.parametrize("limit", [-1, 2.5, [1], None])
def test_follow_refuses_a_nonsense_limit_at_once(follow, limit):
    with pytest.raises(ConfigError, match="limit must be"):
        follow(plant_right(10), [SlowClassifier()], limit=limit)


def test_follow_robustness_refuses_strengths_with_a_sentence():
    with pytest.raises(ConfigError, match="strength must be"):
        list(follow_robustness(plant_right(10), [SlowClassifier()], (9.0,)))


def test_follow_download_is_shared(monkeypatch):
    calls = []

    def download(root, progress, splits):
        calls.append(splits)
        for i in range(10):
            progress("t10k-images", i / 10)
            time.sleep(0.03)

    monkeypatch.setattr(evaluate_api, "download_mnist", download)
    monkeypatch.setattr(evaluate_api, "DOWNLOAD_STEP_S", 0.01)
    seen = follow_in_threads(3, lambda: evaluate_api.follow_download())
    assert calls == [("test",)] and all(steps[-1][0] == "t10k-images" for steps in seen)


def test_endpoint_gives_the_numbers_that_the_command_prints(client, capsys):
    last = client.submit(dataset="uci", checkpoint="seed", limit=200, api_name="/evaluate").result(timeout=60)
    script.main(["seed", "--dataset", "uci", "--limit", "200", "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert {name: printed[name] for name in last} | {"images_per_second": 0} == last | {"images_per_second": 0}


def test_endpoint_serves_several_clients_at_once(client):
    requests = [("uci", "seed"), ("uci", "seed"), ("uci", "digitnet"), ("uci", "seed")]
    jobs = [client.submit(dataset=d, checkpoint=c, limit=600, api_name="/evaluate") for d, c in requests]
    reports = [job.result(timeout=120) for job in jobs]
    assert [report["checkpoint"].partition("@")[0] for report in reports] == [c for _, c in requests]
    assert all(report["done"] and report["n"] == 600 for report in reports)
    assert reports[0]["confusion"] == reports[1]["confusion"] == reports[3]["confusion"] != reports[2]["confusion"]
