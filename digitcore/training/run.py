"""What every training run has: a network and its moving average, the end of a step, and a state to go on from."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from digitcore.device import autocast_dtype
from digitcore.errors import ConfigError
from digitcore.results import N_CLASSES
from digitcore.training.config import RunConfig
from digitcore.training.crop_set import NOT_A_DIGIT
from digitcore.training.optimization import make_optimizer, update_average
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

# Weights averaged from the first step would remember the random start; so the average starts short:
# after t steps it reaches back over (t + 10) / 9 of them (as in TensorFlow's ExponentialMovingAverage).
EMA_WARMUP = 10.0


class TrainingRun:
    """One run's moving parts: made from a config, and put back to an earlier round by `resume`.

    Attributes:
        result_class: of what a round, or an epoch, came to.
        config: every setting; what is asked of it here are `seed`, `reduced_precision`, `learning_rate`,
            `weight_decay`, `max_gradient_norm` and `ema_decay`.
        device: where the network is.
        dtype: of its arithmetic; None for float32.
        model: what learns.
        average: its moving average; None without.
        optimizer: of `model`.
        generators: of what is random in the run, by name: kept with the state.
        data_digest: a mark of what is learnt from, which who derives from this sets: a run goes on with the same only.
        history: one result a round.
    """

    result_class: ClassVar[type]

    def __init__(
        self,
        config: RunConfig,
        build: Callable[[], nn.Module],
        device: torch.device,
        optimizer: str = "adamw",
        start: nn.Module | None = None,
    ) -> None:
        """Build the network from the config's seed.

        Args:
            config: see the class.
            build: makes the network; its random numbers are the seed's.
            device: where to compute.
            optimizer: as for `make_optimizer`.
            start: a network of the same kind whose weights to start from; None for new ones.
        """
        self.config, self.device = config, device
        self.dtype = autocast_dtype(device) if config.reduced_precision else None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.model = build()
        if start is not None:
            self.model.load_state_dict({name: start.state_dict()[name] for name in self.model.state_dict()})
        self.model.to(device, memory_format=torch.channels_last)
        self.average = deepcopy(self.model).eval().requires_grad_(False) if config.ema_decay else None
        self.optimizer = make_optimizer(optimizer, self.model, config.learning_rate, config.weight_decay)
        self.generators: dict[str, Generator] = {}
        self.data_digest = ""
        self.history: list[Any] = []

    @property
    def final_model(self) -> nn.Module:
        """The weights that the run is about: the averaged ones if there are any."""
        return self.model if self.average is None else self.average

    def learn(self, loss: Tensor, step: int) -> None:
        """End a step.

        Args:
            loss: of the batch.
            step: how many came before, over the whole run.
        """
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.config.max_gradient_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.max_gradient_norm)
        self.optimizer.step()
        if self.average is not None:
            update_average(self.average, self.model, self.average_decay(step))

    def average_decay(self, step: int) -> float:
        """The share of the average that stays after a step; see `learn`."""
        return min(self.config.ema_decay, (1 + step) / (EMA_WARMUP + step))

    @contextmanager
    def seeded(self, number: int) -> Iterator[None]:
        """Give dropout, which draws from torch's own generators, an epoch's numbers; they come out as they were."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(int(np.random.SeedSequence((self.config.seed, number)).generate_state(1)[0]))
            yield

    def run_rounds(self, n_rounds: int, train_round: Callable[[], Any], state_folder: Path | None) -> Iterator[Any]:
        """Train what is left of so many rounds; each one's result, once its state is written.

        Args:
            n_rounds: in all.
            train_round: trains one and says what it came to.
            state_folder: where the state is written after each; None for nowhere.
        """
        while not self.is_done(n_rounds):
            self.history.append(train_round())
            if state_folder is not None:
                save_state(Path(state_folder), self._pack())
            yield self.history[-1]

    def is_done(self, n_rounds: int) -> bool:
        """Whether nothing is left to train of so many rounds."""
        return len(self.history) >= n_rounds

    def resume(self, state_folder: Path | None) -> None:
        """Go back to the end of the last whole round of a run with the same config, data and kind of device.

        Raises:
            ConfigError: if no folder is named, or what is in it belongs to another run.
            CheckpointError: if there is no state in it, or it is damaged.
        """
        if state_folder is None:
            raise ConfigError("To resume a run, name the folder that holds its state.")
        state = load_state(Path(state_folder), type(self.config))
        check_same_run(state, self.config, self.data_digest, self.device)
        unpack_module("model", self.model, state.tensors)
        if self.average is not None:
            unpack_module("average", self.average, state.tensors)
        unpack_optimizer(self.optimizer, state.tensors)
        for name, generator in self.generators.items():
            generator.set_state(state.tensors[name])
        self.history = [self.result_class(**fields) for fields in state.history]

    def _pack(self) -> RunState:
        """All that `resume` needs."""
        tensors = pack_module("model", self.model) | pack_optimizer(self.optimizer)
        if self.average is not None:
            tensors |= pack_module("average", self.average)
        tensors |= {name: generator.get_state() for name, generator in self.generators.items()}
        history = [result.to_dict() for result in self.history]
        return RunState(self.config, self.data_digest, self.device.type, len(history), history, tensors)


def compute_digit_loss(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean loss of the ten classes where there is a digit; zero for a batch without.

    Args:
        logits: (B, 10 or more) float32, the classes first.
        labels: (B,) int64, `NOT_A_DIGIT` for what is none.
        label_smoothing: as torch has it.
    """
    losses = F.cross_entropy(
        logits[:, :N_CLASSES], labels, ignore_index=NOT_A_DIGIT, reduction="sum", label_smoothing=label_smoothing
    )
    # Summed by hand: a batch without digits has the loss zero, not none.
    return losses / (labels != NOT_A_DIGIT).sum().clamp(min=1)


def compute_presence_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean loss of "is it a digit?", the logit after the ten classes; shapes as in `compute_digit_loss`."""
    return F.binary_cross_entropy_with_logits(logits[:, N_CLASSES], (labels != NOT_A_DIGIT).float())


def notify(callback: Callable[..., None] | None, *arguments: Any) -> None:
    """Call back, if anybody wants it."""
    if callback is not None:
        callback(*arguments)
