"""The figures of a photo benchmark: digit F1, character error rate, exact strings, clean negatives, boxes, causes.

A picture's truth is the text of its lines; pictures whose layout is "scattered" have no order, and count by their
digits alone.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

from benchmarks.photo_causes import Causes, align, count_causes, match_boxes
from benchmarks.photo_labels import PhotoLabel, PhotoText

# A good box covers at least half of what it and the labelled one cover together.
MIN_IOU = 0.5


@dataclass(frozen=True, slots=True)
class PhotoFigures:
    """Over all pictures.

    Attributes:
        images: how many there were.
        digits: true digits in them.
        digit_f1: micro-averaged over each picture's multiset of digits, false ones in pictures without digits included.
        cer: edit distance to the true digits, over pictures with an order; above 1 if much is read that is not there.
        exact: share of the pictures with an order that are read without one error.
        exact_images: the same as "n/m".
        clean_negatives: "n/m": of m pictures without a digit, n had none read in them.
        box_recall: share of the labelled boxes that a read box meets at IoU 0.5; None without either.
        box_precision: share of the read boxes that meet a labelled one so, in labelled pictures and those without a
            digit; None as `box_recall`.
        missed: digits that were not read, over all pictures, as `Causes` has it.
        false_digits: digits read where there is none.
        misread: digits read as others.
        misordered: digits read out of order.
        median_seconds: the upper median; None if nothing was timed.
        p95_seconds: 95 of 100 pictures took no longer; None if nothing was timed.
    """

    images: int
    digits: int
    digit_f1: float
    cer: float
    exact: float
    exact_images: str
    clean_negatives: str
    box_recall: float | None
    box_precision: float | None
    missed: int
    false_digits: int
    misread: int
    misordered: int
    median_seconds: float | None
    p95_seconds: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Mistake:
    """A picture that was not read right: what was there, what was read, and what went wrong."""

    file: str
    want: str
    got: str
    causes: Causes

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"file": self.file, "want": self.want, "got": self.got, **asdict(self.causes)}


def measure_photos(labels: Sequence[PhotoLabel], texts: Mapping[str, PhotoText]) -> PhotoFigures:
    """Compare what was read with the truth.

    Args:
        labels: the pictures that count.
        texts: what was read, by file; a picture that is missing was read as empty.

    Returns:
        The figures, rounded to four places; shares of nothing are 0.
    """
    pairs = [(label, texts.get(label.file, PhotoText(()))) for label in labels]
    positives = [(label, text) for label, text in pairs if label.text]
    negatives = [text for label, text in pairs if not label.text]
    ordered = [(label.text, text.text) for label, text in positives if label.has_order]
    n_true = sum(len(label.text) for label, _ in positives)
    n_read = sum(len(text.text) for _, text in pairs)
    n_hit = sum((Counter(label.text) & Counter(text.text)).total() for label, text in positives)
    n_exact = sum(want == got for want, got in ordered)
    causes = sum((count_causes(label, text) for label, text in pairs), Causes())
    box_recall, box_precision = _measure_boxes(pairs)
    median_seconds, p95_seconds = _measure_seconds([text.seconds for text in texts.values()])
    return PhotoFigures(
        images=len(labels),
        digits=n_true,
        digit_f1=_share(2 * n_hit, n_read + n_true),
        cer=_share(sum(edit_distance(want, got) for want, got in ordered), sum(len(want) for want, _ in ordered)),
        exact=_share(n_exact, len(ordered)),
        exact_images=f"{n_exact}/{len(ordered)}",
        clean_negatives=f"{sum(not text.text for text in negatives)}/{len(negatives)}",
        box_recall=box_recall,
        box_precision=box_precision,
        missed=causes.missed,
        false_digits=causes.false,
        misread=causes.misread,
        misordered=causes.misordered,
        median_seconds=median_seconds,
        p95_seconds=p95_seconds,
    )


def find_mistakes(labels: Sequence[PhotoLabel], texts: Mapping[str, PhotoText]) -> list[Mistake]:
    """The pictures that were not read right, those with the most errors first."""
    pairs = [(label, texts.get(label.file, PhotoText(()))) for label in labels]
    mistakes = [Mistake(label.file, label.text, text.text, count_causes(label, text)) for label, text in pairs]
    return sorted((m for m in mistakes if m.causes.n_errors), key=lambda m: (-m.causes.n_errors, m.file))


def edit_distance(a: str, b: str) -> int:
    """Insertions, deletions and substitutions that turn `a` into `b`."""
    return sum(want != got for want, got in align(a, b))


def _measure_boxes(pairs: Sequence[tuple[PhotoLabel, PhotoText]]) -> tuple[float | None, float | None]:
    """Recall and precision of boxes, over pictures with labelled boxes or no digit."""
    countable = [(label.boxes, text.boxes) for label, text in pairs if label.boxes or not label.text]
    n_labelled = sum(len(labelled) for labelled, _ in countable)
    if not n_labelled or any(read is None for _, read in countable):
        return None, None
    n_met = sum(len(match_boxes(labelled, read or (), MIN_IOU)) for labelled, read in countable)
    return _share(n_met, n_labelled), _share(n_met, sum(len(read or ()) for _, read in countable))


def _measure_seconds(seconds: Sequence[float]) -> tuple[float | None, float | None]:
    """The upper median and the 95th percentile by nearest rank."""
    if not seconds:
        return None, None
    ranked = sorted(seconds)
    return round(ranked[len(ranked) // 2], 4), round(ranked[ceil(0.95 * len(ranked)) - 1], 4)


def _share(part: int, whole: int) -> float:
    return round(part / max(1, whole), 4)
