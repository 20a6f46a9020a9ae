"""A reading as HTML: pure functions, everything escaped, nothing of Gradio.

Confidence is shown by words, length and numbers, never by colour alone.
"""

import base64
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
import numpy.typing as npt
from PIL import Image

from digitcore.results import Box, Digit, Reading, Rejected

# Below this a digit is marked for a second look.
SURE_THRESHOLD = 0.8
# A table of more rows, or a wall of more cards, helps nobody and slows the page.
MAX_SHOWN_DIGITS = 200
# Bars for all ten classes of each digit: beyond this the cards would be ten screens long.
MAX_BAR_CARDS = 24
# So many lines have room in the largest type.
MAX_LARGE_LINES = 2

# By degrees clockwise.
TURNED = {
    90: "Turned a quarter clockwise to be read.",
    180: "Turned upside down to be read.",
    270: "Turned a quarter anticlockwise to be read.",
}

NOTHING_DRAWN = "Draw a digit, or a whole number. It is read while you draw."
NO_PHOTO = "Add a photo, paste one, or pick an example. Every digit in it is read, line by line."


def percent(share: float) -> str:
    """A probability in whole percent; never "100 %" or "0 %", which no network may claim."""
    if share >= 0.995:
        return ">99\u00a0%"
    if share < 0.005:
        return "<1\u00a0%"
    return f"{share * 100:.0f}\u00a0%"


def render_notice(sentence: str, *, is_error: bool = False) -> str:
    """A sentence in place of a reading: a hint, or what is wrong and what would be right."""
    kind, role = ("dc-notice dc-problem", "alert") if is_error else ("dc-notice", "status")
    return f'<p class="{kind}" role="{role}">{escape(sentence)}</p>'


def render_sketch(reading: Reading | None) -> str:
    """What the sketch tab shows.

    Args:
        reading: with its stages, or None for an empty pad.

    Returns:
        The number in large type, how sure it is, and a card for each digit: the 28×28 picture that the classifier saw
        and the confidence of all ten classes. A hint for an empty pad; a sentence where no digit was found.
    """
    if reading is None:
        return render_notice(NOTHING_DRAWN)
    if not reading.digits:
        return render_notice(describe_nothing(reading, "drawing"))
    return render_headline(reading) + render_cards(reading)


def render_headline(reading: Reading, *, is_copyable: bool = False) -> str:
    """The text in large type, and in words how sure the reader is."""
    lines = "".join(f'<span class="dc-line">{_render_line(line)}</span>' for line in _digits_by_line(reading))
    copy = ""
    if is_copyable:
        text = escape("\n".join(reading.lines), quote=True)
        copy = f'<button type="button" class="dc-copy" data-copy="{text}">Copy</button>'
    size = "dc-long" if len(reading.lines) > MAX_LARGE_LINES else ""
    n_longest = max(len(line) for line in reading.lines)
    return (
        '<div class="dc-headline" role="status">'
        f'<p class="dc-number {size}" style="--longest:{n_longest}">{lines}</p>'
        f'<p class="dc-verdict">{escape(describe_confidence(reading))}</p>{copy}</div>'
    )


def render_cards(reading: Reading, *, has_bars: bool = True) -> str:
    """A card for each digit, in reading order: what the classifier saw, and what it made of it."""
    images = reading.stages.images if reading.stages else ()
    has_bars = has_bars and len(reading.digits) <= MAX_BAR_CARDS
    cards = []
    for i, digit in enumerate(reading.digits[:MAX_SHOWN_DIGITS]):
        picture = _render_image(images[i], digit) if i < len(images) else ""
        cards.append(
            f'<li class="dc-card"><div class="dc-card-head">{picture}'
            f'<div><span class="dc-digit">{digit.value}</span>'
            f'<span class="dc-share">{escape(percent(digit.confidence))}</span></div></div>'
            f"{_render_bars(digit.probs) if has_bars else ''}</li>"
        )
    kind = "dc-cards" if has_bars else "dc-cards dc-compact"
    return f'<ol class="{kind}" aria-label="The digits in reading order">{"".join(cards)}</ol>'


def render_table(reading: Reading) -> str:
    """The digits as a table, and below it what was seen and not read."""
    rows = "".join(_render_row(digit) for digit in reading.digits[:MAX_SHOWN_DIGITS])
    headers = "".join(f'<th scope="col">{name}</th>' for name in ("Digit", "Confidence", "Or", "Line", "Box"))
    table = f"<thead><tr>{headers}</tr></thead><tbody>{rows}</tbody>" if rows else ""
    hidden = len(reading.digits) - MAX_SHOWN_DIGITS
    more = f'<p class="dc-small">And {hidden} more.</p>' if hidden > 0 else ""
    scroll = f'<div class="dc-scroll"><table class="dc-table">{table}</table></div>{more}' if table else ""
    return scroll + _render_rejected(reading.rejected)


def describe_confidence(reading: Reading) -> str:
    """How sure the reader is, and which digits deserve a second look."""
    whole = f"{percent(reading.confidence).replace('>', 'Over ').replace('<', 'Under ')} sure"
    if reading.rotation:
        whole = f"{TURNED[reading.rotation]} {whole}"
    doubtful = [digit for digit in reading.digits if digit.confidence < SURE_THRESHOLD]
    if not doubtful:
        return f"{whole}."
    if len(reading.digits) == 1:
        return f"{whole}. {_describe_alternatives(doubtful[0])}".strip()
    if len(doubtful) == 1:
        return f"{whole}. Check the underlined {doubtful[0].value}. {_describe_alternatives(doubtful[0])}".strip()
    return f"{whole}. Check the {len(doubtful)} underlined digits."


def describe_nothing(reading: Reading, noun: str) -> str:
    """A sentence for a picture without digits, by what was seen instead."""
    if not reading.rejected:
        advice = "Write larger or with more contrast." if noun == "drawing" else "Move closer, and light it evenly."
        return f"No digit found in this {noun}. {advice}"
    return f"No digit found in this {noun}. What was seen is {_count_reasons(reading.rejected)}."


def _digits_by_line(reading: Reading) -> list[list[Digit]]:
    by_line: dict[int, list[Digit]] = {}
    for digit in reading.digits:
        by_line.setdefault(digit.line, []).append(digit)
    return list(by_line.values())


def _render_line(digits: Sequence[Digit]) -> str:
    return "".join(
        f'<span class="dc-doubtful">{digit.value}</span>' if digit.confidence < SURE_THRESHOLD else str(digit.value)
        for digit in digits
    )


def _render_image(image: npt.NDArray[np.uint8], digit: Digit) -> str:
    """The 28×28 picture as an inline PNG."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)
    source = base64.b64encode(file.getvalue()).decode("ascii")
    alt = f"What the model sees for this {digit.value}: 28 by 28 pixels, white on black"
    return f'<img class="dc-seen" src="data:image/png;base64,{source}" width="56" height="56" alt="{alt}">'


def _render_bars(probs: Sequence[float]) -> str:
    best = int(np.argmax(probs))
    items = "".join(
        f"<li{' class=dc-best' if value == best else ''}><span>{value}</span>"
        f'<span class="dc-bar" style="--share:{p:.3f}" aria-hidden="true"></span>'
        f"<span>{_bar_number(p)}</span></li>"
        for value, p in enumerate(probs)
    )
    return f'<ol class="dc-bars" start="0" aria-label="Confidence of each class, in percent">{items}</ol>'


def _bar_number(p: float) -> str:
    """A bar's number without the sign, which its list names; nothing where the bar is empty."""
    if p < 0.005:
        return '<span class="dc-sr">0</span>'
    return "&gt;99" if p >= 0.995 else f"{p * 100:.0f}"


def _render_row(digit: Digit) -> str:
    others = escape(", ".join(f"{value} ({percent(p)})" for value, p in digit.alternatives)) or "–"
    mark = ' class="dc-doubtful"' if digit.confidence < SURE_THRESHOLD else ""
    return (
        f"<tr><td><span{mark}>{digit.value}</span></td><td>{escape(percent(digit.confidence))}</td>"
        f"<td>{others}</td><td>{digit.line + 1}</td><td>{_describe_box(digit.box)}</td></tr>"
    )


def _render_rejected(rejected: Sequence[Rejected]) -> str:
    if not rejected:
        return ""
    items = "".join(
        f"<li>{escape(str(each.reason))}: {_describe_box(each.box)}</li>" for each in rejected[:MAX_SHOWN_DIGITS]
    )
    noun = "mark" if len(rejected) == 1 else "marks"
    return (
        f'<details class="dc-rejected"><summary>{len(rejected)} {noun} seen and not read</summary>'
        f"<ul>{items}</ul></details>"
    )


def _describe_box(box: Box) -> str:
    return f"{box.w}×{box.h} at\u00a0({box.x},\u00a0{box.y})"


def _describe_alternatives(digit: Digit) -> str:
    if not digit.alternatives:
        return ""
    value, p = digit.alternatives[0]
    return f"It may be a {value} ({percent(p)})."


def _count_reasons(rejected: Iterable[Rejected]) -> str:
    counts = Counter(str(each.reason) for each in rejected)
    return ", ".join(reason if n == 1 else f"{reason} ({n} times)" for reason, n in counts.most_common())
