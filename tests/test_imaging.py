import io

import numpy as np
import pytest
from PIL import Image

from digitcore.errors import DigitcoreError, ImageError
from digitcore.imaging import MAX_PIXELS, load_image


def _scene() -> Image.Image:
    """48×32: red top left, green top right, blue bottom left, white bottom right."""
    image = Image.new("RGB", (48, 32), "white")
    image.paste((255, 0, 0), (0, 0, 24, 16))
    image.paste((0, 255, 0), (24, 0, 48, 16))
    image.paste((0, 0, 255), (0, 16, 24, 32))
    return image


def _encoded(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "WEBP", "JPEG", "HEIF", "GIF"])
def test_load_image_reads_every_format(format):
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95, "subsampling": 0}}.get(format, {})
    rgb = load_image(_encoded(_scene(), format, **options))
    assert rgb.shape == (32, 48, 3) and rgb.dtype == np.uint8
    assert np.abs(rgb[8, 12].astype(int) - (255, 0, 0)).max() < 30
    assert np.abs(rgb[24, 12].astype(int) - (0, 0, 255)).max() < 30


@pytest.mark.parametrize("orientation", range(1, 9))
def test_load_image_turns_upright_by_exif(orientation):
    # The inverse of each orientation, so that the upright picture is the scene again.
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = _scene().transpose(undo[orientation]) if orientation in undo else _scene()
    exif = Image.Exif()
    exif[0x0112] = orientation
    rgb = load_image(_encoded(stored, "PNG", exif=exif))
    assert np.array_equal(rgb, np.asarray(_scene()))


def test_load_image_accepts_path_pillow_and_arrays(tmp_path):
    scene = np.asarray(_scene())
    path = tmp_path / "scene.png"
    path.write_bytes(_encoded(_scene(), "PNG"))
    for picture in (path, str(path), _scene(), scene):
        assert np.array_equal(load_image(picture), scene)
    grey = scene[:, :, 0]
    assert np.array_equal(load_image(grey), np.dstack([grey] * 3))


def test_load_image_lays_transparency_on_white():
    image = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (5, 5, 10, 10))
    rgb = load_image(_encoded(image, "PNG"))
    assert tuple(rgb[0, 0]) == (255, 255, 255) and tuple(rgb[7, 7]) == (0, 0, 0)


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "LA"])
def test_load_image_converts_modes(mode):
    image = Image.new("L", (20, 20), 255)
    image.paste(0, (5, 5, 10, 10))
    rgb = load_image(image.convert(mode))
    assert rgb.shape == (20, 20, 3)
    assert rgb[7, 7].max() < 10 and rgb[0, 0].min() > 245


def test_load_image_scales_sixteen_bit_grey():
    ramp = np.linspace(0, 65535, 20 * 20).astype(np.uint16).reshape(20, 20)
    rgb = load_image(_encoded(Image.fromarray(ramp), "PNG"))
    assert np.abs(rgb[:, :, 0].astype(float) - ramp / 257).max() <= 1


@pytest.mark.parametrize(
    ("mode", "levels", "expected"),
    [
        ("F", (0.0, 0.5, 1.0), (0, 128, 255)),
        ("F", (0.0, 100.0, 255.0), (0, 100, 255)),
        ("I", (0, 100, 200), (0, 100, 200)),
        ("I", (0, 25700, 65535), (0, 100, 255)),
        ("I", (-5, 50_000, 100_000), (0, 128, 255)),
    ],
)
def test_load_image_scales_deep_greys_by_custom(mode, levels, expected):
    columns = np.repeat(np.array(levels, np.float32 if mode == "F" else np.int32), 5)
    image = Image.fromarray(np.tile(columns, (10, 1)))
    assert image.mode == mode
    assert load_image(image)[0, [0, 5, 10], 0].tolist() == pytest.approx(expected, abs=1)


def test_load_image_takes_the_first_frame_of_an_animation():
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    rgb = load_image(_encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert rgb.shape == (16, 16, 3) and rgb[0, 0, 0] > 200


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (b"", "empty"),
        (b"hello, I am text", "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", "not a picture"),
        (_encoded(_scene(), "PNG")[:60], "damaged"),
        (_encoded(_scene(), "JPEG")[:400], "damaged"),
        (_encoded(Image.new("RGB", (1, 1)), "PNG"), "1×1"),
        (np.zeros((0, 5), np.uint8), "small"),
        (np.zeros((20, 20, 4), np.uint8), "shape"),
        (np.zeros((20, 20), np.float32), "float32"),
        (12, "int"),
        ("no/such/file.png", "file.png"),
    ],
)
def test_load_image_refuses_with_a_sentence(picture, words):
    with pytest.raises(ImageError, match=words) as raised:
        load_image(picture)
    assert str(raised.value).endswith(".") and isinstance(raised.value, DigitcoreError | ValueError)


def test_load_image_checks_the_header_before_decoding():
    # All black: a small file with more pixels than are decoded.
    side = int(MAX_PIXELS**0.5) + 100
    bomb = _encoded(Image.new("1", (side, side)), "PNG")
    assert len(bomb) < 100_000
    with pytest.raises(ImageError, match="megapixels"):
        load_image(bomb)
