"""Corruptions of 28×28 digits, to measure how much a network bears beyond what it was trained on.

The kinds follow MNIST-C; code and strengths are our own. Training imports none of this. But DigitNet's augmentation
turns, shears, blurs and speckles too, more gently, and since a DigitNet was first measured here it also knows grounds
that are not black, grain, single lines and hollow strokes, which come near to fog, low contrast, brightness, noise and
edges only.

Each kind has one strength, fixed once for all networks: by the errors of checkpoints/seed alone, on the first 1,500 of
the 5,000 images of `data.split_train`'s second part (that network was trained on them, unlike DigitNet: it errs on
0.9 % of them as they are), and by whether people still read the digits. Its errors there, seed 0, 23.5 % on average:

    shift 20.1 %         blur 24.7 %     low contrast 27.3 %    dotted lines 23.9 %
    rotate 29.1 %        motion 13.5 %   brightness 24.5 %      spatter 24.5 %
    scale 22.3 %         noise 25.4 %    stripes 22.7 %         edges only 32.1 %
    shear 16.1 %         fog 22.9 %

A factor makes them gentler or harder: at 1 the kind has its one strength, to the pixel, at 0 the image stays as it is,
and at `MAX_STRENGTH` people still read most of the digits.

Source: Mu & Gilmer, MNIST-C: A Robustness Benchmark for Computer Vision, arXiv:1906.02337, 2019.
"""

from collections.abc import Callable
from numbers import Integral, Real

import cv2
import numpy as np
import numpy.typing as npt

from digitcore.errors import ConfigError, ImageError

SIZE_PX = 28
WHITE = 255

# The strengths at factor 1. Where a corruption has a direction or a place, each image draws its own.
SHIFT_PX = 3.0
ROTATION_DEGREES = 35.0
SCALE = 0.6
SHEAR = 0.7  # pixels sideways for each pixel down
BLUR_SIGMA_PX = 1.75
MOTION_PX = 7  # odd; at 9 some digits are smeared beyond reading
NOISE_STD = 0.4 * WHITE
FOG_STRENGTH = 0.65  # share of white where the fog is densest
CONTRAST_RATIO = 0.45
BRIGHTNESS = 0.4 * WHITE
STRIPE_LEVEL = 0.4 * WHITE
N_DOTTED_LINES = 6
SPATTER_SHARE = 0.06  # of the pixels
# Any from (50, 100) to (300, 600) give nearly the same edges: MNIST has few soft ones.
CANNY_THRESHOLDS = (100, 200)

# Beyond this a motion or a fog leaves nothing to read.
MAX_STRENGTH = 1.5

# What the strengths leave open.
STRIPE_PERIOD_PX, STRIPE_WIDTH_PX = 7, 2
DOT_SPACING_PX = 3
SPATTER_SIGMA_PX = 1.2
# Share of the outline's pixels that are missing for each 1 of strength beyond 1.
OUTLINE_GAP_RATIO = 0.6
# Sides of the random fields that are enlarged and added to make fog; each finer one weighs half as much.
FOG_NODES = (3, 5, 9)

Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Rng = np.random.Generator


def corrupt(images: Images, kind: str, seed: int = 0, strength: float = 1.0) -> Images:
    """Corrupt images in one way.

    Args:
        images: (N, 28, 28) uint8, white on black; N may be 0.
        kind: one of `KINDS`.
        seed: of what each image draws: directions, places, noise; at least 0. The same seed gives the same pixels, and
            an image's own do not depend on the images after it.
        strength: factor of the kind's fixed strength, 0 to `MAX_STRENGTH`; 0 changes nothing. What an image draws, such
            as its direction, is the same at every strength.

    Returns:
        (N, 28, 28) uint8, a new array.

    Raises:
        ImageError: if `images` has another shape or type.
        ConfigError: if the kind is unknown, the seed no whole number of at least 0, or the strength out of range.

    Source: Mu & Gilmer, MNIST-C: A Robustness Benchmark for Computer Vision, arXiv:1906.02337, 2019.
    """
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape[1:] != (SIZE_PX, SIZE_PX):
        given = f"{images.dtype} {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
        raise ImageError(f"Expected uint8 images of shape (N, 28, 28), white on black; got {given}.")
    if kind not in KINDS:
        raise ConfigError(f"There is no corruption {kind!r}; there are {', '.join(KINDS)}.")
    if not isinstance(seed, Integral) or isinstance(seed, bool) or seed < 0:
        raise ConfigError(f"seed must be a whole number of at least 0, got {seed!r}.")
    check_strength(strength)
    if not len(images) or strength == 0:
        return images.copy()
    corrupted = _CORRUPTIONS[kind](images, np.random.default_rng([KINDS.index(kind), int(seed)]), float(strength))
    return np.clip(np.rint(corrupted), 0, WHITE).astype(np.uint8)


def check_strength(strength: object) -> None:
    """Refuse what is no number from 0 to `MAX_STRENGTH`.

    Raises:
        ConfigError: saying what would be right.
    """
    is_number = isinstance(strength, Real) and not isinstance(strength, bool)
    if not is_number or not 0 <= strength <= MAX_STRENGTH:
        raise ConfigError(
            f"strength must be a number from 0 (untouched) over 1 (the fixed one) to {MAX_STRENGTH}, got {strength!r}."
        )


# Each draws at most once from a generator, or from each of its children: so what comes later changes nothing before.


def _shift(images: Images, rng: Rng, strength: float) -> Images:
    angles = rng.uniform(0, 2 * np.pi, len(images))
    moves = strength * SHIFT_PX * np.stack([np.cos(angles), np.sin(angles)], axis=1)  # (N, 2) x, y
    return _warp(images, np.eye(2), moves)


def _rotate(images: Images, rng: Rng, strength: float) -> Images:
    angle = np.deg2rad(strength * ROTATION_DEGREES) * _draw_signs(images, rng)
    cos, sin = np.cos(angle), np.sin(angle)
    return _warp(images, np.stack([cos, -sin, sin, cos], axis=1).reshape(-1, 2, 2))


def _scale(images: Images, _rng: Rng, strength: float) -> Images:
    return _warp(images, SCALE**strength * np.eye(2))


def _shear(images: Images, rng: Rng, strength: float) -> Images:
    maps = np.tile(np.eye(2), (len(images), 1, 1))
    maps[:, 0, 1] = strength * SHEAR * _draw_signs(images, rng)
    return _warp(images, maps)


def _blur(images: Images, _rng: Rng, strength: float) -> Images:
    return np.stack([cv2.GaussianBlur(image, (0, 0), strength * BLUR_SIGMA_PX) for image in images])


def _motion(images: Images, rng: Rng, strength: float) -> Images:
    """Each point becomes a line, in the image's own direction."""
    angles = rng.uniform(0, np.pi, len(images))
    radius = strength * (MOTION_PX // 2)
    kernels = [_line_kernel(angle, radius) for angle in angles]
    return np.stack([cv2.filter2D(image, -1, kernel) for image, kernel in zip(images, kernels, strict=True)])


def _noise(images: Images, rng: Rng, strength: float) -> Floats:
    return images + np.float32(strength * NOISE_STD) * rng.standard_normal(images.shape, np.float32)


def _fog(images: Images, rng: Rng, strength: float) -> Floats:
    """White of uneven density between the eye and the image."""
    density = np.zeros(images.shape, np.float32)
    for octave, (n_nodes, child) in enumerate(zip(FOG_NODES, rng.spawn(len(FOG_NODES)), strict=True)):
        nodes = child.random((len(images), n_nodes, n_nodes), np.float32)
        density += 0.5**octave * np.stack(
            [cv2.resize(field, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_LINEAR) for field in nodes]
        )
    low, high = density.min(axis=(1, 2), keepdims=True), density.max(axis=(1, 2), keepdims=True)
    density = strength * FOG_STRENGTH * (density - low) / (high - low)
    return images + density * (WHITE - images)


def _low_contrast(images: Images, _rng: Rng, strength: float) -> Floats:
    grey = WHITE / 2
    return grey + CONTRAST_RATIO**strength * (images.astype(np.float32) - grey)


def _brightness(images: Images, _rng: Rng, strength: float) -> Floats:
    return images + np.float32(strength * BRIGHTNESS)


def _stripes(images: Images, rng: Rng, strength: float) -> Floats:
    """Lines across the whole image, upright or level, grey and at equal distances."""
    draws = rng.random((len(images), 2))
    phases = (draws[:, 0] * STRIPE_PERIOD_PX).astype(np.int64)
    on = (np.arange(SIZE_PX) + phases[:, None]) % STRIPE_PERIOD_PX < STRIPE_WIDTH_PX  # (N, 28)
    is_upright = (draws[:, 1] < 0.5)[:, None, None]
    stripes = np.where(is_upright, on[:, None, :], on[:, :, None])  # (N, 28, 28)
    return np.where(stripes, np.maximum(images, strength * STRIPE_LEVEL), images)


def _dotted_lines(images: Images, rng: Rng, strength: float) -> Images:
    """White dots in straight lines from one side of the image to the opposite one."""
    n_dots = SIZE_PX // DOT_SPACING_PX + 1
    n_lines = round(strength * N_DOTTED_LINES)
    draws = rng.random((len(images), N_DOTTED_LINES, 3))[:, :n_lines]
    if n_lines > N_DOTTED_LINES:
        more = rng.spawn(1)[0].random((len(images), n_lines - N_DOTTED_LINES, 3))
        draws = np.concatenate([draws, more], axis=1)
    along = np.minimum(np.arange(n_dots) * DOT_SPACING_PX, SIZE_PX - 1)
    ends = draws[..., :2] * (SIZE_PX - 1)  # (N, lines, 2) where the line enters and leaves
    across = np.rint(ends[..., :1] + (ends[..., 1:] - ends[..., :1]) * along / (SIZE_PX - 1)).astype(np.int64)
    along = np.broadcast_to(along, across.shape)  # (N, lines, dots)
    is_level = draws[..., 2:] < 0.5
    rows, columns = np.where(is_level, across, along), np.where(is_level, along, across)
    dotted = images.copy()
    dotted[np.arange(len(images))[:, None, None], rows, columns] = WHITE
    return dotted


def _spatter(images: Images, rng: Rng, strength: float) -> Images:
    """White blobs on the same share of every image."""
    fields = rng.standard_normal(images.shape, np.float32)
    fields = np.stack([cv2.GaussianBlur(field, (0, 0), SPATTER_SIGMA_PX) for field in fields])
    thresholds = np.quantile(fields, 1 - strength * SPATTER_SHARE, axis=(1, 2), keepdims=True)
    return np.where(fields > thresholds, WHITE, images)


def _edges_only(images: Images, rng: Rng, strength: float) -> Floats:
    """The inside fades until the outline alone is left; beyond that the outline gets gaps."""
    edges = np.stack([cv2.Canny(image, *CANNY_THRESHOLDS) for image in images])
    if strength > 1:
        is_gap = rng.random(images.shape, np.float32) < (strength - 1) * OUTLINE_GAP_RATIO
        return np.where(is_gap, np.float32(0), edges)
    return np.float32(1 - strength) * images + np.float32(strength) * edges


_CORRUPTIONS: dict[str, Callable[[Images, Rng, float], npt.NDArray]] = {
    "shift": _shift,
    "rotate": _rotate,
    "scale": _scale,
    "shear": _shear,
    "blur": _blur,
    "motion": _motion,
    "noise": _noise,
    "fog": _fog,
    "low contrast": _low_contrast,
    "brightness": _brightness,
    "stripes": _stripes,
    "dotted lines": _dotted_lines,
    "spatter": _spatter,
    "edges only": _edges_only,
}
KINDS = tuple(_CORRUPTIONS)


def _draw_signs(images: Images, rng: Rng) -> npt.NDArray[np.float64]:
    """(N,) of -1 and 1."""
    return np.where(rng.random(len(images)) < 0.5, -1.0, 1.0)


def _warp(images: Images, maps: npt.NDArray[np.float64], moves: npt.NDArray[np.float64] | None = None) -> Images:
    """Map each image linearly, (2, 2) or (N, 2, 2), about its middle, then move it by (N, 2) pixels; black outside."""
    middle = np.full(2, (SIZE_PX - 1) / 2)
    maps = np.broadcast_to(maps, (len(images), 2, 2))
    offsets = middle - maps @ middle + (0 if moves is None else moves)  # (N, 2)
    affines = np.concatenate([maps, offsets[:, :, None]], axis=2)  # (N, 2, 3)
    return np.stack(
        [cv2.warpAffine(image, affine, (SIZE_PX, SIZE_PX)) for image, affine in zip(images, affines, strict=True)]
    )


def _line_kernel(angle: float, radius: float) -> Floats:
    """A line through the middle, anti-aliased, that sums to 1; the angle in radians, the radius in pixels."""
    inner = int(radius)
    share = radius - inner
    kernel = _whole_line_kernel(angle, inner)
    if not share:
        return kernel
    # Between two whole lengths, a mixture of both.
    longer = share * _whole_line_kernel(angle, inner + 1)
    longer[1:-1, 1:-1] += (1 - share) * kernel
    return longer


def _whole_line_kernel(angle: float, radius: int) -> Floats:
    """A line of `radius` pixels each way, (2 * radius + 1) squared."""
    rows, columns = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    distance = np.abs(columns * np.sin(angle) - rows * np.cos(angle))
    is_near = np.hypot(rows, columns) <= radius
    kernel = (np.clip(1 - distance, 0, 1) * is_near).astype(np.float32)
    return kernel / kernel.sum()
