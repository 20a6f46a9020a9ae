from html.parser import HTMLParser

import numpy as np
import pytest

from digitcore.results import Box, Digit, Reading, Reason, Rejected, Stages
from digitcore.ui.answer import (
    MAX_BAR_CARDS,
    MAX_SHOWN_DIGITS,
    NOTHING_DRAWN,
    describe_confidence,
    describe_nothing,
    percent,
    render_cards,
    render_headline,
    render_notice,
    render_sketch,
    render_table,
)

VOID = {"img"}


class Outline(HTMLParser):
    """Tags, classes and text, and whether every tag was closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[dict[str, str]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.append(dict(attrs))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def outline(html: str) -> Outline:
    parsed = Outline(html)
    assert parsed.open == []
    return parsed


def make_digit(value: int, confidence: float, line: int = 0, other: int | None = None) -> Digit:
    other = (value + 1) % 10 if other is None else other
    probs = [0.0] * 10
    probs[value] = confidence
    probs[other] = 1 - confidence
    return Digit(value, confidence, Box(3, 4, 20, 30), line, tuple(probs))


def make_reading(*digits: Digit, rejected: tuple[Rejected, ...] = (), model: str = "m@1") -> Reading:
    blank = np.zeros((4, 4), np.uint8)
    stages = Stages(np.zeros((4, 4, 3), np.uint8), blank, None, blank, np.zeros((len(digits), 28, 28), np.uint8))
    return Reading(digits, rejected, (480, 360), model, "d", stages=stages)


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.0, "<1"), (0.004, "<1"), (0.005, "0"), (0.5, "50"), (0.994, "99"), (0.995, ">99"), (1.0, ">99")],
)
def test_percent_claims_neither_certainty_nor_impossibility(share, expected):
    assert percent(share) == f"{expected}\u00a0%"


def test_render_notice_escapes_and_tells_an_error_from_a_hint():
    assert "<script>" not in render_notice("<script>alert(1)</script>")
    assert 'role="alert"' in render_notice("no", is_error=True)
    assert 'role="status"' in render_notice("hint")


def test_render_sketch_of_an_empty_pad_is_a_hint():
    assert outline(render_sketch(None)).text == NOTHING_DRAWN


def test_render_sketch_without_a_digit_says_what_was_seen():
    reading = make_reading(rejected=(Rejected(Box(0, 0, 2, 2), Reason.TOO_SMALL),))
    assert "too small" in outline(render_sketch(reading)).text


def test_render_sketch_shows_number_pictures_and_ten_bars_a_digit():
    parsed = outline(render_sketch(make_reading(make_digit(1, 0.99), make_digit(7, 0.97))))
    assert parsed.text.startswith("17")
    assert parsed.tags.count("img") == 2
    bars = [each["style"] for each in parsed.attributes if each.get("class") == "dc-bar"]
    assert len(bars) == 20
    assert bars[1] == "--share:0.990" and bars[17] == "--share:0.970"
    assert all(each["alt"] for each in parsed.attributes if "src" in each)


def test_render_headline_keeps_lines_apart_and_copies_them_with_a_line_break():
    reading = make_reading(make_digit(1, 0.99), make_digit(2, 0.99, line=1))
    parsed = outline(render_headline(reading, is_copyable=True))
    assert [each.get("class") for each in parsed.attributes].count("dc-line") == 2
    assert next(each["data-copy"] for each in parsed.attributes if "data-copy" in each) == "1\n2"
    assert "data-copy" not in render_headline(reading)


def test_render_headline_marks_doubtful_digits_only():
    html = render_headline(make_reading(make_digit(1, 0.99), make_digit(7, 0.6, other=1)))
    assert html.count("dc-doubtful") == 1
    assert '<span class="dc-doubtful">7</span>' in html


@pytest.mark.parametrize(
    ("digits", "expected"),
    [
        ((make_digit(5, 0.999),), "Over 99\u00a0% sure."),
        ((make_digit(5, 0.9),), "90\u00a0% sure."),
        ((make_digit(7, 0.6, other=1),), "60\u00a0% sure. It may be a 1 (40\u00a0%)."),
        (
            (make_digit(2, 1.0), make_digit(7, 0.6, other=1)),
            "60\u00a0% sure. Check the underlined 7. It may be a 1 (40\u00a0%).",
        ),
        ((make_digit(2, 0.7), make_digit(7, 0.6)), "42\u00a0% sure. Check the 2 underlined digits."),
    ],
)
def test_describe_confidence(digits, expected):
    assert describe_confidence(make_reading(*digits)) == expected


@pytest.mark.parametrize("noun", ["drawing", "photo"])
def test_describe_nothing_gives_advice(noun):
    assert describe_nothing(make_reading(), noun).startswith(f"No digit found in this {noun}. ")


def test_describe_nothing_counts_the_reasons():
    lines = tuple(Rejected(Box(0, i, 9, 1), Reason.RULED_LINE) for i in range(3))
    assert "a ruled line (3 times)" in describe_nothing(make_reading(rejected=lines), "photo")


def test_render_cards_of_many_digits_leaves_out_the_bars_and_stops_at_the_limit():
    few = make_reading(*[make_digit(3, 0.9)] * MAX_BAR_CARDS)
    many = make_reading(*[make_digit(3, 0.9)] * (MAX_SHOWN_DIGITS + 5))
    assert render_cards(few).count('class="dc-bars"') == MAX_BAR_CARDS
    assert "dc-bars" not in render_cards(many)
    assert render_cards(many).count('class="dc-card"') == MAX_SHOWN_DIGITS


def test_render_table_lists_digits_alternatives_and_rejects():
    reading = make_reading(
        make_digit(1, 0.9, other=7), make_digit(4, 1.0, line=1), rejected=(Rejected(Box(5, 6, 7, 8), Reason.EDGE),)
    )
    parsed = outline(render_table(reading))
    assert parsed.tags.count("tr") == 3
    assert "7 (10\u00a0%)" in parsed.text
    assert "20×30 at (3, 4)" in parsed.text.replace("\u00a0", " ")
    assert "1 mark seen and not read" in parsed.text
    assert "cut by the edge of the picture: 7×8 at (5, 6)" in parsed.text.replace("\u00a0", " ")


def test_render_table_of_nothing_is_empty():
    assert render_table(make_reading()) == ""
