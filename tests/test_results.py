import json

import numpy as np
import pytest

from digitcore.results import Box, Candidate, Digit, Reading, Reason, Rejected, Timings


def _probs(value: int, confidence: float, second: int | None = None) -> tuple[float, ...]:
    rest = [0.0] * 10
    rest[value] = confidence
    if second is not None:
        rest[second] = 1.0 - confidence
    return tuple(rest)


def _digit(value=1, confidence=0.99, line=0, second=7) -> Digit:
    return Digit(value, confidence, Box(12, 30, 20, 61), line, _probs(value, confidence, second))


def _reading(digits=(), **fields) -> Reading:
    return Reading(tuple(digits), (), (1600, 1200), "digitnet@1a2b3c4", "components", **fields)


def test_reading_to_dict_is_the_contract():
    reading = Reading(
        digits=(_digit(), _digit(7, 0.98, second=1)),
        rejected=(Rejected(Box(400, 10, 300, 12), Reason.RULED_LINE),),
        size=(1600, 1200),
        model="digitnet@1a2b3c4",
        detector="components",
        timings=Timings(8.6, 40.9, 6.2),
    )
    as_json = json.loads(json.dumps(reading.to_dict()))
    assert as_json == {
        "text": "17",
        "lines": ["17"],
        "confidence": 0.9702,
        "rotation": 0,
        "size": [1600, 1200],
        "digits": [
            {"value": 1, "confidence": 0.99, "box": [12, 30, 20, 61], "line": 0, "alternatives": [[7, 0.01]]},
            {"value": 7, "confidence": 0.98, "box": [12, 30, 20, 61], "line": 0, "alternatives": [[1, 0.02]]},
        ],
        "rejected": [{"box": [400, 10, 300, 12], "reason": "a ruled line"}],
        "model": "digitnet@1a2b3c4",
        "detector": "components",
        "milliseconds": {"decode": 9, "locate": 41, "classify": 6},
    }


def test_reading_empty():
    reading = _reading()
    assert (reading.text, reading.lines, reading.confidence, reading.stages) == ("", (), 0.0, None)


def test_reading_lines():
    reading = _reading([_digit(1), _digit(2, line=0), _digit(3, line=1)])
    assert reading.lines == ("12", "3") and reading.text == "123"
    with pytest.raises(ValueError, match="line by line"):
        _reading([_digit(line=1), _digit(line=0)])


def test_reading_rotation_is_a_quarter_turn():
    with pytest.raises(ValueError, match="90"):
        _reading(rotation=45)


def test_digit_alternatives_are_the_near_ones():
    probs = (0.004, 0.6, 0.1, 0.1, 0.096, 0.09, 0.01, 0.0, 0.0, 0.0)
    assert Digit(1, 0.6, Box(0, 0, 1, 1), 0, probs).alternatives == ((3, 0.1), (2, 0.1), (4, 0.096))
    assert _digit(second=None).alternatives == ()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"value": 10}, "value"),
        ({"confidence": 1.5}, "confidence"),
        ({"probs": (1.0,)}, "probs"),
    ],
)
def test_digit_checks_its_invariants(fields, words):
    good = {"value": 1, "confidence": 0.9, "box": Box(0, 0, 1, 1), "line": 0, "probs": _probs(1, 0.9, 2)}
    with pytest.raises(ValueError, match=words):
        Digit(**(good | fields))


@pytest.mark.parametrize("ink", [np.zeros((0, 3), np.uint8), np.zeros((3, 3)), np.zeros((3, 3, 3), np.uint8)])
def test_candidate_checks_its_ink(ink):
    with pytest.raises(ValueError, match="ink"):
        Candidate(Box(0, 0, 3, 3), ink)
