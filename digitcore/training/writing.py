"""Letters, words, print and signs for synthetic pages, and digits in hands that MNIST lacks.

What is written comes from handwriting fonts and from strokes of our own (letter_strokes.py), what is printed from print
fonts (fonts.py). Everything is returned as a coverage mask, (h, w) uint8, 255 for ink, tightly cropped.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from digitcore.errors import ConfigError, DatasetError
from digitcore.training import fonts
from digitcore.training.letter_strokes import (
    DIGITS,
    LETTERS,
    SYMBOLS,
    Mask,
    crop_tight,
    draw_strokes,
    place_glyph,
    place_word,
    transform,
)
from digitcore.training.word_choice import LOOK_ALIKES, choose_printed_number, choose_word

__all__ = ["LOOK_ALIKES", "Writing"]

Rng = np.random.Generator
SINGLE_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
STROKE_LETTERS = frozenset(LETTERS)
# Widths of the pen, as shares of the height: from a sharp pencil to a marker.
PEN_RATIOS = (0.035, 0.14)
JOINED_PEN_RATIO = 0.1
MIN_PEN_PX = 1.0
# Work at a smaller size and enlarge so much: edges soften by less than a pixel, and it takes half the time.
MAX_ENLARGEMENT = 1.4
# Printed text is set at whole sizes in steps of about an eighth.
PRINT_SIZES = (6, 7, 8, 9, 10, 12, 14, 16, 18, 21, 24, 28, 32, 37, 42, 48, 54, 60)


@dataclass(frozen=True, slots=True)
class Writing:
    """Draws writing; holds the fonts' paths and nothing that changes, so it can be copied to workers.

    Attributes:
        hand_fonts: handwriting; empty if there are only strokes of our own.
        print_fonts: at least one.
        strokes_ratio: share of words and letters that are strokes of our own, where there are fonts.
        digit_strokes_ratio: the same of digits.
    """

    hand_fonts: tuple[Path, ...] = ()
    print_fonts: tuple[Path, ...] = (fonts.BUILT_IN,)
    strokes_ratio: float = 0.3
    digit_strokes_ratio: float = 0.6

    @classmethod
    def from_folder(cls, folder: Path | None, split: str = "train") -> "Writing":
        """Use the fonts below a folder, or none.

        Args:
            folder: holds font files at any depth (`npm ci --prefix fonts` makes one); None for strokes of our own and
                Pillow's font.
            split: "train", or "test" for the fonts that training never uses; then nothing is drawn from the strokes of
                our own, which training knows, except signs.

        Raises:
            DatasetError: if the folder holds no such fonts.
            ConfigError: if `split` is neither.
        """
        if split not in ("train", "test"):
            raise ConfigError(f'The split of fonts is "train" or "test", not {split!r}.')
        if folder is None:
            return cls()
        found = fonts.find_fonts(Path(folder), split)
        hand = tuple(path for path in found if fonts.font_name(path) not in fonts.PRINT_FONTS)
        printed = tuple(path for path in found if fonts.font_name(path) in fonts.PRINT_FONTS)
        if not hand:
            raise DatasetError(
                f"{folder} holds no handwriting for {split}, only print. `npm ci --prefix fonts` fetches both."
            )
        if split == "test":
            return cls(hand, printed or (fonts.BUILT_IN,), strokes_ratio=0.0, digit_strokes_ratio=0.0)
        return cls(hand, printed or (fonts.BUILT_IN,))

    def draw_word(self, rng: Rng, height_px: float) -> Mask:
        """A handwritten word of 2 to 9 letters, which no one takes for digits.

        Args:
            rng: decides everything.
            height_px: of its capitals; tails and a slope come on top.
        """
        word = choose_word(rng)
        if self._uses_strokes(rng, self.strokes_ratio):
            return _draw_stroke_word(rng, fonts.fold_accents(word), height_px)
        return _draw_font_word(rng, self._pick_font(rng, self.hand_fonts), word, height_px)

    def draw_letter(self, rng: Rng, height_px: float) -> tuple[Mask, str]:
        """A single letter and which it is; `LOOK_ALIKES` may be read as digits. `height_px` is a capital's."""
        letter = SINGLE_LETTERS[int(rng.integers(len(SINGLE_LETTERS)))]
        if self._uses_strokes(rng, self.strokes_ratio):
            return _draw_stroke_word(rng, letter, height_px), letter
        return _draw_font_word(rng, self._pick_font(rng, self.hand_fonts), letter, height_px), letter

    def draw_digit(self, rng: Rng, height_px: float, pen_px: float | None = None) -> tuple[Mask, int]:
        """A handwritten digit, `height_px` high, and its class; a pen of any width if `pen_px` is None."""
        digit = int(rng.integers(10))
        pen = pen_px or max(MIN_PEN_PX, height_px * _draw_log_uniform(rng, 0.05, 0.17))
        slant, degrees, aspect = rng.normal(0.08, 0.13), rng.normal(0, 4), float(np.exp(rng.normal(0.06, 0.2)))
        if self._uses_strokes(rng, self.digit_strokes_ratio):
            strokes, marks = place_glyph(rng, DIGITS[str(digit)], rng.uniform(0.01, 0.04))
            points = transform(strokes + marks, 1.0, slant, degrees, aspect)
            extent = np.ptp(np.concatenate(points)[:, 1])
            scale = max(height_px - pen, 1) / extent
            mask = draw_strokes([stroke * scale for stroke in points], pen)
        else:
            path = self._pick_font(rng, self._digit_fonts(digit))
            size = fonts.pick_digit_size(path, digit, height_px)
            glyph = fonts.load_glyph(path, str(digit), size).mask
            glyph = _change_pen(glyph, fonts.measure_pen_ratio(path) * size, pen * glyph.shape[0] / height_px)
            mask = _warp(glyph, slant, degrees, aspect, 0.0)
        return _fit_height(mask, height_px), digit

    def draw_print(self, rng: Rng, width_px: int, height_px: int, size_px: float) -> Mask:
        """A block of printed lines without digits: a paragraph, a column, a heading or labels.

        Args:
            rng: decides everything.
            width_px: the block is no wider,
            height_px: and no higher, except for its first line.
            size_px: of the font, 6 to 60; the nearest of `PRINT_SIZES` is taken.
        """
        size = min(PRINT_SIZES, key=lambda size: abs(size - size_px))
        tape = fonts.load_tape(self._pick_font(rng, self.print_fonts), size)
        leading = round(size * rng.uniform(1.15, 1.9))
        kind = rng.choice(["paragraph", "heading", "labels"], p=[0.65, 0.15, 0.2])
        n_lines = max(1, (height_px - tape.mask.shape[0]) // leading + 1)
        n_lines = {"paragraph": n_lines, "heading": min(n_lines, 2), "labels": n_lines}[str(kind)]
        block = np.zeros((tape.mask.shape[0] + (n_lines - 1) * leading, max(width_px, size)), np.uint8)
        for line in range(n_lines):
            if kind == "labels" and rng.random() < 0.3:
                continue
            indent = size if kind == "paragraph" and rng.random() < 0.1 else 0
            wanted = width_px - indent if kind == "paragraph" else width_px * rng.uniform(0.15, 0.5)
            if kind == "paragraph" and rng.random() < 0.12:  # A paragraph's last line is short.
                wanted *= rng.uniform(0.2, 0.8)
            words = _cut_tape(rng, tape, int(wanted))
            row = block[line * leading : line * leading + tape.mask.shape[0], indent : indent + words.shape[1]]
            np.maximum(row, words[:, : row.shape[1]], out=row)
        return crop_tight(block)

    def draw_printed_digits(self, rng: Rng, size_px: float) -> Mask:
        """A printed number, as on forms and in page corners; `size_px` is the font's size."""
        path = self._pick_font(rng, self.print_fonts)
        size = fonts.pick_work_size(size_px)
        number = fonts.draw_text(path, choose_printed_number(rng), size)
        return _fit_height(number, number.shape[0] * size_px / size)

    def draw_symbol(self, rng: Rng, height_px: float) -> Mask:
        """A sign by hand, no letter and no digit: arithmetic, ticks, arrows, boxes, underlines, doodles.

        Args:
            rng: decides everything.
            height_px: of the box that the sign stands in; a minus is flat in it.
        """
        forms = _SYMBOL_FORMS[int(rng.integers(len(_SYMBOL_FORMS)))]
        strokes, marks = place_glyph(rng, forms, rng.uniform(0.01, 0.04))
        points = transform(
            strokes + marks, height_px, rng.normal(0, 0.08), rng.normal(0, 5), np.exp(rng.normal(0, 0.15))
        )
        return draw_strokes(points, _draw_pen(rng, height_px))

    def _uses_strokes(self, rng: Rng, ratio: float) -> bool:
        return not self.hand_fonts or rng.random() < ratio

    def _pick_font(self, rng: Rng, among: tuple[Path, ...]) -> Path:
        return among[int(rng.integers(len(among)))]

    def _digit_fonts(self, digit: int) -> tuple[Path, ...]:
        named = ((path, fonts.font_name(path)) for path in self.hand_fonts)
        return tuple(
            path for path, name in named if name not in fonts.NO_DIGITS_FONTS and (name, digit) not in fonts.BAD_DIGITS
        )


_SYMBOL_FORMS = tuple(SYMBOLS.values())


def _draw_log_uniform(rng: Rng, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _draw_pen(rng: Rng, height_px: float) -> float:
    return max(MIN_PEN_PX, height_px * _draw_log_uniform(rng, *PEN_RATIOS))


def _draw_stroke_word(rng: Rng, word: str, height_px: float) -> Mask:
    word = "".join(c for c in word if c in STROKE_LETTERS) or "Rama"
    is_joined = not word.isupper() and len(word) > 1 and rng.random() < 0.6
    strokes = place_word(rng, word, is_joined)
    wave, phase = rng.normal(0, 0.03), rng.uniform(0, 2 * np.pi)
    strokes = [
        stroke + np.stack([0 * stroke[:, 0], wave * np.sin(stroke[:, 0] * 2 + phase)], axis=1) for stroke in strokes
    ]
    slant = rng.normal(0.1, 0.18)
    points = transform(strokes, height_px, slant, rng.uniform(-8, 8), rng.uniform(0.75, 1.3))
    pen = _draw_pen(rng, height_px)
    # Joined small letters close up under a thicker pen.
    return draw_strokes(points, max(MIN_PEN_PX, min(pen, JOINED_PEN_RATIO * height_px)) if is_joined else pen)


def _draw_font_word(rng: Rng, path: Path, word: str, height_px: float) -> Mask:
    if not fonts.has_accents(path):
        word = fonts.fold_accents(word)
    cap_ratio = fonts.measure_cap_ratio(path)
    size = fonts.pick_work_size(height_px / cap_ratio / MAX_ENLARGEMENT)
    zoom = height_px / (size * cap_ratio)
    mask = fonts.draw_text(path, word, size)
    mask = _change_pen(mask, fonts.measure_pen_ratio(path) * size, _draw_pen(rng, height_px) / zoom)
    wave = rng.normal(0, 0.04) if len(word) > 1 and rng.random() < 0.5 else 0.0
    mask = _warp(mask, rng.normal(0, 0.12), rng.uniform(-8, 8), rng.uniform(0.85, 1.2), wave * size, zoom)
    return crop_tight(mask)


def _change_pen(mask: Mask, pen_px: float, wanted_px: float) -> Mask:
    """Draw a sign again with another pen; no thinner than half of its own, or than leaves its strokes whole."""
    width = round(max(wanted_px - pen_px, -0.5 * pen_px))
    mask = np.pad(mask, max(2, width + 2))
    if width == 0:
        return mask
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (abs(width) + 1, abs(width) + 1))
    if width > 0:
        return cv2.dilate(mask, brush)
    thin = cv2.erode(mask, brush)
    return thin if _count_parts(thin) == _count_parts(mask) else mask


def _count_parts(mask: Mask) -> int:
    return cv2.connectedComponents((mask > 100).view(np.uint8))[0]


def _warp(mask: Mask, slant: float, degrees: float, aspect: float, wave_px: float, zoom: float = 1.0) -> Mask:
    """Lean to the right, turn counter-clockwise, widen, wave along the line, then scale; nothing is cut off."""
    h, w = mask.shape
    angle = np.deg2rad(degrees)
    lean = np.array([[aspect, -slant], [0.0, 1.0]])
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) @ lean * zoom
    corners = matrix @ np.array([[0, w, 0, w], [-abs(wave_px), -abs(wave_px), h + abs(wave_px), h + abs(wave_px)]])
    origin = corners.min(axis=1) - 2
    out_w, out_h = np.ceil(corners.max(axis=1) - origin + 2).astype(int)
    if zoom < 0.6:  # Averaging keeps thin strokes that sampling would miss.
        small = cv2.resize(mask, (max(1, round(w * zoom)), max(1, round(h * zoom))), interpolation=cv2.INTER_AREA)
        return _warp(small, slant, degrees, aspect, wave_px * zoom)
    if abs(wave_px) > 0.5:
        columns = np.sin(np.arange(w) * (2 * np.pi / (5.0 * h)) + wave_px)
        shift = np.round(abs(wave_px) * (1 + columns)).astype(int)
        waved = np.zeros((h + 2 * int(abs(wave_px)) + 2, w), np.uint8)
        rows = np.arange(h)[:, None] + shift[None, :]
        np.put_along_axis(waved, rows, mask, axis=0)
        mask = waved
        origin[1] += matrix[1, 1] * abs(wave_px)
        out_h += int(abs(wave_px) * zoom) + 2
    full = np.column_stack([matrix, -origin])
    return cv2.warpAffine(mask, full, (int(out_w), int(out_h)), flags=cv2.INTER_LINEAR)


def _fit_height(mask: Mask, height_px: float) -> Mask:
    """Cut to the ink and scale to a height."""
    mask = crop_tight(mask)
    height = max(3, round(height_px))
    if mask.shape[0] == height:
        return mask
    width = max(1, round(mask.shape[1] * height / mask.shape[0]))
    return crop_tight(cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA))


def _cut_tape(rng: Rng, tape: fonts.Tape, width_px: int) -> Mask:
    """Whole words from anywhere on the tape, no wider than asked, unless one word is."""
    first = int(rng.integers(len(tape.starts) - 2))
    last = int(np.searchsorted(tape.starts, tape.starts[first] + width_px, side="right")) - 1
    return tape.mask[:, tape.starts[first] : tape.starts[max(last, first + 1)]]
