"""Find digit-like ink in a photo by classical means: flatten the light, tell ink from paper, keep what a pen may draw.

    grey, at most 1280 px → contrast to a median background, dark on light or light on dark → hysteresis above the
    local noise → long rules out → connected components, pieces of one digit joined → what cannot be a digit out
    → the candidates' ink, its strokes no thinner than MNIST's

It knows strokes, not digits: a letter or a scribble of the right size is a candidate, and the classifier decides.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from digitcore.results import Box, Candidate, Finding, Reason, Rejected

FloatImage = npt.NDArray[np.float32]
Mask = npt.NDArray[np.uint8]

# A digit of 1.2 % of the longest side still has 15 px then.
MAX_WORK_SIDE_PX = 1280
MIN_DIGIT_RATIO = 0.012
MIN_DIGIT_PX = 10
MAX_DIGIT_RATIO = 0.95
# Specks below this share of the smallest digit are not worth a word.
MIN_SPECK_RATIO = 0.6
# No page of digits has more; gravel and lawns do, and the largest are enough of those.
MAX_MARKS = 500

# The background is a median over a quarter of the picture, taken on a small copy: strokes never fill half of such a
# window, and a shadow's edge stays sharp, which a mean would smear into a stripe.
BACKGROUND_SIDE_PX = 128
BACKGROUND_WINDOW_PX = 31
# With less light than this (of 255) noise would pass for contrast.
MIN_LIGHT = 48.0
SMOOTHING_SIGMA_PX = 0.8

# Ink takes this share of the paper's light: a faint pencil in poor light takes about 0.12.
MIN_INK_CONTRAST = 0.07
# Seeds of ink stand this far above the local noise (median of the absolute contrast), what grows from them half so far.
SEED_NOISE_RATIO = 7.0
GROWTH_RATIO = 0.5
# Grey levels, of 255: one is quantisation; above twelve it is no noise but a thick stroke that fills the window.
NOISE_RANGE = (1, 12)
NOISE_SIDE_PX = 256
NOISE_WINDOW_PX = 41

# Light ink needs dark paper: below this median background (of 255) a picture may be chalk on a board.
MAX_DARK_PAPER = 128

# A rule runs over this share of the longest side, in runs of RULE_RUN_RATIO that waver by a pixel; it is thinner than
# a bold pen, and tilted by 6 degrees at the most.
MIN_RULE_RATIO = 0.3
RULE_RUN_RATIO = 0.08
MIN_RULE_RUN_PX = 40
MAX_RULE_WIDTH_RATIO = 0.006
MAX_RULE_SLOPE = 0.1
N_RULE_SLOPES = 21
RULE_SLOPE_SIDE_PX = 320

# Two components are pieces of one digit if one is at most this high beside the other and no speck, …
MAX_PIECE_HEIGHT_RATIO = 0.55
MIN_PIECE_RATIO = 0.25
# … about as dark, and this near: a flag beside or above its 5, as a share of the taller one's height.
MIN_PIECE_PEAK_RATIO = 0.5
MAX_PIECE_GAP_RATIO = 0.15
# Or their boxes share this much of the smaller one.
MIN_NESTED_RATIO = 0.35

# Shape limits, wide of what people write: width to height, stroke to longest side, loops (an 8 has two; ink may blot).
MAX_ASPECT = 2.0
MAX_UPRIGHT_ASPECT = 12.0
MIN_STROKE_RATIO, MAX_STROKE_RATIO = 0.02, 0.36
MAX_LOOPS = 3
# The side of a printed box is a bar this thin, whose ends come this near to rules.
MAX_FRAME_BAR_RATIO = 0.15
FRAME_REACH_PX = 4
# Ink stands this far above the 80th percentile of what lies around it. Texture does not: it is like its surroundings.
MIN_CLUTTER_RATIO = 6.0
CLUTTER_PERCENTILE = 80
# And it is darker than the 20th percentile of the light around it, by this share of its contrast. The corner of a sheet
# or a table, left over where the background's edge is rounded off, has its like beside it.
DIM_PERCENTILE = 20
MIN_STEP_RATIO = 0.3

# MNIST's strokes are 2 to 3 px in 20; a thin pen's would fade when the digit is brought to that size.
PEN_RATIO = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class _Mark:
    """Connected ink, in pixels of the working size: its box, own pixels, their contrast and its 80th percentile."""

    box: Box
    own: npt.NDArray[np.bool_]
    contrast: FloatImage
    peak: float

    @property
    def stroke_px(self) -> float:
        """Mean width of the strokes: a bar of width w has a mean distance of (w + 1) / 4 to its rim."""
        distance = cv2.distanceTransform(np.pad(self.own, 1).astype(np.uint8), cv2.DIST_L2, 3)
        return 4.0 * float(distance[distance > 0].mean()) - 1.0


def find_photo_candidates(rgb: npt.NDArray[np.uint8]) -> Finding:
    """Find ink that may be handwritten digits.

    Args:
        rgb: (H, W, 3) uint8, upright; dark ink on light or light on dark.

    Returns:
        The candidates and what was refused; both empty for a blank picture.
    """
    scale = min(1.0, MAX_WORK_SIDE_PX / max(rgb.shape))
    grey = _resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), scale)
    # On a dark ground both are tried, and the one with more to read is taken; dark ink if there is nothing to choose.
    searches = [_search(contrast, light) for contrast, light in _flatten_light(grey)]
    found = max(searches, key=lambda search: len(search.candidates))
    return _to_picture(found, scale, rgb.shape[1::-1])


def _search(contrast: FloatImage, light: FloatImage) -> Finding:
    """Everything after the light is flattened, at the working size; `light` is 0 to 255, low where the ink is."""
    seeds, mask = _find_ink(contrast)
    rules, rule_boxes = _find_rules(mask)
    marks = _find_marks(mask & ~rules, seeds, contrast)
    reasons = [_refuse_by_shape(mark, contrast.shape) or _refuse_by_frame(mark, rules) for mark in marks]
    paper = _find_paper(contrast.shape, [mark for mark, reason in zip(marks, reasons, strict=True) if reason is None])
    candidates, rejected = [], [Rejected(box, Reason.RULED_LINE) for box in rule_boxes]
    ink = np.zeros(contrast.shape, np.uint8)
    for mark, reason in zip(marks, reasons, strict=True):
        reason = reason or _refuse_by_surroundings(mark, contrast, light, paper)
        if reason is None:
            candidates.append(Candidate(mark.box, _render(mark)))
            _window(ink, mark.box)[mark.own] = 255
        else:
            rejected.append(Rejected(mark.box, reason))
    shown = np.clip(contrast * 255.0, 0.0, 255.0).astype(np.uint8)
    return Finding(tuple(candidates), tuple(rejected), shown, ink)


def _flatten_light(grey: npt.NDArray[np.uint8]) -> list[tuple[FloatImage, FloatImage]]:
    """What is missing of the background's light, as a share of it, and the light; on dark grounds also of the dark."""
    small = _resize_to(grey, BACKGROUND_SIDE_PX, cv2.INTER_AREA)
    background = cv2.resize(cv2.medianBlur(small, BACKGROUND_WINDOW_PX), grey.shape[::-1]).astype(np.float32)
    light = cv2.GaussianBlur(grey, (0, 0), SMOOTHING_SIGMA_PX).astype(np.float32)
    sides = [(background, light)]
    if float(np.median(small)) < MAX_DARK_PAPER:
        sides.append((255.0 - background, 255.0 - light))
    return [((ground - level) / np.maximum(ground, MIN_LIGHT), level) for ground, level in sides]


def _find_ink(contrast: FloatImage) -> tuple[npt.NDArray[np.bool_], Mask]:
    """Pixels that are surely ink, and those that are if they hang on one."""
    magnitude = np.clip(np.abs(contrast) * 255.0, *NOISE_RANGE).astype(np.uint8)
    noise = cv2.medianBlur(_resize_to(magnitude, NOISE_SIDE_PX, cv2.INTER_NEAREST), NOISE_WINDOW_PX)
    noise = cv2.resize(noise, contrast.shape[::-1]).astype(np.float32) / 255.0
    threshold = np.maximum(MIN_INK_CONTRAST, SEED_NOISE_RATIO * noise)
    return contrast > threshold, (contrast > GROWTH_RATIO * threshold).astype(np.uint8)


def _find_rules(mask: Mask) -> tuple[Mask, list[Box]]:
    """Long thin straight lines, about level or upright, without what strokes have in common with them; their boxes."""
    longest = max(mask.shape)
    runs = _find_level_runs(mask) | np.ascontiguousarray(_find_level_runs(np.ascontiguousarray(mask.T)).T)
    if not runs.any():
        return runs, []
    _, labels, stats, _ = cv2.connectedComponentsWithStats(runs)
    is_long = stats[:, 2:4].max(axis=1) >= MIN_RULE_RATIO * longest
    is_long[0] = False
    thick = np.ones((round(MAX_RULE_WIDTH_RATIO * longest) + 2,) * 2, np.uint8)
    rules = mask & is_long[labels] & ~cv2.morphologyEx(mask, cv2.MORPH_OPEN, thick)
    # Where ink goes on at either side, a stroke crosses the rule.
    rules &= ~cv2.morphologyEx(mask & ~rules, cv2.MORPH_CLOSE, thick)
    return rules, [Box(*map(int, row[:4])) for row in stats[is_long]]


def _find_level_runs(mask: Mask) -> Mask:
    """Long runs along the one slope at which rows of ink stand out most."""
    height, width = mask.shape
    small = _resize_to(255 * mask, RULE_SLOPE_SIDE_PX, cv2.INTER_AREA)
    slopes = np.linspace(-MAX_RULE_SLOPE, MAX_RULE_SLOPE, N_RULE_SLOPES)
    slope = max(slopes, key=lambda s: float(np.square(_shear(small, s).sum(axis=1, dtype=np.float64)).sum()))
    level = cv2.dilate(_shear(mask, slope), np.ones((3, 1), np.uint8))
    run_px = max(MIN_RULE_RUN_PX, round(RULE_RUN_RATIO * max(mask.shape)))
    runs = cv2.morphologyEx(level, cv2.MORPH_OPEN, np.ones((1, run_px), np.uint8))
    return cv2.dilate(_shear(runs, -slope), np.ones((3, 1), np.uint8))


def _shear(mask: Mask, slope: float) -> Mask:
    """Each column moved up by its distance from the middle times the slope."""
    middle = mask.shape[1] / 2
    matrix = np.array([[1.0, 0.0, 0.0], [-slope, 1.0, slope * middle]])
    return cv2.warpAffine(mask, matrix, mask.shape[::-1], flags=cv2.INTER_NEAREST)


def _find_marks(mask: Mask, seeds: npt.NDArray[np.bool_], contrast: FloatImage) -> list[_Mark]:
    """Connected components that hold a seed, pieces of one digit joined, specks left out."""
    n_labels, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    peaks = np.zeros(n_labels, np.float32)
    np.maximum.at(peaks, labels[seeds], contrast[seeds])
    peaks[0] = 0.0
    min_px = MIN_SPECK_RATIO * _min_digit_px(mask.shape)
    kept = np.flatnonzero((peaks > 0) & (stats[:, 2:4].max(axis=1) >= min_px))
    if len(kept) > MAX_MARKS:
        kept = np.sort(kept[np.argsort(stats[kept, cv2.CC_STAT_AREA])[-MAX_MARKS:]])
    owner = np.zeros(n_labels, np.int32)
    owner[kept] = kept
    for a, b in _find_pieces(stats[kept, :4].astype(np.float32), peaks[kept]):
        owner[owner == owner[kept[a]]] = owner[kept[b]]
    labels = owner[labels]
    marks = []
    for label in np.unique(owner[kept]):
        members = stats[owner == label]
        x, y = members[:, 0].min(), members[:, 1].min()
        box = Box(
            int(x),
            int(y),
            int((members[:, 0] + members[:, 2]).max() - x),
            int((members[:, 1] + members[:, 3]).max() - y),
        )
        own, levels = _window(labels, box) == label, _window(contrast, box)
        marks.append(_Mark(box, own, levels, float(np.percentile(levels[own], 80))))
    return marks


def _find_pieces(boxes: FloatImage, peaks: FloatImage) -> npt.NDArray[np.int64]:
    """Pairs of indices, the piece first: boxes (n, 4) as x, y, w, h."""
    x, y, w, h = (boxes[:, i] for i in range(4))
    gap_x = np.maximum.outer(x, x) - np.minimum.outer(x + w, x + w)
    gap_y = np.maximum.outer(y, y) - np.minimum.outer(y + h, y + h)
    size = np.maximum(w, h)
    is_large = size[:, None] >= MIN_PIECE_RATIO * size[None, :]
    is_piece = h[:, None] <= MAX_PIECE_HEIGHT_RATIO * h[None, :]
    is_near = np.maximum(gap_x, gap_y) <= MAX_PIECE_GAP_RATIO * h[None, :]
    is_alike = peaks[:, None] >= MIN_PIECE_PEAK_RATIO * peaks[None, :]
    shared = np.maximum(-gap_x, 0) * np.maximum(-gap_y, 0)
    is_nested = (shared >= MIN_NESTED_RATIO * (w * h)[:, None]) & (size[:, None] < size[None, :])
    return np.argwhere(((is_piece & is_near) | is_nested) & is_large & is_alike)


def _refuse_by_shape(mark: _Mark, shape: tuple[int, int]) -> Reason | None:
    """Why a mark cannot be a digit by its size and shape, or None."""
    x, y, w, h = mark.box
    height, width = shape
    if max(w, h) < _min_digit_px(shape):
        return Reason.TOO_SMALL
    if x == 0 or y == 0 or x + w == width or y + h == height:
        return Reason.EDGE
    if max(w / width, h / height) > MAX_DIGIT_RATIO:
        return Reason.TOO_LARGE
    if max(w / (MAX_ASPECT * h), h / (MAX_UPRIGHT_ASPECT * w)) > 1.0:
        return Reason.RULED_LINE
    stroke_px = mark.stroke_px
    is_stroke = MIN_STROKE_RATIO <= stroke_px / max(w, h) <= MAX_STROKE_RATIO
    return None if is_stroke and _count_loops(mark, stroke_px) <= MAX_LOOPS else Reason.NOT_A_DIGIT


def _refuse_by_frame(mark: _Mark, rules: Mask) -> Reason | None:
    """Whether a mark is a thin bar from one rule to another: the side of a box to write in."""
    x, y, w, h = mark.box
    ends = rules[max(y - FRAME_REACH_PX, 0) : y + 1, x : x + w], rules[y + h - 1 : y + h + FRAME_REACH_PX, x : x + w]
    is_bar = w <= MAX_FRAME_BAR_RATIO * h
    return Reason.RULED_LINE if is_bar and all(end.any() for end in ends) else None


def _count_loops(mark: _Mark, stroke_px: float) -> int:
    """Holes, those apart that are smaller than the stroke is wide."""
    contours, hierarchy = cv2.findContours(mark.own.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    has_parent = hierarchy[0, :, 3] >= 0
    areas = np.array([cv2.contourArea(contour) for contour in contours])
    return int(np.count_nonzero(has_parent & (areas > (stroke_px / 2) ** 2)))


def _find_paper(shape: tuple[int, ...], marks: list[_Mark]) -> npt.NDArray[np.bool_]:
    """Where none of these marks is, nor its soft rim."""
    ink = np.zeros(shape, np.uint8)
    for mark in marks:
        _window(ink, mark.box)[mark.own] = 1
    return cv2.dilate(ink, np.ones((5, 5), np.uint8)) == 0


def _refuse_by_surroundings(
    mark: _Mark, contrast: FloatImage, light: FloatImage, paper: npt.NDArray[np.bool_]
) -> Reason | None:
    """Whether a mark drowns in what lies around it, to half its size, or is but the edge of something larger."""
    x, y, w, h = mark.box
    margin = max(w, h) // 2
    around = np.s_[max(y - margin, 0) : y + h + margin, max(x - margin, 0) : x + w + margin]
    is_paper = paper[around]
    if not is_paper.any():
        return None
    clutter = np.percentile(np.abs(contrast[around][is_paper]), CLUTTER_PERCENTILE)
    dim = np.percentile(light[around][is_paper], DIM_PERCENTILE)
    step = (dim - np.median(_window(light, mark.box)[mark.own])) / max(dim, MIN_LIGHT)
    stands_out = mark.peak >= MIN_CLUTTER_RATIO * clutter and step >= MIN_STEP_RATIO * mark.peak
    return None if stands_out else Reason.NOT_A_DIGIT


def _render(mark: _Mark) -> npt.NDArray[np.uint8]:
    """Grey ink as on clean paper: full at three quarters of the mark's own strength, thin strokes thickened."""
    strength = np.clip((mark.contrast / mark.peak - 0.25) / 0.5, 0.0, 1.0)
    ink = np.where(mark.own, 255.0 * strength, 0.0).astype(np.uint8)
    missing_px = round(PEN_RATIO * max(mark.own.shape) - mark.stroke_px)
    if missing_px < 1:
        return ink
    pen = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (missing_px + 1, missing_px + 1))
    return cv2.dilate(np.pad(ink, missing_px), pen)


def _min_digit_px(shape: tuple[int, ...]) -> float:
    return max(MIN_DIGIT_PX, MIN_DIGIT_RATIO * max(shape))


def _to_picture(found: Finding, scale: float, size_wh: tuple[int, int]) -> Finding:
    """The boxes in pixels of the picture."""

    def enlarge(box: Box) -> Box:
        left, top = int(box.x / scale), int(box.y / scale)
        right, bottom = (
            min(limit, round((start + length) / scale))
            for start, length, limit in zip(box[:2], box[2:], size_wh, strict=True)
        )
        return Box(left, top, max(1, right - left), max(1, bottom - top))

    candidates = tuple(Candidate(enlarge(candidate.box), candidate.ink) for candidate in found.candidates)
    rejected = tuple(Rejected(enlarge(r.box), r.reason) for r in found.rejected)
    return Finding(candidates, rejected, found.contrast, found.ink)


def _window(image: np.ndarray, box: Box) -> np.ndarray:
    return image[box.y : box.y + box.h, box.x : box.x + box.w]


def _resize_to(image: npt.NDArray[np.uint8], longest_px: int, interpolation: int) -> npt.NDArray[np.uint8]:
    return _resize(image, longest_px / max(image.shape), interpolation)


def _resize(image: npt.NDArray[np.uint8], scale: float, interpolation: int = cv2.INTER_AREA) -> npt.NDArray[np.uint8]:
    height, width = image.shape
    return cv2.resize(image, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=interpolation)
