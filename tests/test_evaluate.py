import json

import numpy as np
import pytest

from digitcore.data import LabeledImages
from digitcore.errors import DatasetError
from digitcore.results import DigitScore, Report
from train import evaluate as script


def make_report(confusion: list[list[int]]) -> Report:
    n, n_correct = sum(map(sum, confusion)), sum(confusion[digit][digit] for digit in range(10))
    scores = tuple(DigitScore(0.5, 0.25, 1 / 3, sum(row)) for row in confusion)
    rows = tuple(map(tuple, confusion))
    return Report("uci", "seed@abc1234", n, n, n_correct, (0.5, 0.75), rows, scores, 0.05, (), 2500.0, True)


def plant_confusion(*errors: tuple[int, int, int]) -> list[list[int]]:
    confusion = [[100 if truth == read else 0 for read in range(10)] for truth in range(10)]
    for truth, read, count in errors:
        confusion[truth][read] = count
    return confusion


def test_find_worst_confusions_by_count_then_by_digit():
    report = make_report(plant_confusion((9, 4, 7), (2, 7, 3), (1, 7, 3), (5, 3, 12)))
    assert script.find_worst_confusions(report) == [(5, 3, 12), (9, 4, 7), (1, 7, 3), (2, 7, 3)]
    assert script.find_worst_confusions(report, 1) == [(5, 3, 12)]


def test_find_worst_confusions_without_errors():
    assert script.find_worst_confusions(make_report(plant_confusion())) == []


def test_format_report_tells_the_figures():
    text = script.format_report(make_report(plant_confusion((9, 4, 250))))
    for words in ("seed@abc1234 on uci: 1,000 of 1,250 right", "80.00%", "50.00% to 75.00%", "5.00%", "2,500"):
        assert words in text
    assert "9 read as 4    250" in text
    assert len([line for line in text.splitlines() if "33.33%" in line]) == 10


@pytest.mark.parametrize(
    ("found", "name", "expected"), [(True, None, "mnist"), (False, None, "uci"), (True, "uci", "uci")]
)
def test_load_test_set_takes_mnist_where_it_is_found(monkeypatch, tmp_path, found, name, expected):
    empty = np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.int64)
    monkeypatch.setattr(script, "find_mnist", lambda root: tmp_path if found else None)
    monkeypatch.setattr(script, "load_mnist", lambda split, root: LabeledImages(*empty, f"mnist {split}"))
    monkeypatch.setattr(script, "load_uci", lambda: LabeledImages(*empty, "uci"))
    assert script.load_test_set(name, None).name.split()[0] == expected


def test_load_test_set_says_where_mnist_should_be(tmp_path):
    with pytest.raises(DatasetError, match="MNIST/raw"):
        script.load_test_set("mnist", tmp_path)


def test_main_json_is_the_report_and_nothing_else(capsys):
    script.main(["seed", "--dataset", "uci", "--limit", "40", "--json", "--device", "cpu"])
    report = json.loads(capsys.readouterr().out)
    assert (report["dataset"], report["n"], report["n_total"], report["done"]) == ("uci", 40, 40, True)
    assert report["checkpoint"].startswith("seed@")
    assert sum(map(sum, report["confusion"])) == 40


def test_main_prints_the_table(capsys):
    script.main(["seed", "--dataset", "uci", "--limit", "40", "--device", "cpu"])
    assert " on uci: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "words"),
    [(["seed", "--dataset", "uci", "--limit", "-1"], "limit must be"), (["no-such"], "no checkpoint")],
)
def test_main_refuses_with_a_sentence(argv, words):
    with pytest.raises(SystemExit, match=words):
        script.main(argv)
