import os

import gradio as gr
import pytest
from gradio.data_classes import FileData, ImageData

from digitcore.errors import ImageError
from digitcore.ui.guards import (
    MAX_PHOTOS,
    NO_PICTURE,
    NOT_UPLOADED,
    UNEXPECTED,
    PhotoInput,
    errors_as_sentences,
    find_upload,
    find_uploads,
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An upload folder with one upload, beside a file that is none."""
    uploads = tmp_path / "uploads"
    (uploads / "abc").mkdir(parents=True)
    (uploads / "abc" / "photo.jpg").write_bytes(b"x")
    (tmp_path / "secret.jpg").write_bytes(b"x")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(uploads))
    return uploads


def test_find_upload_takes_a_file_in_the_upload_folder(folder):
    path = folder / "abc" / "photo.jpg"
    for file in ({"path": str(path)}, FileData(path=str(path)), ImageData(path=str(path))):
        assert find_upload(file) == path


@pytest.mark.parametrize("file", [None, ""])
def test_find_upload_without_a_picture_asks_for_one(folder, file):
    with pytest.raises(gr.Error) as caught:
        find_upload(file)
    assert caught.value.message == NO_PICTURE


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "file:///etc/passwd",
        "{uploads}/../secret.jpg",
        "{uploads}/abc/../../secret.jpg",
        "{uploads}-other/photo.jpg",
        "{uploads}/link.jpg",
        "{uploads}/missing.jpg",
        "{uploads}/abc",
        "{uploads}",
        "{uploads}/abc/photo.jpg\0.png",
        "photo.jpg",
        "",
        None,
        7,
        ["{uploads}/abc/photo.jpg"],
    ],
)
def test_find_upload_refuses_every_other_path(folder, path):
    os.symlink(folder.parent / "secret.jpg", folder / "link.jpg")
    named = path.replace("{uploads}", str(folder)) if isinstance(path, str) else path
    with pytest.raises(gr.Error) as caught:
        find_upload({"path": named})
    assert caught.value.message == NOT_UPLOADED
    assert str(folder) not in caught.value.message


@pytest.mark.parametrize("file", ["/etc/passwd", 5, [], {}, {"url": "data:image/png;base64,AAAA"}])
def test_find_upload_refuses_what_is_no_file_at_all(folder, file):
    with pytest.raises(gr.Error, match="was not uploaded"):
        find_upload(file)


@pytest.mark.parametrize("files", [None, [], "x", {"path": "x"}, 3])
def test_find_uploads_wants_a_list(folder, files):
    with pytest.raises(gr.Error, match="a list of uploaded pictures"):
        find_uploads(files)


def test_find_uploads_is_limited_in_count(folder):
    file = {"path": str(folder / "abc" / "photo.jpg")}
    assert len(find_uploads([file] * MAX_PHOTOS)) == MAX_PHOTOS
    with pytest.raises(gr.Error, match=f"at most {MAX_PHOTOS}"):
        find_uploads([file] * (MAX_PHOTOS + 1))


def test_photo_input_hands_over_an_upload_unopened(folder):
    photo = PhotoInput(render=False)
    path = str(folder / "abc" / "photo.jpg")
    assert photo.preprocess(ImageData(path=path)) == path
    assert photo.preprocess(None) is None
    with pytest.raises(gr.Error, match="was not uploaded"):
        photo.preprocess(ImageData(path="/etc/passwd"))
    with pytest.raises(gr.Error, match="was not uploaded"):
        photo.preprocess(ImageData(url="data:image/png;base64,AAAA"))


def test_errors_as_sentences_passes_our_errors_on():
    with pytest.raises(gr.Error) as caught, errors_as_sentences("Picture 3: "):
        raise ImageError("It is empty.")
    assert caught.value.message == "Picture 3: It is empty."
    assert not caught.value.print_exception


def test_errors_as_sentences_lets_gradios_own_through():
    quota = gr.Error("You have exceeded your free ZeroGPU quota.", title="ZeroGPU quota exceeded")
    with pytest.raises(gr.Error) as caught, errors_as_sentences("Picture 3: ", "A fault."):
        raise quota
    assert caught.value is quota


def test_errors_as_sentences_says_what_it_is_told_to_of_a_fault():
    with pytest.raises(gr.Error) as caught, errors_as_sentences(unexpected="The evaluation failed."):
        raise RuntimeError("/secret/path")
    assert caught.value.message == "The evaluation failed."


def test_errors_as_sentences_hides_the_details_of_a_fault():
    with pytest.raises(gr.Error) as caught, errors_as_sentences():
        raise RuntimeError("/secret/path")
    assert caught.value.message == UNEXPECTED
