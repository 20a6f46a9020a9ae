"""Fit how much the networks' opinions count in a photo's reading, on synthetic pages.

    python -m train.fit_fusion --fonts fonts

writes digitcore/fusion.json, and prints how the page network does alone, and all pooled. The pages are drawn with
MNIST's validation digits, of which no network learnt; their seeds are neither those of training nor those of
benchmarks/pages.py. It takes some ten minutes.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from digitcore.classifier import DigitClassifier
from digitcore.data import load_mnist, split_train
from digitcore.detection import PageDetector
from digitcore.errors import DigitcoreError
from digitcore.fusion import FITTED_WEIGHTS, OPINIONS, WEIGHTS_PATH, fuse_classes, fuse_presence
from digitcore.hub import DEFAULT_DETECTOR, load_pretrained
from digitcore.merging import DetectionConfig
from digitcore.metrics import expected_calibration_error, measure_auroc
from digitcore.training.fusion_fit import Evidence, fit_weights, gather_evidence, measure_classes
from digitcore.training.glyphs import DigitGlyphs
from digitcore.training.pages import Page, PageConfig, PageMaker
from digitcore.training.writing import Writing

N_PAGES = 1_500
FloatArray = npt.NDArray[np.float32]
# Beside the streams of training (0 and 1) and of the benchmark (2).
SEED, FUSION_STREAM = 2026, 3
# Finds below are never read; they are fewer than those above.
MIN_SCORE = 0.2
# A training page is full of digits; a photo is some five of them side by side, of which one or two have any. So two in
# three are without here, most of those paper, tables and clutter.
CONFIG = PageConfig(words=0.3, nothing=1.3, turned_ratio=0.0)


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = _parse(argv)
    try:
        held_out = split_train(load_mnist("train", options.data))[1]
        glyphs = DigitGlyphs.from_images(held_out, Path("runs/glyphs"))
        maker = PageMaker(glyphs, Writing.from_folder(options.fonts), CONFIG)
        detector = PageDetector(
            load_pretrained(options.detector or DEFAULT_DETECTOR),
            options.device,
            replace(DetectionConfig(), min_score=MIN_SCORE),
        )
        classifier = DigitClassifier(load_pretrained(options.checkpoint), options.device)

        def classify(images: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
            says = classifier.classify(images)
            return says.probs, says.is_digit

        evidence = gather_evidence(_make_pages(maker, options.pages), detector, classify)
        weights = fit_weights(evidence)
    except DigitcoreError as err:
        print(f"Error: {err}", file=sys.stderr)
        return 1
    content = {
        "fitted_on": {"detector": detector.label, "classifier": classifier.label, "n_pages": options.pages},
        "weights": weights.to_dict(),
    }
    partial = options.out.with_suffix(".part")
    partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    partial.replace(options.out)
    n_there = int(evidence.is_there.sum())
    print(f"{len(evidence.labels)} finds on {options.pages} pages, {n_there} of them digits; {detector.label}, ")
    exponents = ", ".join(f"{name} {value}" for name, value in zip(OPINIONS, weights.exponents, strict=True))
    print(f"{classifier.label}\nexponents: {exponents}")
    for index, name in enumerate(OPINIONS):
        print(_describe(f"{name} alone", evidence, evidence.scores[:, index], evidence.probs[:, index]))
    for name, tried in (("weights of before", FITTED_WEIGHTS), ("as fitted", weights)):
        probs = fuse_classes(evidence.probs, tried)
        print(_describe(name, evidence, fuse_presence(evidence.gather_features(probs), tried), probs))
    print(f"Wrote {options.out}.")
    return 0


def _make_pages(maker: PageMaker, n_pages: int) -> Iterator[Page]:
    for index in range(n_pages):
        yield maker.make(np.random.default_rng((SEED, FUSION_STREAM, index)))


def _describe(name: str, evidence: Evidence, presence: FloatArray, probs: FloatArray) -> str:
    """One line: how well it tells digits from others and from each other, and how honest the product is."""
    is_there = evidence.is_there
    nll, accuracy = measure_classes(probs[is_there], evidence.labels[is_there])
    is_read = presence >= 0.5
    confidence = presence * probs.max(axis=1)
    is_right = is_there & (probs.argmax(axis=1) == evidence.labels)
    ece = expected_calibration_error(confidence[is_read], is_right[is_read])
    auroc = measure_auroc(presence, is_there)
    return f"{name:21} AUROC {auroc:.4f}  classes right {accuracy:.2%}, NLL {nll:.4f}  ECE of the confidence {ece:.4f}"


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m train.fit_fusion", description="Fit the weights of the opinions on synthetic pages."
    )
    parser.add_argument("--fonts", type=Path, metavar="DIR", default=Path("fonts"), help="default: %(default)s")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="folder that holds MNIST/raw (default: DIGITCORE_DATA)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", default=WEIGHTS_PATH, help="default: %(default)s")
    parser.add_argument("--pages", type=int, metavar="N", default=N_PAGES, help="default: %(default)s")
    parser.add_argument("--detector", help="folder or Hub repo; the shipped one if not given")
    parser.add_argument("--checkpoint", help="of the digit network, likewise")
    parser.add_argument("--device", help='"cpu" or "cuda" (default: CUDA where there is one)')
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
