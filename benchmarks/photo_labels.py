"""What a photo holds and what a pipeline read in it: the two sides of every figure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from digitcore.results import Box

SCATTERED = "scattered"
NEGATIVE = "negative"

# A box in pixels of the upright picture, and its digit.
BoxedDigit = tuple[Box, str]


@dataclass(frozen=True, slots=True)
class PhotoLabel:
    """A picture's truth.

    Attributes:
        file: its name in the folder.
        lines: the text of each line, in reading order; empty if there is no digit.
        has_order: whether the digits have a reading order.
        boxes: (box, digit) of each digit, in the order of the text, or () where they were not labelled.
    """

    file: str
    lines: tuple[str, ...]
    has_order: bool = True
    boxes: tuple[BoxedDigit, ...] = ()

    @classmethod
    def from_dict(cls, item: Mapping[str, Any]) -> "PhotoLabel":
        """From an entry of a labels file: file, text, layout, kind, and perhaps boxes of x, y, w, h, digit."""
        lines = () if item.get("kind") == NEGATIVE else tuple(item["text"])
        return cls(item["file"], lines, item.get("layout") != SCATTERED, _load_boxes(item.get("boxes") or ()))

    @property
    def text(self) -> str:
        """The lines joined."""
        return "".join(self.lines)


@dataclass(frozen=True, slots=True)
class PhotoText:
    """What a pipeline read in a picture.

    Attributes:
        lines: the digits of each line, in its reading order.
        boxes: (box, digit) of each digit in the same order, or None where the pipeline does not tell.
        seconds: from file to text.
    """

    lines: tuple[str, ...]
    boxes: tuple[BoxedDigit, ...] | None = None
    seconds: float = 0.0

    @classmethod
    def from_dict(cls, item: Mapping[str, Any]) -> "PhotoText":
        """From an entry of a predictions file."""
        boxes = _load_boxes(item["digits"]) if "digits" in item else None
        return cls(tuple(item["lines"]), boxes, item.get("seconds", 0.0))

    @property
    def text(self) -> str:
        """The lines joined."""
        return "".join(self.lines)

    def to_dict(self) -> dict[str, Any]:
        """As a predictions file holds it."""
        digits = {} if self.boxes is None else {"digits": [[*box, int(digit)] for box, digit in self.boxes]}
        return {"lines": list(self.lines), **digits, "seconds": self.seconds}


def load_labels(path: Path, folder: Path) -> list[PhotoLabel]:
    """The labels of a labels file, each of whose pictures must be in the folder."""
    labels = [PhotoLabel.from_dict(item) for item in json.loads(path.read_text())]
    missing = [label.file for label in labels if not (folder / label.file).is_file()]
    if missing:
        raise SystemExit(f"{len(missing)} labelled pictures are not in {folder}, the first is {missing[0]}.")
    return labels


def _load_boxes(rows: Any) -> tuple[BoxedDigit, ...]:
    """From rows of x, y, w, h, digit."""
    return tuple((Box(*map(int, row[:4])), str(row[4])) for row in rows)
