"""The training loop of RegionNet, the page network's second stage; every epoch resumable."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from digitcore.device import pick_device
from digitcore.errors import ConfigError
from digitcore.metrics import measure_auroc
from digitcore.region_net import RegionNet
from digitcore.results import N_CLASSES
from digitcore.training.crop_set import NOT_A_DIGIT
from digitcore.training.detector_config import RegionConfig
from digitcore.training.optimization import set_learning_rate
from digitcore.training.region_augmentation import RegionAugmenter, crop_regions
from digitcore.training.region_set import Regions
from digitcore.training.run import TrainingRun, compute_digit_loss, compute_presence_loss, notify

EVALUATION_BATCH_SIZE = 500


@dataclass(frozen=True, slots=True)
class RegionEpoch:
    """What one epoch came to.

    Attributes:
        epoch: from 1.
        loss: of training, class and presence together.
        validation_accuracy: of the finds on digits, the share read right.
        validation_loss: of the classes there, a mean negative log-likelihood.
        validation_auroc: of "is it a digit?".
        validation_presence_loss: of that, likewise.
        learning_rate: of the last step.
        seconds: without the measuring.
        regions_per_second: learnt from.
    """

    epoch: int
    loss: float
    validation_accuracy: float
    validation_loss: float
    validation_auroc: float
    validation_presence_loss: float
    learning_rate: float
    seconds: float
    regions_per_second: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


OnEpoch = Callable[[RegionEpoch], None]
OnStep = Callable[[int, int], None]


def fit_regions(
    config: RegionConfig,
    train: Regions,
    validation: Regions,
    *,
    start: nn.Module | None = None,
    device: str | None = None,
    state_folder: Path | None = None,
    resume: bool = False,
    on_epoch: OnEpoch | None = None,
    on_step: OnStep | None = None,
) -> tuple[nn.Module, tuple[RegionEpoch, ...]]:
    """Train a RegionNet.

    Args:
        config: every setting.
        train: what to learn from.
        validation: what to measure by.
        start: a RegionNet whose weights to start from, as wide as `config.arguments` say; None for new weights.
        device: as for `pick_device`.
        state_folder: where the run's state is written after each epoch; None for nowhere.
        resume: go on from the state in `state_folder`: the weights come out as if there had been no break.
        on_epoch: called after each epoch, its state written; after resuming, first for those done before.
        on_step: called after each step with steps done and steps in all.

    Returns:
        The averaged network of the last epoch, on the CPU in evaluation mode, and what each epoch came to.

    Raises:
        ConfigError: if there is too little to learn from, or the state to go on from belongs to another run.
        CheckpointError: if there is no state to go on from, or it is damaged.
        KeyboardInterrupt: on Ctrl-C; the state of the last whole epoch is on disk.
    """
    run = _Run(config, train, validation, start, pick_device(device))
    if resume:
        run.resume(state_folder)
        for result in run.history:
            notify(on_epoch, result)
    for result in run.run_rounds(config.n_epochs, lambda: run.train_epoch(on_step), state_folder):
        notify(on_epoch, result)
    return run.final_model.cpu().eval(), tuple(run.history)


class _Run(TrainingRun):
    """Epochs over the same finds."""

    result_class = RegionEpoch

    def __init__(
        self,
        config: RegionConfig,
        train: Regions,
        validation: Regions,
        start: nn.Module | None,
        device: torch.device,
    ) -> None:
        if len(train) < config.batch_size or not validation.is_digit.any() or validation.is_digit.all():
            raise ConfigError(
                f"There are {len(train)} finds to learn from, and to measure by {int(validation.is_digit.sum())} on "
                f"digits and {int((~validation.is_digit).sum())} on none; a batch of {config.batch_size} and both "
                "kinds are needed: take more pages."
            )
        super().__init__(config, lambda: RegionNet(config.arguments["region_width"]), device, start=start)
        self.validation = validation
        self.shuffler = Generator().manual_seed(config.seed)
        self.augmenter = RegionAugmenter(config, device)
        self.generators = {"shuffler": self.shuffler, "augmenter": self.augmenter.generator}
        self.greys, self.sides, self.labels = (
            torch.from_numpy(part).to(device) for part in (train.greys, train.sides, train.labels)
        )
        self.data_digest = train.digest()
        # What is left over after the last whole batch is among the next epoch's.
        self.n_steps_per_epoch = len(train) // config.batch_size

    def train_epoch(self, on_step: OnStep | None) -> RegionEpoch:
        """See the finds once, in a new order, then measure."""
        config, epoch = self.config, len(self.history)
        start = time.perf_counter()
        self.model.train()
        total = torch.zeros((), device=self.device)
        n_all = self.n_steps_per_epoch * config.n_epochs
        order = torch.randperm(len(self.labels), generator=self.shuffler).to(self.device)
        with self.seeded(epoch):
            for number, picked in enumerate(order.split(config.batch_size)[: self.n_steps_per_epoch]):
                step = epoch * self.n_steps_per_epoch + number
                set_learning_rate(self.optimizer, config.learning_rate_at(step, n_all))
                total += self._step(picked, step)
                notify(on_step, step + 1, n_all)
        loss = total.item() / self.n_steps_per_epoch
        seconds = time.perf_counter() - start
        return RegionEpoch(
            epoch + 1,
            round(loss, 5),
            *(round(value, 5) for value in self._validate()),
            learning_rate=self.optimizer.param_groups[0]["lr"],
            seconds=round(seconds, 3),
            regions_per_second=round(self.n_steps_per_epoch * config.batch_size / seconds, 1),
        )

    def _step(self, picked: Tensor, step: int) -> Tensor:
        """Learn from one batch; returns its loss, left on the device."""
        regions = self.augmenter(self.greys[picked], self.sides[picked])
        logits, labels = self._look(self.model, regions), self.labels[picked]
        loss = compute_digit_loss(logits, labels) + compute_presence_loss(logits, labels)
        self.learn(loss, step)
        return loss.detach()

    def _look(self, net: nn.Module, regions: Tensor) -> Tensor:
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not None):
            return net(regions.contiguous(memory_format=torch.channels_last)).float()

    @torch.inference_mode()
    def _validate(self) -> tuple[float, float, float, float]:
        """The averaged network's accuracy and loss on digits, its AUROC and loss on whether they are some."""
        greys, sides, labels = (
            torch.from_numpy(part) for part in (self.validation.greys, self.validation.sides, self.validation.labels)
        )
        batches = zip(greys.split(EVALUATION_BATCH_SIZE), sides.split(EVALUATION_BATCH_SIZE), strict=True)
        net = self.final_model.eval()
        logits = torch.cat([self._look(net, crop_regions(grey, side).to(self.device)).cpu() for grey, side in batches])
        is_digit = labels != NOT_A_DIGIT
        return (
            (logits[is_digit, :N_CLASSES].argmax(dim=1) == labels[is_digit]).float().mean().item(),
            compute_digit_loss(logits, labels).item(),
            measure_auroc(logits[:, N_CLASSES].numpy(), is_digit.numpy()),
            compute_presence_loss(logits, labels).item(),
        )
