"""What `train.evaluate --store` adds to a checkpoint's folder: the figures in metrics.json, and in its card."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from digitcore.checkpoint import CARD_NAME, METRICS_NAME, Checkpoint, replace_files
from digitcore.errors import CheckpointError, ConfigError
from digitcore.reports import Report
from digitcore.robustness_reports import RobustnessReport
from digitcore.training.card import make_card
from digitcore.training.config import TrainConfig

# The key in metrics.json, beside what the training measured itself.
STORED_KEY = "evaluation"
FIXED_STRENGTH = 1.0


def summarize(
    report: Report, robustness: RobustnessReport | None, others: Mapping[str, Any], measured: str, command: str
) -> dict[str, Any]:
    """The single figures of an evaluation, without its tables and mistakes.

    Args:
        report: of the whole data set that was read.
        robustness: of the same checkpoint, or None; counted at the fixed strengths, if it was measured there.
        others: figures of other sets and of cost, as `OtherFigures` and `Cost` give them.
        measured: the date.
        command: that repeats it.

    Returns:
        Plain JSON types.
    """
    figures: dict[str, Any] = {
        "measured": measured,
        "command": command,
        "dataset": report.dataset,
        "n": report.n,
        "error": round(1 - report.accuracy, 6),
        "error_interval": [round(1 - bound, 6) for bound in reversed(report.interval)],
        "ece": round(report.ece, 6),
    }
    if robustness is not None and FIXED_STRENGTH in robustness.strengths:
        figures["corruptions"] = {"n": robustness.n} | robustness.errors_at(FIXED_STRENGTH).to_dict()
    return figures | dict(others)


def store_figures(folder: Path, checkpoint: Checkpoint, figures: Mapping[str, Any]) -> None:
    """Write the figures into a checkpoint's metrics.json and card; the weights stay as they are.

    Args:
        folder: of the checkpoint.
        checkpoint: as it was loaded from there.
        figures: as `summarize` gives them.

    Raises:
        CheckpointError: if `folder` is no folder, or its metrics.json does not say how the network was trained.
    """
    if not folder.is_dir():
        raise CheckpointError(f"Figures are stored in a checkpoint's folder, and {folder} is none: leave --store out.")
    try:
        metrics = {**checkpoint.metrics, STORED_KEY: dict(figures)}
        card = make_card(folder.resolve().name, TrainConfig.from_dict(checkpoint.metrics["training"]), metrics)
    except (KeyError, TypeError, ConfigError) as err:
        raise CheckpointError(
            f"{folder / METRICS_NAME} does not say how this network was trained ({err}): its card cannot be written, "
            "and nothing was stored."
        ) from err
    content = (json.dumps(metrics, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    replace_files(folder, {METRICS_NAME: content, CARD_NAME: card.encode()})
