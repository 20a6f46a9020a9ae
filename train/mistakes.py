"""Pictures of what a checkpoint gets wrong, for its model card: drawn from the pusher's MNIST, never kept here."""

import io
from collections import Counter
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from digitcore.classifier import DigitClassifier
from digitcore.data import LabeledImages
from digitcore.detection import PageDetector
from digitcore.results import Box

PICTURE_NAME = "mistakes.png"
N_COLUMNS, MAX_ROWS = 8, 4
# A 28 px image three times as large, and two lines of text below.
ZOOM, CAPTION_PX = 3, 34
GAP_PX = 8
FONT_PX = 13
INK, PAPER, MISSED, MISREAD = (20, 20, 20), (255, 255, 255), (204, 121, 167), (213, 94, 0)

# The page that a detector is shown: digits of many sizes in a loose grid, so that each one's place is known.
PAGE_WH = (1200, 900)
N_PAGE_COLUMNS, N_PAGE_ROWS = 12, 9
MIN_DIGIT_PX, MAX_DIGIT_PX = 16, 80
N_PAGES = 6
MISSED_WORD, READ_WORD, FALSE_WORD = "missed", "read", "false"
LIGHTEST_PAPER, DARKEST_PAPER = 245, 190
# Two boxes are of one digit from here on, as in the field's tables.
MIN_IOU = 0.5


@dataclass(frozen=True, slots=True)
class MistakesPicture:
    """A PNG file, and a sentence that says what is in it."""

    png: bytes
    sentence: str


def draw_misread(classifier: DigitClassifier, test: LabeledImages) -> MistakesPicture | None:
    """The test images that a digit network reads wrong, those it is surest of first.

    Args:
        classifier: of the checkpoint.
        test: MNIST's test images.

    Returns:
        The picture; None if nothing is read wrong.
    """
    probs = classifier.classify(test.images).probs
    predicted, confidence = probs.argmax(axis=1), probs.max(axis=1)
    wrong = np.flatnonzero(predicted != test.labels)
    if not len(wrong):
        return None
    shown = wrong[np.argsort(-confidence[wrong], kind="stable")][: N_COLUMNS * MAX_ROWS]
    side = 28 * ZOOM
    n_rows = -(-len(shown) // N_COLUMNS)
    canvas = Image.new(
        "RGB", (GAP_PX + N_COLUMNS * (side + GAP_PX), GAP_PX + n_rows * (side + CAPTION_PX + GAP_PX)), PAPER
    )
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(FONT_PX)
    for place, index in enumerate(shown):
        x = GAP_PX + place % N_COLUMNS * (side + GAP_PX)
        y = GAP_PX + place // N_COLUMNS * (side + CAPTION_PX + GAP_PX)
        canvas.paste(Image.fromarray(test.images[index]).resize((side, side), Image.Resampling.NEAREST), (x, y))
        draw.text((x, y + side + 2), f"is {test.labels[index]}, read {predicted[index]}", INK, font)
        draw.text((x, y + side + 2 + FONT_PX), f"{100 * confidence[index]:.0f} % sure", INK, font)
    sentence = (
        f"{len(wrong):,} of {len(test):,} images are read wrong; here are the {len(shown)} that it is surest of."
        if len(shown) < len(wrong)
        else f"{len(wrong):,} of {len(test):,} images are read wrong: these."
    )
    return MistakesPicture(_to_png(canvas), sentence)


def draw_missed(detector: PageDetector, test: LabeledImages, n_pages: int = N_PAGES) -> MistakesPicture:
    """Pages made of test digits; the one with most mistakes, a box around each digit missed, misread or made up.

    Args:
        detector: of the checkpoint.
        test: MNIST's test images, at least one.
        n_pages: to look at.
    """
    pages = [_look_at_page(detector, test, seed) for seed in range(n_pages)]
    worst = max(pages, key=lambda page: len(page.marks))
    canvas = Image.fromarray(np.repeat(worst.picture[:, :, None], 3, axis=2))
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(2 * FONT_PX)
    for box, words in worst.marks:
        color = MISSED if words == MISSED_WORD else MISREAD
        draw.rectangle((box.x - 3, box.y - 3, box.x + box.w + 3, box.y + box.h + 3), outline=color, width=3)
        x = min(box.x - 3, PAGE_WH[0] - 1 - round(draw.textlength(words, font)))
        draw.text((x, max(box.y - 3 - 2 * FONT_PX, 0)), words, color, font)
    kinds = Counter(words.split()[0] for page in pages for _, words in page.marks)
    sentence = (
        f"Of {sum(page.n_digits for page in pages)} of MNIST's test digits on {n_pages} such pages "
        f"{kinds[MISSED_WORD]} are missed and {kinds[READ_WORD]} read wrong, and {kinds[FALSE_WORD]} are found where "
        "there is none, by the page network alone; this is the page with most of them."
    )
    return MistakesPicture(_to_png(canvas), sentence)


@dataclass(frozen=True, slots=True, eq=False)
class _Page:
    """A page, how many digits are on it, and what went wrong where."""

    picture: npt.NDArray[np.uint8]
    n_digits: int
    marks: tuple[tuple[Box, str], ...]


def _look_at_page(detector: PageDetector, test: LabeledImages, seed: int) -> _Page:
    """Each digit takes the find that covers it best; what no digit took is a false one."""
    picture, boxes, labels = compose_page(test, seed)
    found = detector.detect(picture)
    finds = [Box(*(round(float(side)) for side in box)) for box in found.boxes]
    read = found.probs.argmax(axis=1).tolist()
    marks: list[tuple[Box, str]] = []
    left = set(range(len(finds)))
    for box, label in zip(boxes, labels, strict=True):
        best = max(left, key=lambda i: _iou(box, finds[i]), default=None)
        if best is None or _iou(box, finds[best]) < MIN_IOU:
            marks.append((box, MISSED_WORD))
            continue
        left.discard(best)
        if read[best] != label:
            marks.append((box, f"{READ_WORD} {read[best]}"))
    marks += [(finds[i], FALSE_WORD) for i in sorted(left)]
    return _Page(picture, len(boxes), tuple(marks))


def compose_page(test: LabeledImages, seed: int) -> tuple[npt.NDArray[np.uint8], list[Box], list[int]]:
    """Ink test digits on a page whose light falls off to one side.

    Args:
        test: images (N, 28, 28) uint8, white on black, and their labels; N at least 1.
        seed: of everything random.

    Returns:
        The page, (900, 1200) uint8; each digit's box in its pixels; and which digit it is.
    """
    rng = np.random.default_rng(seed)
    w, h = PAGE_WH
    page = np.tile(np.linspace(LIGHTEST_PAPER, DARKEST_PAPER, w, dtype=np.float32), (h, 1))
    cell_w, cell_h = w // N_PAGE_COLUMNS, h // N_PAGE_ROWS
    boxes, labels = [], []
    for place in range(N_PAGE_COLUMNS * N_PAGE_ROWS):
        index = int(rng.integers(len(test)))
        image = _crop_to_ink(test.images[index])
        if image is None:
            continue
        height = int(rng.integers(MIN_DIGIT_PX, MAX_DIGIT_PX + 1))
        width = max(3, min(cell_w - 4, round(height * image.shape[1] / image.shape[0])))
        ink = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32) / 255
        x = place % N_PAGE_COLUMNS * cell_w + int(rng.integers(2, max(3, cell_w - width - 1)))
        y = place // N_PAGE_COLUMNS * cell_h + int(rng.integers(2, max(3, cell_h - height - 1)))
        patch = page[y : y + height, x : x + width]
        patch *= 1 - 0.8 * np.clip(ink, 0, 1)
        boxes.append(Box(x, y, width, height))
        labels.append(int(test.labels[index]))
    return np.clip(page, 0, 255).astype(np.uint8), boxes, labels


def _crop_to_ink(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8] | None:
    rows, columns = np.nonzero(image > 64)
    if not len(rows):
        return None
    return image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def _iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    w = min(a.x + a.w, b.x + b.w) - max(a.x, b.x)
    h = min(a.y + a.h, b.y + b.h) - max(a.y, b.y)
    overlap = max(w, 0) * max(h, 0)
    return overlap / (a.w * a.h + b.w * b.h - overlap)


def _to_png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()
