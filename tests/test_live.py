import json
import threading
from dataclasses import replace

import numpy as np
import pytest

from digitcore.errors import CheckpointError
from digitcore.hub import SHIPPED_FOLDER, load_pretrained
from digitcore.live import LiveReader, Source
from digitcore.ui.accuracy_choices import Choice, find_checkpoints

BLANK = np.full((60, 80), 255, np.uint8)


def checkpoint_files(name: str, *, changed_byte: int | None = None, **config) -> dict[str, bytes]:
    """A shipped checkpoint's files; with a byte of the weights turned over and fields of the config replaced."""
    files = {path.name: path.read_bytes() for path in (SHIPPED_FOLDER / name).iterdir()}
    if changed_byte is not None:
        weights = bytearray(files["model.safetensors"])
        weights[changed_byte] ^= 1
        files["model.safetensors"] = bytes(weights)
    if config:
        files["config.json"] = json.dumps(json.loads(files["config.json"]) | config).encode()
    return files


@pytest.fixture
def live(hub) -> LiveReader:
    hub.add("ada/digits", checkpoint_files("seed"))
    return LiveReader.from_pretrained("ada/digits", device="cpu")


@pytest.mark.parametrize(
    ("name", "repo_id"),
    [
        ("ada/digits", "ada/digits"),
        ("ada/digits@v2", "ada/digits"),
        ("seed", None),
        (None, None),
        (SHIPPED_FOLDER / "seed", None),
    ],
)
def test_source_repo_id(name, repo_id):
    assert Source(name).repo_id == repo_id


def test_reload_takes_the_new_revision(hub, live):
    before = live.read_sketch(BLANK).model
    assert live.reload() is False
    commit = hub.add("ada/digits", checkpoint_files("seed", changed_byte=-4))
    assert live.read_sketch(BLANK).model == before, "not before it is told to"
    assert live.reload() is True
    assert live.read_sketch(BLANK).model == load_pretrained("ada/digits").label != before
    assert live.classifier.checkpoint.revision == commit and live.problem is None
    assert live.read_photo(BLANK).model == live.read_sketch(BLANK).model
    assert live.reload() is False


def test_reload_sees_that_only_the_config_changed(hub, live):
    hub.add("ada/digits", checkpoint_files("seed", temperature=2.0))
    assert live.reload() is True and live.classifier.checkpoint.config.temperature == 2.0


def test_reload_takes_another_kind_of_digit_network_and_a_detector(hub):
    hub.add("ada/digits", checkpoint_files("seed"))
    hub.add("ada/pages", checkpoint_files("detector"), "v1")
    live = LiveReader.from_pretrained("ada/digits", detector="ada/pages", detector_revision="v1", device="cpu")
    assert live.repo_ids == ("ada/digits", "ada/pages")
    hub.add("ada/digits", checkpoint_files("digitnet"))
    hub.add("ada/pages", checkpoint_files("detector", changed_byte=-2), "v1")
    before = live.detector_label
    assert live.reload() is True
    assert live.classifier.checkpoint.config.architecture == "DigitNet" and live.detector_label != before


def test_reload_reads_a_folder_again(tmp_path):
    for name, content in checkpoint_files("seed").items():
        (tmp_path / name).write_bytes(content)
    live = LiveReader.from_pretrained(tmp_path, device="cpu")
    assert live.repo_ids == () and live.reload() is False
    before = live.classifier.label
    (tmp_path / "model.safetensors").write_bytes(checkpoint_files("seed", changed_byte=-4)["model.safetensors"])
    assert live.reload() is True and live.classifier.label != before


def test_a_commit_stays_what_it_is(hub):
    first = hub.add("ada/digits", checkpoint_files("seed"))
    live = LiveReader.from_pretrained(f"ada/digits@{first}", device="cpu")
    hub.add("ada/digits", checkpoint_files("seed", changed_byte=-4))
    assert live.reload() is False and live.classifier.checkpoint.revision == first


DAMAGED = {
    "half the weights": lambda: {"model.safetensors": checkpoint_files("seed")["model.safetensors"][:500]},
    "another network's config": lambda: {"config.json": checkpoint_files("digitnet")["config.json"]},
    "no JSON": lambda: {"config.json": b"{"},
    "a detector": lambda: checkpoint_files("detector"),
}


@pytest.mark.parametrize("files", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_revision_leaves_the_old_one_in_use(hub, live, files):
    before = live.classifier
    hub.add("ada/digits", {**checkpoint_files("seed"), **files()})
    with pytest.raises(CheckpointError):
        live.reload()
    assert live.classifier is before and live.read_sketch(BLANK).model == before.label
    assert live.problem.endswith(f"{before.label} stays in use.") and "ada/digits" in live.problem
    hub.add("ada/digits", checkpoint_files("seed", changed_byte=-4))
    assert live.reload() is True and live.problem is None


def test_a_hub_that_fails_leaves_the_old_one_in_use(hub, live, impatient):
    before = live.classifier
    hub.add("ada/digits", checkpoint_files("seed", changed_byte=-4))
    planned = hub.fail("GET /lfs/", 1000, cut_after=100)
    with pytest.raises(CheckpointError, match="broke off"):
        live.reload()
    assert live.classifier is before
    planned.n_times = 0
    assert live.reload() is True


def test_a_reading_under_way_ends_with_the_networks_it_began_with(hub, live, monkeypatch):
    """The classifier is held in the middle of a reading while another takes its place."""
    before = live.classifier
    began, go_on = threading.Event(), threading.Event()
    classify = before.classify

    def wait_and_classify(images):
        began.set()
        assert go_on.wait(30)
        return classify(images)

    monkeypatch.setattr(before, "classify", wait_and_classify)
    readings = []
    thread = threading.Thread(target=lambda: readings.append(live.read_sketch(BLANK)))
    thread.start()
    assert began.wait(30)
    hub.add("ada/digits", checkpoint_files("seed", changed_byte=-4))
    assert live.reload() is True
    assert live.read_sketch(BLANK).model != before.label
    go_on.set()
    thread.join(30)
    assert [reading.model for reading in readings] == [before.label]


def test_reloads_at_once_take_turns(hub, live):
    hub.add("ada/digits", checkpoint_files("seed", changed_byte=-4))
    changed = []
    threads = [threading.Thread(target=lambda: changed.append(live.reload())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(changed) == [False, False, False, True]


def test_accuracy_tab_compares_a_checkpoint_of_the_hub(hub):
    hub.add("ada/digits", checkpoint_files("seed", changed_byte=-4))
    reader = LiveReader.from_pretrained("digitnet", device="cpu")
    choice = Choice("uci", None, "uci", 1.0, False, 1000, "digitnet", "", "hub", "ada/digits")
    own, pulled = find_checkpoints(reader, choice)
    assert own is reader.classifier
    assert pulled.label == load_pretrained("ada/digits").label and pulled.label.startswith("ada/digits@")
    with pytest.raises(CheckpointError, match="nobody/nothing"):
        find_checkpoints(reader, replace(choice, other_hub_id="nobody/nothing"))
