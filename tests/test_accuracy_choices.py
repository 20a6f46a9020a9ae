import zipfile
from dataclasses import replace

import pytest

from digitcore.classifier import DigitClassifier
from digitcore.errors import CheckpointError, ConfigError, DatasetError
from digitcore.hub import load_pretrained
from digitcore.reader import DigitReader
from digitcore.ui import accuracy_choices
from digitcore.ui.accuracy_choices import (
    Choice,
    describe_stored,
    find_checkpoint,
    find_checkpoints,
    find_images,
    list_checkpoints,
    render_choice,
)
from tests.drawn import draw_number, encode


@pytest.fixture(scope="module")
def seed_reader() -> DigitReader:
    return DigitReader.from_pretrained("seed", device="cpu")


def choose(**changes) -> Choice:
    choice = Choice("uci", None, "uci", 1.0, False, 1000, "seed", "", "none", "")
    return replace(choice, **changes)


def test_list_checkpoints_offers_the_apps_own_only_if_it_is_none_of_those_shipped(seed_reader):
    choices, default = list_checkpoints(seed_reader)
    assert [name for _, name in choices] == ["digitnet", "seed"] and default == "seed"
    mine = DigitClassifier(replace(load_pretrained("seed"), name="mine", digest="1234567"), "cpu")
    other = DigitReader(mine, seed_reader.detector)
    choices, default = list_checkpoints(other)
    assert choices[0] == ("This app's: mine@1234567", "own") and default == "own"
    assert find_checkpoint(other, "own") is other.classifier


def test_find_checkpoints_finds_one_or_two(seed_reader):
    assert [each.checkpoint.name for each in find_checkpoints(seed_reader, choose())] == ["seed"]
    both = find_checkpoints(seed_reader, choose(other="digitnet"))
    assert [each.checkpoint.name for each in both] == ["seed", "digitnet"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"other": "seed"}, "same one"),
        ({"checkpoint": "hub"}, "Name the checkpoint"),
        ({"checkpoint": "hub", "hub_id": "   "}, "Name the checkpoint"),
        ({"checkpoint": "hub", "hub_id": "../../etc"}, "no checkpoint's name"),
        ({"other": "hub", "other_hub_id": "/etc/passwd"}, "no checkpoint's name"),
        ({"checkpoint": "hub", "hub_id": None}, "Name the checkpoint"),
    ],
)
def test_find_checkpoints_says_what_is_wrong(seed_reader, changes, words):
    with pytest.raises(CheckpointError, match=words):
        find_checkpoints(seed_reader, choose(**changes))


def test_find_checkpoint_asks_for_what_was_typed(seed_reader, monkeypatch):
    asked = []
    monkeypatch.setattr(accuracy_choices, "find_classifier", lambda reader, name: asked.append(name))
    find_checkpoint(seed_reader, "hub", "  user/name@v1 ")
    assert asked == ["user/name@v1"]


def test_find_images_of_a_name():
    found = find_images("uci", None)
    assert (found.labeled.name, found.title, found.remark) == ("uci", "UCI digits", "")


def test_find_images_tells_how_far_it_is(upload_folder):
    path = upload_folder / "several.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for digit in (1, 2, 7):
            archive.writestr(f"{digit}/a.png", encode(draw_number(str(digit))))
    steps = []
    find_images("own", str(path), lambda what, share: steps.append(share))
    assert steps and steps == sorted(steps) and steps[-1] <= 1


def test_find_images_of_an_upload_says_what_was_left_out(upload_folder):
    path = upload_folder / "mine.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for digit in (1, 7):
            archive.writestr(f"digits/{digit}/a.png", encode(draw_number(str(digit))))
        archive.writestr("digits/7/notes.png", "no picture")
    found = find_images("own", str(path))
    assert found.labeled.labels.tolist() == [1, 7] and found.title == "Your pictures (mine)"
    assert "1 of 3 files" in found.remark and "notes.png" in found.remark


def test_find_images_without_an_upload_says_so():
    with pytest.raises(DatasetError, match="Choose a zip or a folder"):
        find_images("own", None)


@pytest.mark.parametrize(
    ("changes", "strengths"),
    [({"strength": 1}, (1.0,)), ({"strength": 0.5}, (0.5,)), ({"is_swept": True}, (0.25, 0.5, 0.75, 1.0))],
)
def test_choice_strengths(changes, strengths):
    assert choose(dataset="suite", **changes).strengths == strengths


@pytest.mark.parametrize("strength", [0, -1, 99, None, "1"])
def test_choice_strengths_out_of_range(strength):
    with pytest.raises(ConfigError, match="strength"):
        _ = choose(strength=strength).strengths


def test_choice_source_of_the_suite_is_its_base():
    assert choose(dataset="suite", base="mnist").source == "mnist"
    assert choose(dataset="own", base="mnist").source == "own"


@pytest.mark.parametrize(
    ("dataset", "base", "words"),
    [
        ("uci", "uci", "13 writers"),
        ("mnist", "uci", "MNIST's test set is not on this machine"),
        ("suite", "uci", "Fourteen ways"),
        ("suite", "mnist", "MNIST's test set is not on this machine"),
    ],
)
def test_render_choice_without_mnist_says_how_to_supply_it_and_what_is_stored(
    seed_reader, monkeypatch, dataset, base, words
):
    monkeypatch.setattr(accuracy_choices, "find_mnist", lambda **_: None)
    note = render_choice(seed_reader, dataset, base, "seed").replace("&#x27;", "'")
    assert words in note and "DIGITCORE_DATA" in note and "right on MNIST's" in note


def test_render_choice_with_mnist_says_what_the_data_set_is(seed_reader, monkeypatch, tmp_path):
    monkeypatch.setattr(accuracy_choices, "find_mnist", lambda **_: tmp_path)
    for dataset, words in (
        ("mnist", "10,000 test images"),
        ("own", "Pictures of single digits"),
        ("uci", "13 writers"),
    ):
        note = render_choice(seed_reader, dataset, "uci", "seed")
        assert words in note and "DIGITCORE_DATA" not in note


@pytest.mark.parametrize(
    ("metrics", "sentence"),
    [
        ({"test_accuracy": 0.9957}, "Stored with d@1: 99.57 % right on MNIST's test images."),
        (
            {"test_accuracy": 0.9957, "n_test": 10_000, "measured": "2026-11-22"},
            "Stored with d@1: 99.57 % right on MNIST's 10,000 test images, measured 2026-11-22.",
        ),
        ({}, ""),
        ({"test_accuracy": "99 %"}, ""),
        ({"test_accuracy": 99.5}, ""),
        ({"test_accuracy": None, "measured": "2026"}, ""),
        ({"test_accuracy": True}, ""),
    ],
)
def test_describe_stored(metrics, sentence):
    assert describe_stored("d@1", metrics) == sentence
