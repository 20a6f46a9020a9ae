"""The tesseract command, told to read a block of text made of digits only. Debian: apt-get install tesseract-ocr.

Page segmentation mode 6; mode 11, sparse text, finds fewer digits on the photos that were tried.
"""

import os
import shutil
import subprocess
from pathlib import Path

import cv2

from benchmarks.photo_labels import PhotoText
from benchmarks.pipelines import Pipeline, PipelineMissingError
from digitcore.imaging import load_image

COMMAND = ("tesseract", "stdin", "stdout", "--psm", "6", "-c", "tessedit_char_whitelist=0123456789")


def load(checkpoint: str | None = None) -> Pipeline:
    """The command, if it is there."""
    if shutil.which(COMMAND[0]) is None:
        raise PipelineMissingError("tesseract is not installed. On Debian: apt-get install tesseract-ocr.")
    return read_digits


def read_digits(path: Path) -> PhotoText:
    """One run of the command, on the upright picture."""
    _, bitmap = cv2.imencode(".bmp", cv2.cvtColor(load_image(path), cv2.COLOR_RGB2BGR))
    # More than one of its threads makes it slower: its documentation advises this limit.
    environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    done = subprocess.run(COMMAND, input=bitmap.tobytes(), capture_output=True, env=environment, check=True)
    lines = ("".join(filter(str.isdigit, line)) for line in done.stdout.decode().splitlines())
    return PhotoText(tuple(line for line in lines if line))
