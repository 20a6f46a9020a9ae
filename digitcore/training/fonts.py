"""Fonts of handwriting and print for synthetic pages: which there are, and their signs as masks."""

import functools
import unicodedata
import zlib
from pathlib import Path

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
NO_DIGITS_FONTS = frozenset("league-script sacramento mr-dafoe".split())
# A nought crossed out, or another sign that a person would not write.
BAD_DIGITS = {("sedgwick-ave", 0)}
SUFFIXES = (".woff2", ".woff", ".ttf", ".otf")
# Pillow's own font, in place of files.
BUILT_IN = Path("built-in")
# Signs are drawn at one of these sizes (px), then scaled down: fewer fonts and masks to hold.
WORK_SIZES = (24, 34, 48, 68, 96, 136, 192)
TAPE_WIDTH_PX = 3000
N_CACHED_FONTS, N_CACHED_DIGITS, N_CACHED_TAPES = 512, 3000, 160


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
    """The stroke's width as a share of a capital's height: twice the ink's area over its outline's length."""
    mask = draw_text(path, "hnotiH", 100) > 127
    outline = int((mask[:, 1:] != mask[:, :-1]).sum() + (mask[1:] != mask[:-1]).sum())
    # An edge in no special direction is 4/pi longer when counted in whole pixels.
    return float(2 * mask.sum() / max(outline * np.pi / 4, 1) / (100 * measure_cap_ratio(path)))


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


def draw_text(path: Path, text: str, size_px: int, stroke_px: float = 0) -> Mask:
    """A line of text as coverage, (h, w) uint8, tightly cropped; fonts without accents get plain letters."""
    font = load_font(path, size_px)
    left, top, right, bottom = font.getbbox(text)
    # Handwriting reaches out of the boxes that its font claims.
    margin = size_px // 2 + 2
    picture = Image.new("L", (int(right - left) + 2 * margin, int(bottom - top) + 2 * margin))
    ImageDraw.Draw(picture).text((margin - left, margin - top), text, fill=255, font=font, stroke_width=stroke_px)
    return crop_tight(np.asarray(picture))


@functools.lru_cache(N_CACHED_DIGITS)
def draw_glyph(path: Path, sign: str, size_px: int) -> Mask:
    """One sign, kept for the next time."""
    mask = draw_text(path, sign, size_px)
    mask.setflags(write=False)
    return mask


def pick_work_size(wanted_px: float) -> int:
    """The smallest work size that need not be enlarged, or the largest."""
    return next((size for size in WORK_SIZES if size >= wanted_px), WORK_SIZES[-1])


@functools.lru_cache(N_CACHED_TAPES)
def make_tape(path: Path, size_px: int) -> tuple[Mask, npt.NDArray[np.int64]]:
    """A long line of print, and the columns where its words begin: blocks of print are cut from it.

    What it says depends on the font and the size alone.
    """
    rng = np.random.default_rng([zlib.crc32(font_name(path).encode()), size_px])
    font = load_font(path, size_px)
    words = choose_print_text(rng, max(24, int(TAPE_WIDTH_PX / size_px / 2.5)))
    if not has_accents(path):
        words = [fold_accents(word) for word in words]
    space = max(2, round(font.getlength(" ")))
    widths = [int(np.ceil(font.getlength(word))) + 1 for word in words]
    starts = np.cumsum([0, *(width + space for width in widths)])
    picture = Image.new("L", (int(starts[-1]) + size_px, round(1.5 * size_px)))
    draw = ImageDraw.Draw(picture)
    for word, start in zip(words, starts, strict=False):
        draw.text((int(start), round(1.1 * size_px)), word, fill=255, font=font, anchor="ls")
    tape = np.array(picture)
    tape.setflags(write=False)
    return tape, starts
