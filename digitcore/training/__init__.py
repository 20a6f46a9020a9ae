"""The learning side: settings, augmentation, the loop. Serving never imports it."""

from digitcore.training.config import PRESETS, AugmentationConfig, TrainConfig, load_preset
from digitcore.training.loop import EpochResult, FitResult, TrainingSets, fit, load_training_sets

__all__ = [
    "PRESETS",
    "AugmentationConfig",
    "EpochResult",
    "FitResult",
    "TrainConfig",
    "TrainingSets",
    "fit",
    "load_preset",
    "load_training_sets",
]
