import base64
import io

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from digitcore.preprocessing import normalize_digit
from digitcore.ui.pad import (
    LAID_SCALE,
    MAX_DATA_URL_CHARS,
    MAX_HEIGHT_PX,
    MAX_WIDTH_PX,
    PAD_HEIGHT_PX,
    PAD_WIDTH_PX,
    PNG_PREFIX,
    SketchPad,
    decode_drawing,
    lay_on_pad,
)
from tests.conftest import make_bomb
from tests.drawn import draw_number, encode


def data_url(file: bytes, prefix: str = PNG_PREFIX) -> str:
    return prefix + base64.b64encode(file).decode()


PNG = encode(draw_number("17"))


def blank(width: int, height: int) -> bytes:
    return encode(np.full((height, width, 3), 255, np.uint8))


def test_decode_drawing_gives_the_files_bytes():
    assert decode_drawing(data_url(PNG)) == PNG


@pytest.mark.parametrize("size", [(1, 1), (MAX_WIDTH_PX, MAX_HEIGHT_PX)])
def test_decode_drawing_takes_sizes_up_to_the_limit(size):
    assert decode_drawing(data_url(blank(*size)))


@pytest.mark.parametrize(
    "payload",
    [
        5,
        {"path": "/etc/passwd"},
        ["x"],
        "hello",
        "/etc/passwd",
        PNG_PREFIX,
        PNG_PREFIX + "not base64!",
        data_url(b"short"),
        data_url(b"x" * 100),
        data_url(PNG, "data:image/svg+xml;base64,"),
        data_url(encode(draw_number("1"), "JPEG")),
        data_url(encode(draw_number("1"), "GIF")),
        data_url(make_bomb()),
        data_url(blank(MAX_WIDTH_PX + 1, 10)),
        data_url(blank(10, MAX_HEIGHT_PX + 1)),
        data_url(PNG[:16] + b"\0" * 8 + PNG[24:]),
        PNG_PREFIX + "A" * MAX_DATA_URL_CHARS,
    ],
    ids=lambda payload: str(payload)[:40],
)
def test_decode_drawing_refuses_anything_else_in_a_sentence(payload):
    with pytest.raises(gr.Error, match="Clear the pad and draw again") as caught:
        decode_drawing(payload)
    assert not caught.value.print_exception


def on_paper(url: str) -> np.ndarray:
    """What the pad sends of a laid picture: black on white."""
    picture = Image.open(io.BytesIO(decode_drawing(url))).convert("RGBA")
    paper = Image.new("RGBA", picture.size, "white")
    return np.asarray(Image.alpha_composite(paper, picture).convert("L"))


def test_lay_on_pad_gives_back_the_pixels():
    image = np.random.default_rng(0).integers(0, 256, (28, 28)).astype(np.uint8)
    paper = on_paper(lay_on_pad(image))
    assert paper.shape == (PAD_HEIGHT_PX, PAD_WIDTH_PX)
    top, left = (PAD_HEIGHT_PX - 28 * LAID_SCALE) // 2, (PAD_WIDTH_PX - 28 * LAID_SCALE) // 2
    assert np.array_equal(255 - paper[top::LAID_SCALE, left::LAID_SCALE][:28, :28], image)
    assert (paper[:top] == 255).all() and (paper[:, :left] == 255).all()


def test_lay_on_pad_is_brought_back_to_the_same_image():
    image = normalize_digit(255 - draw_number("7").min(axis=2))
    again = normalize_digit(255 - on_paper(lay_on_pad(image)))
    assert np.abs(again.astype(int) - image).mean() < 1


def test_lay_on_pad_without_ink_is_empty_paper():
    assert (on_paper(lay_on_pad(np.zeros((28, 28), np.uint8))) == 255).all()


@pytest.mark.parametrize("payload", [None, ""])
def test_preprocess_of_an_empty_pad_is_none(payload):
    assert SketchPad(render=False).preprocess(payload) is None


def test_template_is_static():
    # A template with a placeholder would be rendered anew, canvas and all, each time the value changes.
    pad = SketchPad(render=False)
    assert not any(mark in pad.html_template for mark in ("{{", "${", "`"))
