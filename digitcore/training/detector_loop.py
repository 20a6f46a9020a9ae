"""The page network's training loop: new pages for every step, measured, kept and resumable after every round."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from digitcore.checkpoint import CheckpointConfig, Normalization
from digitcore.detector import PageNet
from digitcore.device import pick_device
from digitcore.training.detector_config import DetectorConfig
from digitcore.training.detector_loss import compute_losses
from digitcore.training.detector_validation import PageScore, measure_pages
from digitcore.training.optimization import set_learning_rate
from digitcore.training.page_stream import VALIDATION_STREAM, Maker, digest_pages, make_page, stream_batches
from digitcore.training.run import TrainingRun, notify
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
    run = _Run(config, maker, validation_maker or maker, start, pick_device(device))
    if resume:
        run.resume(state_folder)
    batches = run.stream(n_workers)
    for result in run.run_rounds(config.n_rounds, lambda: run.train_round(batches, on_step), state_folder):
        notify(on_round, result, run.final_model)
    return DetectorFit(run.final_model.cpu().eval(), checkpoint_config(config), tuple(run.history))


class _Run(TrainingRun):
    """Rounds of new pages."""

    result_class = RoundResult

    def __init__(
        self,
        config: DetectorConfig,
        maker: Maker,
        validation_maker: Maker,
        start: nn.Module | None,
        device: torch.device,
    ) -> None:
        # Of a network with a second stage, the first.
        super().__init__(config, lambda: PageNet(**config.arguments), device, start=start)
        self.maker = maker
        self.data_digest = digest_pages(maker, config.seed)
        self.validation_pages = [
            make_page(validation_maker, config.seed, VALIDATION_STREAM, index)
            for index in range(config.n_validation_pages)
        ]

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
            sums += self._step(next(batches).to(self.device), step)
            notify(on_step, step + 1, config.n_steps)
        means = [round(value, 5) for value in (sums / (last - first)).tolist()]
        seconds = time.perf_counter() - start
        score = self._validate()
        return RoundResult(
            last * config.batch_size,
            *means,
            *((None, None, None) if score is None else (score.f1, score.recall, score.false_per_page)),
            learning_rate=config.learning_rate_at(last - 1),
            seconds=round(seconds, 3),
            pages_per_second=round((last - first) * config.batch_size / seconds, 2),
        )

    def _step(self, batch: PageBatch, step: int) -> torch.Tensor:
        """Learn from one batch; returns its loss and the four parts, (5,), left on the device."""
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not None):
            maps = self.model(batch.channels)
        losses = compute_losses(maps, batch)
        total = losses.total(self.config)
        self.learn(total, step)
        return torch.stack([total, losses.center, losses.classes, losses.box, losses.ink]).detach()

    def _validate(self) -> PageScore | None:
        """The averaged network's score on the pages held out."""
        return (
            measure_pages(self.final_model.eval(), self.validation_pages, self.device)
            if self.validation_pages
            else None
        )
