"""The learning side: settings, augmentation, the loop. Serving never imports it."""

from digitcore.training.config import PRESETS, AugmentationConfig, FinishConfig, TrainConfig, load_preset
from digitcore.training.loop import fit, load_training_sets
from digitcore.training.results import EpochResult, FitResult, TrainingSets

__all__ = [
    "PRESETS",
    "AugmentationConfig",
    "EpochResult",
    "FinishConfig",
    "FitResult",
    "TrainConfig",
    "TrainingSets",
    "fit",
    "load_preset",
    "load_training_sets",
]
