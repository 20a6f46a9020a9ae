import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from digitcore.classifier import DigitClassifier
from digitcore.corruptions import KINDS, corrupt
from digitcore.data import LabeledImages, load_uci
from digitcore.errors import DatasetError
from digitcore.hub import load_pretrained
from digitcore.labeled_pictures import load_labeled_pictures
from digitcore.metrics import measure_auroc
from digitcore.preprocessing import normalize_digit
from digitcore.reports import (
    Comparison,
    DigitScore,
    Report,
    export_report,
)
from digitcore.robustness import measure_corruptions
from digitcore.robustness_reports import CorruptionCurve, RobustnessReport
from digitcore.strokes import draw_single, load_strokes
from digitcore.ui.evaluate_api import follow_measurement, follow_robustness
from tests.drawn import draw_number, encode
from train import evaluate as script
from train.suite import LOOK_ALIKES, Cost, Figure, OtherFigures, load_other_sets


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
    monkeypatch.setattr(script, "find_mnist", lambda root, split: tmp_path if found else None)
    monkeypatch.setattr(script, "load_mnist", lambda split, root: LabeledImages(*empty, f"mnist {split}"))
    monkeypatch.setattr(script, "load_uci", lambda: LabeledImages(*empty, "uci"))
    assert script.load_test_set(name, None).name.split()[0] == expected


def test_load_test_set_says_where_mnist_should_be(tmp_path):
    with pytest.raises(DatasetError, match="MNIST/raw"):
        script.load_test_set("mnist", tmp_path)


FORTY = ["seed", "--dataset", "uci", "--limit", "40", "--device", "cpu"]
ONE, ZERO = [[[0, 0], [0, 100]]], [[[0, 50], [30, 0], [60, 50], [30, 100], [0, 50]]]
CROSS = [[[0, 0], [60, 100]], [[60, 0], [0, 100]]]


@pytest.fixture(scope="module")
def seed():
    return DigitClassifier(load_pretrained("seed"), "cpu")


@pytest.fixture(scope="module")
def uci():
    return load_uci()


@pytest.fixture
def folders(tmp_path, uci):
    """Digits, what is none, and strokes, as the options of those names want them; and those options."""
    for name in ("digits", "not_digits", "strokes"):
        (tmp_path / name).mkdir()
    # Half of the labels are wrong on purpose.
    labels = np.where(np.arange(60) % 2, uci.labels[100:160], (uci.labels[100:160] + 5) % 10)
    np.savez(tmp_path / "digits" / "others.npz", images=uci.images[100:160], labels=labels)
    noise = np.random.default_rng(0).integers(0, 256, (30, 28, 28), "u1")
    np.savez(tmp_path / "not_digits" / "noise.npz", images=noise)
    sketches = [{"label": "1", "strokes": ONE}, {"label": "0", "strokes": ZERO}, {"label": "4", "strokes": ONE}]
    letters = [{"label": "X", "strokes": CROSS}, {"label": "O", "strokes": ZERO}, {"label": "l", "strokes": ONE}]
    (tmp_path / "strokes" / "digits_strokes.json").write_text(json.dumps(sketches))
    (tmp_path / "strokes" / "letters_strokes.json").write_text(json.dumps(letters))
    return tmp_path


def options(folders) -> list[str]:
    names = ("digits", "not_digits", "strokes")
    return [word for name in names for word in ("--" + name.replace("_", "-"), str(folders / name))]


def test_measure_corruptions_is_the_error_on_each_kind(seed, uci):
    few = uci.part(0, 50, "few")
    measured = dict(measure_corruptions(seed, few, seed=1).errors)
    assert tuple(measured) == KINDS
    for kind in ("noise", "edges only"):
        predicted = seed.classify(corrupt(few.images, kind, seed=1)).probs.argmax(axis=1)
        assert measured[kind] == pytest.approx((predicted != few.labels).mean())


def test_format_other_sets_leaves_out_what_was_not_measured():
    assert script.format_other_sets(OtherFigures(), "uci") == ""
    text = script.format_other_sets(OtherFigures(letters=Figure("letters", 7, 0.875)), "uci")
    assert "letters                0.8750       7" in text and "people" not in text


def test_format_cost():
    text = script.format_cost(Cost(12_345, 6_780_000, 1.5), 1000)
    for words in ("12,345", "6.78 M", "1.50 s for 1,000 images"):
        assert words in text


def test_format_comparison():
    text = script.format_comparison(Comparison("a@1", "b@2", "uci", 1000, 900, 10, 60, 30, (0.03, 0.07), 1.5e-9))
    for words in ("b@2 against a@1", "1,000 images", "+5.00%", "+3.00% to +7.00%", "1.5e-09", "10   a@1", "60   b@2"):
        assert words in text


def test_format_robustness():
    curves = (CorruptionCurve("blur", (0.5, 1.0), (0.1, 0.3)), CorruptionCurve("fog", (0.5, 1.0), (0.2, 0.4)))
    text = script.format_robustness(RobustnessReport("uci", "a@1", 900, 0, 0.05, curves, 4, 4, 4500, 100.0))
    for words in ("a@1", "900 of each", "5.00%", "10.00%   30.00%", "15.00%   35.00%", "40.00%   fog, at 1"):
        assert words in text


def test_main_json_is_all_figures_and_nothing_else(capsys, folders, seed, uci):
    script.main([*FORTY, "--json", "--cost", "--strengths", "1", *options(folders)])
    figures = json.loads(capsys.readouterr().out)
    assert (figures["dataset"], figures["n"], figures["n_total"], figures["done"]) == ("uci", 40, 40, True)
    assert figures["checkpoint"].startswith("seed@")
    assert sum(map(sum, figures["confusion"])) == 40
    assert figures["error"] == pytest.approx(1 - figures["accuracy"])
    low, high = figures["error_interval"]
    assert low < figures["error"] < high
    (robustness,) = figures["robustness"]
    assert tuple(curve["kind"] for curve in robustness["curves"]) == KINDS and robustness["n"] == 1000
    assert (figures["n_parameters"], figures["n_multiply_adds"]) == (28_938, 2_838_080)
    assert figures["seconds"] > 0
    assert figures["digits"]["others"]["n"] == 60
    # Half the labels were planted wrong; most of the others are read right.
    assert 0.5 <= figures["digits"]["others"]["error"] < 0.75
    # The third "sketch" is a 1 that calls itself a 4.
    assert figures["sketches"] == {"n": 3, "error": pytest.approx(1 / 3, abs=1e-6)}
    is_digit = seed.classify(uci.images[:40]).is_digit
    cross = normalize_digit(255 - draw_single(load_strokes(folders / "strokes" / "letters_strokes.json")[0].strokes))
    is_cross = seed.classify(cross[None]).is_digit
    expected = measure_auroc(np.concatenate([is_digit, is_cross]), np.arange(41) < 40)
    assert figures["letters"] == {"n": 1, "auroc": pytest.approx(expected, abs=1e-6)}
    assert figures["not_digits"]["noise"]["n"] == 30 and 0 <= figures["not_digits"]["noise"]["auroc"] <= 1


def without_times(value):
    """The JSON without times and dates, at any depth."""
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if k not in ("measured", "images_per_second")}
    return [without_times(each) for each in value] if isinstance(value, list) else value


@pytest.fixture
def zipped(tmp_path) -> Path:
    path = tmp_path / "mine.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for digit in (1, 2, 7):
            archive.writestr(f"{digit}/a.png", encode(draw_number(str(digit), (120, 120), pen=9)))
        archive.writestr("7/notes.txt", "no picture")
    return path


@pytest.mark.parametrize("against", [[], ["--against", "digitnet"]])
@pytest.mark.parametrize(("strengths", "suite_only"), [((), False), ((0.5, 1.0), False), ((1.0,), True)])
@pytest.mark.parametrize("pictures", [False, True])
def test_main_json_is_what_the_app_exports(capsys, uci, zipped, against, strengths, suite_only, pictures):
    """The tab's and the endpoint's way: shared runs, then the one export."""
    dataset = load_labeled_pictures(zipped).dataset if pictures else uci
    classifiers = [DigitClassifier(load_pretrained(name), "cpu") for name in ("seed", *against[1:])]
    *_, snapshot = follow_measurement(dataset, classifiers)
    robustness = ()
    if strengths:
        *_, robustness = follow_robustness(dataset, classifiers, strengths, limit=30)
    reports, comparison = ((), None) if suite_only else (snapshot.reports, snapshot.comparison)
    exported = export_report(reports, comparison, robustness, measured=datetime.now(UTC))
    named = ["--pictures", str(zipped)] if pictures else ["--dataset", "uci"]
    asked = ["--strengths", *map(str, strengths), "--suite-limit", "30"] if strengths else []
    asked += ["--suite-only"] if suite_only else []
    script.main(["seed", "--device", "cpu", "--json", *named, *against, *asked])
    printed = json.loads(capsys.readouterr().out)
    assert list(printed) == list(exported)
    assert without_times(printed) == without_times(json.loads(json.dumps(exported)))
    assert datetime.fromisoformat(printed["measured"]).tzinfo is not None


def test_main_suite_only_needs_strengths(capsys):
    with pytest.raises(SystemExit):
        script.main([*FORTY, "--suite-only"])
    assert "--suite-only needs --strengths" in capsys.readouterr().err


def test_main_says_which_pictures_were_left_out(capsys, zipped):
    script.main(["seed", "--device", "cpu", "--pictures", str(zipped)])
    text, errors = capsys.readouterr()
    assert " on mine: " in text and "1 of 4 files were left out: 7/notes.txt" in errors


def test_main_json_leaves_out_what_was_not_asked_for(capsys):
    script.main([*FORTY, "--json"])
    figures = json.loads(capsys.readouterr().out)
    unasked = {"robustness", "against", "comparison", "digits", "not_digits", "sketches", "letters", "n_parameters"}
    assert not unasked & set(figures)


def test_main_prints_the_tables(capsys, folders):
    script.main([*FORTY, "--against", "digitnet", "--cost", "--strengths", "0.5", "1", *options(folders)])
    text = capsys.readouterr().out
    for words in (" on uci: ", "parameters", "edges only", "mean", "worst", "others", "sketches", "noise", "letters"):
        assert words in text
    assert "against seed@" in text and "McNemar" in text


def test_look_alikes_are_as_the_docstring_says():
    assert sorted(LOOK_ALIKES) == sorted("O o I l i Z z S s B b g q D".split())


def plant_archive(**arrays):
    return lambda folder: np.savez(folder / "a.npz", **arrays)


IMAGES = np.zeros((3, 28, 28), np.uint8)


@pytest.mark.parametrize(
    ("option", "plant", "words"),
    [
        ("digits", lambda folder: folder.rmdir(), "There is no folder"),
        ("digits", lambda folder: None, "no .npz file"),
        ("digits", lambda folder: (folder / "a.npz").write_text("no archive"), "a.npz is no .npz file"),
        ("digits", plant_archive(images=IMAGES), "a.npz is no .npz file with images and labels"),
        ("digits", plant_archive(images=IMAGES, labels=np.array([1, 2])), "a.npz is not labelled digits"),
        ("digits", plant_archive(images=IMAGES, labels=np.array([1, 2, 10])), "a.npz is not labelled digits"),
        ("digits", plant_archive(images=IMAGES[:0], labels=np.zeros(0, int)), "a.npz holds no image"),
        ("digits", plant_archive(images=IMAGES, labels=np.array(["a", "b", "c"])), "a.npz is not labelled digits"),
        ("not_digits", plant_archive(images=IMAGES.astype(float)), r"expected \(N, 28, 28\) uint8"),
        ("not_digits", plant_archive(pictures=IMAGES), "a.npz is no .npz file with images"),
        ("strokes", lambda folder: None, "digits_strokes.json"),
    ],
)
def test_load_other_sets_refuses_with_a_sentence(tmp_path, option, plant, words):
    folder = tmp_path / option
    folder.mkdir()
    plant(folder)
    with pytest.raises(DatasetError, match=words):
        load_other_sets(**({"digits": None, "not_digits": None, "strokes": None} | {option: folder}))


def test_load_other_sets_wants_a_letter_that_is_unlike_a_digit(folders):
    (folders / "strokes" / "letters_strokes.json").write_text(json.dumps([{"label": "O", "strokes": ZERO}]))
    with pytest.raises(DatasetError, match="no letter"):
        load_other_sets(None, None, folders / "strokes")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["seed", "--dataset", "uci", "--limit", "-1"], "limit must be"),
        (["no-such"], "no checkpoint"),
        ([*FORTY, "--against", "no-such"], "no checkpoint"),
        ([*FORTY, "--strengths", "2"], "strength must be a number from 0"),
        ([*FORTY, "--strengths", "1", "--suite-limit", "-3"], "limit must be"),
        (["seed", "--pictures", "no-such.zip"], "no-such.zip is no zip file that can be read"),
        ([*FORTY, "--digits", "no-such"], "no folder no-such"),
        ([*FORTY, "--strokes", "no-such"], "digits_strokes.json"),
    ],
)
def test_main_refuses_with_a_sentence(argv, words):
    with pytest.raises(SystemExit, match=words):
        script.main(argv)
