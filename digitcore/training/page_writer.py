"""The writing on a synthetic page: digits in lines, lists, grids or anywhere, by one hand with one pen."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from digitcore.detector import InkKind
from digitcore.training.canvas import Canvas
from digitcore.training.glyphs import DigitGlyphs
from digitcore.training.writing import Writing

Rng = np.random.Generator
Mask = npt.NDArray[np.uint8]

# More digits or words on a page cost more time than they teach.
MAX_GRID_DIGITS, MAX_DENSE_DIGITS, MAX_WORDS = 45, 80, 36


@dataclass(frozen=True, slots=True)
class Hand:
    """One person with one pen: what the digits of a page have in common."""

    height_px: float
    pen_px: float
    slant: float
    aspect: float
    strength: float
    angle_degrees: float
    curve: float
    uses_font: bool


class PageWriter:
    """Writes on canvases; holds nothing that changes."""

    def __init__(self, digits: DigitGlyphs, writing: Writing, font_digits_ratio: float) -> None:
        """Take the sources of digits and letters, and the share of hands that write digits as fonts do."""
        self.digits, self.writing, self.font_digits_ratio = digits, writing, font_digits_ratio

    def write(self, rng: Rng, canvas: Canvas, hand: Hand, kind: str) -> None:
        """Fill a canvas with "rows", "dense", "column", "grid", "scattered", "large", "words" or "touching" pairs."""
        getattr(self, f"_write_{kind}")(rng, canvas, hand)

    def draw_hand(self, rng: Rng, kind: str) -> Hand:
        """A person and a pen, for a page of this kind."""
        low, high = {"dense": (11, 34), "large": (90, 370), "touching": (24, 110), "words": (14, 90)}.get(
            kind, (13, 130)
        )
        height = draw_log_uniform(rng, low, high)
        thinnest = max(1.1, 0.025 * height)
        if rng.random() < 0.12:
            pen = height * rng.uniform(0.16, 0.32)
        else:
            pen = draw_log_uniform(rng, thinnest, max(thinnest * 1.1, 0.17 * height))
        chance = rng.random()
        strength = (
            rng.uniform(0.75, 1.0)
            if chance < 0.55
            else rng.uniform(0.35, 0.8)
            if chance < 0.85
            else rng.uniform(0.16, 0.4)
        )
        slope = rng.normal(0, 2.5) if rng.random() < 0.6 else rng.uniform(-20, 20)
        return Hand(
            height_px=height,
            pen_px=float(pen),
            slant=float(rng.normal(0.05, 0.15)),
            aspect=float(np.clip(rng.normal(1.0, 0.12), 0.72, 1.35)),
            strength=float(strength),
            angle_degrees=float(slope),
            curve=float(rng.normal(0, 0.05)) if rng.random() < 0.3 else 0.0,
            uses_font=bool(rng.random() < self.font_digits_ratio),
        )

    def _write_rows(self, rng: Rng, canvas: Canvas, hand: Hand) -> None:
        gap = rng.uniform(0.05, 0.6) if rng.random() < 0.7 else rng.uniform(0.5, 2.0)
        is_touching = bool(rng.random() < 0.3)
        y = rng.uniform(-0.3, 0.9) * canvas.size_px * rng.uniform(0.1, 1.0)
        leading = rng.uniform(1.12, 2.5)
        for _ in range(int(rng.integers(1, 9))):
            if y > canvas.size_px:
                break
            x = rng.uniform(-0.1, 0.35) * canvas.size_px
            self._write_line(rng, canvas, hand, x, y, gap, is_touching, word_ratio=0.1 if rng.random() < 0.4 else 0.0)
            y += leading * hand.height_px

    def _write_dense(self, rng: Rng, canvas: Canvas, hand: Hand) -> None:
        leading = rng.uniform(1.05, 1.5)
        gap = rng.uniform(0.02, 0.35)
        is_touching = bool(rng.random() < 0.4)
        steepness = abs(np.tan(np.deg2rad(hand.angle_degrees)))
        for y in np.arange(-steepness * canvas.size_px, canvas.size_px * (1 + steepness), leading * hand.height_px):
            if rng.random() < 0.08 or len(canvas.boxes) > MAX_DENSE_DIGITS:
                continue
            x = rng.uniform(-0.05, 0.1) * canvas.size_px
            self._write_line(rng, canvas, hand, x, float(y), gap, is_touching, word_ratio=0.04, most=30)

    def _write_touching(self, rng: Rng, canvas: Canvas, hand: Hand) -> None:
        for _ in range(int(rng.integers(2, 13))):
            pair = [self.draw_digit(rng, hand) for _ in range(2)]
            shift = _touch_distance(pair[0][0], pair[1][0]) + rng.uniform(-1.0, 0.35) * hand.pen_px
            w, h = shift + pair[1][0].shape[1], max(mask.shape[0] for mask, _ in pair)
            if (place := canvas.find_place(rng, w, h, 0.35 * hand.height_px)) is None:
                continue
            x, y = place
            canvas.put_digit(*pair[0], x, y, hand.strength)
            canvas.put_digit(*pair[1], x + shift, y + (pair[0][0].shape[0] - pair[1][0].shape[0]) / 2, hand.strength)

    def _write_column(self, rng: Rng, canvas: Canvas, hand: Hand) -> None:
        n_columns = int(rng.integers(1, 4))
        leading = rng.uniform(1.1, 2.2)
        has_labels = rng.random() < 0.3
        for column in range(n_columns):
            x = (column + rng.uniform(0.02, 0.4)) * canvas.size_px / n_columns
            for y in np.arange(rng.uniform(0, 1) * hand.height_px, canvas.size_px, leading * hand.height_px):
                left = x + rng.normal(0, 0.1) * hand.height_px
                if has_labels:
                    word = self.writing.draw_word(rng, _word_height(rng, hand))
                    canvas.put(word, left, y + hand.height_px / 2 - word.shape[0] / 2, hand.strength, InkKind.LETTERS)
                    left += word.shape[1] + hand.height_px * rng.uniform(0.2, 0.8)
                most = int(rng.integers(1, 6))
                self._write_line(rng, canvas, hand, left, float(y), 0.2, False, 0.0, most=most)

    def _write_grid(self, rng: Rng, canvas: Canvas, hand: Hand) -> None:
        cell_w, cell_h = hand.height_px * rng.uniform(1.2, 2.2), hand.height_px * rng.uniform(1.25, 2.2)
        x0, y0 = rng.uniform(-0.5, 1.0) * cell_w, rng.uniform(-0.5, 1.0) * cell_h
        columns, rows = np.arange(x0, canvas.size_px, cell_w), np.arange(y0, canvas.size_px, cell_h)
        if rng.random() < 0.6:
            pen, strength = 1 if rng.random() < 0.7 else 2, rng.uniform(0.1, 0.8)
            cells = np.zeros((canvas.size_px, canvas.size_px), np.uint8)
            gap = 0.0 if rng.random() < 0.6 else rng.uniform(0.04, 0.14) * cell_w
            for x in columns:
                for y in rows:
                    corner = (round(x + cell_w - gap), round(y + cell_h - gap))
                    cv2.rectangle(cells, (round(x), round(y)), corner, 255, pen)
            canvas.ink = np.maximum(canvas.ink, cells * np.float32(strength / 255))
            canvas.kinds[cells > 0] = InkKind.RULE
        empty_ratio = max(rng.uniform(0, 0.5), 1 - MAX_GRID_DIGITS / max(len(columns) * len(rows), 1))
        for x in columns:
            for y in rows:
                if rng.random() < empty_ratio:
                    continue
                mask, label = self.draw_digit(rng, hand)
                left = x + (cell_w - mask.shape[1]) / 2 + rng.normal(0, 0.07) * cell_w
                top = y + (cell_h - mask.shape[0]) / 2 + rng.normal(0, 0.07) * cell_h
                canvas.put_digit(mask, label, left, top, hand.strength)

    def _write_scattered(self, rng: Rng, canvas: Canvas, hand: Hand) -> None:
        for _ in range(int(rng.integers(1, 26))):
            height = hand.height_px * draw_log_uniform(rng, 0.4, 2.2)
            # One pen for all sizes, mostly; it may be too thick for the small ones.
            pen = min(hand.pen_px, 0.2 * height) if rng.random() < 0.7 else hand.pen_px * height / hand.height_px
            mask, label = self.draw_digit(rng, hand, height, max(pen, 1.1), free_rotation=True)
            if place := canvas.find_place(rng, mask.shape[1], mask.shape[0], 0.12 * height, cut_ratio=0.15):
                canvas.put_digit(mask, label, *place, hand.strength * rng.uniform(0.8, 1.0))

    def _write_large(self, rng: Rng, canvas: Canvas, hand: Hand) -> None:
        for _ in range(int(rng.integers(1, 4))):
            mask, label = self.draw_digit(rng, hand)
            if mask.shape[1] > 24 and rng.random() < 0.15:
                mask = _hatch(rng, mask)
            if place := canvas.find_place(rng, mask.shape[1], mask.shape[0], 2.0, cut_ratio=0.07):
                canvas.put_digit(mask, label, *place, hand.strength)

    def _write_words(self, rng: Rng, canvas: Canvas, hand: Hand) -> None:
        y = rng.uniform(-0.5, 1.5) * hand.height_px
        leading = rng.uniform(1.4, 2.8)
        while y < canvas.size_px and len(canvas.taken) < MAX_WORDS:
            x = rng.uniform(-0.1, 0.3) * canvas.size_px
            while x < canvas.size_px and len(canvas.taken) < MAX_WORDS:
                word = self.writing.draw_word(rng, hand.height_px)
                rise = np.tan(np.deg2rad(hand.angle_degrees)) * x
                canvas.put(word, x, y - rise, hand.strength, InkKind.LETTERS)
                x += word.shape[1] + hand.height_px * rng.uniform(0.4, 1.2)
            y += leading * hand.height_px

    def _write_line(
        self,
        rng: Rng,
        canvas: Canvas,
        hand: Hand,
        x: float,
        y: float,
        gap_ratio: float,
        is_touching: bool,
        word_ratio: float,
        most: int = 14,
    ) -> None:
        """Digits from x on, perhaps with words, commas and gaps between; the hand's slope and curve start at (0, y)."""
        before: Mask | None = None
        top_before = 0.0
        tangent = np.tan(np.deg2rad(hand.angle_degrees))
        for _ in range(int(rng.integers(1, most + 1))):
            if x > canvas.size_px:
                return
            # Of the page's edge, not of the line's start: lines of one hand run alongside each other.
            rise = tangent * x + hand.curve * canvas.size_px * np.sin(3 * x / canvas.size_px)
            base = y - rise + hand.height_px
            if rng.random() < word_ratio:
                word = self.writing.draw_word(rng, _word_height(rng, hand))
                canvas.put(word, x, base - 0.8 * word.shape[0], hand.strength, InkKind.LETTERS)
                x, before = x + word.shape[1] + hand.height_px * rng.uniform(0.15, 0.8), None
                continue
            height = hand.height_px * float(np.clip(rng.normal(1.0, 0.08), 0.75, 1.3))
            mask, label = self.draw_digit(rng, hand, height)
            top = base - mask.shape[0] + rng.normal(0, 0.05) * hand.height_px
            if is_touching and before is not None and rng.random() < 0.75:
                overlap = rng.uniform(-0.9, 1.0) * hand.pen_px
                x += _touch_distance(before, mask, round(top - top_before)) - before.shape[1] + overlap
            canvas.put_digit(mask, label, x, top, hand.strength)
            before, top_before = mask, top
            gap = 0.0 if is_touching else max(gap_ratio + rng.normal(0, 0.06), -0.02)
            x += mask.shape[1] + gap * hand.height_px
            if not is_touching and rng.random() < 0.05:
                x += self._punctuate(rng, canvas, hand, x, base)
                before = None

    def _punctuate(self, rng: Rng, canvas: Canvas, hand: Hand, x: float, base: float) -> float:
        """A point, comma, dash, slash or other sign after a digit; returns the width that it took."""
        if rng.random() < 0.5:
            size = max(2.0, hand.pen_px * rng.uniform(1.0, 2.0))
            dot = np.full((round(size * rng.uniform(1, 2)), round(size)), 255, np.uint8)
            canvas.put(dot, x + 0.05 * hand.height_px, base - dot.shape[0] / 2, hand.strength, InkKind.SCRIBBLE)
            return 0.25 * hand.height_px
        sign = self.writing.draw_symbol(rng, hand.height_px * rng.uniform(0.4, 0.9))
        x += 0.15 * hand.height_px
        canvas.put(sign, x, base - hand.height_px / 2 - sign.shape[0] / 2, hand.strength, InkKind.LETTERS)
        return sign.shape[1] + 0.35 * hand.height_px

    def draw_digit(
        self,
        rng: Rng,
        hand: Hand,
        height_px: float | None = None,
        pen_px: float | None = None,
        free_rotation: bool = False,
    ) -> tuple[Mask, int]:
        """One digit in this hand: its mask and its class."""
        height = height_px or hand.height_px
        if hand.uses_font and rng.random() < 0.85:
            return self.writing.draw_digit(rng, height, min(pen_px or hand.pen_px, 0.17 * height))
        index = self.digits.pick(rng)
        turn = hand.angle_degrees * (0.0 if rng.random() < 0.2 else 1.0) + rng.normal(0, 4)
        if free_rotation and rng.random() < 0.3:
            turn += rng.uniform(-15, 15)
        mask = self.digits.draw(
            rng,
            index,
            height,
            pen_px or hand.pen_px,
            hand.slant + rng.normal(0, 0.04),
            turn,
            hand.aspect * float(np.clip(rng.normal(1, 0.06), 0.8, 1.2)),
        )
        return mask, int(self.digits.labels[index])


def _touch_distance(left: Mask, right: Mask, right_is_lower_by_px: int = 0) -> float:
    """How far right of the left mask's origin the right one's must be for their inks to meet."""
    shift = right_is_lower_by_px
    top, bottom = max(0, shift), min(left.shape[0], right.shape[0] + shift)
    if bottom - top < 2:
        return float(left.shape[1])
    a, b = left[top:bottom] > 90, right[top - shift : bottom - shift] > 90
    both = a.any(axis=1) & b.any(axis=1)
    if not both.any():
        return float(left.shape[1])
    ends = left.shape[1] - np.argmax(a[both][:, ::-1], axis=1)
    starts = np.argmax(b[both], axis=1)
    return float((ends - starts).max())


def _hatch(rng: Rng, mask: Mask) -> Mask:
    """Fill with pencil strokes in place of even ink."""
    ys, xs = np.mgrid[0 : mask.shape[0], 0 : mask.shape[1]].astype(np.float32)
    angle, period = rng.uniform(0, np.pi), rng.uniform(3, 9)
    waves = np.sin((xs * np.cos(angle) + ys * np.sin(angle)) * np.float32(2 * np.pi / period))
    return (mask * np.clip(0.75 + 0.35 * waves, 0, 1)).astype(np.uint8)


def _word_height(rng: Rng, hand: Hand) -> float:
    return float(np.clip(hand.height_px * rng.uniform(0.5, 1.1), 8, 150))


def draw_log_uniform(rng: Rng, low: float, high: float) -> float:
    """A number whose logarithm is even between those of the bounds."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
