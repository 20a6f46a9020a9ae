"""Every setting of a training run, its bounds, and the named presets. The only home of these defaults."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, Self, get_args

from digitcore.errors import ConfigError
from digitcore.model import ARCHITECTURES

Schedule = Literal["step", "one-cycle", "constant"]
Optimizer = Literal["adam", "adamw"]


def check(is_good: bool, name: str, expected: str, value: object) -> None:
    """Raise ConfigError, in one sentence, unless a setting is good."""
    if not is_good:
        raise ConfigError(f"{name} must be {expected}, got {value!r}.")


def check_finite(config: Any) -> None:
    """Raise ConfigError if a number among a dataclass's fields is infinite or none."""
    for item in fields(config):
        value = getattr(config, item.name)
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{item.name} must be a finite number, got {value}.")


class RunConfig:
    """What the settings of all kinds of runs can do: to JSON and back, and tell how two of them differ."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """As metrics.json and the state of an unfinished run hold it: plain JSON types."""
        return {**asdict(self), "arguments": dict(self.arguments)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`.

        Raises:
            ConfigError: if a field is unknown or out of range.
        """
        unknown = set(content) - {item.name for item in fields(cls)}
        if unknown:
            raise ConfigError(f"unknown settings: {', '.join(sorted(unknown))}.")
        return cls(**cls._read(content))

    def differences(self, other: Self) -> list[str]:
        """What differs, as "name: mine, not theirs" sentences; empty if the two are equal."""
        mine, theirs = self.to_dict(), other.to_dict()
        return [f"{name}: {mine[name]}, not {theirs[name]}" for name in mine if mine[name] != theirs[name]]

    @staticmethod
    def _read(content: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of JSON types → the constructor's arguments."""
        return dict(content)


@dataclass(frozen=True, slots=True)
class AugmentationConfig:
    """How far each training image is varied, anew each time it is seen; all zero leaves it alone.

    Attributes:
        rotation_degrees: turned by up to this, either way.
        shear_degrees: slanted along x by up to this, either way.
        translation_ratio: moved by up to this share of the side, along x and along y.
        min_scale: the smallest size, 1 for as it is.
        max_scale: the largest size.
        max_aspect: stretched by up to this factor along one axis, 1 for not at all.
        elastic_px: pixels bent by a smooth random field of up to this standard deviation.
        max_thickening: share, up to this, of the way to strokes one pixel thicker all around.
        max_thinning: share, up to this, of the way to strokes one pixel thinner all around.
        max_blur: share, up to this, of the way to a 3×3 binomial blur.
        max_gamma: the grey levels raised to a power between its inverse and this.
        noise_std: Gaussian noise of up to this standard deviation, of a range of 1.
        ground_ratio: share of the images on a ground that is not black, lighter here than there, the ink paler.
        grain_std: that ground's grain, up to this standard deviation as a share of how far the ink stands out.
        line_ratio: share of the images with a straight line across them, as ruled paper leaves.
        square_ratio: share of the images stretched until the ink is as wide as it is tall, as some scanners' forms do.
        coarse_ratio: share of the images as a coarse picture of two levels, ink and paper.
        hollow_ratio: share of the images whose strokes are hollow, as local contrast leaves those of a thick pen.
        mild_ratio: share of the images that see a third of all this, and none of what comes by shares.
    """

    rotation_degrees: float = 0.0
    shear_degrees: float = 0.0
    translation_ratio: float = 0.0
    min_scale: float = 1.0
    max_scale: float = 1.0
    max_aspect: float = 1.0
    elastic_px: float = 0.0
    max_thickening: float = 0.0
    max_thinning: float = 0.0
    max_blur: float = 0.0
    max_gamma: float = 1.0
    noise_std: float = 0.0
    ground_ratio: float = 0.0
    grain_std: float = 0.0
    line_ratio: float = 0.0
    square_ratio: float = 0.0
    coarse_ratio: float = 0.0
    hollow_ratio: float = 0.0
    mild_ratio: float = 0.0

    def __post_init__(self) -> None:
        """Check the bounds."""
        check_finite(self)
        check(0 <= self.rotation_degrees <= 180, "rotation_degrees", "from 0 to 180", self.rotation_degrees)
        check(0 <= self.shear_degrees < 90, "shear_degrees", "from 0 to below 90", self.shear_degrees)
        check(0 <= self.translation_ratio <= 1, "translation_ratio", "from 0 to 1", self.translation_ratio)
        check(0 < self.min_scale <= self.max_scale, "min_scale", "above 0 and at most max_scale", self.min_scale)
        check(self.max_aspect >= 1, "max_aspect", "at least 1", self.max_aspect)
        check(self.max_gamma >= 1, "max_gamma", "at least 1", self.max_gamma)
        check(self.elastic_px >= 0, "elastic_px", "at least 0", self.elastic_px)
        check(self.noise_std >= 0, "noise_std", "at least 0", self.noise_std)
        check(self.grain_std >= 0, "grain_std", "at least 0", self.grain_std)
        for name in ("max_thickening", "max_thinning", "max_blur"):
            check(0 <= getattr(self, name) <= 1, name, "from 0 to 1", getattr(self, name))
        for name in ("ground_ratio", "line_ratio", "square_ratio", "coarse_ratio", "hollow_ratio", "mild_ratio"):
            check(0 <= getattr(self, name) <= 1, name, "from 0 to 1", getattr(self, name))


@dataclass(frozen=True, slots=True)
class FinishConfig:
    """How a run ends: it goes on from the weights chosen, at a steady rate, and averages all that comes by.

    The mean of the weights along such a path lies where the loss is flatter, and reads better, than where the path ends
    (Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization, 2018). The batch norms'
    statistics are then taken anew, of images as they are: those gathered on the way are of other weights, and of images
    varied.

    Attributes:
        n_epochs: more, beside the config's.
        learning_rate: reached within `warmup_epochs`, and kept.
        warmup_epochs: see `learning_rate`.
        n_repeats: as in `TrainConfig`, in these epochs.
        augmentation: how images are varied in them; None leaves them alone.
        start_share: of the weights that it goes on from, in the mean at the end; the weights after each step share the
            rest alike.
    """

    n_epochs: int = 1
    learning_rate: float = 0.002
    warmup_epochs: float = 0.1
    n_repeats: int = 1
    augmentation: AugmentationConfig | None = None
    start_share: float = 0.5

    def __post_init__(self) -> None:
        """Check what is its own; the rest is checked as of any epochs."""
        check_finite(self)
        check(0 <= self.start_share < 1, "start_share", "from 0 to below 1", self.start_share)


@dataclass(frozen=True, slots=True)
class TrainConfig(RunConfig):
    """One training run. Two runs with equal configs on the same machine give the same weights.

    Attributes:
        name: of the preset, and of the checkpoint's folder.
        architecture: a key of `model.ARCHITECTURES`.
        arguments: its constructor's arguments.
        n_epochs: passes over what there is to learn from.
        batch_size: images a step.
        optimizer: "adam" or "adamw".
        learning_rate: the first (step) or the highest (one-cycle).
        weight_decay: of the weights of convolutions and linear layers; biases and norms have none.
        schedule: "step" multiplies the rate by `step_gamma` after each epoch; "one-cycle" rises linearly for
            `warmup_epochs` and falls as a cosine to zero; "constant" rises so and stays.
        step_gamma: see `schedule`.
        warmup_epochs: see `schedule`; with "step" too the rate may rise at first.
        max_gradient_norm: gradients longer than this are shortened to it; 0 for never.
        label_smoothing: share of the truth that is spread over all classes.
        ema_decay: weights are averaged over the last 1 / (1 - this) steps or so; 0 for no averaging.
        patience: stop when the loss on the images held out has not fallen for so many epochs, and keep the weights of
            the epoch in which it was lowest (early stopping); 0 trains every epoch and keeps the last.
        holdout: keep MNIST's last 5,000 training images for choosing; else train on all 60,000.
        augmentation: how images are varied; None leaves them alone.
        n_repeats: how often an epoch shows each of MNIST's images, beside the crops.
        n_crop_pages: synthetic pages that are cut up for more digits, and for what is none; 0 for MNIST alone.
        is_digit_weight: of the loss of "is it a digit?", beside that of the ten classes.
        finish: what follows these epochs; None for nothing.
        seed: of the weights, the order of the images and the augmentation.
        reduced_precision: bfloat16 where the hardware has it.
    """

    name: str = "custom"
    architecture: str = "DigitNet"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    n_epochs: int = 15
    batch_size: int = 100
    optimizer: Optimizer = "adam"
    learning_rate: float = 0.01
    weight_decay: float = 0.0
    schedule: Schedule = "step"
    step_gamma: float = 0.7
    warmup_epochs: float = 0.0
    max_gradient_norm: float = 0.0
    label_smoothing: float = 0.0
    ema_decay: float = 0.0
    patience: int = 0
    holdout: bool = False
    augmentation: AugmentationConfig | None = None
    n_repeats: int = 1
    n_crop_pages: int = 0
    is_digit_weight: float = 1.0
    finish: FinishConfig | None = None
    seed: int = 0
    reduced_precision: bool = True

    def __post_init__(self) -> None:
        """Check the bounds."""
        check_finite(self)
        check(self.architecture in ARCHITECTURES, "architecture", f"one of {list(ARCHITECTURES)}", self.architecture)
        check(self.n_epochs >= 1, "n_epochs", "at least 1", self.n_epochs)
        check(self.batch_size >= 2, "batch_size", "at least 2", self.batch_size)
        check(self.optimizer in ("adam", "adamw"), "optimizer", '"adam" or "adamw"', self.optimizer)
        check(self.learning_rate > 0, "learning_rate", "above 0", self.learning_rate)
        check(self.weight_decay >= 0, "weight_decay", "at least 0", self.weight_decay)
        schedules = get_args(Schedule)
        check(self.schedule in schedules, "schedule", f"one of {list(schedules)}", self.schedule)
        check(0 < self.step_gamma <= 1, "step_gamma", "above 0 and at most 1", self.step_gamma)
        check(0 <= self.warmup_epochs < self.n_epochs, "warmup_epochs", "from 0 to below n_epochs", self.warmup_epochs)
        check(self.max_gradient_norm >= 0, "max_gradient_norm", "at least 0", self.max_gradient_norm)
        check(0 <= self.label_smoothing < 1, "label_smoothing", "from 0 to below 1", self.label_smoothing)
        check(0 <= self.ema_decay < 1, "ema_decay", "from 0 to below 1", self.ema_decay)
        check(self.patience >= 0, "patience", "at least 0", self.patience)
        check(self.holdout or not self.patience, "patience", "0 where no images are held out", self.patience)
        check(self.n_repeats >= 1, "n_repeats", "at least 1", self.n_repeats)
        check(self.n_crop_pages >= 0, "n_crop_pages", "at least 0", self.n_crop_pages)
        check(self.is_digit_weight >= 0, "is_digit_weight", "at least 0", self.is_digit_weight)
        has_head = bool(self.arguments.get("is_digit_head", False))
        check(
            has_head == (self.n_crop_pages > 0),
            "n_crop_pages",
            "above 0 with an is-digit head, else 0",
            self.n_crop_pages,
        )
        check(0 <= self.seed < 2**63, "seed", "a whole number from 0 on", self.seed)
        if self.finish is not None:
            self.finishing()

    @property
    def n_epochs_in_all(self) -> int:
        """The finish's too."""
        return self.n_epochs + (0 if self.finish is None else self.finish.n_epochs)

    def finishing(self) -> "TrainConfig":
        """The settings of the epochs of the finish.

        Raises:
            ConfigError: if there is no finish, or a setting of it is out of range.
        """
        if self.finish is None:
            raise ConfigError(f"The recipe {self.name} has no finish.")
        ours = {
            item.name: getattr(self.finish, item.name) for item in fields(self.finish) if item.name != "start_share"
        }
        return replace(self, **ours, schedule="constant", patience=0, finish=None)

    def learning_rate_at(self, step: int, n_steps_per_epoch: int) -> float:
        """The rate of a step, counted from 0 over the whole run; it depends on nothing else, so resuming is simple."""
        epoch = step / n_steps_per_epoch
        if epoch < self.warmup_epochs:
            return self.learning_rate * (step + 1) / (self.warmup_epochs * n_steps_per_epoch + 1)
        if self.schedule == "step":
            return self.learning_rate * self.step_gamma ** (step // n_steps_per_epoch)
        if self.schedule == "constant":
            return self.learning_rate
        progress = (epoch - self.warmup_epochs) / (self.n_epochs - self.warmup_epochs)
        return self.learning_rate * (1 + math.cos(math.pi * progress)) / 2

    @staticmethod
    def _read(content: Mapping[str, Any]) -> dict[str, Any]:
        finish = content.get("finish")
        return {
            **content,
            "augmentation": _read_augmentation(content),
            "finish": FinishConfig(**{**finish, "augmentation": _read_augmentation(finish)}) if finish else None,
        }


def _read_augmentation(content: Mapping[str, Any]) -> AugmentationConfig | None:
    augmentation = content.get("augmentation")
    return AugmentationConfig(**augmentation) if augmentation else None


# The article's augmentation as printed: torchvision's RandomAffine(30, (.5, .5), (.25, 1), 30).
ARTICLE_AUGMENTATION = AugmentationConfig(
    rotation_degrees=30, shear_degrees=30, translation_ratio=0.5, min_scale=0.25, max_scale=1.0
)
# What other people's pens, scanners and cameras do to a digit that preprocessing has already sized and centred.
DIGITNET_AUGMENTATION = AugmentationConfig(
    rotation_degrees=12,
    shear_degrees=12,
    translation_ratio=0.08,
    min_scale=0.85,
    max_scale=1.12,
    max_aspect=1.5,
    elastic_px=0.85,
    max_thickening=0.7,
    max_thinning=0.5,
    max_blur=0.8,
    max_gamma=1.5,
    noise_std=0.03,
    ground_ratio=0.15,
    grain_std=0.2,
    line_ratio=0.1,
    square_ratio=0.15,
    coarse_ratio=0.15,
    hollow_ratio=0.06,
    mild_ratio=0.25,
)
# MNIST's images are nearly all that the finish shows: more of them in the forms that other people's digits have.
DIGITNET_FINISH = FinishConfig(
    n_epochs=1,
    learning_rate=0.001,
    warmup_epochs=0.05,
    n_repeats=9,
    augmentation=replace(DIGITNET_AUGMENTATION, square_ratio=0.3, coarse_ratio=0.25, mild_ratio=0.3),
    start_share=0.25,
)

_SEED = TrainConfig(name="seed", architecture="SeedCNN")
PRESETS: dict[str, TrainConfig] = {
    preset.name: preset
    for preset in (
        _SEED,
        replace(_SEED, name="seed-augmented", augmentation=ARTICLE_AUGMENTATION),
        replace(_SEED, name="seed-augmented-fixed", augmentation=ARTICLE_AUGMENTATION, learning_rate=0.001),
        TrainConfig(
            name="digitnet",
            architecture="DigitNet",
            arguments={"width": 44, "is_digit_head": True, "dropout": 0.25},
            n_epochs=14,
            batch_size=128,
            optimizer="adamw",
            learning_rate=0.003,
            weight_decay=0.05,
            schedule="one-cycle",
            warmup_epochs=1.0,
            ema_decay=0.9998,
            patience=6,
            holdout=True,
            augmentation=DIGITNET_AUGMENTATION,
            n_repeats=2,
            n_crop_pages=2_500,
            finish=DIGITNET_FINISH,
        ),
    )
}


def load_preset(name: str) -> TrainConfig:
    """The preset of this name.

    Raises:
        ConfigError: if there is none.
    """
    if name not in PRESETS:
        raise ConfigError(f'There is no preset "{name}". Choose one of: {", ".join(PRESETS)}.')
    return PRESETS[name]
