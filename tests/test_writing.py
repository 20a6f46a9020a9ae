"""Writing for synthetic pages: sizes, whole ink, equal seeds give equal masks, no digit where none may be."""

import json
import string
from pathlib import Path

import numpy as np
import pytest

from digitcore.errors import ConfigError, DatasetError
from digitcore.training import fonts
from digitcore.training.letter_strokes import DIGITS, LETTERS, SYMBOLS, draw_strokes, parse_strokes, smooth_stroke
from digitcore.training.word_choice import (
    COMMON_WORDS,
    LOOK_ALIKES,
    choose_print_text,
    choose_printed_number,
    choose_word,
    is_clearly_letters,
)
from digitcore.training.writing import Writing

FONTS = Path(__file__).resolve().parent.parent / "fonts"
WRITINGS = {"strokes": Writing.from_folder(None)}
if (FONTS / "node_modules").is_dir():
    WRITINGS |= {split: Writing.from_folder(FONTS, split) for split in ("train", "test")}
DRAWN = {
    "word": lambda writing, rng: writing.draw_word(rng, 30),
    "letter": lambda writing, rng: writing.draw_letter(rng, 30)[0],
    "digit": lambda writing, rng: writing.draw_digit(rng, 30)[0],
    "print": lambda writing, rng: writing.draw_print(rng, 200, 150, 14),
    "number": lambda writing, rng: writing.draw_printed_digits(rng, 20),
    "symbol": lambda writing, rng: writing.draw_symbol(rng, 30),
}


@pytest.fixture(params=("strokes", "train", "test"))
def writing(request):
    if request.param not in WRITINGS:
        pytest.skip("the fonts are missing: npm ci --prefix fonts")
    return WRITINGS[request.param]


@pytest.mark.parametrize("what", DRAWN)
def test_masks_hold_ink_and_are_tight(writing, what):
    rng = np.random.default_rng(1)
    for _ in range(60):
        mask = DRAWN[what](writing, rng)
        assert mask.dtype == np.uint8 and mask.ndim == 2
        assert mask.max() > 60
        assert mask[0].any() and mask[-1].any() and mask[:, 0].any() and mask[:, -1].any()


@pytest.mark.parametrize("what", DRAWN)
def test_equal_seeds_give_equal_masks_in_any_order(writing, what):
    first = [DRAWN[what](writing, np.random.default_rng(seed)) for seed in range(12)]
    again = [DRAWN[what](writing, np.random.default_rng(seed)) for seed in reversed(range(12))][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("height", [8, 31, 150, 370])
def test_draw_digit_has_the_height(writing, height):
    rng = np.random.default_rng(2)
    digits = set()
    for _ in range(80):
        mask, digit = writing.draw_digit(rng, height)
        digits.add(digit)
        assert abs(mask.shape[0] - height) <= 1
        assert mask.shape[1] <= 2.2 * height
    assert digits == set(range(10))


@pytest.mark.parametrize("height", [8, 40, 150])
def test_draw_word_is_about_as_high_as_asked(writing, height):
    rng = np.random.default_rng(3)
    heights = [writing.draw_word(rng, height).shape[0] for _ in range(60)]
    assert 0.9 * height < np.median(heights) < 2.2 * height
    assert max(heights) < 5 * height


def test_draw_digit_takes_a_pen(writing):
    def mean_ink(pen):
        rng = np.random.default_rng(4)
        return np.mean([writing.draw_digit(rng, 100, pen)[0].mean() for _ in range(60)])

    assert mean_ink(6) < 0.7 * mean_ink(14)


@pytest.mark.parametrize("size", [(120, 80), (400, 400), (5, 5)])
def test_draw_print_stays_in_its_block(writing, size):
    rng = np.random.default_rng(5)
    for _ in range(40):
        mask = writing.draw_print(rng, *size, 10)
        assert mask.shape[1] <= max(size[0], 10)
        assert mask.shape[0] <= max(size[1], 2 * 10)


def test_draw_letter_names_its_letter(writing):
    rng = np.random.default_rng(6)
    assert {writing.draw_letter(rng, 12)[1] for _ in range(1500)} == set(string.ascii_letters)


def test_print_text_has_no_digits():
    rng = np.random.default_rng(7)
    words = choose_print_text(rng, 5000)
    assert len(words) == 5000 and all(words)
    assert not any(c.isdigit() for word in words for c in word)
    assert not any(c.isdigit() for word in COMMON_WORDS for c in word)


def test_words_are_no_digits():
    rng = np.random.default_rng(8)
    for _ in range(3000):
        word = choose_word(rng)
        assert not any(c.isdigit() for c in word)
        assert 2 <= len(word.rstrip(".,!?:-")) <= 9
        assert any(c.isalpha() and c not in LOOK_ALIKES for c in word)


@pytest.mark.parametrize(
    ("word", "is_clear"), [("so", False), ("Bill", False), ("SOS", False), ("man", True), ("la", True)]
)
def test_is_clearly_letters(word, is_clear):
    assert is_clearly_letters(word) is is_clear


def test_printed_numbers_have_digits():
    rng = np.random.default_rng(9)
    assert all(any(c.isdigit() for c in choose_printed_number(rng)) for _ in range(300))


def test_every_form_can_be_drawn():
    assert set(DIGITS) == set(string.digits) and set(string.ascii_letters) <= set(LETTERS)
    for forms in (LETTERS | DIGITS | SYMBOLS).values():
        for form in forms:
            strokes, marks = parse_strokes(form)
            assert draw_strokes([stroke * 40 for stroke in strokes + marks], 3).max() == 255


def test_smooth_stroke_passes_through_its_points():
    points = np.array([[0, 0], [1, 2], [3, 1], [3, 1], [5, 4]], float)
    curve = smooth_stroke(points, n_between=10)
    for point in points:
        assert np.abs(curve - point).sum(axis=1).min() < 1e-9
    assert len(curve) == 3 * 10 + 1


def test_draw_strokes_is_as_wide_as_the_pen():
    line = np.array([[0.0, 0.0], [0.0, 100.0]])
    for pen in (1.2, 3, 5, 12):
        mask = draw_strokes([line], pen)
        assert mask[mask.shape[0] // 2].sum() / 255 == pytest.approx(pen, abs=0.9)


def _touch(folder, *names):
    for name in names:
        (folder / name).write_bytes(b"no font")


def test_find_fonts_takes_one_latin_file_of_each_and_splits_by_name(tmp_path):
    _touch(tmp_path, "caveat-latin-400-normal.woff", "caveat-latin-400-normal.woff2", "caveat-latin-700-normal.woff2")
    _touch(tmp_path, "caveat-cyrillic-400-normal.woff2", "handlee-latin-400-normal.woff2", "mine.ttf", "read.me")
    names = [[path.name for path in fonts.find_fonts(tmp_path, split)] for split in ("train", "test")]
    assert names == [["caveat-latin-400-normal.woff2", "mine.ttf"], ["handlee-latin-400-normal.woff2"]]


def test_splits_share_no_font():
    if "train" not in WRITINGS:
        pytest.skip("the fonts are missing: npm ci --prefix fonts")
    train, test = (
        {fonts.font_name(path) for path in WRITINGS[split].hand_fonts + WRITINGS[split].print_fonts}
        for split in ("train", "test")
    )
    assert not train & test
    assert test == fonts.TEST_FONTS
    assert len(train) > 50 and fonts.PRINT_FONTS <= train | test


def test_every_font_that_is_named_is_fetched():
    packages = json.loads((FONTS / "package.json").read_text(encoding="utf-8"))["dependencies"]
    fetched = {name.removeprefix("@fontsource/") for name in packages}
    bad_digits = {name for name, _ in fonts.BAD_DIGITS}
    assert fonts.PRINT_FONTS | fonts.TEST_FONTS | fonts.NO_DIGITS_FONTS | bad_digits <= fetched


@pytest.mark.parametrize("split", ["train", "test"])
def test_from_folder_without_fonts_says_how_to_get_them(tmp_path, split):
    with pytest.raises(DatasetError, match=f"no {split} fonts .* `npm ci --prefix fonts`"):
        Writing.from_folder(tmp_path, split)


def test_from_folder_needs_handwriting(tmp_path):
    _touch(tmp_path, "roboto-latin-400-normal.woff2")
    with pytest.raises(DatasetError, match="no handwriting"):
        Writing.from_folder(tmp_path)


def test_from_folder_refuses_other_splits():
    with pytest.raises(ConfigError, match="not 'validation'"):
        Writing.from_folder(None, "validation")


def test_a_broken_font_is_named(tmp_path):
    _touch(tmp_path, "mine.ttf")
    writing = Writing.from_folder(tmp_path)
    with pytest.raises(DatasetError, match="mine.ttf cannot be opened as a font"):
        for seed in range(20):
            writing.draw_word(np.random.default_rng(seed), 30)


def test_fold_accents():
    assert [fonts.fold_accents(word) for word in ("Käse", "weiß", "sœur", "niño", "")] == [
        "Kase",
        "weiss",
        "soeur",
        "nino",
        "",
    ]
