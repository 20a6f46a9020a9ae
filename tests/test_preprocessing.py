import cv2
import numpy as np
import pytest

from digitcore.data import load_mnist
from digitcore.errors import ImageError
from digitcore.preprocessing import BOX_PX, CENTER_PX, normalize_digit, normalize_digits


@pytest.fixture(scope="module")
def mnist_test():
    return load_mnist("test")


def _stroke(height: int, width: int, thickness: int) -> np.ndarray:
    """A slanted seven with a margin."""
    ink = np.zeros((height + 40, width + 60), np.uint8)
    points = np.array([[30, 20], [30 + width - 1, 20], [30 + width // 3, 20 + height - 1]], np.int32)
    cv2.polylines(ink, [points.reshape(-1, 1, 2)], False, 255, thickness, cv2.LINE_AA)
    return ink


def _center_of_mass(image: np.ndarray) -> tuple[float, float]:
    rows, columns = np.mgrid[:28, :28]
    mass = image.sum(dtype=float)
    return float((image * rows).sum() / mass), float((image * columns).sum() / mass)


@pytest.mark.parametrize(("height", "width"), [(200, 120), (60, 150), (12, 9), (400, 8), (5, 300)])
def test_normalize_digit_fits_box_and_centers(height, width):
    image = normalize_digit(_stroke(height, width, max(3, min(height, width) // 8)))
    assert image.shape == (28, 28) and image.dtype == np.uint8 and image.max() == 255
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == BOX_PX
    # Whole pixels: the mass is within half a pixel of the middle (plus rounding of the grey values) …
    row, column = _center_of_mass(image)
    # … unless the digit would leave the field.
    if rows[0] > 0 and rows[-1] < 27:
        assert abs(row - CENTER_PX) <= 0.51
    if columns[0] > 0 and columns[-1] < 27:
        assert abs(column - CENTER_PX) <= 0.51


def test_normalize_digit_keeps_the_aspect():
    image = normalize_digit(np.full((100, 50), 255, np.uint8))
    assert np.flatnonzero(image.any(axis=1)).size == 20
    assert np.flatnonzero(image.any(axis=0)).size == 10


def test_normalize_digit_is_anti_aliased():
    image = normalize_digit(_stroke(210, 130, 18))
    assert len(np.unique(image)) > 20


def test_normalize_digit_ignores_margin_and_strength():
    ink = _stroke(200, 120, 16)
    padded = np.pad(ink, ((13, 47), (88, 5)))
    assert np.array_equal(normalize_digit(ink), normalize_digit(padded))
    faint = (ink * 0.5).astype(np.uint8)
    assert np.abs(normalize_digit(faint).astype(int) - normalize_digit(ink)).max() <= 4


@pytest.mark.parametrize("ink", [np.zeros((30, 20), np.uint8), np.zeros((1, 1), np.uint8)])
def test_normalize_digit_blank(ink):
    assert not normalize_digit(ink).any()


@pytest.mark.parametrize("ink", [np.zeros((0, 5), np.uint8), np.zeros((5, 5)), np.zeros((5, 5, 3), np.uint8)])
def test_normalize_digit_refuses(ink):
    with pytest.raises(ImageError, match="2-D uint8"):
        normalize_digit(ink)


def test_normalize_digits_stacks():
    inks = [_stroke(100, 60, 9), _stroke(30, 30, 5)]
    images = normalize_digits(inks)
    assert images.shape == (2, 28, 28)
    assert np.array_equal(images[1], normalize_digit(inks[1]))
    assert normalize_digits([]).shape == (0, 28, 28)


@pytest.mark.mnist
def test_normalize_digit_reproduces_mnist_itself(mnist_test):
    """Serving and training agree: MNIST's own images, which LeCun made by this recipe, come out (nearly) unchanged."""
    images = mnist_test.images[:1000]
    again = normalize_digits(list(images))
    # Not all to the bit: MNIST rounded its centre of mass before the grey values were.
    assert np.mean([np.array_equal(a, b) for a, b in zip(images, again, strict=True)]) > 0.6
    assert np.abs(images.astype(int) - again).mean() < 0.3


@pytest.mark.mnist
def test_normalize_digit_undoes_enlarging(mnist_test):
    """An MNIST digit of eight times the size, each pixel a block, comes back as from its own size."""
    for image in mnist_test.images[:100]:
        large = cv2.resize(image, None, fx=8, fy=8, interpolation=cv2.INTER_NEAREST)
        assert np.abs(normalize_digit(np.pad(large, 37)).astype(int) - normalize_digit(image)).max() <= 1
