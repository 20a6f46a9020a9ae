"""The figures of the page benchmark: what a reader made of synthetic pages, scene by scene."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.page_scenes import find_pairs
from digitcore.merging import Finds
from digitcore.metrics import expected_calibration_error, wilson_interval
from digitcore.results import Reading
from digitcore.training.detector_validation import PageScore, score_page
from digitcore.training.page_matching import match_finds
from digitcore.training.pages import Page

SURE_CONFIDENCE = 0.9
# Bounds of the reliability table's rows: finer where nearly all digits are.
RELIABILITY_BOUNDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0)


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many."""

    n_hit: int
    n: int

    @property
    def value(self) -> float | None:
        """0 to 1; None of nothing."""
        return self.n_hit / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval."""
        return wilson_interval(self.n_hit, self.n)

    def __str__(self) -> str:
        """As "97.5 % (95.1–98.8) of 200"."""
        if self.value is None:
            return "- of 0"
        low, high = self.interval
        return f"{100 * self.value:.1f} % ({100 * low:.1f}–{100 * high:.1f}) of {self.n}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        share = None if self.value is None else round(self.value, 4)
        return {"share": share, "hits": self.n_hit, "n": self.n, "interval": [round(v, 4) for v in self.interval]}


@dataclass(frozen=True, slots=True)
class SceneFigures:
    """Over the pages of a scene.

    Attributes:
        score: counts of digits; those right are found at IoU .5 and read right.
        shares: what the scene is about, by name.
    """

    score: PageScore
    shares: dict[str, Share] = field(default_factory=dict)

    @property
    def class_accuracy(self) -> float | None:
        """Share of the digits found that are read right; None if none was."""
        return self.score.n_right / self.score.n_found if self.score.n_found else None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        score = self.score
        has_digits = score.n_digits > 0
        return {
            "pages": score.n_pages,
            "digits": score.n_digits,
            "f1": round(score.f1, 4) if has_digits else None,
            "recall": round(score.recall, 4) if has_digits else None,
            "class_accuracy": None if self.class_accuracy is None else round(self.class_accuracy, 4),
            "false_per_page": round(score.false_per_page, 4),
            "missed": score.n_digits - score.n_found,
            "false": score.n_false,
            "misread": score.n_found - score.n_right,
            **{name: share.to_dict() for name, share in self.shares.items()},
        }


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """How honest the confidence is.

    Attributes:
        confidences: (n,) of the digits that were read, the excused left out.
        is_right: (n,): whether a digit is there, and that one.
    """

    confidences: npt.NDArray[np.float32]
    is_right: npt.NDArray[np.bool_]

    @property
    def ece(self) -> float:
        """Expected calibration error, 15 bins."""
        return expected_calibration_error(self.confidences, self.is_right)

    @property
    def sure(self) -> Share:
        """Share right of the digits with a confidence of .9 or more."""
        is_sure = self.confidences >= SURE_CONFIDENCE
        return Share(int(self.is_right[is_sure].sum()), int(is_sure.sum()))

    def bin(self) -> list[dict[str, Any]]:
        """The reliability table: digits by confidence, with the mean of it and the share that is right."""
        places = np.digitize(self.confidences, RELIABILITY_BOUNDS[1:-1])
        rows = []
        for place, (low, high) in enumerate(zip(RELIABILITY_BOUNDS, RELIABILITY_BOUNDS[1:], strict=False)):
            own = places == place
            if own.any():
                mean, right = float(self.confidences[own].mean()), float(self.is_right[own].mean())
                rows.append(
                    {"from": low, "to": high, "n": int(own.sum()), "mean": round(mean, 4), "right": round(right, 4)}
                )
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "digits": len(self.confidences),
            "ece": round(self.ece, 4),
            "right_of_sure": self.sure.to_dict(),
            "bins": self.bin(),
        }


def measure_scene(scene: str, pages: Sequence[Page], readings: Sequence[Reading]) -> SceneFigures:
    """Compare upright readings with the truth.

    Args:
        scene: its name; "words" and "touching" have shares of their own.
        pages: what there was.
        readings: of the pages as they are, one each.
    """
    score, n_with_false, n_pairs, n_right_pairs = PageScore(), 0, 0, 0
    for page, reading in zip(pages, readings, strict=True):
        finds = to_finds(reading)
        of_page = score_page(finds, page)
        score += of_page
        n_with_false += of_page.n_false > 0
        if scene == "touching":
            matches = match_finds(finds.boxes, finds.scores, page)
            right = set(matches.digits[matches.find_right(finds.probs.argmax(axis=1), page)].tolist())
            pairs = find_pairs(page)
            n_pairs += len(pairs)
            n_right_pairs += sum(right.issuperset(pair) for pair in pairs)
    shares = {
        "words": {"pages_with_false": Share(n_with_false, len(pages))},
        "touching": {"pairs_right": Share(n_right_pairs, n_pairs)},
    }
    return SceneFigures(score, shares.get(scene, {}))


def measure_turned(
    pages: Sequence[Page], readings: Sequence[Reading], rotations: Sequence[int], turned: Sequence[Reading]
) -> SceneFigures:
    """Judge by which way up the pages were read.

    Args:
        pages: upright.
        readings: of the pages as they are.
        rotations: degrees clockwise that put right the pages that were turned away.
        turned: readings of those.

    Returns:
        The counts of digits are of the upright pages.
    """
    score = sum(
        (score_page(to_finds(reading), page) for page, reading in zip(pages, readings, strict=True)), PageScore()
    )
    n_noticed = sum(reading.rotation == rotation for rotation, reading in zip(rotations, turned, strict=True))
    n_wrong = sum(reading.rotation not in (0, rotation) for rotation, reading in zip(rotations, turned, strict=True))
    n_upset = sum(reading.rotation != 0 for reading in readings)
    return SceneFigures(
        score,
        {
            "turned_noticed": Share(n_noticed, len(turned)),
            "turned_wrong_way": Share(n_wrong, len(turned)),
            "upright_turned": Share(n_upset, len(readings)),
        },
    )


def measure_calibration(pages: Sequence[Page], readings: Sequence[Reading]) -> Calibration:
    """Set the confidence of the digits read against whether they are right."""
    confidences, is_right = [np.zeros(0, np.float32)], [np.zeros(0, bool)]
    for page, reading in zip(pages, readings, strict=True):
        finds = to_finds(reading)
        matches = match_finds(finds.boxes, finds.scores, page)
        counts = ~matches.is_excused
        confidences.append(finds.scores[counts])
        is_right.append(matches.find_right(finds.probs.argmax(axis=1), page)[counts])
    return Calibration(np.concatenate(confidences), np.concatenate(is_right))


def to_finds(reading: Reading) -> Finds:
    """The digits read, as the matching takes them; the score is the confidence."""
    digits = reading.digits
    return Finds(
        np.array([digit.box for digit in digits], np.float32).reshape(-1, 4),
        np.array([digit.confidence for digit in digits], np.float32),
        np.array([digit.probs for digit in digits], np.float32).reshape(-1, 10),
    )
