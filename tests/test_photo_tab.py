import numpy as np
import pytest

from digitcore.ui.photo_tab import _read_photo
from tests.conftest import PAGE_LINES

# The outputs in order: the input's preview, the headline, the annotated picture, the details.
SKIPPED = {"__type__": "update"}


def test_read_photo_shows_text_picture_and_table(reader, pictures):
    preview, headline, annotated, details = _read_photo(reader, str(pictures / "photo.jpg"))
    assert preview == SKIPPED
    assert f'data-copy="{PAGE_LINES[0]}\n{PAGE_LINES[1]}"' in headline
    assert annotated["visible"] and annotated["value"].shape == (900, 1200, 3)
    assert details["visible"] and details["value"].count("<tr>") == 9
    assert details["value"].count('class="dc-seen"') == 8


def test_read_photo_shows_a_heic_as_a_picture_that_browsers_know(reader, pictures):
    preview, headline, _, _ = _read_photo(reader, str(pictures / "photo.heic"))
    assert isinstance(preview, np.ndarray) and preview.shape == (900, 1200, 3)
    assert f'data-copy="{PAGE_LINES[0]}\n{PAGE_LINES[1]}"' in headline


@pytest.mark.parametrize("name", ["truncated.jpg", "empty.png", "text.png", "drawing.svg", "tiny.png", "huge.png"])
def test_read_photo_of_a_bad_file_is_a_sentence_and_an_empty_input(reader, pictures, name):
    preview, headline, annotated, details = _read_photo(reader, str(pictures / name))
    assert preview is None
    assert 'role="alert"' in headline
    assert annotated["visible"] is details["visible"] is False


def test_read_photo_without_digits_says_so(reader, tmp_path):
    from tests.drawn import encode

    path = tmp_path / "paper.png"
    path.write_bytes(encode(np.full((600, 800, 3), 230, np.uint8)))
    _, headline, annotated, _ = _read_photo(reader, str(path))
    assert "No digit found in this photo" in headline
    assert annotated["visible"]


def test_read_photo_after_the_input_was_emptied_asks_for_one(reader):
    preview, headline, annotated, details = _read_photo(reader, None)
    assert preview == SKIPPED
    assert "Add a photo" in headline
    assert annotated["visible"] is details["visible"] is False
