"""Cut images as the reader cuts them, digits and others, into a set to learn from.

Crops of photos are cut from synthetic pages by the reader's own chain, cropping.py and preprocessing.py, with boxes as
wrong as a detector's; clean ones are drawn as on a sketchpad, and cut where splitting.py would cut them. Single letters
that may be taken for digits are left out: nobody can tell a handwritten O from a 0.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset

from digitcore.cropping import cut_digit
from digitcore.detector import InkKind
from digitcore.preprocessing import FIELD_PX, normalize_digit
from digitcore.results import Box, Candidate
from digitcore.splitting import propose_segments
from digitcore.training.canvas import draw_scribble, is_like_one
from digitcore.training.crop_set import NOT_A_DIGIT, Crops
from digitcore.training.pages import Page, PageMaker
from digitcore.training.workers import iterate_in_order
from digitcore.training.writing import LOOK_ALIKES

Rng = np.random.Generator
Mask = npt.NDArray[np.uint8]
XYWH = tuple[float, float, float, float]
Sample = tuple[Mask, int]

CROPS_FORMAT = 4
# A page of eighty digits would drown the others.
MAX_DIGITS_PER_PAGE = 10
N_CLEAN_PER_PAGE = 5
# Beside them, digits in forms that MNIST lacks: fonts and strokes of our own.
N_FOREIGN_PER_PAGE = 8
# Pages of nothing but digits that touch, so that a neighbour's strokes in the box are a common sight.
TOUCHING_PAGES_RATIO = 0.2
# A detector's boxes err by so much of the longest side at each edge, mostly and sometimes.
JITTER_RATIO, LARGE_JITTER_RATIO, LARGE_JITTER_CHANCE = 0.04, 0.07, 0.25
# What the reader hands on as one digit is about this wide, as a share of its height.
MIN_WINDOW_ASPECT, MAX_WINDOW_ASPECT = 0.35, 1.2
MIN_BOX_PX, MAX_BOX_PX = 10.0, 190.0
# A box is on no digit if it shares less than this with any, measured by the smaller of the two.
MAX_SHARED_RATIO = 0.1
# The height at which clean ones are drawn, and their pens: from a sharp pencil to a marker.
CLEAN_HEIGHT_PX = 80.0
CLEAN_PEN_RATIOS = (0.025, 0.2)
# A stretch of ink is one digit if it has all but this of it and hardly any of the other …
WHOLE_RATIO, STRAY_RATIO = 0.95, 0.06
# … two if it has so much of both, and a part if it has between these shares of one.
BOTH_RATIO = 0.3
PART_RATIOS = (0.15, 0.72)
# Parts that are digits of their own: the loops of 6, 8 and 9.
LOOPS_ABOVE, LOOPS_BELOW = {8, 9}, {6, 8}


def make_crops(maker: PageMaker, n_pages: int, seed: int, name: str = "crops", n_workers: int = 0) -> Crops:
    """Make crops, about as many of digits as of others.

    Args:
        maker: of the pages; its digits and its writing are also drawn clean.
        n_pages: to cut up; each gives some forty images.
        seed: of everything; page by page, so that a longer run begins as a shorter one.
        name: of the set.
        n_workers: processes that make them, 0 for this one; the crops do not depend on it.
    """
    images, labels = [np.zeros((0, FIELD_PX, FIELD_PX), np.uint8)], [np.zeros(0, np.int64)]
    for page_images, page_labels in iterate_in_order(_CutPages(maker, n_pages, seed), n_workers):
        images.append(page_images)
        labels.append(page_labels)
    return Crops(np.concatenate(images), np.concatenate(labels), name)


def load_or_make_crops(
    maker: PageMaker, n_pages: int, seed: int, name: str, cache_folder: Path | None, n_workers: int = 0
) -> Crops:
    """`make_crops`, kept in a folder for the next time.

    Args:
        maker: see `make_crops`.
        n_pages: see `make_crops`.
        seed: see `make_crops`.
        name: of the set.
        cache_folder: None for nowhere.
        n_workers: see `make_crops`.
    """
    if cache_folder is None:
        return make_crops(maker, n_pages, seed, name, n_workers)
    sources = repr((CROPS_FORMAT, n_pages, seed, maker.config, [p.name for p in maker.writing.hand_fonts]))
    sources += hashlib.sha256(np.ascontiguousarray(maker.writer.digits.fields).tobytes()).hexdigest()
    path = cache_folder / f"crops-{hashlib.sha256(sources.encode()).hexdigest()[:12]}.npz"
    if path.exists():
        with np.load(path) as kept:
            return Crops(kept["images"], kept["labels"], name)
    crops = make_crops(maker, n_pages, seed, name, n_workers)
    cache_folder.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.npz")
    np.savez_compressed(part, images=crops.images, labels=crops.labels)
    part.replace(path)
    return crops


class _CutPages(Dataset):
    """Page by page: its n images, (n, 28, 28) uint8, and their labels, (n,) int64."""

    def __init__(self, maker: PageMaker, n_pages: int, seed: int) -> None:
        self.maker, self.n_pages, self.seed = maker, n_pages, seed

    def __len__(self) -> int:
        return self.n_pages

    def __getitem__(self, index: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        rng = np.random.default_rng([self.seed, index])
        # Nothing at all is no digit; but a crop that lost its digit teaches nothing.
        made = [
            (normalize_digit(ink), label)
            for ink, label in _make_some(rng, self.maker)
            if ink.any() or label == NOT_A_DIGIT
        ]
        images = np.array([image for image, _ in made], np.uint8).reshape(-1, FIELD_PX, FIELD_PX)
        return images, np.array([label for _, label in made], np.int64)


def _make_some(rng: Rng, maker: PageMaker) -> Iterator[Sample]:
    """One page's crops, and clean ones beside them."""
    page = maker.make(rng, "touching" if rng.random() < TOUCHING_PAGES_RATIO else "mixed")
    yield from _cut_digits(rng, page)
    yield from _cut_others(rng, page, maker)
    for _ in range(N_CLEAN_PER_PAGE):
        yield _draw_digit(rng, maker)
        if not is_like_one(other := _draw_other(rng, maker)):
            yield other, NOT_A_DIGIT
    for _ in range(N_FOREIGN_PER_PAGE):
        yield maker.writing.draw_digit(rng, CLEAN_HEIGHT_PX, _draw_clean_pen(rng, CLEAN_HEIGHT_PX))
    yield from _split_pair(rng, maker)
    yield from _split_single(rng, maker)


def _cut_digits(rng: Rng, page: Page) -> Iterator[Sample]:
    """Digits of a page, in boxes that err a little."""
    for i in rng.permutation(len(page.labels))[:MAX_DIGITS_PER_PAGE]:
        x, y, w, h = (float(v) for v in page.boxes[i])
        share = LARGE_JITTER_RATIO if rng.random() < LARGE_JITTER_CHANCE else JITTER_RATIO
        left, top, right, bottom = rng.normal(0, share * max(w, h), 4)
        box = (x + left, y + top, max(w + right - left, 3.0), max(h + bottom - top, 3.0))
        yield cut_digit(page.image, box), int(page.labels[i])


def _cut_others(rng: Rng, page: Page, maker: PageMaker) -> Iterator[Sample]:
    """What a detector may take for digits: other ink, parts of digits, two at once, texture, letters."""
    taken = np.vstack([page.boxes, page.ignored])
    proposals = [
        *_propose_other_ink(rng, page.ink, 4),
        *_propose_empty(rng, page.ink, 2),
    ]
    boxes = [box for box in proposals if _largest_share(box, taken) < MAX_SHARED_RATIO]
    boxes += [
        box
        for box in (*_propose_parts(rng, page, 2), *_propose_pairs(rng, page.boxes, 2))
        if _largest_share(box, page.ignored) < MAX_SHARED_RATIO
    ]
    size = page.image.shape[0]
    for x, y, w, h in boxes:
        if x < size - 2 and y < size - 2 and x + w > 2 and y + h > 2:
            crop = cut_digit(page.image, (x, y, w, h))
            if not is_like_one(crop):
                yield crop, NOT_A_DIGIT
    for _ in range(2):
        if (letter := _cut_letter(rng, page, maker)) is not None:
            yield letter, NOT_A_DIGIT


def _propose_other_ink(rng: Rng, ink: Mask, n_windows: int) -> list[XYWH]:
    """Scribbles, wide pieces of words, and windows of a digit's shape on words, print and rules."""
    boxes: list[XYWH] = []
    scribbles = (ink == InkKind.SCRIBBLE).astype(np.uint8)
    if scribbles.any():
        stats = cv2.connectedComponentsWithStats(scribbles)[2][1:]
        boxes += [tuple(float(v) for v in row[:4]) for row in rng.permutation(stats)[:3]]
    for kinds in ((InkKind.LETTERS,), (InkKind.PRINT,), (InkKind.RULE,)):
        mask = np.isin(ink, [int(kind) for kind in kinds]).astype(np.uint8)
        if not mask.any():
            continue
        # Letters of a word join; a line's height is that of its ink, joined sideways.
        joined = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((3, 9), np.uint8))
        stats = cv2.connectedComponentsWithStats(joined)[2][1:]
        stats = rng.permutation(stats[stats[:, 3] >= MIN_BOX_PX])
        for x, y, w, h in stats[:n_windows, :4].tolist():
            height = h * rng.uniform(0.75, 1.1) if kinds[0] != InkKind.RULE else rng.uniform(12, 80)
            width = height * rng.uniform(MIN_WINDOW_ASPECT, MAX_WINDOW_ASPECT)
            # A narrow piece may be a letter that is like a digit.
            if kinds[0] == InkKind.RULE or w > 1.3 * width:
                left = x + rng.uniform(0, max(w - width, 1))
                boxes.append((left, y + rng.uniform(0, max(h - height, 0) + 1), width, height))
    return [box for box in boxes if MIN_BOX_PX <= max(box[2:]) <= MAX_BOX_PX and box[2] <= 2.2 * box[3]]


def _propose_empty(rng: Rng, ink: Mask, n: int) -> list[XYWH]:
    """Boxes without ink, of any size: bare paper, texture, the edges of sheets."""
    boxes = []
    for _ in range(n):
        height = float(np.exp(rng.uniform(np.log(12), np.log(130))))
        width = height * rng.uniform(MIN_WINDOW_ASPECT, MAX_WINDOW_ASPECT)
        x, y = rng.uniform(0, ink.shape[1] - width), rng.uniform(0, ink.shape[0] - height)
        if not ink[int(y) : int(y + height) + 1, int(x) : int(x + width) + 1].any():
            boxes.append((x, y, width, height))
    return boxes


def _propose_parts(rng: Rng, page: Page, n: int) -> list[XYWH]:
    """Boxes moved off their digit by half, along x or y, or half of them; none that sits on a neighbour."""
    boxes = []
    for i in rng.permutation(len(page.labels))[:n]:
        x, y, w, h = (float(v) for v in page.boxes[i])
        shift, label = rng.uniform(0.4, 0.6) * rng.choice([-1, 1]), int(page.labels[i])
        if rng.random() < 0.5 and w > 0.6 * h:
            box = (x + shift * w, y, w, h) if rng.random() < 0.6 else (x + max(shift, 0) * w, y, 0.5 * w, h)
        elif label not in LOOPS_ABOVE | LOOPS_BELOW | {0, 1, 4, 7}:
            box = (x, y + shift * h, w, h) if rng.random() < 0.6 else (x, y + max(shift, 0) * h, w, 0.5 * h)
        else:
            continue
        others = np.delete(page.boxes, i, axis=0)
        if _largest_share(box, others) < 0.35 and max(box[2:]) >= MIN_BOX_PX:
            boxes.append(box)
    return boxes


def _propose_pairs(rng: Rng, boxes: npt.NDArray[np.float32], n: int) -> list[XYWH]:
    """Boxes around two digits side by side."""
    pairs = []
    for i in rng.permutation(len(boxes)):
        x, y, w, h = boxes[i]
        gaps = boxes[:, 0] - (x + w)
        overlap = np.minimum(boxes[:, 1] + boxes[:, 3], y + h) - np.maximum(boxes[:, 1], y)
        near = np.flatnonzero((np.abs(gaps) < 0.3 * h) & (overlap > 0.5 * h) & (boxes[:, 0] > x))
        if len(near):
            low = np.minimum(boxes[i, :2], boxes[near[0], :2])
            high = np.maximum(boxes[i, :2] + boxes[i, 2:], boxes[near[0], :2] + boxes[near[0], 2:])
            pairs.append((float(low[0]), float(low[1]), *(float(v) for v in high - low)))
        if len(pairs) == n:
            break
    return pairs


def _cut_letter(rng: Rng, page: Page, maker: PageMaker) -> Mask | None:
    """A letter written anywhere on the page, cut out as a digit would be; None if the page is too small for it."""
    mask = _draw_letter(rng, maker, float(np.exp(rng.uniform(np.log(14), np.log(90)))))
    h, w = mask.shape
    size = page.image.shape[0]
    margin = max(3, round(0.4 * max(w, h)))
    if w + 2 * margin >= size or h + 2 * margin >= size:
        return None
    x, y = (int(rng.integers(margin, size - side - margin)) for side in (w, h))
    around = page.image[y - margin : y + h + margin, x - margin : x + w + margin]
    # Darkened by so much at full ink; lightened on a dark ground, where dark ink would drown.
    depth = np.float32(rng.uniform(0.3, 0.85) if around.mean() > 90 else -rng.uniform(1.0, 2.5))
    ink = cv2.GaussianBlur(np.pad(mask, margin).astype(np.float32) / 255, (0, 0), rng.uniform(0.4, 1.1))
    picture = np.clip(around * (1 - depth * ink), 0, 255).astype(np.uint8)
    left, top, right, bottom = rng.normal(0, JITTER_RATIO * max(w, h), 4)
    return cut_digit(picture, (margin + left, margin + top, max(w + right - left, 3), max(h + bottom - top, 3)))


def _draw_digit(rng: Rng, maker: PageMaker, height_px: float = CLEAN_HEIGHT_PX) -> Sample:
    """A digit as on a sketchpad."""
    pen = _draw_clean_pen(rng, height_px)
    if rng.random() < 0.25:
        return maker.writing.draw_digit(rng, height_px, pen)
    digits = maker.writer.digits
    index = digits.pick(rng)
    slant, turn = rng.normal(0.03, 0.15), rng.normal(0, 6)
    aspect = float(np.clip(rng.normal(1.0, 0.15), 0.7, 1.4))
    return digits.draw(rng, index, height_px, pen, slant, turn, aspect), int(digits.labels[index])


def _draw_clean_pen(rng: Rng, height_px: float) -> float:
    """The width of a pen on a sketchpad."""
    return height_px * float(np.exp(rng.uniform(*np.log(CLEAN_PEN_RATIOS))))


def _draw_letter(rng: Rng, maker: PageMaker, height_px: float) -> Mask:
    """A single letter that is like no digit."""
    while True:
        mask, letter = maker.writing.draw_letter(rng, height_px)
        if letter not in LOOK_ALIKES:
            return mask


def _draw_other(rng: Rng, maker: PageMaker) -> Mask:
    """A drawing on a sketchpad that is no digit."""
    kind = rng.choice(["letter", "word", "symbol", "scribble", "turned"], p=[0.5, 0.14, 0.14, 0.16, 0.06])
    if kind == "letter":
        return _draw_letter(rng, maker, CLEAN_HEIGHT_PX)
    if kind == "word":
        word = maker.writing.draw_word(rng, CLEAN_HEIGHT_PX)
        width = int(word.shape[0] * rng.uniform(0.7, 1.8))
        start = int(rng.integers(0, max(word.shape[1] - width, 0) + 1))
        return word[:, start : start + width] if rng.random() < 0.8 else word
    if kind == "symbol":
        return maker.writing.draw_symbol(rng, CLEAN_HEIGHT_PX)
    if kind == "scribble":
        return draw_scribble(rng, CLEAN_HEIGHT_PX, CLEAN_HEIGHT_PX * rng.uniform(0.03, 0.12))
    while True:
        mask, label = _draw_digit(rng, maker)
        if label not in (0, 1, 8):
            # On its side; upside down too many are digits.
            return np.ascontiguousarray(np.rot90(mask, int(rng.choice([1, 3]))))


def _split_pair(rng: Rng, maker: PageMaker) -> Iterator[Sample]:
    """Stretches of two digits that touch, cut as a sketch's are: one of them, both, or neither whole."""
    height = CLEAN_HEIGHT_PX
    (left, left_label), (right, right_label) = (
        _draw_digit(rng, maker, height * rng.uniform(0.8, 1.1)) for _ in range(2)
    )
    width = left.shape[1] + right.shape[1]
    tall = max(left.shape[0], right.shape[0]) + 12
    layers = np.zeros((2, tall, width), np.uint8)
    top = int(rng.integers(0, tall - left.shape[0] + 1))
    layers[0, top : top + left.shape[0], : left.shape[1]] = left
    top = int(rng.integers(0, tall - right.shape[0] + 1))
    layers[1, top : top + right.shape[0], left.shape[1] :] = right
    layers[1] = _push_left(layers[0], layers[1], int(rng.integers(0, 5)))
    layers = layers[:, :, : int(np.flatnonzero(layers.any(axis=(0, 1)))[-1]) + 1]
    layers = layers[:, layers.any(axis=(0, 2))]
    segments = propose_segments(Candidate(Box(0, 0, layers.shape[2], layers.shape[1]), layers.max(axis=0)))
    found = [_judge(layers, (left_label, right_label), segment.candidate) for segment in segments]
    samples = [
        (segment.candidate.ink, label) for segment, label in zip(segments, found, strict=True) if label is not None
    ]
    # The uncut pair comes first; of its many stretches a few are enough.
    yield from samples[:1]
    rest = samples[1:]
    whole = [sample for sample in rest if sample[1] != NOT_A_DIGIT]
    other = [sample for sample in rest if sample[1] == NOT_A_DIGIT]
    yield from (whole[i] for i in rng.permutation(len(whole))[:2])
    yield from (other[i] for i in rng.permutation(len(other))[:3])


def _split_single(rng: Rng, maker: PageMaker) -> Iterator[Sample]:
    """Stretches of one digit, cut as if it were two."""
    mask, label = _draw_digit(rng, maker)
    segments = propose_segments(Candidate(Box(0, 0, mask.shape[1], mask.shape[0]), mask))[1:]
    inks = [s.candidate.ink for s in segments if _judge(mask[None], (label,), s.candidate) == NOT_A_DIGIT]
    yield from ((inks[i], NOT_A_DIGIT) for i in rng.permutation(len(inks))[:2])
    if label in LOOPS_ABOVE | LOOPS_BELOW | {1, 4, 7}:
        return
    # Its upper or lower part: the rest lies beyond a crop, or under something.
    cut = round(mask.shape[0] * rng.uniform(0.4, 0.6))
    part = mask[:cut] if rng.random() < 0.5 else mask[cut:]
    if part.any() and not is_like_one(part):
        yield part, NOT_A_DIGIT


def _push_left(fixed: Mask, moving: Mask, further_px: int) -> Mask:
    """Move a layer to the left until the inks meet, and so much further."""
    a, b = fixed > 90, moving > 90
    both = a.any(axis=1) & b.any(axis=1)
    gap = int((np.argmax(b[both], axis=1) - (a.shape[1] - np.argmax(a[both][:, ::-1], axis=1))).min())
    return np.roll(moving, -(max(gap, 0) + further_px), axis=1)


def _judge(layers: npt.NDArray[np.uint8], labels: tuple[int, ...], part: Candidate) -> int | None:
    """What a stretch of the ink of some digits, (n, h, w), is: one of them, no digit, or nothing one can say."""
    x, y, w, h = part.box
    own = np.minimum(layers[:, y : y + h, x : x + w], part.ink[None]).sum(axis=(1, 2), dtype=np.int64)
    shares = own / np.maximum(layers.sum(axis=(1, 2), dtype=np.int64), 1)
    order = np.argsort(-shares)
    most, rest = shares[order[0]], shares[order[1]] if len(order) > 1 else 0.0
    if most >= WHOLE_RATIO and rest <= STRAY_RATIO:
        return labels[order[0]]
    if rest >= BOTH_RATIO:
        return NOT_A_DIGIT
    is_part = PART_RATIOS[0] <= most <= PART_RATIOS[1] and rest <= BOTH_RATIO
    return NOT_A_DIGIT if is_part and not is_like_one(part.ink) else None


def _largest_share(box: XYWH, others: npt.NDArray[np.float32]) -> float:
    """How much a box has in common with the nearest of (n, 4) others, as a share of the smaller area."""
    if not len(others):
        return 0.0
    x, y, w, h = box
    across = np.minimum(others[:, 0] + others[:, 2], x + w) - np.maximum(others[:, 0], x)
    down = np.minimum(others[:, 1] + others[:, 3], y + h) - np.maximum(others[:, 1], y)
    smaller = np.maximum(np.minimum(others[:, 2] * others[:, 3], w * h), 1.0)
    return float((np.maximum(across, 0) * np.maximum(down, 0) / smaller).max())
