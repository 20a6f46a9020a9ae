"""RapidOCR with the models that its package brings: pip install rapidocr onnxruntime requests. Letters are dropped."""

import logging
from pathlib import Path

import cv2
import numpy as np

from benchmarks.photo_labels import PhotoText
from benchmarks.pipelines import Pipeline, PipelineMissingError
from digitcore.imaging import load_image
from digitcore.layout import group_lines
from digitcore.results import Box

DIGITS = frozenset("0123456789")


def load(checkpoint: str | None = None) -> Pipeline:
    """The engine, if the package is there."""
    try:
        from rapidocr import RapidOCR
    except ImportError as err:
        raise PipelineMissingError(
            f"rapidocr cannot be imported ({err}). Get it with: pip install rapidocr onnxruntime requests."
        ) from err
    engine = RapidOCR()
    logging.getLogger("RapidOCR").setLevel(logging.ERROR)

    def read(path: Path) -> PhotoText:
        found = engine(cv2.cvtColor(load_image(path), cv2.COLOR_RGB2BGR))
        texts = ["".join(filter(DIGITS.__contains__, text)) for text in found.txts or ()]
        quadrangles = () if found.boxes is None else found.boxes
        boxes = [Box(*cv2.boundingRect(np.asarray(corners, np.float32))) for corners in quadrangles]
        lines = ("".join(texts[i] for i in line) for line in group_lines(boxes))
        return PhotoText(tuple(line for line in lines if line))

    return read
