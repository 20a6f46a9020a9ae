"""The figures of a photo benchmark: digit F1, character error rate, exact strings, clean negatives, and the causes.

A picture's truth is the text of its lines; pictures whose layout is "scattered" have no order, and count by their
digits alone.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from digitcore.results import Box

SCATTERED = "scattered"
NEGATIVE = "negative"
MIN_IOU = 0.5


@dataclass(frozen=True, slots=True)
class PhotoLabel:
    """A picture's truth.

    Attributes:
        file: its name in the folder.
        lines: the text of each line, in reading order; empty if there is no digit.
        has_order: whether the digits have a reading order.
        boxes: (box, digit) of each digit, or () where they were not labelled.
    """

    file: str
    lines: tuple[str, ...]
    has_order: bool = True
    boxes: tuple[tuple[Box, str], ...] = ()

    @classmethod
    def from_dict(cls, item: Mapping[str, Any]) -> "PhotoLabel":
        """From an entry of a labels file: file, text, layout, kind, and perhaps boxes of x, y, w, h, digit."""
        boxes = tuple((Box(*map(int, (x, y, w, h))), str(digit)) for x, y, w, h, digit in item.get("boxes") or ())
        lines = () if item.get("kind") == NEGATIVE else tuple(item["text"])
        return cls(item["file"], lines, item.get("layout") != SCATTERED, boxes)

    @property
    def text(self) -> str:
        """The lines joined."""
        return "".join(self.lines)


@dataclass(frozen=True, slots=True)
class PhotoText:
    """What a pipeline read in a picture.

    Attributes:
        lines: the digits of each line, in its reading order.
        boxes: (box, digit) of each digit, or None where the pipeline does not tell.
        seconds: from file to text.
    """

    lines: tuple[str, ...]
    boxes: tuple[tuple[Box, str], ...] | None = None
    seconds: float = 0.0

    @property
    def text(self) -> str:
        """The lines joined."""
        return "".join(self.lines)

    def to_dict(self) -> dict[str, Any]:
        """As a predictions file holds it."""
        digits = {} if self.boxes is None else {"digits": [[*box, int(digit)] for box, digit in self.boxes]}
        return {"lines": list(self.lines), **digits, "seconds": self.seconds}


@dataclass(frozen=True, slots=True)
class PhotoFigures:
    """Over all pictures.

    Attributes:
        images: how many there were.
        digits: true digits in them.
        digit_f1: micro-averaged over each picture's multiset of digits, false ones in pictures without digits included.
        cer: edit distance to the true digits, over pictures with an order; above 1 if much is read that is not there.
        exact: share of the pictures with an order that are read without one error.
        clean_negatives: "a/b": of b pictures without a digit, a had none read in them.
        median_seconds: the upper median; None if nothing was timed.
        box_recall: share of the labelled boxes that a read box meets at IoU 0.5; None without either.
        missed: labelled boxes that no read box meets; None as `box_recall`.
        misread: labelled boxes met by a box with another digit; None as `box_recall`.
        false_digits: read boxes that meet no labelled one, in labelled pictures and those without a digit.
        misordered: pictures with the right digits in a wrong order.
    """

    images: int
    digits: int
    digit_f1: float
    cer: float
    exact: float
    clean_negatives: str
    median_seconds: float | None
    box_recall: float | None
    missed: int | None
    misread: int | None
    false_digits: int | None
    misordered: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


def measure_photos(labels: Sequence[PhotoLabel], texts: Mapping[str, PhotoText]) -> PhotoFigures:
    """Compare what was read with the truth.

    Args:
        labels: the pictures that count.
        texts: what was read, by file; a picture that is missing was read as empty.

    Returns:
        The figures, rounded to four places; shares of nothing are 0.
    """
    read = [texts.get(label.file, PhotoText(())) for label in labels]
    pairs = [(label, text) for label, text in zip(labels, read, strict=True) if label.text]
    empty = [text for label, text in zip(labels, read, strict=True) if not label.text]
    ordered = [(label.text, text.text) for label, text in pairs if label.has_order]
    n_true = sum(len(label.text) for label, _ in pairs)
    n_read = sum(len(text.text) for text in read)
    n_hit = sum((Counter(label.text) & Counter(text.text)).total() for label, text in pairs)
    edits = sum(edit_distance(want, got) for want, got in ordered)
    seconds = sorted(text.seconds for text in texts.values())
    return PhotoFigures(
        images=len(labels),
        digits=n_true,
        digit_f1=_share(2 * n_hit, n_read + n_true),
        cer=_share(edits, sum(len(want) for want, _ in ordered)),
        exact=_share(sum(want == got for want, got in ordered), len(ordered)),
        clean_negatives=f"{sum(not text.text for text in empty)}/{len(empty)}",
        median_seconds=round(seconds[len(seconds) // 2], 4) if seconds else None,
        misordered=sum(want != got and Counter(want) == Counter(got) for want, got in ordered),
        **_count_by_box([(label, text) for label, text in zip(labels, read, strict=True)]),
    )


def edit_distance(a: str, b: str) -> int:
    """Insertions, deletions and substitutions that turn `a` into `b`.

    Source: Wagner & Fischer, J. ACM 21(1), 1974.
    """
    row = list(range(len(b) + 1))
    for i, char_a in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, char_b in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (char_a != char_b))
    return row[-1]


def intersection_over_union(a: Box, b: Box) -> float:
    """Shared area of two boxes as a part of the area that they cover together, 0 to 1."""
    width = min(a.x + a.w, b.x + b.w) - max(a.x, b.x)
    height = min(a.y + a.h, b.y + b.h) - max(a.y, b.y)
    shared = max(width, 0) * max(height, 0)
    return shared / max(a.w * a.h + b.w * b.h - shared, 1)


def _count_by_box(pairs: Sequence[tuple[PhotoLabel, PhotoText]]) -> dict[str, Any]:
    """Box recall and the causes, over pictures with labelled boxes or no digit."""
    countable = [(label, text) for label, text in pairs if label.boxes or not label.text]
    n_labelled = sum(len(label.boxes) for label, _ in countable)
    if not n_labelled or any(text.boxes is None for _, text in countable):
        return dict.fromkeys(("box_recall", "missed", "misread", "false_digits"))
    matches = [_match(label.boxes, text.boxes or ()) for label, text in countable]
    n_met = sum(len(met) for met in matches)
    return {
        "box_recall": _share(n_met, n_labelled),
        "missed": n_labelled - n_met,
        "misread": sum(want != got for met in matches for want, got in met),
        "false_digits": sum(len(text.boxes or ()) for _, text in countable) - n_met,
    }


def _match(labelled: Sequence[tuple[Box, str]], read: Sequence[tuple[Box, str]]) -> list[tuple[str, str]]:
    """Pairs of true and read digits whose boxes meet, the best first, each box once."""
    overlaps = sorted(
        ((intersection_over_union(a, b), i, j) for i, (a, _) in enumerate(labelled) for j, (b, _) in enumerate(read)),
        reverse=True,
    )
    used_labelled, used_read, met = set(), set(), []
    for overlap, i, j in overlaps:
        if overlap >= MIN_IOU and i not in used_labelled and j not in used_read:
            used_labelled.add(i)
            used_read.add(j)
            met.append((labelled[i][1], read[j][1]))
    return met


def _share(part: int, whole: int) -> float:
    return round(part / max(1, whole), 4)
