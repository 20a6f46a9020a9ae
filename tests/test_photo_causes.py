"""What went wrong with each digit, against second implementations and planted mistakes."""

from functools import cache
from itertools import combinations

import numpy as np
import pytest

from benchmarks.photo_causes import Causes, align, count_causes, intersection_over_union, match_boxes
from benchmarks.photo_labels import PhotoLabel, PhotoText
from digitcore.results import Box


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1.0),
        ((0, 0, 10, 10), (5, 0, 10, 10), 1 / 3),
        ((0, 0, 10, 10), (10, 0, 10, 10), 0.0),
        ((0, 0, 10, 10), (2, 2, 5, 2), 0.1),
        ((0, 0, 0, 0), (0, 0, 0, 0), 0.0),
    ],
)
def test_intersection_over_union(a, b, expected):
    assert intersection_over_union(Box(*a), Box(*b)) == pytest.approx(expected)


@cache
def _best_alignment(a: str, b: str) -> tuple[int, int]:
    """(edits, −matches) by trying everything."""
    if not a or not b:
        return len(a) + len(b), 0
    both, up, left = _best_alignment(a[1:], b[1:]), _best_alignment(a[1:], b), _best_alignment(a, b[1:])
    same = a[0] == b[0]
    return min((both[0] + (not same), both[1] - same), (up[0] + 1, up[1]), (left[0] + 1, left[1]))


def test_align_is_the_best_of_all():
    rng = np.random.default_rng(0)
    for _ in range(300):
        want, got = ("".join(rng.choice(list("123"), rng.integers(0, 8))) for _ in range(2))
        pairs = align(want, got)
        assert "".join(a for a, _ in pairs) == want and "".join(b for _, b in pairs) == got
        assert (sum(a != b for a, b in pairs), -sum(a == b for a, b in pairs)) == _best_alignment(want, got)


def _boxes(text: str) -> tuple:
    return tuple((Box(30 * i, 0, 20, 40), digit) for i, digit in enumerate(text))


@pytest.mark.parametrize(
    ("want", "got", "causes"),
    [
        ("", "", Causes()),
        ("", "12", Causes(false=2)),
        ("12", "", Causes(missed=2)),
        ("123", "123", Causes()),
        ("1234", "124", Causes(missed=1)),
        ("124", "1234", Causes(false=1)),
        ("1234", "1934", Causes(misread=1)),
        ("1234", "2341", Causes(misordered=1)),
        ("12", "21", Causes(misordered=1)),
        ("1234", "92348", Causes(misread=1, false=1)),
    ],
)
def test_count_causes_of_strings(want, got, causes):
    assert count_causes(PhotoLabel("a", (want,) if want else ()), PhotoText((got,))) == causes


@pytest.mark.parametrize(
    ("want", "got", "causes"),
    [
        ("112", "211", Causes()),
        ("112", "11", Causes(missed=1)),
        ("112", "1129", Causes(false=1)),
        ("112", "119", Causes(misread=1)),
        ("112", "9988", Causes(misread=3, false=1)),
    ],
)
def test_count_causes_without_order(want, got, causes):
    assert count_causes(PhotoLabel("a", (want,), has_order=False), PhotoText((got,))) == causes


def test_count_causes_by_box_finds_planted_mistakes():
    rng = np.random.default_rng(1)
    for _ in range(200):
        labelled = _boxes("".join(rng.choice(list("0123456789"), rng.integers(4, 10))))
        n_missed, n_misread, n_false = (int(rng.integers(0, 2)) for _ in range(3))
        read = list(labelled[n_missed:])
        if n_misread:
            read[-1] = (read[-1][0], str((int(read[-1][1]) + 1) % 10))
        is_moved = rng.random() < 0.5
        if is_moved:
            read.append(read.pop(0))
        read += [(Box(0, 500, 20, 40), "5")] * n_false
        text = PhotoText(("".join(digit for _, digit in read),), tuple(read))
        label = PhotoLabel("a", ("".join(digit for _, digit in labelled),), True, labelled)
        assert count_causes(label, text) == Causes(n_missed, n_false, n_misread, int(is_moved))
        scattered = PhotoLabel("a", label.lines, False, labelled)
        assert count_causes(scattered, text) == Causes(n_missed, n_false, n_misread)


def test_count_causes_misordered_is_the_fewest_moves():
    rng = np.random.default_rng(2)
    labelled = _boxes("1234567")
    label = PhotoLabel("a", ("1234567",), True, labelled)
    for _ in range(30):
        order = rng.permutation(7).tolist()
        rises = (n for n in range(7, 0, -1) if any(list(c) == sorted(c) for c in combinations(order, n)))
        read = tuple(labelled[i] for i in order)
        text = PhotoText(("".join(digit for _, digit in read),), read)
        assert count_causes(label, text) == Causes(misordered=7 - next(rises))


def test_match_boxes_best_first_and_the_right_digit_first():
    labelled = ((Box(0, 0, 10, 20), "1"), (Box(100, 0, 10, 20), "2"))
    read = ((Box(2, 0, 10, 20), "1"), (Box(0, 0, 10, 20), "7"), (Box(100, 0, 10, 20), "3"), (Box(100, 0, 10, 20), "2"))
    assert sorted(match_boxes(labelled, read)) == [(0, 1), (1, 3)]
    assert match_boxes(labelled, ()) == match_boxes((), read) == []


def test_causes_as_words():
    assert str(Causes()) == "none"
    assert str(Causes(missed=2, misread=1)) == "2 missed, 1 misread"
    assert (Causes(1, 2, 3, 4) + Causes(1, 1, 1, 1)).n_errors == 14
