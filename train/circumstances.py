"""What metrics.json says of how a run came about: the training commands' common part."""

import datetime
import platform
from collections.abc import Sequence
from typing import Any, Protocol

import cv2
import numpy as np
import torch

from digitcore.data import LabeledImages
from digitcore.device import autocast_dtype, describe_device
from digitcore.training.config import RunConfig


class Result(Protocol):
    """What an epoch, or a round of pages, came to."""

    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""


def describe_circumstances(
    config: RunConfig, command: str, device: torch.device, history: Sequence[Result]
) -> dict[str, Any]:
    """Settings, command, versions, machine and course of a run, in plain JSON types.

    Args:
        config: every setting.
        command: that repeats the run.
        device: where it ran.
        history: its epochs or rounds.
    """
    reduced = autocast_dtype(device) if config.reduced_precision else None
    return {
        "measured": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "command": command,
        "training": config.to_dict(),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "opencv": cv2.__version__,
        },
        "device": describe_device(device),
        "n_threads": torch.get_num_threads(),
        "precision": str(reduced or torch.float32).removeprefix("torch."),
        "seconds": round(sum(result.seconds for result in history), 1),
        "history": [result.to_dict() for result in history],
    }


def describe_images(dataset: LabeledImages) -> dict[str, Any]:
    """Which images: name, how many, hash."""
    return {"name": dataset.name, "n": len(dataset), "sha256": dataset.digest()}
