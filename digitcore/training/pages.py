"""Synthetic pages, composed on the fly: MNIST's training digits written on paper, among what is no digit.

Everything is drawn from one random generator, so a page is named by its seed. The paper, the light and the camera are
in papers.py, the pen in glyphs.py, letters and print in writing.py.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from digitcore.detector import InkKind
from digitcore.training.canvas import IGNORED_INK, Canvas, draw_rules, draw_scratches, draw_scribble
from digitcore.training.glyphs import DigitGlyphs
from digitcore.training.legibility import measure_legibility
from digitcore.training.page_writer import Hand, PageWriter, draw_log_uniform
from digitcore.training.papers import draw_grain, draw_ground, draw_light, photograph
from digitcore.training.writing import LOOK_ALIKES, Writing

Rng = np.random.Generator
Mask = npt.NDArray[np.uint8]
FloatImage = npt.NDArray[np.float32]
Scene = Literal["mixed", "words", "touching", "dense"]

SIZE_PX = 384
# Digits that look like one when turned or mirrored: 0, 1, 8, 6 ↔ 9, 2 and 5. Those are no mistakes to learn from.
TURNED_LOOK_ALIKES = {90: {0, 8, 1}, 180: {0, 1, 2, 5, 6, 8, 9}, 270: {0, 8, 1}}
MIRRORED_LOOK_ALIKES = {0, 1, 2, 5, 6, 8, 9}
# What a digit must stand out by to be asked for: grey levels of 255, the sensor's noise, the ground's own texture.
MIN_CONTRAST_LEVELS, NOISE_FACTOR, TEXTURE_FACTOR = 6.0, 2.5, 5.0
STRONGEST_RATIO = 0.93
# All but this share of its ink must stand out by this share of that: the rest may lie in the dark.
HIDDEN_RATIO, VISIBLE_RATIO = 0.15, 0.25
# Of the digits below this that were looked at, some seventy, about half could be told; well above it, most.
MIN_LEGIBILITY = 0.4


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """A synthetic picture and what there is to find in it.

    Attributes:
        image: (H, W) uint8 grey.
        boxes: (n, 4) float32 x, y, w, h of the digits, ink's outer edge to outer edge.
        labels: (n,) int64.
        ignored: (m, 4) float32 boxes within which neither a find nor a miss counts.
        ink: (H, W) uint8, an `InkKind` for each pixel, 255 where it does not count.
    """

    image: npt.NDArray[np.uint8]
    boxes: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    ignored: npt.NDArray[np.float32]
    ink: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class PageConfig:
    """How often pages are of which kind, and how often what distracts is on them.

    Attributes:
        size_px: side of a page.
        rows: weight of lines of digits, straight, sloping or curved.
        dense: of small lines close together.
        touching: of pairs that touch.
        column: of lists.
        grid: of single digits in rows and columns, with or without boxes to write in.
        scattered: of digits of all sizes anywhere.
        large: of one to three large digits.
        words: of handwriting and print without any digit.
        nothing: of pages with no writing of any kind.
        font_digits_ratio: share of pages whose digits come from handwriting fonts.
        turned_ratio: share of pages that are turned as a whole: nothing there can be read.
        inset_ratio: share of pages that end within the picture, as small pictures do.
    """

    size_px: int = SIZE_PX
    rows: float = 0.25
    dense: float = 0.13
    touching: float = 0.1
    column: float = 0.07
    grid: float = 0.08
    scattered: float = 0.16
    large: float = 0.06
    words: float = 0.12
    nothing: float = 0.08
    font_digits_ratio: float = 0.14
    turned_ratio: float = 0.03
    inset_ratio: float = 0.08


class PageMaker:
    """Makes pages; holds nothing that changes."""

    def __init__(self, digits: DigitGlyphs, writing: Writing, config: PageConfig = PageConfig()) -> None:  # noqa: B008
        """Take the sources of digits and letters."""
        self.writing, self.config = writing, config
        self.writer = PageWriter(digits, writing, config.font_digits_ratio)

    def make(self, rng: Rng, scene: Scene = "mixed") -> Page:
        """Compose one page.

        Args:
            rng: all that is random.
            scene: "mixed" for training; for tests also handwritten words without a digit ("words"), pairs that
                touch ("touching"), small lines close together ("dense").
        """
        config = self.config
        canvas = Canvas(config.size_px)
        kinds = ("rows", "dense", "touching", "column", "grid", "scattered", "large", "words", "nothing")
        weights = np.array([getattr(config, kind) for kind in kinds])
        kind = str(rng.choice(kinds, p=weights / weights.sum())) if scene == "mixed" else scene
        hand = self.writer.draw_hand(rng, kind)
        if scene == "mixed":
            self._print_form(rng, canvas, hand, kind)
        if kind != "nothing":
            self.writer.write(rng, canvas, hand, kind)
        elif rng.random() < 0.3:
            self._scratch(rng, canvas)
        elif rng.random() < 0.5:
            for _ in range(int(rng.integers(1, 8))):
                self._put_scribble(rng, canvas, hand)
        if scene == "mixed" and kind != "nothing" and rng.random() < 0.6:
            self._distract(rng, canvas, hand)
        return self._finish(rng, canvas, hand, scene)

    def _print_form(self, rng: Rng, canvas: Canvas, hand: Hand, kind: str) -> None:
        """Rules, squares and print, before anybody writes."""
        if rng.random() < 0.3:
            spacing = hand.height_px * rng.uniform(0.35, 2.2) if kind != "large" else draw_log_uniform(rng, 10, 90)
            if spacing >= 6:
                angle = hand.angle_degrees + rng.normal(0, 1.0)
                angle += 90 if rng.random() < 0.1 else 0
                rules = draw_rules(rng, canvas.size_px, angle, spacing, bool(rng.random() < 0.4))
                canvas.ink = np.maximum(canvas.ink, rules * np.float32(rng.uniform(0.05, 0.6) / 255))
                canvas.kinds[rules > 60] = InkKind.RULE
        if rng.random() < 0.14 or (kind in ("words", "nothing") and rng.random() < 0.45):
            self._put_print(rng, canvas)

    def _put_print(self, rng: Rng, canvas: Canvas) -> None:
        """Printed text beside, or before, what is written; or showing through, mirrored and faint."""
        width, height = (int(v) for v in rng.uniform(0.2, 1.0, 2) * canvas.size_px)
        block = self.writing.draw_print(rng, width, height, draw_log_uniform(rng, 7, 48))
        chance = rng.random()
        strength, kind = rng.uniform(0.3, 1.0), int(InkKind.PRINT)
        if chance < 0.25:
            block, strength, kind = cv2.GaussianBlur(block[:, ::-1], (0, 0), 1.2), rng.uniform(0.04, 0.2), IGNORED_INK
        elif chance < 0.4:
            strength = rng.uniform(0.1, 0.35)
        x = rng.uniform(-0.3, 1) * max(canvas.size_px - block.shape[1], 40)
        y = rng.uniform(-0.3, 1) * max(canvas.size_px - block.shape[0], 40)
        canvas.put(block, x, y, strength, kind)
        if kind == IGNORED_INK or rng.random() < 0.5:
            canvas.taken.pop()  # Written over: digits may stand on it.

    def _distract(self, rng: Rng, canvas: Canvas, hand: Hand) -> None:
        """Things that are no digits, where there is room."""
        for _ in range(int(rng.integers(1, 7))):
            what = rng.choice(
                ["word", "letter", "symbol", "scribble", "turned", "printed"], p=[0.3, 0.1, 0.15, 0.25, 0.14, 0.06]
            )
            size = float(np.clip(hand.height_px * draw_log_uniform(rng, 0.4, 1.8), 8, 150))
            if what == "word":
                self._put_free(rng, canvas, self.writing.draw_word(rng, size), hand, InkKind.LETTERS)
            elif what == "letter":
                mask, letter = self.writing.draw_letter(rng, size)
                kind = IGNORED_INK if letter in LOOK_ALIKES else InkKind.LETTERS
                self._put_free(rng, canvas, mask, hand, kind)
            elif what == "symbol":
                self._put_free(rng, canvas, self.writing.draw_symbol(rng, size), hand, InkKind.LETTERS)
            elif what == "scribble":
                self._put_scribble(rng, canvas, hand)
            elif what == "turned":
                self._put_turned(rng, canvas, hand, size)
            else:
                self._put_free(rng, canvas, self.writing.draw_printed_digits(rng, size), hand, IGNORED_INK)

    def _put_free(self, rng: Rng, canvas: Canvas, mask: Mask, hand: Hand, kind: int) -> None:
        place = canvas.find_place(rng, mask.shape[1], mask.shape[0], 0.08 * hand.height_px, cut_ratio=0.3)
        if place is None:
            return
        strength = hand.strength * rng.uniform(0.6, 1.0)
        if kind == IGNORED_INK:
            canvas.put_ignored(mask, *place, strength)
        else:
            canvas.put(mask, *place, strength, kind)

    def _put_scribble(self, rng: Rng, canvas: Canvas, hand: Hand) -> None:
        size = hand.height_px * draw_log_uniform(rng, 0.2, 2.0)
        mask = draw_scribble(rng, size, hand.pen_px * rng.uniform(0.6, 1.4))
        # An upright dash is a one and a ring a nought, whoever drew it.
        h, w = mask.shape
        x, y, w, h = cv2.boundingRect(mask)
        if w == 0:
            return
        mask = mask[y : y + h, x : x + w]
        is_one = h > 1.6 * w and h > 0.6 * hand.height_px
        self._put_free(rng, canvas, mask, hand, IGNORED_INK if is_one else InkKind.SCRIBBLE)

    def _scratch(self, rng: Rng, canvas: Canvas) -> None:
        scratches = draw_scratches(rng, canvas.size_px)
        canvas.put(scratches, 0, 0, rng.uniform(0.08, 0.7), InkKind.SCRIBBLE)

    def _put_turned(self, rng: Rng, canvas: Canvas, hand: Hand, size: float) -> None:
        """A digit on its side, upside down or mirrored."""
        mask, label = self.writer.draw_digit(rng, hand, size, max(1.1, hand.pen_px * size / hand.height_px))
        turn = int(rng.choice([0, 90, 180, 270]))
        if turn == 0:
            mask, alike = mask[:, ::-1], MIRRORED_LOOK_ALIKES
        else:
            mask, alike = np.rot90(mask, turn // 90), TURNED_LOOK_ALIKES[turn]
        mask = np.ascontiguousarray(mask)
        self._put_free(rng, canvas, mask, hand, IGNORED_INK if label in alike else InkKind.SCRIBBLE)

    def _finish(self, rng: Rng, canvas: Canvas, hand: Hand, scene: Scene) -> Page:
        if scene == "mixed" and rng.random() < self.config.turned_ratio:
            _turn(rng, canvas)
        size = canvas.size_px
        ground = draw_ground(rng, size)
        tone = np.float32(rng.uniform(0.0, 0.25))
        is_light_ink = rng.random() < 0.1
        if is_light_ink:
            ground, tone = (
                0.02 + 0.45 * (1 - ground) * np.float32(rng.uniform(0.1, 1.0)),
                np.float32(rng.uniform(0.7, 1.0)),
            )
        ink = canvas.ink
        if rng.random() < 0.3:  # Pencil and chalk skip the paper's valleys.
            grain = draw_grain(rng, ink.shape)
            ink = np.clip(ink * (1 - np.float32(rng.uniform(0.1, 0.5)) * np.abs(grain)), 0, 1)
        light = draw_light(rng, size)
        inked = tone if is_light_ink else np.minimum(tone, 0.6 * ground)
        bare = ground * light
        change = (inked - ground) * ink * light
        noise_levels = rng.uniform(0.3, 7.0) if rng.random() < 0.75 else 0.0
        image = photograph(rng, bare + change, noise_levels)
        _excuse_illegible(canvas, image, bare, change, noise_levels)
        boxes = np.array(canvas.boxes, np.float32).reshape(-1, 4)
        labels = np.array(canvas.labels, np.int64)
        ignored = np.array(canvas.ignored, np.float32).reshape(-1, 4)
        page = Page(image, boxes, labels, ignored, canvas.kinds)
        return _inset(rng, page) if scene == "mixed" and rng.random() < self.config.inset_ratio else page


def _turn(rng: Rng, canvas: Canvas) -> None:
    """Turn the whole page a quarter or a half; its digits can no longer be read, and those that could are excused."""
    turn = int(rng.choice([90, 180, 270]))
    alike = TURNED_LOOK_ALIKES[turn]
    excused = [box for box, label in zip(canvas.boxes, canvas.labels, strict=True) if label in alike]
    turned_kinds = canvas.kinds.copy()
    turned_kinds[turned_kinds == InkKind.DIGIT] = IGNORED_INK
    canvas.ink = np.ascontiguousarray(np.rot90(canvas.ink, turn // 90))
    canvas.kinds = np.ascontiguousarray(np.rot90(turned_kinds, turn // 90))
    size = canvas.size_px
    turned = []
    for x, y, w, h in [*canvas.ignored, *excused]:
        for _ in range(turn // 90):  # Counter-clockwise, as rot90.
            x, y, w, h = y, size - x - w, h, w
        turned.append((x, y, w, h))
    canvas.boxes, canvas.labels, canvas.masks, canvas.ignored = [], [], [], turned


def _excuse_illegible(canvas: Canvas, image: Mask, bare: FloatImage, change: FloatImage, noise_levels: float) -> None:
    """Ask for no digit that nobody could read.

    Its ink drowns in the picture's noise, the ground's texture or the dark, or too little of what one sees in its
    place is its own.
    """
    ground = np.clip(255 * bare, 0, 255).astype(np.uint8)
    asked = list(zip(canvas.boxes, canvas.labels, canvas.masks, strict=True))
    canvas.boxes, canvas.labels, canvas.masks = [], [], []
    for box, label, mask in asked:
        x, y, w, h = (max(0, int(v)) for v in box)
        own = np.s_[y : y + h, x : x + w]
        strengths = np.abs(change[own])
        ink = canvas.ink[own]
        texture = float(cv2.absdiff(bare[own], cv2.blur(bare[own], (5, 5))).mean())
        least = max((MIN_CONTRAST_LEVELS + NOISE_FACTOR * noise_levels) / 255, TEXTURE_FACTOR * texture)
        if (
            _pick_share(strengths, STRONGEST_RATIO) >= least
            and _pick_share(strengths[ink >= 0.5 * ink.max()], HIDDEN_RATIO) >= VISIBLE_RATIO * least
            and measure_legibility(image, ground, mask, *box[:2]) >= MIN_LEGIBILITY
        ):
            canvas.boxes.append(box)
            canvas.labels.append(label)
            canvas.masks.append(mask)
            continue
        canvas.ignored.append(box)
        kinds = canvas.kinds[own]
        kinds[kinds == InkKind.DIGIT] = IGNORED_INK


def _pick_share(values: FloatImage, ratio: float) -> float:
    """The value below which this share of the others lies."""
    position = int(ratio * (values.size - 1))
    return float(np.partition(values, position, axis=None)[position])


def _inset(rng: Rng, page: Page) -> Page:
    """Cut a small picture out and repeat its last row and column, as pictures are padded to be read."""
    size = page.image.shape[0]
    w, h = (int(v) for v in rng.uniform(0.3, 0.95, 2) * size)
    x0, y0 = int(rng.integers(0, size - w + 1)), int(rng.integers(0, size - h + 1))
    cut = np.s_[y0 : y0 + h, x0 : x0 + w]
    image = cv2.copyMakeBorder(page.image[cut], 0, size - h, 0, size - w, cv2.BORDER_REPLICATE)
    ink = cv2.copyMakeBorder(page.ink[cut], 0, size - h, 0, size - w, cv2.BORDER_CONSTANT, value=IGNORED_INK)
    boxes = page.boxes - np.array([x0, y0, 0, 0], np.float32)
    ignored = page.ignored - np.array([x0, y0, 0, 0], np.float32)
    right, bottom = boxes[:, 0] + boxes[:, 2], boxes[:, 1] + boxes[:, 3]
    is_whole = (boxes[:, :2].min(axis=1, initial=0) >= 0) & (right <= w) & (bottom <= h)
    is_outside = (boxes[:, 0] >= w) | (boxes[:, 1] >= h) | (right <= 0) | (bottom <= 0)
    # A digit cut at the last column or row is drawn out into a stripe: excuse all of it.
    cut_off = boxes[~is_whole & ~is_outside]
    cut_off[:, 2] = np.where(right[~is_whole & ~is_outside] > w, size, cut_off[:, 2])
    cut_off[:, 3] = np.where(bottom[~is_whole & ~is_outside] > h, size, cut_off[:, 3])
    return Page(image, boxes[is_whole], page.labels[is_whole], np.vstack([ignored, cut_off]), ink)
