"""The page network's training loop: new pages for every step, measured, kept and resumable after every round."""

import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from digitcore.checkpoint import CheckpointConfig, Normalization
from digitcore.detector import PageNet
from digitcore.device import autocast_dtype, pick_device
from digitcore.errors import ConfigError
from digitcore.training.detector_config import DetectorConfig
from digitcore.training.detector_loss import compute_losses
from digitcore.training.detector_validation import PageScore, measure_pages
from digitcore.training.optimization import make_optimizer, set_learning_rate, update_average
from digitcore.training.page_stream import VALIDATION_STREAM, Maker, digest_pages, make_page, stream_batches
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
from digitcore.training.targets import PageBatch

# PageNet brings its own channels: nothing is taken from them, nor are they divided.
NO_NORMALIZATION = Normalization(mean=0.0, std=1.0)


@dataclass(frozen=True, slots=True)
class RoundResult:
    """What one round of pages came to.

    Attributes:
        n_pages: learnt from so far.
        loss: mean over the round's steps, while learning.
        center_loss: of the heatmap of centres.
        class_loss: of the ten classes.
        box_loss: of size and place.
        ink_loss: of the kinds of ink.
        validation_f1: of digits found in the right place and read right, on pages never learnt from; None without.
        validation_recall: share of the digits found, whatever they were read as.
        validation_false: finds a page where no digit is.
        learning_rate: of the last step.
        seconds: it took, without validation.
        pages_per_second: learnt from.
    """

    n_pages: int
    loss: float
    center_loss: float
    class_loss: float
    box_loss: float
    ink_loss: float
    validation_f1: float | None
    validation_recall: float | None
    validation_false: float | None
    learning_rate: float
    seconds: float
    pages_per_second: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class DetectorFit:
    """A finished run.

    Attributes:
        model: the averaged weights at the end, on the CPU, in evaluation mode.
        config: for `save_checkpoint`.
        history: one result a round.
    """

    model: nn.Module
    config: CheckpointConfig
    history: tuple[RoundResult, ...]


# Called after a round with its result and the averaged network, which is to be left as it is.
OnRound = Callable[[RoundResult, nn.Module], None]
OnStep = Callable[[int, int], None]


def checkpoint_config(config: DetectorConfig) -> CheckpointConfig:
    """What config.json says of this run's network."""
    return CheckpointConfig("PageNet", dict(config.arguments), NO_NORMALIZATION)


def fit_detector(
    config: DetectorConfig,
    maker: Maker,
    *,
    validation_maker: Maker | None = None,
    start: nn.Module | None = None,
    device: str | None = None,
    n_workers: int = 0,
    state_folder: Path | None = None,
    resume: bool = False,
    on_round: OnRound | None = None,
    on_step: OnStep | None = None,
) -> DetectorFit:
    """Train a PageNet.

    Args:
        config: every setting.
        maker: of the pages to learn from.
        validation_maker: of those to measure by; None for the same maker. Their random numbers are others in any case.
        start: a PageNet whose weights to start from, built with `config.arguments`; None for new weights.
        device: as for `pick_device`.
        n_workers: processes that make pages; the weights do not depend on it.
        state_folder: where the run's state is written after each round; None for nowhere.
        resume: go on from the state in `state_folder`: the weights come out as if there had been no break.
        on_round: called after each round, its state written.
        on_step: called after each step with steps done and steps in all.

    Raises:
        ConfigError: if the state to go on from belongs to other settings, pages or device.
        CheckpointError: if there is no state to go on from, or it is damaged.
        KeyboardInterrupt: on Ctrl-C; the state of the last whole round is on disk.
    """
    if resume and state_folder is None:
        raise ConfigError("To resume a run, name the folder that holds its state.")
    run = _Run(config, maker, validation_maker or maker, start, pick_device(device))
    if resume:
        run.restore(load_state(Path(state_folder), DetectorConfig))
    batches = run.stream(n_workers)
    while len(run.history) < config.n_rounds:
        result = run.train_round(batches, on_step)
        if state_folder is not None:
            save_state(Path(state_folder), run.pack())
        if on_round is not None:
            on_round(result, run.average)
    return DetectorFit(run.average.cpu().eval(), checkpoint_config(config), tuple(run.history))


class _Run:
    """One run's moving parts: made from a config, and put back to an earlier round by `restore`."""

    def __init__(
        self,
        config: DetectorConfig,
        maker: Maker,
        validation_maker: Maker,
        start: nn.Module | None,
        device: torch.device,
    ) -> None:
        self.config, self.maker, self.device = config, maker, device
        self.dtype = autocast_dtype(device) if config.reduced_precision else None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.model = PageNet(**config.arguments)
        if start is not None:
            first_stage = {name: t for name, t in start.state_dict().items() if not name.startswith("regions.")}
            self.model.load_state_dict(first_stage)
        self.model.to(device, memory_format=torch.channels_last)
        self.average = deepcopy(self.model).eval().requires_grad_(False)
        self.optimizer = make_optimizer("adamw", self.model, config.learning_rate, config.weight_decay)
        self.pages_digest = digest_pages(maker, config.seed)
        self.validation_pages = [
            make_page(validation_maker, config.seed, VALIDATION_STREAM, index)
            for index in range(config.n_validation_pages)
        ]
        self.history: list[RoundResult] = []

    @property
    def n_steps_done(self) -> int:
        """Whole rounds only."""
        return min(len(self.history) * self.config.n_steps_per_round, self.config.n_steps)

    def stream(self, n_workers: int) -> Iterator[PageBatch]:
        """The batches that are still to come."""
        dtype = self.dtype or torch.float32
        config = self.config
        return stream_batches(
            self.maker, config.seed, config.batch_size, self.n_steps_done, config.n_steps, dtype, n_workers
        )

    def train_round(self, batches: Iterator[PageBatch], on_step: OnStep | None) -> RoundResult:
        """Learn from the next pages, then measure."""
        config = self.config
        start = time.perf_counter()
        self.model.train()
        sums = torch.zeros(5, device=self.device)
        first = self.n_steps_done
        last = min(first + config.n_steps_per_round, config.n_steps)
        for step in range(first, last):
            set_learning_rate(self.optimizer, config.learning_rate_at(step))
            sums += self._step(next(batches).to(self.device))
            update_average(self.average, self.model, step, config.ema_decay)
            if on_step is not None:
                on_step(step + 1, config.n_steps)
        means = [round(value, 5) for value in (sums / (last - first)).tolist()]
        seconds = time.perf_counter() - start
        score = self._validate()
        result = RoundResult(
            last * config.batch_size,
            *means,
            *((None, None, None) if score is None else (score.f1, score.recall, score.false_per_page)),
            learning_rate=config.learning_rate_at(last - 1),
            seconds=round(seconds, 3),
            pages_per_second=round((last - first) * config.batch_size / seconds, 2),
        )
        self.history.append(result)
        return result

    def pack(self) -> RunState:
        """All that `restore` needs."""
        tensors = pack_module("model", self.model) | pack_module("average", self.average)
        tensors |= pack_optimizer(self.optimizer)
        history = [result.to_dict() for result in self.history]
        return RunState(self.config, self.pages_digest, self.device.type, len(history), history, tensors)

    def restore(self, state: RunState) -> None:
        """Go back to the end of a round of a run with the same config, pages and kind of device."""
        check_same_run(state, self.config, self.pages_digest, self.device)
        unpack_module("model", self.model, state.tensors)
        unpack_module("average", self.average, state.tensors)
        unpack_optimizer(self.optimizer, state.tensors)
        self.history = [RoundResult(**fields) for fields in state.history]

    def _step(self, batch: PageBatch) -> torch.Tensor:
        """Learn from one batch; returns its loss and the four parts, (5,), left on the device."""
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not None):
            maps = self.model(batch.channels)
        losses = compute_losses(maps, batch)
        total = losses.total(self.config)
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.max_gradient_norm)
        self.optimizer.step()
        return torch.stack([total, losses.center, losses.classes, losses.box, losses.ink]).detach()

    def _validate(self) -> PageScore | None:
        """The averaged network's score on the pages held out."""
        return measure_pages(self.average, self.validation_pages, self.device) if self.validation_pages else None
