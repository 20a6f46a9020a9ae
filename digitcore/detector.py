"""PageNet, the page network: where are digits, which ones, and what is the other ink."""

from enum import IntEnum


class InkKind(IntEnum):
    """What a pixel of a page belongs to; pixels marked 255 do not count."""

    PAPER = 0
    DIGIT = 1
    LETTERS = 2  # handwriting that is no digit
    PRINT = 3
    RULE = 4
    SCRIBBLE = 5  # marks with pen-like strokes that are no writing


N_INK_KINDS = len(InkKind)
