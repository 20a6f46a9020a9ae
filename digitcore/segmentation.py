"""Ink → candidates on a sketchpad.

Coordinates are pixels of the upright picture.
"""

import cv2
import numpy as np
import numpy.typing as npt

from digitcore.results import Box, Candidate, Finding

# A pen must differ from the pad by this many grey levels; compression noise on a blank pad stays below.
MIN_SKETCH_CONTRAST = 32
# Share of the pen's full contrast that counts as touched by the pen: half an anti-aliased edge pixel.
INK_THRESHOLD = 96
# Below this share of the tallest mark's height, both ways, a mark is a slip of the pen.
MIN_SPECK_RATIO = 0.08
MIN_SPECK_PX = 3
# Two pieces are one digit if they overlap sideways by this share of the narrower one …
MIN_SIDEWAYS_OVERLAP = 0.3
# … stand no further apart than this share of the taller one's height …
MAX_GAP_RATIO = 0.3
# … and one is a flag or a foot beside the other: two digits above each other are of like height.
MAX_PIECE_HEIGHT_RATIO = 0.55
# Pieces whose boxes share this much of the smaller box are one digit, whatever their heights.
MIN_NESTED_OVERLAP = 0.5


def find_in_sketch(rgb: npt.NDArray[np.uint8]) -> Finding:
    """Find the digits of a sketch: its ink, then the candidates in it.

    Args:
        rgb: (H, W, 3) uint8, a drawing on an even ground, dark on light or light on dark.

    Returns:
        The candidates, nothing rejected; its contrast and ink are the pen's, at the picture's own size.
    """
    ink = find_sketch_ink(rgb)
    return Finding(tuple(find_sketch_candidates(ink)), (), ink, ink)


def find_sketch_ink(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Separate the pen from the pad, whatever the colours of either.

    Args:
        rgb: (H, W, 3) uint8, a drawing on an even ground.

    Returns:
        (H, W) uint8, 0 for the ground and 255 for the pen at full strength, the edges anti-aliased as drawn; all zero
        if nothing differs from the ground by `MIN_SKETCH_CONTRAST`.
    """
    border = np.concatenate([rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1]])
    ground = np.median(border, axis=0).astype(np.uint8)
    # Per channel, as absdiff of whole pictures: numpy's max over an axis of three takes ten times as long.
    red, green, blue = (cv2.absdiff(channel, int(level)) for channel, level in zip(cv2.split(rgb), ground, strict=True))
    difference = cv2.max(cv2.max(red, green), blue)
    peak = int(difference.max())
    if peak < MIN_SKETCH_CONTRAST:
        return np.zeros(difference.shape, np.uint8)
    return cv2.convertScaleAbs(difference, alpha=255.0 / peak)


def find_sketch_candidates(ink: npt.NDArray[np.uint8]) -> list[Candidate]:
    """Find the digits on a sketchpad: connected components, the pieces of one digit joined.

    Args:
        ink: (H, W) uint8, 0 for paper and 255 for ink, as `find_sketch_ink` makes it.

    Returns:
        Candidates with their own ink alone, in no particular order; empty if there is no ink.
    """
    n_labels, labels, stats, _ = cv2.connectedComponentsWithStats(
        (ink >= INK_THRESHOLD).astype(np.uint8), connectivity=8
    )
    boxes = {label: Box(*(int(v) for v in stats[label, :4])) for label in range(1, n_labels)}
    if not boxes:
        return []
    tallest = max(max(box.w, box.h) for box in boxes.values())
    min_side = max(MIN_SPECK_PX, MIN_SPECK_RATIO * tallest)
    boxes = {label: box for label, box in boxes.items() if max(box.w, box.h) >= min_side}
    return [_cut_candidate(ink, labels, group, box) for group, box in _join_pieces(boxes)]


def _join_pieces(boxes: dict[int, Box]) -> list[tuple[list[int], Box]]:
    """Merge components until no two belong to one digit; each with the labels that it is made of."""
    groups = [([label], box) for label, box in sorted(boxes.items(), key=lambda item: -item[1].h)]
    merged = True
    while merged:
        merged = False
        for i in range(len(groups)):
            for j in range(i + 1, len(groups)):
                if _are_pieces_of_one(groups[i][1], groups[j][1]):
                    groups[i] = (groups[i][0] + groups[j][0], _union(groups[i][1], groups[j][1]))
                    del groups[j]
                    merged = True
                    break
            if merged:
                break
    return groups


def _are_pieces_of_one(a: Box, b: Box) -> bool:
    """Whether two boxes hold strokes of one digit: a flag over a 5, the two strokes of a 4."""
    sideways = min(a.x + a.w, b.x + b.w) - max(a.x, b.x)
    upright = min(a.y + a.h, b.y + b.h) - max(a.y, b.y)
    shared = max(sideways, 0) * max(upright, 0)
    if shared >= MIN_NESTED_OVERLAP * min(a.w * a.h, b.w * b.h):
        return True
    taller, lower = max(a.h, b.h), min(a.h, b.h)
    return (
        sideways >= MIN_SIDEWAYS_OVERLAP * min(a.w, b.w)
        and -upright <= MAX_GAP_RATIO * taller
        and lower <= MAX_PIECE_HEIGHT_RATIO * taller
    )


def _union(a: Box, b: Box) -> Box:
    left, top = min(a.x, b.x), min(a.y, b.y)
    return Box(left, top, max(a.x + a.w, b.x + b.w) - left, max(a.y + a.h, b.y + b.h) - top)


def _cut_candidate(ink: npt.NDArray[np.uint8], labels: npt.NDArray[np.int32], group: list[int], box: Box) -> Candidate:
    """The ink of these components alone, with the soft edge that the threshold cut off."""
    height, width = ink.shape
    left, top = max(box.x - 1, 0), max(box.y - 1, 0)
    right, bottom = min(box.x + box.w + 1, width), min(box.y + box.h + 1, height)
    own = np.isin(labels[top:bottom, left:right], group).astype(np.uint8)
    own = cv2.dilate(own, np.ones((3, 3), np.uint8))
    return Candidate(box, ink[top:bottom, left:right] * own)
