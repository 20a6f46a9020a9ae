"""Draw the example pictures: digits from hand-written stroke coordinates, as a stranger's phone would see them.

    python -m examples.make_examples            # writes examples/*.jpg, the same bytes each time

The strokes are those of strokes.py: no data set has a part in them. Each is drawn with a jitter of its own, by a pen,
pencil or chalk, on paper or board, and photographed: table, perspective, light, blur, noise, JPEG. What is written
where is in `EXAMPLES`.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from examples.strokes import STROKES, Point, Stroke, smooth_stroke

FloatImage = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Rgb = tuple[int, int, int]

FOLDER = Path(__file__).parent
SIZE_WH = (1200, 900)
# Drawn at twice the size and shrunk: anti-aliasing for strokes thinner than a pixel.
OVERSAMPLING = 2
JPEG_QUALITY = 86

# In heights of a digit.
WORD_SPACE = 0.32
POINT_JITTER = 0.012


@dataclass(frozen=True, slots=True)
class Pen:
    """What writes: its colour, stroke width in px at a height of 100 px, opacity (0 to 1), and grain."""

    rgb: Rgb
    width: float
    strength: float
    grain: float


FOUNTAIN_PEN = Pen((24, 34, 92), 7.0, 0.92, 0.04)
BALLPOINT = Pen((28, 44, 128), 6.0, 0.85, 0.10)
PENCIL = Pen((70, 70, 74), 6.0, 0.72, 0.30)
CHALK = Pen((238, 240, 232), 10.0, 0.88, 0.42)
FELT_PEN = Pen((26, 24, 28), 9.0, 0.94, 0.03)


class Page:
    """A sheet or board, drawn flat, before it is photographed; sizes in px of the finished picture."""

    def __init__(self, size_wh: tuple[int, int], rgb: Rgb, seed: int) -> None:
        """An empty sheet of one colour with the fibres of paper."""
        self.rng = np.random.default_rng(seed)
        width, height = (OVERSAMPLING * side for side in size_wh)
        fibres = _make_cloud(self.rng, (height, width), 3) + 0.8 * _make_cloud(self.rng, (height, width), 40)
        self.canvas = np.float32(rgb) * (1.0 + 0.008 * fibres[:, :, None])

    def draw_line(self, start: Point, end: Point, rgb: Rgb, width: float, strength: float) -> None:
        """A printed line."""
        self._blend(self._stroke([np.array([start, end])], width), rgb, strength)

    def fill(self, box: tuple[int, int, int, int], rgb: Rgb) -> None:
        """A printed area; x, y, w, h."""
        x, y, w, h = (OVERSAMPLING * side for side in box)
        self.canvas[y : y + h, x : x + w] *= np.float32(rgb) / self.canvas[y : y + h, x : x + w].mean(axis=(0, 1))

    def write(self, text: str, left: float, baseline: float, height: float, pen: Pen, gap: float = 0.26) -> None:
        """Digits by hand, each a little different; `gap` lies between two of them, in heights."""
        slant = self.rng.normal(0.10, 0.02)
        for character in text:
            if character == " ":
                left += WORD_SPACE * height
                continue
            style = STROKES[character][self.rng.integers(len(STROKES[character]))]
            own = height * self.rng.uniform(0.92, 1.06)
            origin = np.array([left, baseline + self.rng.normal(0, 0.03 * height)])
            self._draw_digit(style, origin, own, slant + self.rng.normal(0, 0.02), pen)
            left += own * max(x for stroke in style for x, _ in stroke) + gap * height * self.rng.uniform(0.85, 1.15)

    def _draw_digit(self, style: tuple[Stroke, ...], origin: Floats, height: float, slant: float, pen: Pen) -> None:
        """One digit, whose box has its lower left corner at `origin`."""
        shear = np.array([[1.0, 0.0], [-slant, 1.0]])
        curves = []
        for stroke in style:
            # A corner's two points move together, or it would be none.
            moved = {point: point + self.rng.normal(0, POINT_JITTER, 2) for point in stroke}
            points = np.array([moved[point] for point in stroke])
            curves.append(origin + height * ((smooth_stroke(points) - [0.0, 1.0]) @ shear))
        self._blend(self._stroke(curves, pen.width * height / 100.0), pen.rgb, pen.strength, pen.grain)

    def _stroke(self, curves: list[Floats], width: float) -> FloatImage:
        """Coverage 0 to 1 of round-ended strokes whose width breathes a little."""
        mask = np.zeros(self.canvas.shape[:2], np.uint8)
        for curve in curves:
            n = max(2, len(curve))
            breath = 1.0 + 0.10 * np.sin(np.linspace(0, 2.5 * np.pi, n) + self.rng.uniform(0, 6))
            for a, b, swell in zip(curve[:-1], curve[1:], breath, strict=False):
                ends = (tuple(int(round(16 * OVERSAMPLING * v)) for v in point) for point in (a, b))
                cv2.line(mask, *ends, 255, max(1, round(OVERSAMPLING * width * swell)), cv2.LINE_AA, 4)
        return mask.astype(np.float32) / 255.0

    def _blend(self, coverage: FloatImage, rgb: Rgb, strength: float, grain: float = 0.0) -> None:
        rows, columns = np.flatnonzero(coverage.any(axis=1)), np.flatnonzero(coverage.any(axis=0))
        part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        tooth = _make_cloud(self.rng, coverage[part].shape, 3)
        alpha = coverage[part] * np.clip(strength * (1.0 - grain * np.clip(tooth + 0.2, 0, 2)), 0, 1)
        self.canvas[part] += alpha[:, :, None] * (np.float32(rgb) - self.canvas[part])


def make_note() -> tuple[Page, "Shot"]:
    """A phone number on a cream note on a table."""
    page = Page((860, 520), (246, 238, 214), 11)
    page.write("0152 948 376", 78, 315, 88, FOUNTAIN_PEN)
    return page, Shot(((190, 170), (1040, 205), (1010, 735), (160, 690)), (126, 88, 58), light=(1.05, 0.62), angle=0.5)


def make_ruled() -> tuple[Page, "Shot"]:
    """Two lines on ruled paper."""
    page = Page((1400, 1100), (244, 244, 238), 25)
    for y in range(110, 1100, 74):
        page.draw_line((0, y), (1400, y), (110, 150, 205), 2.0, 0.6)
    page.write("31415926", 240, 474, 104, BALLPOINT, 0.40)
    page.write("27182818", 236, 698, 104, BALLPOINT, 0.40)
    return page, Shot(((-70, -60), (1270, -95), (1290, 985), (-85, 960)), (200, 200, 200), light=(1.0, 0.72), angle=2.2)


def make_board() -> tuple[Page, "Shot"]:
    """Chalk on a board."""
    page = Page((1400, 1100), (44, 70, 60), 31)
    page.write("2048", 330, 470, 190, CHALK, 0.34)
    page.write("617", 470, 800, 190, CHALK, 0.34)
    return page, Shot(((-60, -40), (1260, -90), (1270, 960), (-90, 1000)), (40, 60, 52), light=(1.15, 0.75), angle=5.6)


def make_squared() -> tuple[Page, "Shot"]:
    """Pencil on squared paper: three sums."""
    page = Page((1400, 1100), (247, 247, 243), 47)
    for x in range(30, 1400, 46):
        page.draw_line((x, 0), (x, 1100), (150, 175, 200), 1.4, 0.5)
    for y in range(30, 1100, 46):
        page.draw_line((0, y), (1400, y), (150, 175, 200), 1.4, 0.5)
    for text, baseline in (("4096", 350), ("1729", 580), ("8538", 810)):
        page.write(text, 400, baseline, 116, PENCIL, 0.42)
    return page, Shot(((-60, -70), (1275, -60), (1260, 975), (-75, 965)), (200, 200, 200), light=(0.98, 0.7), angle=3.8)


def make_form() -> tuple[Page, "Shot"]:
    """A row of boxes to write in, one digit a box."""
    page = Page((1300, 800), (232, 236, 240), 58)
    page.fill((140, 300, 960, 150), (250, 250, 250))
    for i in range(9):
        page.draw_line((140 + 120 * i, 300), (140 + 120 * i, 450), (70, 100, 130), 2.0, 0.8)
    for y in (300, 450):
        page.draw_line((140, y), (1100, y), (70, 100, 130), 2.0, 0.8)
    for i, digit in enumerate("24091987"):
        page.write(digit, 170 + 120 * i, 425, 98, FELT_PEN)
    return page, Shot(((20, 90), (1190, 62), (1215, 800), (-5, 840)), (96, 100, 104), light=(1.0, 0.8), angle=1.2)


def make_empty() -> tuple[Page, "Shot"]:
    """A sheet with nothing on it, half in the shade."""
    page = Page((1000, 700), (244, 242, 236), 63)
    return page, Shot(
        ((130, 120), (1060, 90), (1100, 780), (90, 800)), (104, 74, 50), light=(1.05, 0.5), angle=0.9, shade=True
    )


@dataclass(frozen=True, slots=True)
class Shot:
    """How a page is photographed.

    Attributes:
        corners: where the page's corners come to lie, from the upper left on, clockwise.
        table: colour of what it lies on.
        light: the light's strength at the bright and at the dark end of the picture.
        angle: of the light, in radians.
        shade: whether an edge of shadow crosses the picture.
    """

    corners: tuple[Point, Point, Point, Point]
    table: Rgb
    light: tuple[float, float]
    angle: float
    shade: bool = False


# File → how it is drawn, and what is written on it.
EXAMPLES: dict[str, tuple[Callable[[], tuple[Page, Shot]], tuple[str, ...]]] = {
    "phone_number_on_a_note.jpg": (make_note, ("0152948376",)),
    "two_lines_on_ruled_paper.jpg": (make_ruled, ("31415926", "27182818")),
    "chalk_on_a_board.jpg": (make_board, ("2048", "617")),
    "pencil_on_squared_paper.jpg": (make_squared, ("4096", "1729", "8538")),
    "boxes_of_a_form.jpg": (make_form, ("24091987",)),
    "empty_sheet.jpg": (make_empty, ()),
}


def draw_example(name: str) -> npt.NDArray[np.uint8]:
    """One example picture.

    Args:
        name: a key of `EXAMPLES`.

    Returns:
        (900, 1200, 3) uint8 RGB, the same each time.
    """
    page, shot = EXAMPLES[name][0]()
    return photograph(page, shot)


def photograph(page: Page, shot: Shot) -> npt.NDArray[np.uint8]:
    """Lay the page on its table, light it, and take its picture."""
    width, height = SIZE_WH
    rng = page.rng
    scene = np.float32(shot.table) * (1.0 + 0.05 * _make_wood(rng, (height, width))[:, :, None])
    flat = cv2.resize(page.canvas, None, fx=1 / OVERSAMPLING, fy=1 / OVERSAMPLING, interpolation=cv2.INTER_AREA)
    h, w = flat.shape[:2]
    matrix = cv2.getPerspectiveTransform(np.float32([(0, 0), (w, 0), (w, h), (0, h)]), np.float32(shot.corners))
    sheet = cv2.warpPerspective(flat, matrix, SIZE_WH, flags=cv2.INTER_AREA)
    cover = cv2.warpPerspective(np.ones((h, w), np.float32), matrix, SIZE_WH)
    # The sheet's own soft shadow on the table.
    drop = cv2.GaussianBlur(np.roll(cover, (9, 7), (0, 1)), (0, 0), 9)
    scene *= 1.0 - 0.45 * drop[:, :, None]
    scene += cover[:, :, None] * (sheet - scene)
    scene *= _make_light(shot)[:, :, None]
    scene = cv2.GaussianBlur(scene, (0, 0), 0.7) + rng.normal(0, 2.0, scene.shape)
    return np.clip(scene, 0, 255).astype(np.uint8)


def _make_light(shot: Shot) -> FloatImage:
    """A soft gradient, a little vignette, and perhaps the edge of a shadow."""
    width, height = SIZE_WH
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    along = (x * np.cos(shot.angle) + y * np.sin(shot.angle)) / 1.4
    bright, dark = shot.light
    light = dark + (bright - dark) * (0.5 - 0.5 * np.tanh(1.2 * along))
    light *= 1.0 - 0.06 * (x**2 + y**2)
    if shot.shade:
        light *= 1.0 - 0.4 / (1.0 + np.exp(-(along - 0.15) / 0.02))
    return light.astype(np.float32)


def _make_wood(rng: np.random.Generator, shape: tuple[int, int]) -> FloatImage:
    """Long soft grain along x."""
    height, width = shape
    grain = rng.normal(0, 1, (height, max(2, width // 60))).astype(np.float32)
    grain = cv2.GaussianBlur(cv2.resize(grain, (width, height), interpolation=cv2.INTER_CUBIC), (0, 0), 1.5)
    return grain / grain.std()


def _make_cloud(rng: np.random.Generator, shape: tuple[int, int], size_px: int) -> FloatImage:
    """Smooth noise of unit spread, `size_px` from crest to crest."""
    height, width = shape
    coarse = rng.normal(0, 1, (height // size_px + 2, width // size_px + 2)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the pictures go")
    folder = parser.parse_args().folder
    for name in EXAMPLES:
        _, encoded = cv2.imencode(".jpg", draw_example(name)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        (folder / name).write_bytes(encoded.tobytes())
        print(f"{name}: {len(encoded) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
