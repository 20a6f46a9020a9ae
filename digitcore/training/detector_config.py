"""Every setting of the runs that train the page network and its second stage, and the named presets.

The only home of these defaults.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from digitcore.errors import ConfigError
from digitcore.training.config import RunConfig, check, check_finite


@dataclass(frozen=True, slots=True)
class DetectorConfig(RunConfig):
    """One training run of PageNet. Two runs with equal configs on the same machine give the same weights.

    Attributes:
        name: of the preset, and of the checkpoint's folder.
        start: name@hash of the checkpoint whose weights the run starts from; empty for new ones.
        arguments: of PageNet's constructor; those of the checkpoint that it starts from.
        n_pages: pages to learn from, each seen once.
        batch_size: pages a step.
        learning_rate: the highest: it rises linearly at first and falls as a cosine to zero.
        warmup_pages: pages while it rises.
        weight_decay: of the filters; biases and norms have none.
        max_gradient_norm: gradients longer than this are shortened to it.
        ema_decay: weights are averaged over the last 1 / (1 - this) steps or so; over fewer at the start.
        center_weight: of the loss of the heatmap of centres.
        class_weight: of the loss of the ten classes.
        box_weight: of the loss of size and place.
        ink_weight: of the loss of the kinds of ink.
        pages_per_round: after so many the run is measured, reported and kept.
        n_validation_pages: to measure by; never learnt from.
        touching: weight of pages of touching pairs among the kinds of pages, as in `PageConfig`; pages that the run is
            measured by stay as they are.
        font_digits: share of hands that write digits as fonts and strokes of our own do, in forms that MNIST lacks;
            likewise.
        seed: of the weights and of the pages.
        reduced_precision: bfloat16 where the hardware has it.
    """

    name: str = "custom"
    start: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    n_pages: int = 72_000
    batch_size: int = 16
    learning_rate: float = 0.002
    warmup_pages: int = 4_000
    weight_decay: float = 0.02
    max_gradient_norm: float = 10.0
    ema_decay: float = 0.999
    center_weight: float = 1.0
    class_weight: float = 1.0
    box_weight: float = 1.0
    ink_weight: float = 1.0
    pages_per_round: int = 2_000
    n_validation_pages: int = 160
    touching: float = 0.1
    font_digits: float = 0.14
    seed: int = 0
    reduced_precision: bool = True

    def __post_init__(self) -> None:
        """Check the bounds."""
        check_finite(self)
        for name in ("n_pages", "batch_size", "pages_per_round"):
            value = getattr(self, name)
            check(type(value) is int and value >= 1, name, "a whole number from 1 on", value)
        for name in ("center_weight", "class_weight", "box_weight", "ink_weight", "weight_decay", "touching"):
            check(getattr(self, name) >= 0, name, "at least 0", getattr(self, name))
        check(self.learning_rate > 0, "learning_rate", "above 0", self.learning_rate)
        check(0 <= self.warmup_pages < self.n_pages, "warmup_pages", "from 0 to below n_pages", self.warmup_pages)
        check(self.max_gradient_norm > 0, "max_gradient_norm", "above 0", self.max_gradient_norm)
        check(0 <= self.ema_decay < 1, "ema_decay", "from 0 to below 1", self.ema_decay)
        check(self.n_validation_pages >= 0, "n_validation_pages", "at least 0", self.n_validation_pages)
        check(0 <= self.font_digits <= 1, "font_digits", "from 0 to 1", self.font_digits)
        check(0 <= self.seed < 2**63, "seed", "a whole number from 0 on", self.seed)

    @property
    def n_steps(self) -> int:
        """Steps in all; the last batch is a whole one, too."""
        return -(-self.n_pages // self.batch_size)

    @property
    def n_steps_per_round(self) -> int:
        """Steps between two measurements."""
        return -(-self.pages_per_round // self.batch_size)

    @property
    def n_rounds(self) -> int:
        """Rounds in all; the last one may be shorter."""
        return -(-self.n_steps // self.n_steps_per_round)

    def learning_rate_at(self, step: int) -> float:
        """The rate of a step, counted from 0 over the whole run."""
        n_warmup = self.warmup_pages / self.batch_size
        if step < n_warmup:
            return self.learning_rate * (step + 1) / (n_warmup + 1)
        progress = (step - n_warmup) / (self.n_steps - n_warmup)
        return self.learning_rate * (1 + math.cos(math.pi * progress)) / 2


@dataclass(frozen=True, slots=True)
class RegionConfig(RunConfig):
    """One training run of RegionNet, the second stage. Equal configs on the same machine give the same weights.

    Attributes:
        name: of the preset.
        detector: name@hash of the page network whose finds are learnt from.
        start: name@hash of the checkpoint whose second stage the run starts from; empty for new weights.
        arguments: `region_width` of PageNet's constructor; that of the checkpoint that it starts from.
        n_pages: pages whose finds are learnt from.
        n_validation_pages: to measure by; never learnt from.
        min_score: finds of the page network from this on; serving asks for more, so that it is not at its limit.
        touching: weight of pages of touching pairs among the kinds of pages, as in `PageConfig`.
        words: of words without digits.
        nothing: of pages with no writing.
        font_digits: share of hands that write digits as fonts and strokes of our own do, in forms that MNIST lacks.
        n_epochs: passes over the finds.
        batch_size: finds a step.
        learning_rate: the highest: it rises linearly at first and falls as a cosine to zero.
        warmup_steps: while it rises.
        weight_decay: of the filters; biases and norms have none.
        max_gradient_norm: gradients longer than this are shortened to it.
        ema_decay: weights are averaged over the last 1 / (1 - this) steps or so; over fewer at the start.
        rotation_std: degrees by which regions are turned, a standard deviation.
        scale_std: the same of the logarithm of their size.
        stretch_std: the same of the logarithm of their aspect.
        shift_std: the same of how far they are moved, as a share of half their side.
        frame_std: the same of the logarithm of the frame's sides.
        max_noise: grey levels of 255, the strongest noise's standard deviation; most is far weaker.
        seed: of the weights, the pages, the order and the variations.
        reduced_precision: bfloat16 where the hardware has it.
    """

    name: str = "custom"
    detector: str = ""
    start: str = ""
    arguments: Mapping[str, Any] = field(default_factory=lambda: {"region_width": 24})
    n_pages: int = 24_000
    n_validation_pages: int = 1_000
    min_score: float = 0.12
    touching: float = 0.2
    words: float = 0.25
    nothing: float = 0.3
    font_digits: float = 0.4
    n_epochs: int = 6
    batch_size: int = 128
    learning_rate: float = 0.002
    warmup_steps: int = 1_000
    weight_decay: float = 0.05
    max_gradient_norm: float = 5.0
    ema_decay: float = 0.999
    rotation_std: float = 4.0
    scale_std: float = 0.05
    stretch_std: float = 0.06
    shift_std: float = 0.03
    frame_std: float = 0.05
    max_noise: float = 8.0
    seed: int = 0
    reduced_precision: bool = True

    def __post_init__(self) -> None:
        """Check the bounds."""
        check_finite(self)
        for name in ("n_pages", "n_validation_pages", "n_epochs"):
            value = getattr(self, name)
            check(type(value) is int and value >= 1, name, "a whole number from 1 on", value)
        check(type(self.batch_size) is int and self.batch_size >= 2, "batch_size", "from 2 on", self.batch_size)
        check(0 < self.min_score < 1, "min_score", "between 0 and 1", self.min_score)
        for name in ("touching", "words", "nothing", "weight_decay", "warmup_steps", "max_noise"):
            check(getattr(self, name) >= 0, name, "at least 0", getattr(self, name))
        for name in ("rotation_std", "scale_std", "stretch_std", "shift_std", "frame_std"):
            check(getattr(self, name) >= 0, name, "at least 0", getattr(self, name))
        check(0 <= self.font_digits <= 1, "font_digits", "from 0 to 1", self.font_digits)
        check(self.learning_rate > 0, "learning_rate", "above 0", self.learning_rate)
        check(self.max_gradient_norm > 0, "max_gradient_norm", "above 0", self.max_gradient_norm)
        check(0 <= self.ema_decay < 1, "ema_decay", "from 0 to below 1", self.ema_decay)
        check(0 <= self.seed < 2**63, "seed", "a whole number from 0 on", self.seed)

    def learning_rate_at(self, step: int, n_steps: int) -> float:
        """The rate of a step, counted from 0 over a run of `n_steps`."""
        n_warmup = min(self.warmup_steps, n_steps // 10)
        if step < n_warmup:
            return self.learning_rate * (step + 1) / (n_warmup + 1)
        progress = (step - n_warmup) / (n_steps - n_warmup)
        return self.learning_rate * (1 + math.cos(math.pi * progress)) / 2


_DETECTOR = DetectorConfig(name="detector", arguments={"width": 32})
DETECTOR_PRESETS: dict[str, DetectorConfig] = {
    preset.name: preset
    for preset in (
        _DETECTOR,
        # To go on from a checkpoint (--start-from), with lower rates: on other pages, or longer on the same ones.
        replace(
            _DETECTOR,
            name="detector-further",
            n_pages=72_000,
            learning_rate=0.0012,
            warmup_pages=1_000,
            touching=0.15,
            font_digits=0.3,
        ),
        # To see whether a change of the pages helps, in a quarter of the time.
        replace(_DETECTOR, name="detector-short", n_pages=24_000, warmup_pages=2_000),
    )
}
_REGIONS = RegionConfig(name="regions")
REGION_PRESETS: dict[str, RegionConfig] = {
    preset.name: preset
    for preset in (
        _REGIONS,
        # To go on from a second stage (--start-from), such as that of an earlier page network.
        replace(_REGIONS, name="regions-further", n_pages=16_000, n_epochs=5, learning_rate=0.001, warmup_steps=500),
    )
}


def load_detector_preset(name: str) -> DetectorConfig:
    """The preset of this name.

    Raises:
        ConfigError: if there is none.
    """
    if name not in DETECTOR_PRESETS:
        raise ConfigError(f'There is no preset "{name}". Choose one of: {", ".join(DETECTOR_PRESETS)}.')
    return DETECTOR_PRESETS[name]


def load_region_preset(name: str) -> RegionConfig:
    """The second stage's preset of this name.

    Raises:
        ConfigError: if there is none.
    """
    if name not in REGION_PRESETS:
        raise ConfigError(f'There is no preset "{name}". Choose one of: {", ".join(REGION_PRESETS)}.')
    return REGION_PRESETS[name]
