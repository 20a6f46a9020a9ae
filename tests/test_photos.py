"""The photo benchmark: its figures against counts made by hand, and a whole run on pictures drawn here."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import photos
from benchmarks.photo_causes import Causes, intersection_over_union
from benchmarks.photo_figures import edit_distance, find_mistakes, measure_photos
from benchmarks.photo_labels import PhotoLabel, PhotoText, load_labels
from benchmarks.photo_pictures import FALSE_COLOR, MISREAD_COLOR, MISSED_COLOR, RIGHT_COLOR, draw_mistakes
from benchmarks.photo_runs import PhotoRun, run_apart, run_pipeline, write_large_picture
from benchmarks.pipelines import PIPELINE_NAMES, PipelineMissingError, load_pipeline
from benchmarks.pipelines.article_pipeline import find_digits
from digitcore.imaging import load_image
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
    assert (figures.exact, figures.exact_images) == (0.25, "1/4")
    assert (figures.images, figures.digits, figures.clean_negatives) == (7, 12, "1/2")
    # The 8s are missed; the 1 after the 7 and the 9 are false; the scattered 2 is a 4; 6 and 5 changed places.
    assert (figures.missed, figures.false_digits, figures.misread, figures.misordered) == (2, 2, 1, 1)
    assert (figures.median_seconds, figures.p95_seconds) == (0.4, 0.6)
    assert figures.box_recall is None and figures.box_precision is None


def test_measure_photos_p95_is_the_nearest_rank():
    labels = [PhotoLabel(str(i), ()) for i in range(100)]
    figures = measure_photos(labels, {str(i): PhotoText((), seconds=(i + 1) / 100) for i in range(100)})
    assert (figures.median_seconds, figures.p95_seconds) == (0.51, 0.95)


A, B, C = Box(0, 0, 10, 20), Box(30, 0, 10, 20), Box(60, 0, 10, 20)


def test_measure_photos_boxes_by_hand():
    labels = [PhotoLabel("page", ("123",), True, ((A, "1"), (B, "2"), (C, "3"))), PhotoLabel("blank", ())]
    # The 3's box is a third of what it should be: enough to tell which it is, too little for a good box.
    read = ((A, "1"), (B, "7"), (Box(60, 0, 10, 7), "3"), (Box(200, 0, 10, 20), "9"))
    texts = {"page": PhotoText(("1739",), read), "blank": PhotoText(("5",), ((A, "5"),))}
    figures = measure_photos(labels, texts)
    assert (figures.box_recall, figures.box_precision) == (round(2 / 3, 4), 0.4)
    assert (figures.missed, figures.false_digits, figures.misread, figures.misordered) == (0, 2, 1, 0)


def test_find_mistakes_worst_first():
    labels = [PhotoLabel("right", ("12",)), PhotoLabel("bad", ("12",)), PhotoLabel("worse", ("123",))]
    texts = {"right": PhotoText(("12",)), "bad": PhotoText(("1",)), "worse": PhotoText(("4",))}
    mistakes = find_mistakes(labels, texts)
    assert [(m.file, m.want, m.got) for m in mistakes] == [("worse", "123", "4"), ("bad", "12", "1")]
    assert [m.causes for m in mistakes] == [Causes(missed=2, misread=1), Causes(missed=1)]


def test_measure_photos_of_nothing():
    figures = measure_photos([], {})
    assert (figures.images, figures.digit_f1, figures.cer, figures.exact) == (0, 0.0, 0.0, 0.0)
    assert figures.median_seconds is None and figures.p95_seconds is None


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


@pytest.fixture
def arguments(folder, monkeypatch):
    """Of a run with the fake pipeline, in this process."""
    monkeypatch.setattr(photos, "run_apart", lambda name, checkpoint, *paths: run_pipeline(fake_pipeline, *paths))
    return ["--folder", str(folder), "--labels", str(folder / "labels.json")]


def test_main_prints_tables_mistakes_and_json(folder, arguments, capsys):
    photos.main(
        [*arguments, "--pipeline", "digitcore", "--predictions", str(folder / "read.json"), "--worst", "3", "--large"]
    )
    printed = capsys.readouterr().out.splitlines()
    summary = json.loads(printed[-1])["pipelines"]["digitcore"]
    assert (summary["digit_f1"], summary["cer"], summary["exact_images"]) == (0.6667, 0.5, "0/1")
    assert (summary["clean_negatives"], summary["box_recall"], summary["box_precision"]) == ("1/1", 0.5, 1.0)
    assert (summary["missed"], summary["false_digits"], summary["misread"], summary["misordered"]) == (1, 0, 0, 0)
    assert summary["large_seconds"] >= 0 and summary["p95_seconds"] >= summary["median_seconds"] >= 0
    cells = dict(zip(printed[0].replace("clean neg.", "clean").split(), printed[1].split(), strict=False))
    assert (cells["pipeline"], cells["F1"], cells["exact"], cells["clean"]) == ("digitcore", "0.667", "0/1", "1/1")
    assert printed[-2] == "digitcore: one.png: want 17 got 1: 1 missed"
    written = json.loads((folder / "read.json").read_text())
    assert written["one.png"]["lines"] == ["1"] and written["one.png"]["digits"] == [[5, 5, 8, 20, 1]]
    assert written["two.png"]["lines"] == [] and written["two.png"]["seconds"] >= 0


def test_main_json_alone(arguments, capsys):
    photos.main([*arguments, "--pipeline", "digitcore", "--json"])
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 1 and json.loads(printed[0])["pipelines"]["digitcore"]["worst"] == []


def test_main_all_pipelines_write_a_file_each(folder, arguments, capsys):
    photos.main([*arguments, "--predictions", str(folder / "read.json"), "--pictures", str(folder / "worst")])
    assert sorted(path.stem for path in folder.glob("read*")) == sorted(f"read-{name}" for name in PIPELINE_NAMES)
    assert list(json.loads(capsys.readouterr().out.splitlines()[-1])["pipelines"]) == list(PIPELINE_NAMES)
    assert sorted(path.name for path in (folder / "worst").iterdir()) == sorted(
        f"{name}-01-one.jpg" for name in PIPELINE_NAMES
    )


def test_main_says_what_is_not_installed(folder, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(folder))
    photos.main(["--folder", str(folder), "--labels", str(folder / "labels.json"), "--pipeline", "tesseract"])
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("tesseract is not installed")
    assert json.loads(printed[-1])["pipelines"] == {}


def test_run_apart_reads_as_the_pipeline_does(folder):
    rgb = np.full((100, 200, 3), 240, np.uint8)
    rgb[20:80, 50:60] = 20
    Image.fromarray(rgb).save(folder / "bar.png")
    run = run_apart("article", None, [folder / "bar.png", folder / "two.png"])
    here = load_pipeline("article")(folder / "bar.png")
    assert (run.texts["bar.png"].lines, run.texts["bar.png"].boxes) == (here.lines, here.boxes)
    assert list(run.texts) == ["bar.png", "two.png"] and run.large_seconds is None
    assert run.peak_mb is None or 0 <= run.peak_mb < 500
    assert PhotoRun.from_dict(json.loads(json.dumps(run.to_dict()))) == run


def test_run_apart_failure_and_missing(folder, monkeypatch):
    with pytest.raises(RuntimeError, match="article pipeline failed"):
        run_apart("article", None, [folder / "nothing.png"])
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(PipelineMissingError, match="tesseract is not installed"):
        run_apart("tesseract", None, [])


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system has no /proc to tell memory")
@pytest.mark.parametrize("is_child", [False, True])
def test_run_pipeline_sees_the_peak(folder, is_child):
    def take_memory(path):
        if path.name == "two.png" and is_child:
            subprocess.run([sys.executable, "-c", "import time; b = b'1' * 150_000_000; time.sleep(0.3)"], check=True)
        elif path.name == "two.png":
            np.ones(150_000_000, np.uint8)
        return PhotoText(())

    run = run_pipeline(take_memory, [folder / "one.png", folder / "two.png"], folder / "one.png")
    # 150 MB and, of a child, its interpreter; nothing of it stays for the large picture.
    assert 140 <= run.peak_mb <= 200
    assert run.large_peak_mb < 50


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system has no /proc to tell memory")
def test_run_pipeline_leaves_out_children_of_others(folder):
    large = "import time; b = b'1' * 150_000_000; print('up', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", large], stdout=subprocess.PIPE) as stranger:
        assert stranger.stdout.readline() == b"up\n"
        run = run_pipeline(lambda _: time.sleep(0.2) or PhotoText(()), [folder / "one.png"])
        stranger.kill()
    assert run.peak_mb < 50


def test_write_large_picture(folder):
    write_large_picture(folder / "one.png", folder / "large.jpg")
    height, width = load_image(folder / "large.jpg").shape[:2]
    assert abs(height * width - 12e6) < 1e4 and abs(width / height - 1.5) < 1e-3


def test_draw_mistakes_colours_by_what_became_of_each():
    label = PhotoLabel("page", ("123",), True, ((A, "1"), (B, "2"), (C, "3")))
    text = PhotoText(("179",), ((A, "1"), (B, "7"), (Box(80, 0, 10, 20), "9")))
    drawn = draw_mistakes(np.full((50, 600, 3), 255, np.uint8), label, text)
    page = drawn[-50:]
    colors = [tuple(int(v) for v in page[19, x + 5]) for x in (0, 30, 80, 60)]
    assert colors == [RIGHT_COLOR, MISREAD_COLOR, FALSE_COLOR, MISSED_COLOR]
    assert drawn.shape[0] > 50 and drawn[:-50].min() < 100


def test_load_labels_missing_picture(folder):
    (folder / "two.png").unlink()
    with pytest.raises(SystemExit, match="two.png"):
        load_labels(folder / "labels.json", folder)
