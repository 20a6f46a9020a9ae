import inspect
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

import digitcore
from digitcore.classifier import Classification
from digitcore.detection import Detections, repeat_opinion
from digitcore.detector import InkKind
from digitcore.errors import CheckpointError, ImageError
from digitcore.merging import DetectionConfig
from digitcore.preprocessing import normalize_digits
from digitcore.reader import MIN_SKETCH_CONFIDENCE, DigitReader
from digitcore.results import Reason

LETTER_GREY = 80


def _count(rows: int, confidence: float) -> np.ndarray:
    """(rows, 10) probabilities: row 0 says 0, row 1 says 1, …"""
    probs = np.full((rows, 10), (1 - confidence) / 9, np.float32)
    probs[np.arange(rows), np.arange(rows) % 10] = confidence
    return probs


class _CountingClassifier:
    """Says 0, 1, 2, … for the images in the order they come; the planted answer to test all that surrounds it."""

    label = "planted@0000000"

    def __init__(self, confidence: float = 0.9) -> None:
        self.confidence = confidence
        self.seen: list[np.ndarray] = []

    def classify(self, images):
        self.seen.append(images)
        probs = _count(len(images), self.confidence)
        return Classification(probs, probs.max(axis=1) if len(images) else np.zeros(0, np.float32))


class _PlantedDetector:
    """Finds dark strokes and says 0, 1, 2, … of them as _CountingClassifier does, `score` the chance of each digit."""

    label = "planted-detector@0000000"

    def __init__(self, score: float = 0.9, confidence: float = 0.9) -> None:
        self.score, self.confidence = score, confidence

    config = DetectionConfig()

    def detect(self, grey, config=None):
        dark = ((grey < 100) & (grey.max() > 100)).astype(np.uint8)
        boxes = cv2.connectedComponentsWithStats(dark)[2][1:, :4].astype(np.float32)
        probs = _count(len(boxes), self.confidence)
        kinds = dark * np.uint8(InkKind.DIGIT)
        return Detections(boxes, np.full(len(boxes), self.score, np.float32), probs, 255 - grey, 255 - grey, kinds)

    def look_closer(self, grey, found, rotation=0):
        return repeat_opinion(found)


def _reader(classifier: _CountingClassifier, score: float = 0.9) -> DigitReader:
    return DigitReader(classifier, _PlantedDetector(score, classifier.confidence))


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
    reading = _reader(classifier).read_sketch(_strokes(placed), keep_stages=True)
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
    _reader(classifier).read_sketch(_strokes([(100, 100)]))
    ink = 255 - _strokes([(100, 100)])[:, :, 0]
    assert np.abs(classifier.seen[0][0].astype(int) - normalize_digits([ink])[0]).max() <= 1


@pytest.mark.parametrize("paper", [0, 128, 255])
@pytest.mark.parametrize("method", ["read_sketch", "read_photo"])
def test_blank_gives_an_empty_reading(method, paper):
    reading = getattr(_reader(_CountingClassifier()), method)(np.full((200, 300), paper, np.uint8), True)
    assert (reading.text, reading.lines, reading.digits, reading.confidence) == ("", (), (), 0.0)
    assert reading.stages.images.shape == (0, 28, 28)


def test_unclear_ink_is_rejected_not_guessed():
    reading = _reader(_CountingClassifier(MIN_SKETCH_CONFIDENCE - 0.01)).read_sketch(_strokes([(100, 100)]))
    assert reading.text == "" and [r.reason for r in reading.rejected] == [Reason.UNCLEAR]
    kept = _reader(_CountingClassifier(MIN_SKETCH_CONFIDENCE + 0.01)).read_sketch(_strokes([(100, 100)]))
    assert kept.text == "0" and kept.rejected == ()


def test_stages_only_when_asked():
    assert _reader(_CountingClassifier()).read_sketch(_strokes([(100, 100)])).stages is None


def test_read_photo_gives_what_the_detector_found_in_reading_order():
    placed = [(300, 20), (60, 150), (60, 20), (180, 150)]
    reading = _reader(_CountingClassifier(0.9999)).read_photo(_strokes(placed), keep_stages=True)
    assert [len(line) for line in reading.lines] == [2, 2]
    lefts = [digit.box.x for digit in reading.digits]
    assert lefts[0] < lefts[1] and lefts[2] < lefts[3]
    assert reading.detector == "planted-detector@0000000"
    assert reading.stages.heatmap.shape == (300, 600)


def test_read_photo_confidence_counts_both_opinions():
    sure, unsure = (
        _reader(_CountingClassifier(0.9999), score).read_photo(_strokes([(100, 100)])) for score in (0.99, 0.7)
    )
    assert sure.digits[0].confidence > unsure.digits[0].confidence
    # What is missing to 1 is the chance that it is no digit.
    assert sum(unsure.digits[0].probs) < 1


def test_read_photo_rejects_what_both_doubt():
    reading = _reader(_CountingClassifier(0.2), score=0.3).read_photo(_strokes([(100, 100)]))
    assert reading.text == "" and Reason.UNCLEAR in [each.reason for each in reading.rejected]


class _DetectorOfNotes(_PlantedDetector):
    """Takes black strokes for digits and grey ones for letters, which it does not count among the finds."""

    def detect(self, grey, config=None):
        found = super().detect(grey, config)
        _, marks, stats, _ = cv2.connectedComponentsWithStats((grey < 100).astype(np.uint8))
        kinds = found.ink_kinds.copy()
        is_digit = np.array([grey[marks == mark].min() < LETTER_GREY // 2 for mark in range(1, len(stats))], bool)
        kinds[np.isin(marks, 1 + np.flatnonzero(~is_digit))] = InkKind.LETTERS
        boxes, scores, probs = (part[is_digit] for part in (found.boxes, found.scores, found.probs))
        return replace(found, boxes=boxes, scores=scores, probs=probs, ink_kinds=kinds)


@pytest.mark.parametrize(
    ("n_letters", "score", "is_read"), [(0, 0.7, True), (1, 0.7, True), (4, 0.8, False), (4, 0.999, True)]
)
def test_among_letters_one_find_must_be_clear(n_letters, score, is_read, monkeypatch):
    picture = np.minimum(
        _strokes([(300, 190)]), np.maximum(_strokes([(40 + 140 * i, 0) for i in range(n_letters)]), LETTER_GREY)
    )
    reader = DigitReader(_CountingClassifier(0.9999), _DetectorOfNotes(score, 0.9999))
    reading = reader.read_photo(picture)
    assert len(reading.digits) == is_read
    assert [r.reason for r in reading.rejected].count(Reason.UNCLEAR) == (not is_read)
    monkeypatch.setattr("digitcore.reader.MIN_CLEAREST_AMONG_LETTERS", 0.0)
    assert len(reader.read_photo(picture).digits) == 1


def test_detector_of_another_kind_is_refused():
    with pytest.raises(CheckpointError, match="single digits"):
        DigitReader.from_pretrained(detector="digitnet")


def test_checkpoint_of_another_kind_is_refused():
    with pytest.raises(CheckpointError, match="PageNet"):
        DigitReader.from_pretrained("detector")


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
