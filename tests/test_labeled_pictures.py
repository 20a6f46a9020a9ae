import io
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from digitcore import labeled_pictures
from digitcore.classifier import DigitClassifier
from digitcore.data import load_mnist
from digitcore.errors import DatasetError
from digitcore.evaluation import measure_error
from digitcore.hub import load_pretrained
from digitcore.labeled_pictures import find_class, load_labeled_pictures, normalize_picture
from digitcore.preprocessing import normalize_digit
from tests.conftest import make_bomb
from tests.drawn import draw_number, encode

RGB = {digit: draw_number(str(digit), (120, 120), pen=8) for digit in (0, 1, 2, 3, 4, 7)}
INK = {digit: normalize_digit(255 - rgb[:, :, 0]) for digit, rgb in RGB.items()}


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


THREE = {"7/anna.png": encode(RGB[7]), "set/2/b.jpg": encode(RGB[2], "JPEG"), "1_first.png": encode(RGB[1])}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("7/anna.png", 7),
        ("digits/train/0/x/y.png", 0),
        ("3/7_anna.png", 3),
        ("5/3/a.png", 3),
        ("7_anna.png", 7),
        ("7.png", 7),
        ("7a.png", 7),
        ("2024/7-1.jpg", 7),
        ("7\\anna.png", 7),
        ("../../7/a.png", 7),
        ("12.png", None),
        ("2024/12.png", None),
        ("anna_7.png", None),
        ("seven/a.png", None),
        ("٧/a.png", None),
        ("", None),
    ],
)
def test_find_class(path, expected):
    assert find_class(path) == expected


@pytest.mark.parametrize(("write", "name"), [(write_zip, "mine.zip"), (write_folder, "mine")])
def test_load_labeled_pictures_by_folder_and_by_name(tmp_path, write, name):
    found = load_labeled_pictures(write(tmp_path / name, THREE))
    assert found.names == ("1_first.png", "7/anna.png", "set/2/b.jpg") and found.skipped == ()
    assert found.dataset.labels.tolist() == [1, 7, 2] and found.dataset.name == "mine"
    assert (found.dataset.images[0] == INK[1]).all() and (found.dataset.images[1] == INK[7]).all()
    assert np.abs(found.dataset.images[2].astype(int) - INK[2]).mean() < 3  # JPEG
    assert found.describe_skipped() == ""


def test_load_labeled_pictures_takes_another_name(tmp_path):
    assert load_labeled_pictures(write_zip(tmp_path / "x.zip", THREE), "Anna's").dataset.name == "Anna's"


def test_load_labeled_pictures_tells_how_far_it_is(tmp_path):
    steps = []
    load_labeled_pictures(
        write_zip(tmp_path / "x.zip", THREE), progress=lambda what, share: steps.append((what, share))
    )
    assert [what for what, _ in steps] == ["1_first.png", "7/anna.png", "set/2/b.jpg"]
    assert [share for _, share in steps] == pytest.approx([0, 1 / 3, 2 / 3])


@pytest.mark.parametrize(
    "change",
    [
        lambda rgb: rgb,
        lambda rgb: 255 - rgb,
        lambda rgb: (rgb // 2 + 60).astype(np.uint8),
        lambda rgb: np.stack([rgb[..., 0] // 3 + 150, rgb[..., 0], rgb[..., 0]], axis=2),
        lambda rgb: np.pad(rgb, ((30, 5), (2, 60), (0, 0)), constant_values=255),
    ],
    ids=["dark on light", "light on dark", "faint", "coloured", "wide margins"],
)
@pytest.mark.parametrize("digit", list(RGB))
def test_normalize_picture_whatever_ink_and_ground(digit, change):
    image = normalize_picture(change(RGB[digit]))
    assert image.shape == (28, 28) and image.dtype == np.uint8
    assert np.abs(image.astype(int) - INK[digit]).mean() < 3


@pytest.mark.parametrize("digit", [0, 2, 7])
@pytest.mark.parametrize("invert", [False, True])
def test_normalize_picture_under_uneven_light(digit, invert):
    """Paper that darkens to half from one side to the other, as a photo of a note has it."""
    rgb = 255 - RGB[digit] if invert else RGB[digit]
    light = np.linspace(1.0, 0.5, 120)[None, :, None]
    photo = np.clip((60 + 0.7 * rgb) * light, 0, 255).astype(np.uint8)
    image = normalize_picture(photo).astype(float)
    soft = [np.corrcoef(image.ravel(), INK[other].astype(float).ravel())[0, 1] for other in INK]
    assert list(INK)[int(np.argmax(soft))] == digit and max(soft) > 0.65


def test_normalize_picture_keeps_a_crop_that_touches_the_rim():
    rows, columns = np.flatnonzero((RGB[0] < 128).any((1, 2))), np.flatnonzero((RGB[0] < 128).any((0, 2)))
    tight = RGB[0][rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert np.corrcoef(normalize_picture(tight).ravel(), INK[0].ravel())[0, 1] > 0.9


def test_what_cannot_be_read_is_counted_and_named_and_not_fatal(tmp_path):
    files = THREE | {
        "7/notes.txt": b"no picture",
        "7/empty.png": b"",
        "7/cut.png": encode(RGB[7])[:200],
        "7/blank.png": encode(np.full((50, 50, 3), 255, np.uint8)),
        "7/tiny.png": encode(RGB[7][:4, :4]),
        "7/bomb.png": make_bomb(),
        "anna.png": encode(RGB[7]),
        "labels.csv": b"a,b",
    }
    found = load_labeled_pictures(write_zip(tmp_path / "x.zip", files))
    reasons = {each.name: each.reason for each in found.skipped}
    assert set(reasons) == set(files) - set(THREE) and len(found.dataset) == 3
    assert reasons["7/notes.txt"] == "This file is not a picture that can be read"
    assert reasons["7/empty.png"] == "The file is empty"
    assert reasons["7/blank.png"] == "it is blank"
    assert "too large" in reasons["7/bomb.png"] and "too small" in reasons["7/tiny.png"]
    assert reasons["anna.png"] == reasons["labels.csv"] == "neither its folder nor the start of its name is one digit"
    sentence = found.describe_skipped()
    assert sentence.startswith("8 of 11 files were left out: 7/blank.png (it is blank); 7/bomb.png (")
    assert sentence.endswith("; and 5 more.")


def test_what_file_managers_add_does_not_count(tmp_path):
    clutter = {"__MACOSX/7/._anna.png": b"x", "7/.DS_Store": b"x", "7/Thumbs.db": b"x", ".git/7.png": b"x"}
    found = load_labeled_pictures(write_zip(tmp_path / "x.zip", THREE | clutter))
    assert len(found.dataset) == 3 and found.skipped == ()


def test_a_folder_does_not_lead_out_of_itself(tmp_path):
    outside = write_folder(tmp_path / "outside", {"7/secret.png": encode(RGB[7])})
    folder = write_folder(tmp_path / "mine", THREE)
    os.symlink(outside / "7" / "secret.png", folder / "7" / "link.png")
    assert len(load_labeled_pictures(folder).dataset) == 3


def test_paths_of_a_zip_lead_nowhere(tmp_path):
    (tmp_path / "in").mkdir()
    names = ["../../7/up.png", "/7/root.png", "C:\\7\\drive.png"]
    found = load_labeled_pictures(write_zip(tmp_path / "in" / "x.zip", {name: encode(RGB[7]) for name in names}))
    assert found.dataset.labels.tolist() == [7, 7, 7]
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "x.zip"], "nothing was written"


def test_names_are_made_fit_to_be_shown(tmp_path):
    found = load_labeled_pictures(
        write_zip(tmp_path / "x.zip", {"7/a\x1b[31m\n.png": encode(RGB[7]), "7/" + "b" * 200: b"x"})
    )
    assert found.names == ("7/a?[31m?.png",)
    assert found.skipped[0].name == "…" + "b" * 80


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no zip file that can be read"),
        (b"this is no zip", "no zip file that can be read"),
        (encode(RGB[7]), "no zip file that can be read"),
        (b"PK\x05\x06" + bytes(18), "no labelled picture"),
    ],
    ids=["empty", "text", "picture", "empty zip"],
)
def test_what_is_no_zip_of_pictures_is_refused_with_what_is_right(tmp_path, content, words):
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(DatasetError, match=words) as caught:
        load_labeled_pictures(tmp_path / "x.zip")
    assert "7/anna.png" in str(caught.value) and str(tmp_path) not in str(caught.value)


def test_a_zip_cut_short_is_refused(tmp_path):
    path = write_zip(tmp_path / "x.zip", THREE)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DatasetError, match="no zip file that can be read"):
        load_labeled_pictures(path)


@pytest.mark.parametrize("path", ["missing.zip", "missing"])
def test_what_is_not_there_is_refused(tmp_path, path):
    with pytest.raises(DatasetError, match="no zip file that can be read"):
        load_labeled_pictures(tmp_path / path)


@pytest.mark.parametrize("write", [write_zip, write_folder])
def test_without_a_single_labelled_picture_it_says_what_was_wrong(tmp_path, write):
    path = write(tmp_path / "mine", {"anna.png": encode(RGB[7]), "bob.png": encode(RGB[2])})
    with pytest.raises(DatasetError, match="mine holds no labelled picture that can be read.*anna.png: neither its"):
        load_labeled_pictures(path)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="holds no labelled picture that can be read. Give a zip"):
        load_labeled_pictures(tmp_path)


def test_a_damaged_entry_is_left_out(tmp_path):
    path = write_zip(tmp_path / "x.zip", THREE | {"7/b.bmp": encode(RGB[7], "BMP")})
    content = bytearray(path.read_bytes())
    at = content.index(b"7/b.bmp") + 60
    content[at : at + 20] = bytes(20)
    path.write_bytes(content)
    found = load_labeled_pictures(path)
    assert [(each.name, each.reason) for each in found.skipped] == [("7/b.bmp", "it is damaged in the zip")]


def test_an_encrypted_entry_is_left_out(tmp_path):
    path = write_zip(tmp_path / "x.zip", THREE)
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.index(signature) + offset  # the first entry's flags
        content[at : at + 2] = struct.pack("<H", struct.unpack("<H", content[at : at + 2])[0] | 1)
    path.write_bytes(content)
    found = load_labeled_pictures(path)
    assert [(each.name, each.reason) for each in found.skipped] == [("7/anna.png", "it is encrypted")]


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(labeled_pictures, "MAX_PICTURES", 2)
    with pytest.raises(DatasetError, match="3 files are too many. Give at most 2 pictures"):
        load_labeled_pictures(write_zip(tmp_path / "x.zip", THREE))


def test_too_many_entries_are_refused_whatever_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(labeled_pictures, "MAX_ENTRIES", 10)
    with pytest.raises(DatasetError, match="11 entries are too many"):
        load_labeled_pictures(write_zip(tmp_path / "x.zip", {f"{i}/": b"" for i in range(11)}))


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "x.zip", {f"7/{i}.png": bytes(15 * 2**20) for i in range(40)})
    assert path.stat().st_size < 2**20
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("an entry was opened"))
    with pytest.raises(DatasetError, match="Unpacked, the files have 600 MB. Give at most 512 MB"):
        load_labeled_pictures(path)


def test_one_huge_entry_is_left_out_unopened(tmp_path):
    found = load_labeled_pictures(write_zip(tmp_path / "x.zip", THREE | {"7/huge.bmp": bytes(17 * 2**20)}))
    assert [(each.name, each.reason) for each in found.skipped] == [("7/huge.bmp", "it has more than 16 MB")]


def test_an_entry_with_a_lying_header_is_left_out(tmp_path):
    """It says that it is small, and is large: zipfile reads no further than the header says, and the sum is wrong."""
    path = write_zip(tmp_path / "x.zip", THREE | {"7/lie.png": bytes(2**20)})
    content = bytearray(path.read_bytes())
    for signature in (b"PK\x03\x04", b"PK\x01\x02"):
        at = 0
        while (at := content.find(signature, at)) >= 0:
            size_at = at + (22 if signature == b"PK\x03\x04" else 24)
            if struct.unpack("<I", content[size_at : size_at + 4])[0] == 2**20:
                content[size_at : size_at + 4] = struct.pack("<I", 1000)
            at += 4
    path.write_bytes(content)
    found = load_labeled_pictures(path)
    assert len(found.dataset) == 3 and [each.name for each in found.skipped] == ["7/lie.png"]


def test_too_many_pixels_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(labeled_pictures, "MAX_PIXELS", 3_000_000)
    file = io.BytesIO()
    Image.new("1", (1000, 1000), 1).save(file, "PNG")
    files = {f"7/{i}.png": file.getvalue() for i in range(5)}
    with pytest.raises(DatasetError, match="more than 3 megapixels together"):
        load_labeled_pictures(write_zip(tmp_path / "x.zip", files))


@pytest.mark.mnist
@pytest.mark.parametrize("invert", [False, True])
def test_mnist_as_a_zip_of_pictures_is_read_as_well_as_mnist(tmp_path, invert):
    test = load_mnist("test").part(0, 1000, "mnist")
    images = 255 - test.images if invert else test.images
    files = {
        f"{label}/{i:04}.png": encode(image) for i, (image, label) in enumerate(zip(images, test.labels, strict=True))
    }
    found = load_labeled_pictures(write_zip(tmp_path / "mnist.zip", files))
    assert len(found.dataset) == 1000 and sorted(found.dataset.labels) == sorted(test.labels)
    classifier = DigitClassifier(load_pretrained("digitnet"), "cpu")
    assert measure_error(classifier, found.dataset) == pytest.approx(measure_error(classifier, test), abs=0.003)
