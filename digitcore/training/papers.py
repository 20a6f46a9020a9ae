"""What synthetic pages are made on and seen with: paper and tables, light and shadow, lens, sensor and JPEG."""

import cv2
import numpy as np
import numpy.typing as npt

FloatImage = npt.NDArray[np.float32]
Rng = np.random.Generator

# Grain is cut out of one large piece: drawing 384² normal numbers anew takes 1.3 ms, a sixth of the time for a page.
GRAIN_SIDE_PX = 1024
_GRAIN = np.random.default_rng(0).standard_normal((GRAIN_SIDE_PX, GRAIN_SIDE_PX), dtype=np.float32)


def draw_ground(rng: Rng, size_px: int) -> FloatImage:
    """What lies under the ink: mostly a sheet of paper, perhaps with its edges on a table; or no paper at all.

    Returns:
        (size_px, size_px) reflectance, about 0.1 to 1.
    """
    paper = draw_paper(rng, size_px)
    chance = rng.random()
    if chance < 0.68:
        return paper
    table = draw_table(rng, size_px)
    if chance < 0.9:
        return _lay_sheet(rng, paper, table)
    return table


def draw_paper(rng: Rng, size_px: int) -> FloatImage:
    """A sheet: even, grained, fibrous or crumpled."""
    tone = rng.choice([rng.uniform(0.78, 1.0), rng.uniform(0.55, 0.85)], p=[0.75, 0.25])
    paper = np.full((size_px, size_px), tone, np.float32)
    if rng.random() < 0.55:
        paper += _noise(rng, size_px, float(np.exp(rng.uniform(np.log(1), np.log(6)))), rng.uniform(0.0, 0.035))
    if rng.random() < 0.25:
        paper += _crumple(rng, size_px) * rng.uniform(0.02, 0.1)
    if rng.random() < 0.12:
        paper += _fibres(rng, size_px) * rng.uniform(0.03, 0.12)
    return paper


def draw_table(rng: Rng, size_px: int) -> FloatImage:
    """Anything but paper: wood, cloth, stone, foliage, overlapping things."""
    kind = rng.choice(["wood", "cloth", "stone", "things", "leaves", "gradient"], p=[0.22, 0.12, 0.18, 0.22, 0.16, 0.1])
    tone = rng.uniform(0.15, 0.85)
    if kind == "wood":
        picture = _wood(rng, size_px)
    elif kind == "cloth":
        picture = _cloth(rng, size_px)
    elif kind == "stone":
        picture = sum(
            _noise(rng, size_px, sigma, 1.0) * weight
            for sigma, weight in ((1, rng.uniform(0, 1)), (4, rng.uniform(0, 1)), (20, rng.uniform(0, 1)))
        )
    elif kind == "things":
        return np.clip(_dead_leaves(rng, size_px, is_round=False), 0.03, 1.0)
    elif kind == "leaves":
        return np.clip(_dead_leaves(rng, size_px, is_round=True), 0.03, 1.0)
    else:
        picture = _noise(rng, size_px, size_px / 3, 1.0)
    return np.clip(tone + picture * rng.uniform(0.02, 0.16), 0.05, 1.0).astype(np.float32)


def draw_light(rng: Rng, size_px: int) -> FloatImage:
    """The light that falls on a page: gradients, vignettes, soft and hard shadows.

    Returns:
        (size_px, size_px) factor, about 0.05 to 1.1.
    """
    light = np.full((size_px, size_px), np.float32(rng.choice([1.0, rng.uniform(0.25, 1.0)], p=[0.65, 0.35])))
    xs, ys = (axis / size_px - np.float32(0.5) for axis in _coordinates(size_px))
    if rng.random() < 0.6:
        angle, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.6)
        light *= 1.0 + depth * (np.float32(np.cos(angle)) * xs + np.float32(np.sin(angle)) * ys)
    if rng.random() < 0.3:
        cx, cy = rng.uniform(-0.5, 0.5, 2)
        light *= 1.0 - rng.uniform(0.1, 0.75) * np.minimum((xs - cx) ** 2 + (ys - cy) ** 2, 1.0)
    if rng.random() < 0.3:
        for _ in range(rng.integers(1, 3)):
            light *= _shadow(rng, size_px)
    return np.maximum(light, 0.04)


def photograph(rng: Rng, scene: FloatImage, noise_levels: float) -> npt.NDArray[np.uint8]:
    """Lens, sensor and file: blur, noise, tone, JPEG.

    Args:
        rng: random numbers.
        scene: (h, w) light, 0 to about 1.
        noise_levels: the sensor's, as a standard deviation in grey levels of 255.

    Returns:
        (h, w) uint8.
    """
    chance = rng.random()
    if chance < 0.55:
        scene = cv2.GaussianBlur(scene, (0, 0), float(np.exp(rng.uniform(np.log(0.35), np.log(1.5)))))
    elif chance < 0.65:
        scene = _move(rng, scene)
    if rng.random() < 0.2:
        scene = cv2.addWeighted(scene, 1.0 + (a := rng.uniform(0.3, 1.2)), cv2.GaussianBlur(scene, (0, 0), 1.5), -a, 0)
    levels = 255.0 * np.clip(scene, 0.0, 1.0) ** rng.uniform(0.75, 1.3)
    if noise_levels > 0:
        grain = draw_grain(rng, scene.shape)
        if rng.random() < 0.3:
            grain = 1.8 * cv2.GaussianBlur(grain, (0, 0), rng.uniform(0.5, 1.0))
        levels += grain * np.float32(noise_levels)
    picture = np.clip(levels, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        quality = int(rng.integers(25, 96))
        encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        picture = cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE)
    return picture


def draw_grain(rng: Rng, shape: tuple[int, ...]) -> FloatImage:
    """(h, w) normal numbers, no side longer than `GRAIN_SIDE_PX`; read only."""
    y, x = (int(rng.integers(0, GRAIN_SIDE_PX - side + 1)) for side in shape)
    grain = _GRAIN[y : y + shape[0], x : x + shape[1]]
    return grain[:: 1 if rng.random() < 0.5 else -1, :: 1 if rng.random() < 0.5 else -1]


def _coordinates(size_px: int) -> tuple[FloatImage, FloatImage]:
    """A row of x and a column of y, in pixels: what they are put into spreads them over the picture."""
    along = np.arange(size_px, dtype=np.float32)
    return along[None, :], along[:, None]


def _noise(rng: Rng, size_px: int, sigma_px: float, strength: float) -> FloatImage:
    """Smooth noise of this grain and standard deviation, made small and enlarged."""
    n = int(np.clip(size_px / max(sigma_px, 1.0), 3, size_px))
    nodes = draw_grain(rng, (n, n)) * np.float32(strength)
    return cv2.resize(nodes, (size_px, size_px), interpolation=cv2.INTER_CUBIC)


def _crumple(rng: Rng, size_px: int) -> FloatImage:
    """Facets of a sheet that was folded or crushed."""
    field = np.zeros((size_px, size_px), np.float32)
    xs, ys = (axis / size_px for axis in _coordinates(size_px))
    for _ in range(rng.integers(1, 8)):
        angle, where = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.9)
        side = xs * np.float32(np.cos(angle)) + ys * np.float32(np.sin(angle)) - np.float32(where)
        field += np.float32(rng.normal()) * np.tanh(side * np.float32(rng.uniform(5, 120)))
    return field / 3


def _fibres(rng: Rng, size_px: int) -> FloatImage:
    """Short thin hairs in recycled paper."""
    layer = np.zeros((size_px, size_px), np.uint8)
    for _ in range(rng.integers(10, 80)):
        x, y = rng.integers(0, size_px, 2)
        dx, dy = rng.normal(0, 5, 2)
        cv2.line(layer, (int(x), int(y)), (int(x + dx), int(y + dy)), 255, 1, cv2.LINE_AA)
    return layer.astype(np.float32) / -255


def _wood(rng: Rng, size_px: int) -> FloatImage:
    """Grain along one direction, with knots' waves, and perhaps boards."""
    n = max(3, int(size_px / np.exp(rng.uniform(np.log(1.5), np.log(10)))))
    nodes = draw_grain(rng, (3, n))
    picture = cv2.resize(nodes, (size_px, size_px), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.5:
        step = int(rng.integers(size_px // 8, size_px // 2))
        picture[:, int(rng.integers(0, step)) :: step] -= rng.uniform(1, 5)
    picture = _rotate(rng, picture)
    return picture


def _cloth(rng: Rng, size_px: int) -> FloatImage:
    """A weave, or tiles: two crossed waves."""
    xs, ys = _coordinates(size_px)
    period = float(np.exp(rng.uniform(np.log(3), np.log(60))))
    waves = np.sin(xs * np.float32(2 * np.pi / period)) + np.sin(ys * np.float32(2 * np.pi / period))
    if rng.random() < 0.5:
        waves = np.where(waves > rng.uniform(0.5, 1.9), -2.0, 0.0).astype(np.float32)
    return _rotate(rng, waves) + _noise(rng, size_px, 2, 0.5)


def _rotate(rng: Rng, picture: FloatImage) -> FloatImage:
    size_px = picture.shape[0]
    matrix = cv2.getRotationMatrix2D((size_px / 2, size_px / 2), rng.uniform(0, 360), 1.0)
    return cv2.warpAffine(picture, matrix, (size_px, size_px), borderMode=cv2.BORDER_REFLECT)


def _dead_leaves(rng: Rng, size_px: int, is_round: bool) -> FloatImage:
    """Opaque things on top of each other, as in a cluttered scene; sizes follow a power law.

    Source: Lee, Mumford & Huang, International Journal of Computer Vision 41, 2001.
    """
    picture = np.full((size_px, size_px), rng.uniform(0.1, 0.9), np.float32)
    for _ in range(rng.integers(15, 110)):
        size = float(np.clip(4.0 / rng.random() ** 0.8, 4, size_px * 0.7))
        x, y = (int(v) for v in rng.uniform(0, size_px, 2))
        tone = float(np.clip(rng.normal(0.5, 0.25), 0.02, 1.0))
        if is_round and rng.random() < 0.8:
            axes = (max(1, int(size / 2)), max(1, int(size / 2 * rng.uniform(0.15, 1.0))))
            cv2.ellipse(picture, (x, y), axes, rng.uniform(0, 360), 0, 360, tone, -1, cv2.LINE_AA)
        else:
            n = int(rng.integers(3, 6)) if rng.random() < 0.5 else 4
            turn = rng.uniform(0, 2 * np.pi)
            angles = np.sort(rng.uniform(0, 2 * np.pi, n)) if n != 4 else turn + np.array([0.4, 2.7, 3.5, 5.9])
            corners = np.stack([x + size / 2 * np.cos(angles), y + size / 2 * np.sin(angles)], axis=1)
            cv2.fillPoly(picture, [corners.astype(np.int32)], tone, cv2.LINE_AA)
    if rng.random() < 0.6:
        picture += _noise(rng, size_px, rng.uniform(1, 4), rng.uniform(0.01, 0.08))
    return cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 2.5))


def _lay_sheet(rng: Rng, paper: FloatImage, table: FloatImage) -> FloatImage:
    """Paper over most of the picture, the table beyond one or two of its edges, a thin shadow along them."""
    size_px = paper.shape[0]
    xs, ys = _coordinates(size_px)
    sheet = np.ones((size_px, size_px), np.float32)
    turn = rng.uniform(0, 2 * np.pi)
    for corner in range(rng.integers(1, 3)):
        angle = turn + corner * (np.pi / 2 + rng.normal(0, 0.08))
        reach = rng.uniform(0.05, 0.5) * size_px
        side = (xs - size_px / 2) * np.float32(np.cos(angle)) + (ys - size_px / 2) * np.float32(np.sin(angle))
        sheet = np.minimum(sheet, np.clip(np.float32(reach) - side, 0, 1))
    dark = cv2.GaussianBlur(sheet, (0, 0), rng.uniform(1.0, 8.0)) * np.float32(rng.uniform(0.0, 0.5))
    if rng.random() < 0.3:  # One sheet on another: an edge and nothing else.
        table = paper * np.float32(rng.uniform(0.85, 1.05))
    return sheet * paper + (1 - sheet) * table * (1 - dark)


def _shadow(rng: Rng, size_px: int) -> FloatImage:
    """What a hand, a phone or a window frame leaves: a polygon or a rounded bar, its edge hard or soft."""
    mask = np.zeros((size_px, size_px), np.uint8)
    if rng.random() < 0.6:
        corners = rng.uniform(-0.4, 1.4, (int(rng.integers(3, 6)), 2)) * size_px
        cv2.fillPoly(mask, [cv2.convexHull(corners.astype(np.int32))], 255, cv2.LINE_AA)
    else:
        (x0, y0), (x1, y1) = (rng.uniform(-0.3, 1.3, 2) * size_px for _ in range(2))
        width = int(rng.uniform(0.08, 0.6) * size_px)
        cv2.line(mask, (int(x0), int(y0)), (int(x1), int(y1)), 255, width, cv2.LINE_AA)
    softness = float(np.exp(rng.uniform(np.log(0.5), np.log(30.0))))
    small = cv2.resize(mask, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA) if softness > 6 else mask
    blurred = cv2.GaussianBlur(small, (0, 0), softness / 4 if softness > 6 else softness)
    blurred = cv2.resize(blurred, (size_px, size_px)).astype(np.float32)
    return 1.0 - blurred * np.float32(rng.uniform(0.15, 0.85) / 255)


def _move(rng: Rng, scene: FloatImage) -> FloatImage:
    """Blur by a movement of a few pixels."""
    length = int(rng.integers(3, 6))
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, np.pi)
    dx, dy = np.cos(angle) * length / 2, np.sin(angle) * length / 2
    middle = length // 2
    start, end = (int(middle - dx), int(middle - dy)), (int(middle + dx), int(middle + dy))
    cv2.line(kernel, start, end, 1.0, 1)
    return cv2.filter2D(scene, -1, kernel / kernel.sum())
