import inspect

import cv2
import numpy as np
import pytest
from PIL import Image

import digitcore
from digitcore.classifier import Classification
from digitcore.errors import CheckpointError, ImageError
from digitcore.preprocessing import normalize_digits
from digitcore.reader import MIN_SKETCH_CONFIDENCE, DigitReader
from digitcore.results import Reason


class _CountingClassifier:
    """Says 0, 1, 2, … for the images in the order they come; the planted answer to test all that surrounds it."""

    label = "planted@0000000"

    def __init__(self, confidence: float = 0.9) -> None:
        self.confidence = confidence
        self.seen: list[np.ndarray] = []

    def classify(self, images):
        self.seen.append(images)
        probs = np.full((len(images), 10), (1 - self.confidence) / 9, np.float32)
        for row in range(len(images)):
            probs[row, row % 10] = self.confidence
        return Classification(probs, probs.max(axis=1) if len(images) else np.zeros(0, np.float32))


def _strokes(placed: list[tuple[int, int]], size_wh=(600, 300)) -> np.ndarray:
    """A slanted stroke of 30×100 at each (x, y), black on white."""
    canvas = np.full((size_wh[1], size_wh[0], 3), 255, np.uint8)
    for x, y in placed:
        cv2.line(canvas, (x + 25, y + 5), (x + 5, y + 95), (0, 0, 0), 9, cv2.LINE_AA)
    return canvas


@pytest.fixture(scope="module")
def reader() -> DigitReader:
    return DigitReader.from_pretrained()


def test_contract_of_the_signatures():
    parameters = inspect.signature(DigitReader.from_pretrained).parameters
    assert list(parameters) == ["checkpoint", "revision", "detector", "detector_revision", "device"]
    assert all(parameter.default is None for parameter in parameters.values())
    for method in (DigitReader.read_photo, DigitReader.read_sketch):
        assert list(inspect.signature(method).parameters) == ["self", "picture", "keep_stages"]
    assert digitcore.DigitReader is DigitReader


def test_read_sketch_orders_and_places():
    # Two rows, drawn out of order; the classifier's answer tells which image came when.
    placed = [(300, 20), (60, 150), (60, 20), (180, 150)]
    classifier = _CountingClassifier()
    reading = DigitReader(classifier).read_sketch(_strokes(placed), keep_stages=True)
    assert [len(line) for line in reading.lines] == [2, 2]
    centers = [(digit.box.x + digit.box.w / 2, digit.box.y + digit.box.h / 2) for digit in reading.digits]
    expected = [(75, 70), (315, 70), (75, 200), (195, 200)]
    assert np.abs(np.array(centers) - expected).max() <= 2
    assert [digit.line for digit in reading.digits] == [0, 0, 1, 1]
    assert reading.size == (600, 300) and reading.rotation == 0 and reading.model == "planted@0000000"
    assert reading.confidence == pytest.approx(0.9**4, rel=1e-5)
    # What the classifier saw comes back in reading order.
    assert len(classifier.seen) == 1, "one batch"
    order = [digit.value for digit in reading.digits]
    assert np.array_equal(reading.stages.images, classifier.seen[0][order])


def test_read_sketch_feeds_what_preprocessing_makes():
    classifier = _CountingClassifier()
    DigitReader(classifier).read_sketch(_strokes([(100, 100)]))
    ink = 255 - _strokes([(100, 100)])[:, :, 0]
    assert np.abs(classifier.seen[0][0].astype(int) - normalize_digits([ink])[0]).max() <= 1


@pytest.mark.parametrize("paper", [0, 128, 255])
@pytest.mark.parametrize("method", ["read_sketch", "read_photo"])
def test_blank_gives_an_empty_reading(method, paper):
    reading = getattr(DigitReader(_CountingClassifier()), method)(np.full((200, 300), paper, np.uint8), True)
    assert (reading.text, reading.lines, reading.digits, reading.confidence) == ("", (), (), 0.0)
    assert reading.stages.images.shape == (0, 28, 28)


def test_unclear_ink_is_rejected_not_guessed():
    reading = DigitReader(_CountingClassifier(MIN_SKETCH_CONFIDENCE - 0.01)).read_sketch(_strokes([(100, 100)]))
    assert reading.text == "" and [r.reason for r in reading.rejected] == [Reason.UNCLEAR]
    kept = DigitReader(_CountingClassifier(MIN_SKETCH_CONFIDENCE + 0.01)).read_sketch(_strokes([(100, 100)]))
    assert kept.text == "0" and kept.rejected == ()


def test_stages_only_when_asked():
    assert DigitReader(_CountingClassifier()).read_sketch(_strokes([(100, 100)])).stages is None


def test_detector_is_refused_not_ignored():
    with pytest.raises(CheckpointError, match="detector"):
        DigitReader.from_pretrained(detector="user/pagenet")


def test_read_refuses_what_is_no_picture(reader):
    for method in (reader.read_sketch, reader.read_photo):
        with pytest.raises(ImageError, match="not a picture"):
            method(b"just text")


def test_shipped_reader_reads_a_drawn_number(reader):
    canvas = np.full((300, 500), 255, np.uint8)
    one = np.array([[90, 60], [90, 240]])
    seven = np.array([[170, 65], [270, 65], [205, 240]])
    zero = np.array([[390, 60], [345, 110], [345, 190], [390, 240], [435, 190], [435, 110], [390, 60]])
    for stroke in (one, seven, zero):
        cv2.polylines(canvas, [stroke.reshape(-1, 1, 2).astype(np.int32)], False, 0, 18, cv2.LINE_AA)
    for picture in (canvas, 255 - canvas, Image.fromarray(canvas)):
        reading = reader.read_sketch(picture)
        assert reading.text == "170"
        assert all(len(digit.probs) == 10 and abs(sum(digit.probs) - 1) < 1e-4 for digit in reading.digits)
    assert reader.read_photo(np.dstack([canvas] * 3)).text == "170"


def test_reader_is_stateless(reader):
    first = reader.read_sketch(_strokes([(100, 100)])).to_dict()
    reader.read_sketch(_strokes([(50, 50), (200, 50)]))
    again = reader.read_sketch(_strokes([(100, 100)])).to_dict()
    for fields in (first, again):
        del fields["milliseconds"]
    assert first == again
