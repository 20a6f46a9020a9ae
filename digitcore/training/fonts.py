"""Fonts of handwriting and print for synthetic pages: which there are, and their signs as masks."""

import functools
import unicodedata
import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from digitcore.errors import DatasetError
from digitcore.training.letter_strokes import Mask, crop_tight
from digitcore.training.word_choice import choose_print_text

# Names as Fontsource spells them; what is not listed here is handwriting.
PRINT_FONTS = frozenset(
    """
    courier-prime crimson-text cutive-mono eb-garamond ibm-plex-mono inter libre-baskerville lora merriweather noto-sans
    open-sans oswald playfair-display pt-sans roboto roboto-slab source-serif-4 special-elite
    """.split()
)
# Held out: training pages never use them. No font of a family that is almost alike is on the other side.
TEST_FONTS = frozenset(
    """
    cedarville-cursive gloria-hallelujah handlee kristi marck-script mali patrick-hand reenie-beanie satisfy schoolbell
    short-stack waiting-for-the-sunrise
    courier-prime merriweather oswald pt-sans
    """.split()
)
# Digits that are no handwriting, or that a person would misread.
NO_DIGITS_FONTS = frozenset({"sacramento", "mr-dafoe"})
# A nought crossed out, and a four like an R.
BAD_DIGITS = frozenset({("sedgwick-ave", 0), ("zeyada", 4)})
SUFFIXES = (".woff2", ".woff", ".ttf", ".otf")
# Pillow's own font, in place of files.
BUILT_IN = Path("built-in")
# Signs are drawn at one of these sizes (px), then scaled down: fewer fonts and masks to hold.
WORK_SIZES = (40, 80, 160, 320)
# Print is set once at this size and scaled down: a camera shows no hinting.
TAPE_SIZE_PX = 60
N_TAPE_WORDS = 90
# All that 64 fonts need often; about 60 MB.
N_CACHED_FONTS, N_CACHED_GLYPHS, N_CACHED_TAPES = 400, 9000, 320


def font_name(path: Path) -> str:
    """`caveat` of caveat-latin-400-normal.woff2, and of caveat.ttf."""
    return path.stem.split("-latin")[0].lower()


def find_fonts(folder: Path, split: str) -> tuple[Path, ...]:
    """The fonts below a folder, one file each, that are for "train" or for "test".

    Raises:
        DatasetError: if there is none.
    """
    files: dict[str, Path] = {}
    for suffix in SUFFIXES:
        for path in sorted(folder.rglob(f"*{suffix}")):
            has_variants = "-normal" in path.stem or "-italic" in path.stem
            if not has_variants or path.stem.endswith("-latin-400-normal"):
                files.setdefault(font_name(path), path)
    fonts = tuple(path for name, path in sorted(files.items()) if (name in TEST_FONTS) == (split == "test"))
    if not fonts:
        raise DatasetError(
            f"{folder} holds no {split} fonts (latin {', '.join(SUFFIXES)}). `npm ci --prefix fonts` fetches them."
        )
    return fonts


@functools.lru_cache(N_CACHED_FONTS)
def load_font(path: Path, size_px: int) -> ImageFont.FreeTypeFont:
    """A font at a size, without shaping beyond pairs of letters: the same on every machine.

    Raises:
        DatasetError: if the file is no font.
    """
    if path == BUILT_IN:
        return ImageFont.load_default(size_px)
    try:
        return ImageFont.truetype(str(path), size_px, layout_engine=ImageFont.Layout.BASIC)
    except OSError as err:
        raise DatasetError(f"{path} cannot be opened as a font: {err}.") from err


@functools.lru_cache(N_CACHED_FONTS)
def measure_cap_ratio(path: Path) -> float:
    """A capital's height as a share of the font's size."""
    _, top, _, bottom = load_font(path, 100).getbbox("H")
    return max(bottom - top, 10) / 100


@functools.lru_cache(N_CACHED_FONTS)
def measure_pen_ratio(path: Path) -> float:
    """The stroke's width as a share of the font's size: twice the ink's area over its outline's length."""
    mask = draw_text(path, "hnotiH", 100) > 127
    outline = int((mask[:, 1:] != mask[:, :-1]).sum() + (mask[1:] != mask[:-1]).sum())
    # An edge in no special direction is 4/pi longer when counted in whole pixels.
    return float(2 * mask.sum() / max(outline * np.pi / 4, 1) / 100)


@functools.lru_cache(N_CACHED_FONTS)
def has_accents(path: Path) -> bool:
    """Whether the font has the accented letters of Western Europe."""
    font = load_font(path, 40)
    missing = bytes(font.getmask("\uffff"))
    return all(bytes(font.getmask(letter)) not in (missing, b"") for letter in "éäöüñß")


def fold_accents(word: str) -> str:
    """The word in plain letters: "Käse" → "Kase"."""
    decomposed = unicodedata.normalize("NFKD", word.replace("ß", "ss").replace("œ", "oe"))
    return "".join(c for c in decomposed if not unicodedata.combining(c))


@dataclass(frozen=True, slots=True)
class Glyph:
    """A sign of a font: its coverage, where it lies against the pen's place on the base line, and the pen's advance."""

    mask: Mask
    left: int
    top: int
    advance: float


@functools.lru_cache(N_CACHED_GLYPHS)
def load_glyph(path: Path, sign: str, size_px: int) -> Glyph:
    """One sign at a size, kept for the next time: FreeType takes longer than all that is done with it."""
    font = load_font(path, size_px)
    image, (left, top) = font.getmask2(sign, anchor="ls")
    w, h = image.size
    mask = np.array(image, np.uint8).reshape(h, w) if w * h else np.zeros((0, 0), np.uint8)
    mask.setflags(write=False)
    return Glyph(mask, int(left), int(top), font.getlength(sign))


@functools.lru_cache(N_CACHED_FONTS)
def _measure_digit_ratio(path: Path, digit: int) -> float:
    return max(load_glyph(path, str(digit), WORK_SIZES[1]).mask.shape[0], 1) / WORK_SIZES[1]


def pick_digit_size(path: Path, digit: int, height_px: float) -> int:
    """The first work size at which a font's digit is `height_px` high or higher, or the largest."""
    return pick_work_size(height_px / _measure_digit_ratio(path, digit))


def draw_text(path: Path, text: str, size_px: int) -> Mask:
    """A line of text as coverage, (h, w) uint8, tightly cropped."""
    glyphs = [load_glyph(path, sign, size_px) for sign in text]
    pens = np.cumsum([0.0] + [glyph.advance for glyph in glyphs[:-1]])
    lefts = [round(pen) + glyph.left for pen, glyph in zip(pens, glyphs, strict=True)]
    x0, y0 = min(lefts), min(glyph.top for glyph in glyphs)
    w = max(left + glyph.mask.shape[1] for left, glyph in zip(lefts, glyphs, strict=True)) - x0
    h = max(glyph.top + glyph.mask.shape[0] for glyph in glyphs) - y0
    line = np.zeros((max(h, 1), max(w, 1)), np.uint8)
    for left, glyph in zip(lefts, glyphs, strict=True):
        y, x = glyph.top - y0, left - x0
        part = line[y : y + glyph.mask.shape[0], x : x + glyph.mask.shape[1]]
        np.maximum(part, glyph.mask, out=part)
    return crop_tight(line)


def pick_work_size(wanted_px: float) -> int:
    """The smallest work size that need not be enlarged, or the largest."""
    return next((size for size in WORK_SIZES if size >= wanted_px), WORK_SIZES[-1])


@dataclass(frozen=True, slots=True)
class Tape:
    """A long line of print and the columns where its words begin, from which blocks of print are cut."""

    mask: Mask
    starts: npt.NDArray[np.int64]


@functools.lru_cache(N_CACHED_TAPES)
def load_tape(path: Path, size_px: int) -> Tape:
    """A font's tape at a size; what it says depends on the font alone."""
    if size_px == TAPE_SIZE_PX:
        return _set_tape(path)
    whole = load_tape(path, TAPE_SIZE_PX)
    zoom = size_px / TAPE_SIZE_PX
    h, w = whole.mask.shape
    mask = cv2.resize(whole.mask, (round(w * zoom), round(h * zoom)), interpolation=cv2.INTER_AREA)
    mask.setflags(write=False)
    return Tape(mask, (whole.starts * zoom).astype(np.int64))


def _set_tape(path: Path) -> Tape:
    rng = np.random.default_rng(zlib.crc32(font_name(path).encode()))
    words = choose_print_text(rng, N_TAPE_WORDS)
    if not has_accents(path):
        words = [fold_accents(word) for word in words]
    font = load_font(path, TAPE_SIZE_PX)
    space = font.getlength(" ")
    pens = space / 2 + np.cumsum([0.0] + [font.getlength(word) + space for word in words])
    picture = Image.new("L", (int(pens[-1]) + TAPE_SIZE_PX, round(1.5 * TAPE_SIZE_PX)))
    draw = ImageDraw.Draw(picture)
    for word, pen in zip(words, pens, strict=False):
        draw.text((int(pen), round(1.1 * TAPE_SIZE_PX)), word, fill=255, font=font, anchor="ls")
    # Words begin in the middle of the blank before them, so that no cut goes through ink.
    return Tape(np.array(picture), (pens - space / 2).astype(np.int64))
