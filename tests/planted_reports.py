"""Reports whose every figure is planted, and the reading of markup that the renderers' tests share."""

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np

from digitcore.reports import (
    Comparison,
    DigitScore,
    Mistake,
    Predictions,
    ReliabilityBin,
    Report,
    RiskPoint,
    Snapshot,
)
from digitcore.robustness_reports import CorruptionCurve, RobustnessReport

VOID = {"img", "input", "meta", "br"}
CONFUSION = tuple(tuple(90 if t == r else 1 if r == (t + 1) % 10 else 0 for r in range(10)) for t in range(10))
IMAGES = np.arange(1000, dtype=np.uint32)[:, None, None].astype(np.uint8) * np.ones((28, 28), np.uint8)
LABELS = "digitnet@1a2b3c4", "seed@5d6e7f8"


class Elements(HTMLParser):
    """Collects elements as (tag, attributes, text inside), and holds the markup to closing what it opens."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.feed(markup)
        self.close()
        assert not self._open, f"left open: {self._open}"

    def handle_starttag(self, tag, attrs):
        element = (tag, dict(attrs), [])
        self.found.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs), []))

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        for _, _, text in self._open:
            text.append(data)

    def all(self, tag: str, **attributes: str) -> list[tuple[dict[str, str | None], str]]:
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        return [
            (attrs, "".join(text).replace("\u00a0", " "))
            for found, attrs, text in self.found
            if found == tag and wanted.items() <= attrs.items()
        ]


def make_report(**changes) -> Report:
    """910 of 1,000 images read, 10 of them wrongly: index i is an i read as i + 1."""
    mistakes = tuple(Mistake(index, index % 10, (index + 1) % 10, 0.999 - index / 1000) for index in range(10))
    report = Report(
        dataset="mnist",
        checkpoint=LABELS[0],
        n=910,
        n_total=1000,
        n_correct=900,
        interval=(0.9799, 0.994),
        confusion=CONFUSION,
        per_digit=tuple(DigitScore(0.5 + digit / 100, 0.75, 0.6, 91 + digit) for digit in range(10)),
        ece=0.0123,
        mistakes=mistakes,
        images_per_second=500.0,
        done=False,
        reliability=(
            ReliabilityBin(0.0, 0.5, 0, 0.0, 0.0),
            ReliabilityBin(0.5, 0.75, 10, 0.6, 0.4),
            ReliabilityBin(0.75, 1.0, 900, 0.98, 0.996),
        ),
        risk_coverage=(RiskPoint(0.0, 1.0, 0.011), RiskPoint(0.9, 0.97, 0.004), RiskPoint(0.999, 0.6, 0.0)),
        auroc=0.97,
    )
    return replace(report, **changes)


EMPTY = make_report(
    n=0,
    n_total=0,
    n_correct=0,
    interval=(0.0, 1.0),
    mistakes=(),
    images_per_second=0.0,
    done=True,
    reliability=(),
    risk_coverage=(),
    auroc=None,
)


def make_comparison(**changes) -> Comparison:
    """The second is right on 20 images less of 910."""
    comparison = Comparison(*LABELS, "mnist", 910, 875, 25, 5, 5, (-0.034, -0.01), 0.0003)
    return replace(comparison, **changes)


def make_predictions(n: int = 910) -> Predictions:
    """An i read as i + 1 for the first ten images, then everything right; the confidence falls with the index."""
    labels = np.arange(n, dtype=np.int64) % 10
    predicted = np.where(np.arange(n) < 10, (labels + 1) % 10, labels)
    return Predictions(labels, predicted, np.linspace(0.999, 0.5, n, dtype=np.float32))


def make_snapshot(n_checkpoints: int = 1, **changes) -> Snapshot:
    """One checkpoint, or two that agree in everything but their names."""
    reports = tuple(make_report(checkpoint=label, **changes) for label in LABELS[:n_checkpoints])
    comparison = make_comparison() if n_checkpoints == 2 else None
    return Snapshot(reports, comparison, tuple(make_predictions(report.n) for report in reports))


def make_robustness(strengths: tuple[float, ...] = (1.0,), **changes) -> RobustnessReport:
    """Two kinds measured of two: at strength s the error is s tenths for shift, two s tenths for fog."""
    curves = tuple(
        CorruptionCurve(kind, strengths, tuple(slope * strength for strength in strengths))
        for kind, slope in (("shift", 0.1), ("fog", 0.2))
    )
    n_cells = 2 * len(strengths)
    report = RobustnessReport(
        dataset="mnist",
        checkpoint=LABELS[0],
        n=100,
        seed=0,
        clean_error=0.01,
        curves=curves,
        n_done=n_cells,
        n_total=n_cells,
        n_read=100 * (n_cells + 1),
        images_per_second=1000.0,
    )
    return replace(report, **changes)
