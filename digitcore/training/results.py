"""What goes into a training run and what comes out of it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from digitcore.checkpoint import CheckpointConfig
from digitcore.data import LabeledImages
from digitcore.training.crop_set import Crops


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSets:
    """What to learn from and what to choose by.

    Attributes:
        train: digits.
        validation: digits held out; None where nothing is.
        crops: digits and others as the photo reader cuts them, to learn from as well.
        validation_crops: the same, of other digits, fonts and pages.
    """

    train: LabeledImages
    validation: LabeledImages | None = None
    crops: Crops | None = None
    validation_crops: Crops | None = None


@dataclass(frozen=True, slots=True)
class EpochResult:
    """What one epoch came to.

    Attributes:
        epoch: from 1.
        loss: mean over the epoch's steps, while learning.
        accuracy: of the same, on the images as augmented.
        validation_loss: after the epoch, on the images held out; None without.
        validation_accuracy: of the same.
        learning_rate: of the last step.
        seconds: it took, without validation.
        images_per_second: trained.
        is_finish: whether it is one of the finish.
    """

    epoch: int
    loss: float
    accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float
    seconds: float
    images_per_second: float
    is_finish: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class FitResult:
    """A finished run.

    Attributes:
        model: the last epoch's weights, or with patience the best one's (averaged, if the config says so), or those
            of the finish, on the CPU, in evaluation mode.
        config: for `save_checkpoint`, with the temperature fitted on the validation images, or 1.
        history: one result an epoch.
    """

    model: nn.Module
    config: CheckpointConfig
    history: tuple[EpochResult, ...]


def find_best(history: Sequence[EpochResult]) -> EpochResult:
    """The epoch with the lowest loss on the images held out, the first of several; the finish's do not count."""
    return min((result for result in history if not result.is_finish), key=lambda result: result.validation_loss)
