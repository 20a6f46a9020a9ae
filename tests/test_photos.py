"""The photo benchmark: its figures against counts made by hand, and a whole run on pictures drawn here."""

import json

import numpy as np
import pytest
from PIL import Image

from benchmarks import photos
from benchmarks.photo_figures import (
    PhotoLabel,
    PhotoText,
    edit_distance,
    intersection_over_union,
    measure_photos,
)
from benchmarks.pipelines import PIPELINE_NAMES, load_pipeline
from benchmarks.pipelines.article_pipeline import find_digits
from digitcore.results import Box


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        ("", "", 0),
        ("", "123", 3),
        ("123", "", 3),
        ("123", "123", 0),
        ("1234", "124", 1),
        ("12", "21", 2),
        ("777", "1", 3),
    ],
)
def test_edit_distance(a, b, distance):
    assert edit_distance(a, b) == distance == edit_distance(b, a)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1.0),
        ((0, 0, 10, 10), (5, 0, 10, 10), 1 / 3),
        ((0, 0, 10, 10), (10, 0, 10, 10), 0.0),
        ((0, 0, 10, 10), (2, 2, 5, 2), 0.1),
    ],
)
def test_intersection_over_union(a, b, expected):
    assert intersection_over_union(Box(*a), Box(*b)) == pytest.approx(expected)


def test_measure_photos_counts_by_hand():
    labels = [
        PhotoLabel("right", ("12", "34")),
        PhotoLabel("swapped", ("56",)),
        PhotoLabel("one too many", ("7",)),
        PhotoLabel("not read", ("88",)),
        PhotoLabel("scattered", ("1", "2", "3"), has_order=False),
        PhotoLabel("empty, clean", ()),
        PhotoLabel("empty, not clean", ()),
    ]
    texts = {
        "right": PhotoText(("12", "34"), seconds=0.1),
        "swapped": PhotoText(("65",), seconds=0.2),
        "one too many": PhotoText(("71",), seconds=0.3),
        "scattered": PhotoText(("3", "14"), seconds=0.4),
        "empty, clean": PhotoText((), seconds=0.5),
        "empty, not clean": PhotoText(("9",), seconds=0.6),
    }
    figures = measure_photos(labels, texts)
    # True: 4 + 2 + 1 + 2 + 3 = 12. Read: 4 + 2 + 2 + 0 + 3 + 1 = 12. Hits: 4 + 2 + 1 + 0 + 2 = 9.
    assert figures.digit_f1 == round(2 * 9 / 24, 4)
    # Edits: 0 + 2 + 1 + 2, over the 9 digits of pictures with an order.
    assert figures.cer == round(5 / 9, 4)
    assert figures.exact == 0.25
    assert (figures.images, figures.digits, figures.clean_negatives, figures.misordered) == (7, 12, "1/2", 1)
    assert figures.median_seconds == 0.4
    assert figures.box_recall is None and figures.missed is None


def test_measure_photos_causes():
    a, b, c = Box(0, 0, 10, 20), Box(30, 0, 10, 20), Box(60, 0, 10, 20)
    labels = [PhotoLabel("page", ("123",), True, ((a, "1"), (b, "2"), (c, "3"))), PhotoLabel("blank", ())]
    read = (Box(1, 0, 10, 20), "1"), (b, "7"), (Box(200, 0, 10, 20), "9"), (a, "4")
    texts = {"page": PhotoText(("1794",), read), "blank": PhotoText(("5",), ((a, "5"),))}
    figures = measure_photos(labels, texts)
    # a is met by the box that fits it best, the 4; the 1 beside it is then one too many.
    assert (figures.missed, figures.misread, figures.false_digits) == (1, 2, 3)
    assert figures.box_recall == round(2 / 3, 4)


def test_measure_photos_of_nothing():
    figures = measure_photos([], {})
    assert (figures.images, figures.digit_f1, figures.cer, figures.exact) == (0, 0.0, 0.0, 0.0)
    assert figures.median_seconds is None


def test_photo_label_from_dict():
    item = {"file": "a.png", "text": ["1", "2"], "layout": "scattered", "kind": "photo", "boxes": [[1, 2, 3, 4, "1"]]}
    label = PhotoLabel.from_dict(item)
    assert label == PhotoLabel("a.png", ("1", "2"), False, ((Box(1, 2, 3, 4), "1"),))
    assert PhotoLabel.from_dict({**item, "kind": "negative"}).lines == ()


def test_load_pipeline_unknown():
    with pytest.raises(ValueError, match="must be one of digitcore, article, tesseract, rapidocr"):
        load_pipeline("easyocr")
    assert PIPELINE_NAMES[0] == "digitcore"


def test_article_pipeline_finds_dark_bars_from_left_to_right():
    rgb = np.full((100, 200, 3), 240, np.uint8)
    planted = [Box(20, 30, 12, 40), Box(120, 10, 20, 50), Box(70, 20, 14, 44)]
    for x, y, w, h in planted:
        rgb[y : y + h, x : x + w] = 20
    rgb[5:9, 5:9] = 20
    boxes, images = find_digits(rgb)
    assert [intersection_over_union(a, b) > 0.6 for a, b in zip(boxes, sorted(planted), strict=True)] == [True] * 3
    assert images.shape == (3, 28, 28) and images.min() >= 200


def test_article_pipeline_finds_nothing_on_an_even_page():
    boxes, images = find_digits(np.zeros((50, 50, 3), np.uint8))
    assert (len(boxes), images.shape) in {(0, (0, 28, 28)), (1, (1, 28, 28))}


@pytest.fixture
def folder(tmp_path):
    """Two pictures and their labels."""
    for name in ("one.png", "two.png"):
        Image.new("RGB", (60, 40), "white").save(tmp_path / name)
    labels = [
        {
            "file": "one.png",
            "text": ["17"],
            "layout": "row",
            "kind": "photo",
            "boxes": [[5, 5, 8, 20, "1"], [20, 5, 8, 20, "7"]],
        },
        {"file": "two.png", "text": [], "layout": "scattered", "kind": "negative"},
    ]
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    return tmp_path


def fake_pipeline(path):
    """Reads "1" at its place in one.png and nothing in two.png."""
    if path.name == "two.png":
        return PhotoText((), ())
    return PhotoText(("1",), ((Box(5, 5, 8, 20), "1"),))


def test_main_prints_table_and_json_and_writes_predictions(folder, capsys, monkeypatch):
    monkeypatch.setattr(photos, "load_pipeline", lambda name, checkpoint: fake_pipeline)
    arguments = ["--folder", str(folder), "--labels", str(folder / "labels.json")]
    photos.main([*arguments, "--predictions", str(folder / "read.json"), "--list"])
    printed = capsys.readouterr().out.splitlines()
    summary = json.loads(printed[-1])["pipelines"]["digitcore"]
    assert printed[0].startswith("digitcore: one.png")
    assert (summary["digit_f1"], summary["cer"], summary["exact"]) == (0.6667, 0.5, 0.0)
    assert (summary["clean_negatives"], summary["box_recall"], summary["missed"]) == ("1/1", 0.5, 1)
    written = json.loads((folder / "read.json").read_text())
    assert written["one.png"]["lines"] == ["1"] and written["one.png"]["digits"] == [[5, 5, 8, 20, 1]]
    assert written["two.png"]["lines"] == [] and written["two.png"]["seconds"] >= 0


def test_main_several_pipelines_write_a_file_each(folder, capsys, monkeypatch):
    monkeypatch.setattr(photos, "load_pipeline", lambda name, checkpoint: fake_pipeline)
    arguments = ["--folder", str(folder), "--labels", str(folder / "labels.json"), "--pipeline", "digitcore"]
    photos.main([*arguments, "--pipeline", "article", "--predictions", str(folder / "read.json")])
    assert sorted(path.name for path in folder.glob("read*")) == ["read-article.json", "read-digitcore.json"]
    assert list(json.loads(capsys.readouterr().out.splitlines()[-1])["pipelines"]) == ["digitcore", "article"]


def test_main_says_what_is_not_installed(folder, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(folder))
    photos.main(["--folder", str(folder), "--labels", str(folder / "labels.json"), "--pipeline", "tesseract"])
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("tesseract is not installed")
    assert json.loads(printed[-1])["pipelines"] == {}


def test_load_labels_missing_picture(folder):
    (folder / "two.png").unlink()
    with pytest.raises(SystemExit, match="two.png"):
        photos.load_labels(folder / "labels.json", folder)
