"""Read synthetic test pages with the photo reader, and print how well it did, scene by scene.

    npm ci --prefix fonts
    python -m benchmarks.pages --fonts fonts [--pages N] [--pictures runs/pages]

The digits are those of MNIST's validation images, the fonts those kept for tests, the seeds of their own: training saw
none of them. A digit is found if its box meets the true one at IoU .5. The scenes:

    words     handwriting and print without a digit; goal: a false digit on at most 1 % of the pages
    touching  pairs of digits that touch; goal: 95 % of the pairs with both found and read right
    dense     small lines close together; goal: F1 of .97
    mixed     all kinds of pages, as training has them; and how honest the confidence is there
    turned    rows of digits, the page a quarter or half turn round; and the same pages upright, which are to stay so

What nobody could read, or could take for a digit, counts neither way. The last line printed is JSON.

With detector@769ce12 and digitnet@62d414b, 100 pages a scene: a false digit on 3.0 % of the pages of words, 88.5 % of
the pairs right, dense F1 .927, mixed F1 .923, 84 % of the turned pages turned back; of digits at a confidence of .9 or
more 98.6 % are right.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.page_figures import (
    Calibration,
    SceneFigures,
    measure_calibration,
    measure_scene,
    measure_turned,
    to_finds,
)
from benchmarks.page_scenes import SCENES, ScenePages, pick_rotation, turn_away
from benchmarks.photo_labels import PhotoLabel, PhotoText
from benchmarks.photo_pictures import draw_mistakes
from digitcore.reader import DigitReader
from digitcore.results import Box, Reading
from digitcore.training.detector_validation import score_page
from digitcore.training.page_matching import match_finds
from digitcore.training.pages import Page

N_PAGES, N_WORST = 200, 10
GLYPHS_FOLDER = Path("runs/glyphs")
HEADS = (
    ("pages", "pages"),
    ("digits", "digits"),
    ("F1", "f1"),
    ("recall", "recall"),
    ("class acc.", "class_accuracy"),
    ("false/page", "false_per_page"),
    ("missed", "missed"),
    ("false", "false"),
    ("misread", "misread"),
)
WORDS = {
    "pages_with_false": "words: pages with a false digit (goal: at most 1 %)",
    "pairs_right": "touching: pairs found and read right (goal: 95 %)",
    "turned_noticed": "turned: turned back",
    "turned_wrong_way": "turned: turned another way",
    "upright_turned": "turned: upright pages that were turned",
}


class Reader(Protocol):
    """Whatever reads photos: `DigitReader`, or a test's own."""

    def read_photo(self, picture: npt.NDArray[np.uint8]) -> Reading:
        """What is on it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the pages and print the tables."""
    options = _parse(arguments)
    reader = DigitReader.from_pretrained(options.checkpoint, detector=options.detector)
    pages = ScenePages.load(options.fonts, options.data, GLYPHS_FOLDER)
    figures: dict[str, SceneFigures] = {}
    calibration: Calibration | None = None
    for scene in options.scene or SCENES:
        upright = list(pages.make(scene, options.pages))
        readings = [reader.read_photo(page.image) for page in upright]
        figures[scene] = measure(reader, scene, upright, readings)
        if scene == "mixed":
            calibration = measure_calibration(upright, readings)
        if options.pictures:
            write_pictures(options.pictures, scene, upright, readings)
    if not options.json:
        print(*format_tables(figures, calibration), sep="\n")
    summary = {
        "benchmark": "pages",
        "model": reader.classifier.label,
        "detector": reader.detector_label,
        "scenes": {scene: found.to_dict() for scene, found in figures.items()},
        "calibration": calibration and calibration.to_dict(),
    }
    print(json.dumps(summary))


def measure(reader: Reader, scene: str, pages: Sequence[Page], readings: Sequence[Reading]) -> SceneFigures:
    """The figures of a scene; "turned" is read once more, turned away."""
    if scene != "turned":
        return measure_scene(scene, pages, readings)
    rotations = [pick_rotation(index) for index in range(len(pages))]
    turned = [
        reader.read_photo(turn_away(page.image, rotation)) for page, rotation in zip(pages, rotations, strict=True)
    ]
    return measure_turned(pages, readings, rotations, turned)


def format_tables(figures: dict[str, SceneFigures], calibration: Calibration | None) -> Iterator[str]:
    """The lines that are printed before the JSON."""
    yield "scene     " + "".join(head.rjust(11) for head, _ in HEADS)
    for scene, found in figures.items():
        row = found.to_dict()
        yield scene.ljust(10) + "".join(_format_cell(row[key]).rjust(11) for _, key in HEADS)
    yield ""
    for found in figures.values():
        yield from (f"{WORDS[name]}: {share}" for name, share in found.shares.items())
    if calibration is None:
        return
    yield ""
    yield f"confidence on mixed pages: ECE {calibration.ece:.4f}, right of those at .9 or more: {calibration.sure}"
    yield "confidence     digits       mean      right"
    for row in calibration.bin():
        bounds = f"{row['from']:.2f}–{row['to']:.2f}"
        yield f"{bounds:10} {row['n']:10} {row['mean']:10.3f} {row['right']:10.3f}"


def write_pictures(folder: Path, scene: str, pages: Sequence[Page], readings: Sequence[Reading]) -> None:
    """The pages with the most errors, annotated, as SCENE-RANK-NUMBER.jpg; what is excused is not drawn."""
    folder.mkdir(parents=True, exist_ok=True)
    errors = [_count_errors(page, reading) for page, reading in zip(pages, readings, strict=True)]
    worst = [index for index in np.argsort(errors)[::-1][:N_WORST].tolist() if errors[index]]
    for rank, index in enumerate(worst, 1):
        page, finds = pages[index], to_finds(readings[index])
        boxes = tuple(
            (Box(*map(round, box)), str(label)) for box, label in zip(page.boxes.tolist(), page.labels, strict=True)
        )
        is_excused = match_finds(finds.boxes, finds.scores, page).is_excused
        read = tuple(
            (digit.box, str(digit.value))
            for digit, excused in zip(readings[index].digits, is_excused, strict=True)
            if not excused
        )
        label = PhotoLabel(str(index), ("".join(digit for _, digit in boxes),), has_order=False, boxes=boxes)
        drawn = draw_mistakes(np.dstack([page.image] * 3), label, PhotoText(("".join(d for _, d in read),), read))
        cv2.imwrite(str(folder / f"{scene}-{rank:02}-{index}.jpg"), cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))


def _count_errors(page: Page, reading: Reading) -> int:
    """Digits missed, false or misread."""
    score = score_page(to_finds(reading), page)
    return score.n_digits - score.n_right + score.n_false


def _format_cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fonts", type=Path, metavar="DIR", default=Path("fonts"), help="default: %(default)s")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="folder that holds MNIST/raw (default: DIGITCORE_DATA)"
    )
    parser.add_argument("--detector", help="a folder or a Hub id; the shipped one if not given")
    parser.add_argument("--checkpoint", help="of the digit network, likewise")
    parser.add_argument("--pages", type=int, metavar="N", default=N_PAGES, help="of each scene (default: %(default)s)")
    parser.add_argument("--scene", action="append", choices=SCENES, help="may be given several times; all if not given")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help=f"write each scene's worst {N_WORST} there")
    parser.add_argument("--json", action="store_true", help="print the JSON line alone")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
