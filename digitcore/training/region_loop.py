"""The training loop of RegionNet, the page network's second stage; every epoch resumable."""

import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from digitcore.device import autocast_dtype, pick_device
from digitcore.errors import ConfigError
from digitcore.metrics import measure_auroc
from digitcore.region_net import RegionNet
from digitcore.results import N_CLASSES
from digitcore.training.detector_config import RegionConfig
from digitcore.training.optimization import make_optimizer, set_learning_rate, update_average
from digitcore.training.page_matching import NO_DIGIT
from digitcore.training.region_augmentation import RegionAugmenter, crop_regions
from digitcore.training.region_set import Regions
from digitcore.training.state import (
    RunState,
    check_same_run,
    load_state,
    pack_module,
    pack_optimizer,
    save_state,
    unpack_module,
    unpack_optimizer,
)

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
    if resume and state_folder is None:
        raise ConfigError("To resume a run, name the folder that holds its state.")
    run = _Run(config, train, validation, start, pick_device(device))
    if resume:
        run.restore(load_state(Path(state_folder), RegionConfig))
        for result in run.history:
            _call(on_epoch, result)
    while len(run.history) < config.n_epochs:
        result = run.train_epoch(on_step)
        if state_folder is not None:
            save_state(Path(state_folder), run.pack())
        _call(on_epoch, result)
    return run.average.cpu().eval(), tuple(run.history)


class _Run:
    """One run's moving parts: made from a config, and put back to an earlier epoch by `restore`."""

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
        self.config, self.validation, self.device = config, validation, device
        self.dtype = autocast_dtype(device) if config.reduced_precision else None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.model = RegionNet(config.arguments["region_width"])
        if start is not None:
            self.model.load_state_dict(start.state_dict())
        self.model.to(device, memory_format=torch.channels_last)
        self.average = deepcopy(self.model).eval().requires_grad_(False)
        self.optimizer = make_optimizer("adamw", self.model, config.learning_rate, config.weight_decay)
        self.shuffler = Generator().manual_seed(config.seed)
        self.augmenter = RegionAugmenter(config, device)
        self.greys, self.sides, self.labels = (
            torch.from_numpy(part).to(device) for part in (train.greys, train.sides, train.labels)
        )
        self.digest = train.digest()
        # What is left over after the last whole batch is among the next epoch's.
        self.n_steps_per_epoch = len(train) // config.batch_size
        self.history: list[RegionEpoch] = []

    def train_epoch(self, on_step: OnStep | None) -> RegionEpoch:
        """See the finds once, in a new order, then measure."""
        config, epoch = self.config, len(self.history)
        start = time.perf_counter()
        self.model.train()
        total = torch.zeros((), device=self.device)
        n_all = self.n_steps_per_epoch * config.n_epochs
        order = torch.randperm(len(self.labels), generator=self.shuffler).to(self.device)
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            # Dropout draws from torch's own generators.
            torch.manual_seed(int(np.random.SeedSequence((config.seed, epoch)).generate_state(1)[0]))
            for number, picked in enumerate(order.split(config.batch_size)[: self.n_steps_per_epoch]):
                step = epoch * self.n_steps_per_epoch + number
                set_learning_rate(self.optimizer, config.learning_rate_at(step, n_all))
                total += self._step(picked)
                update_average(self.average, self.model, step, config.ema_decay)
                _call(on_step, step + 1, n_all)
        loss = total.item() / self.n_steps_per_epoch
        seconds = time.perf_counter() - start
        result = RegionEpoch(
            epoch + 1,
            round(loss, 5),
            *(round(value, 5) for value in self._validate()),
            learning_rate=self.optimizer.param_groups[0]["lr"],
            seconds=round(seconds, 3),
            regions_per_second=round(self.n_steps_per_epoch * config.batch_size / seconds, 1),
        )
        self.history.append(result)
        return result

    def pack(self) -> RunState:
        """All that `restore` needs."""
        tensors = pack_module("model", self.model) | pack_module("average", self.average)
        tensors |= pack_optimizer(self.optimizer)
        tensors |= {"shuffler": self.shuffler.get_state(), "augmenter": self.augmenter.generator.get_state()}
        history = [result.to_dict() for result in self.history]
        return RunState(self.config, self.digest, self.device.type, len(history), history, tensors)

    def restore(self, state: RunState) -> None:
        """Go back to the end of an epoch of a run with the same config, finds and kind of device."""
        check_same_run(state, self.config, self.digest, self.device)
        unpack_module("model", self.model, state.tensors)
        unpack_module("average", self.average, state.tensors)
        unpack_optimizer(self.optimizer, state.tensors)
        self.shuffler.set_state(state.tensors["shuffler"])
        self.augmenter.generator.set_state(state.tensors["augmenter"])
        self.history = [RegionEpoch(**fields) for fields in state.history]

    def _step(self, picked: Tensor) -> Tensor:
        """Learn from one batch; returns its loss, left on the device."""
        regions = self.augmenter(self.greys[picked], self.sides[picked])
        logits = self._look(self.model, regions)
        labels = self.labels[picked]
        is_digit = labels != NO_DIGIT
        # Summed by hand: a batch without digits has the loss zero, not none.
        classes = F.cross_entropy(logits[:, :N_CLASSES], labels, ignore_index=NO_DIGIT, reduction="sum")
        presence = F.binary_cross_entropy_with_logits(logits[:, N_CLASSES], is_digit.float())
        loss = classes / is_digit.sum().clamp(min=1) + presence
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.max_gradient_norm)
        self.optimizer.step()
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
        logits = torch.cat(
            [self._look(self.average, crop_regions(grey, side).to(self.device)).cpu() for grey, side in batches]
        )
        is_digit = labels != NO_DIGIT
        classes, presence = logits[is_digit, :N_CLASSES], logits[:, N_CLASSES]
        return (
            (classes.argmax(dim=1) == labels[is_digit]).float().mean().item(),
            F.cross_entropy(classes, labels[is_digit]).item(),
            measure_auroc(presence.numpy(), is_digit.numpy()),
            F.binary_cross_entropy_with_logits(presence, is_digit.float()).item(),
        )


def _call(callback: Callable[..., None] | None, *arguments: Any) -> None:
    if callback is not None:
        callback(*arguments)
