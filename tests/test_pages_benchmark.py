"""The page benchmark with a planted reader: what it gets right and wrong is counted as such."""

import json

import numpy as np
import pytest

from benchmarks import pages as benchmark
from benchmarks.page_figures import Share, measure_calibration, measure_scene, measure_turned
from benchmarks.page_scenes import SCENES, ScenePages, find_pairs, pick_rotation, turn_away
from digitcore.results import Box, Digit, Reading
from digitcore.training.pages import Page, PageConfig, PageMaker
from digitcore.training.writing import Writing
from tests.test_pages import draw_digits


def make_page(boxes=(), labels=(), ignored=()) -> Page:
    return Page(
        np.full((200, 200), 255, np.uint8),
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(labels, np.int64),
        np.array(ignored, np.float32).reshape(-1, 4),
        np.zeros((200, 200), np.uint8),
    )


def read(*digits: tuple[tuple[int, int, int, int], int, float], rotation: int = 0) -> Reading:
    """(box, value, confidence) each."""
    made = []
    for box, value, confidence in digits:
        probs = [(1 - confidence) / 9] * 10
        probs[value] = confidence
        made.append(Digit(value, confidence, Box(*box), 0, tuple(probs)))
    return Reading(tuple(made), (), (200, 200), "planted@0000000", "planted@0000000", rotation=rotation)


A, B = (10, 10, 20, 30), (31, 12, 20, 30)
FAR_A, FAR_B = (120, 100, 20, 30), (139, 100, 20, 30)


def test_measure_scene_counts_missed_false_and_misread():
    page = make_page([A, B, FAR_A], [1, 2, 3])
    found = measure_scene("mixed", [page], [read((A, 1, 0.9), (B, 7, 0.9), ((80, 150, 20, 30), 4, 0.9))]).to_dict()
    assert (found["digits"], found["missed"], found["false"], found["misread"]) == (3, 1, 1, 1)


def test_measure_scene_words_counts_pages_not_digits():
    readings = [read(), read((A, 1, 0.9), (FAR_A, 2, 0.9)), read()]
    found = measure_scene("words", [make_page()] * 3, readings)
    assert (found.shares["pages_with_false"].n_hit, found.shares["pages_with_false"].n) == (1, 3)


def test_measure_scene_touching_wants_both_of_a_pair():
    page = make_page([A, B, FAR_A, FAR_B], [1, 2, 3, 4])
    reading = read((A, 1, 0.9), (B, 2, 0.9), (FAR_A, 3, 0.9), (FAR_B, 9, 0.9))
    share = measure_scene("touching", [page], [reading]).shares["pairs_right"]
    assert (share.n_hit, share.n) == (1, 2)


def test_find_pairs_leaves_out_those_with_an_excused_digit():
    assert find_pairs(make_page([A, B, FAR_A, FAR_B], [1, 2, 3, 4])) == [(0, 1), (2, 3)]
    assert find_pairs(make_page([A, B, FAR_A], [1, 2, 3], [FAR_B])) == [(0, 1)]
    assert find_pairs(make_page()) == []


def test_measure_turned_counts_ways_up():
    pages = [make_page([A], [1])] * 3
    turned = [read(rotation=90), read(rotation=0), read(rotation=90)]
    found = measure_turned(pages, [read(), read(rotation=180), read()], [90, 180, 270], turned)
    counts = {name: share.n_hit for name, share in found.shares.items()}
    assert counts == {"turned_noticed": 1, "turned_wrong_way": 1, "upright_turned": 1}


def test_measure_calibration_leaves_out_the_excused():
    page = make_page([A, B], [1, 2], [FAR_A])
    found = measure_calibration([page], [read((A, 1, 0.95), (B, 7, 0.6), (FAR_A, 3, 0.99))])
    assert sorted(zip(found.confidences.tolist(), found.is_right.tolist(), strict=True)) == [
        (pytest.approx(0.6), False),
        (pytest.approx(0.95), True),
    ]
    assert found.ece == pytest.approx((0.05 + 0.6) / 2, abs=1e-6)
    assert (found.sure.n_hit, found.sure.n) == (1, 1)


def test_share_of_nothing():
    assert str(Share(0, 0)) == "- of 0"
    assert Share(0, 0).to_dict()["share"] is None


@pytest.mark.parametrize("index", range(3))
def test_turn_away_is_put_right_by_the_rotation(index):
    image, rotation = np.arange(12, dtype=np.uint8).reshape(3, 4), pick_rotation(index)
    np.testing.assert_array_equal(np.rot90(turn_away(image, rotation), -rotation // 90), image)


class _Blind:
    """Reads nothing, ever."""

    detector_label = "blind@0000000"

    def __init__(self) -> None:
        self.classifier = self
        self.label = self.detector_label

    def read_photo(self, picture):
        return read()


def test_main_prints_tables_and_json(monkeypatch, capsys):
    maker = PageMaker(draw_digits(), Writing.from_folder(None), PageConfig(turned_ratio=0.0))
    monkeypatch.setattr(ScenePages, "load", classmethod(lambda cls, *_: cls(maker, maker)))
    monkeypatch.setattr(benchmark.DigitReader, "from_pretrained", classmethod(lambda cls, *_, **__: _Blind()))
    benchmark.main(["--pages", "2"])
    *table, last = capsys.readouterr().out.strip().splitlines()
    summary = json.loads(last)
    assert set(summary["scenes"]) == set(SCENES)
    assert summary["scenes"]["words"]["pages_with_false"]["share"] == 0
    assert summary["scenes"]["touching"]["pairs_right"]["share"] == 0
    assert any("pages with a false digit" in line for line in table)
