"""The training loop: images as one tensor on the device, whole batches augmented there, every epoch resumable."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from digitcore.checkpoint import MNIST_NORMALIZATION, CheckpointConfig
from digitcore.data import LabeledImages, load_mnist, split_train
from digitcore.device import autocast_dtype, pick_device
from digitcore.errors import ConfigError
from digitcore.model import ARCHITECTURES
from digitcore.results import N_CLASSES
from digitcore.training.augmentation import BatchAugmenter
from digitcore.training.calibration import fit_platt, fit_temperature
from digitcore.training.config import TrainConfig
from digitcore.training.crop_set import NOT_A_DIGIT, Crops
from digitcore.training.optimization import make_optimizer, set_learning_rate, update_average
from digitcore.training.results import EpochResult, FitResult, TrainingSets
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

logger = logging.getLogger(__name__)

EVALUATION_BATCH_SIZE = 1000

OnEpoch = Callable[[EpochResult], None]
OnStep = Callable[[int, int, int], None]
OnInterim = Callable[[FitResult], None]


def load_training_sets(config: TrainConfig, root: Path | None = None) -> TrainingSets:
    """MNIST's training images, with the last 5,000 held out if the config says so.

    Raises:
        DatasetError: if MNIST is not there.
    """
    images = load_mnist("train", root)
    return TrainingSets(*split_train(images)) if config.holdout else TrainingSets(images)


def fit(
    config: TrainConfig,
    sets: TrainingSets | None = None,
    *,
    device: str | None = None,
    state_folder: Path | None = None,
    resume: bool = False,
    on_epoch: OnEpoch | None = None,
    on_step: OnStep | None = None,
    on_interim: OnInterim | None = None,
    interim_epochs: int = 0,
) -> FitResult:
    """Train a network.

    Args:
        config: every setting.
        sets: None for MNIST, as `load_training_sets` finds it.
        device: as for `pick_device`.
        state_folder: where the run's state is written after each epoch; None for nowhere.
        resume: go on from the state in `state_folder`: the weights come out as if there had been no break.
        on_epoch: called after each epoch, its state written; after resuming, first for those done before.
        on_step: called after each step with epoch (from 1), steps done in it and steps in all.
        on_interim: called after each `interim_epochs` epochs, but not the last, with what the run would give if it
            ended there, in a copy; the run itself comes out the same.
        interim_epochs: 0 is never.

    Returns:
        The last epoch's network: nothing is chosen among epochs.

    Raises:
        ConfigError: if the state to go on from belongs to other settings, images or device.
        CheckpointError: if there is no state to go on from, or it is damaged.
        KeyboardInterrupt: on Ctrl-C; the state of the last whole epoch is on disk.
    """
    if resume and state_folder is None:
        raise ConfigError("To resume a run, name the folder that holds its state.")
    run = _Run(config, load_training_sets(config) if sets is None else sets, pick_device(device))
    if resume:
        run.restore(load_state(Path(state_folder)))
        for result in run.history:
            _call(on_epoch, result)
    while len(run.history) < config.n_epochs:
        result = run.train_epoch(on_step)
        if state_folder is not None:
            save_state(Path(state_folder), run.pack())
        _call(on_epoch, result)
        n_done = len(run.history)
        if interim_epochs and n_done % interim_epochs == 0 and n_done < config.n_epochs:
            _call(on_interim, run.finish(deepcopy(run.final_model)))
    return run.finish(run.final_model)


class _Run:
    """One run's moving parts: made from a config, and put back to an earlier epoch by `restore`."""

    def __init__(self, config: TrainConfig, sets: TrainingSets, device: torch.device) -> None:
        if not len(sets.train):
            raise ConfigError("There are no images to train on.")
        self.config, self.sets, self.device = config, sets, device
        self.dtype = autocast_dtype(device) if config.reduced_precision else None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.model = ARCHITECTURES[config.architecture](**config.arguments)
        self.model.to(device, memory_format=torch.channels_last)
        self.average = deepcopy(self.model) if config.ema_decay else None
        self.optimizer = make_optimizer(config.optimizer, self.model, config.learning_rate, config.weight_decay)
        self.shuffler = Generator().manual_seed(config.seed)
        self.augmenter = None
        if config.augmentation is not None:
            self.augmenter = BatchAugmenter(config.augmentation, config.seed, device)
        self.has_head = bool(config.arguments.get("is_digit_head", False))
        if self.has_head and sets.crops is None:
            raise ConfigError("An is-digit head learns from crops, and there are none.")
        parts = [sets.train] if sets.crops is None else [sets.train, sets.crops]
        images, labels = (np.concatenate([getattr(part, name) for part in parts]) for name in ("images", "labels"))
        self.images = torch.from_numpy(images).to(device)[:, None]  # (N, 1, 28, 28) uint8
        self.labels = torch.from_numpy(labels).to(device)  # NOT_A_DIGIT for what is none
        # What an epoch shows: MNIST's images as often as the config says, each crop once.
        numbers = torch.arange(len(labels), device=device)
        self.shown = torch.cat([numbers[: len(sets.train)].repeat(config.n_repeats), numbers[len(sets.train) :]])
        self.n_digits = int((self.labels[self.shown] >= 0).sum())
        self.data_digest = "+".join(part.digest() for part in parts)
        self.n_steps_per_epoch = -(-len(self.shown) // config.batch_size)
        self.history: list[EpochResult] = []

    @property
    def final_model(self) -> nn.Module:
        """The weights that the run is about: the averaged ones if there are any."""
        return self.model if self.average is None else self.average

    def train_epoch(self, on_step: OnStep | None) -> EpochResult:
        """See every training image, MNIST's as often as the config says, in a new order."""
        epoch = len(self.history)
        with self._seeded(epoch):
            return self._train_epoch(epoch, on_step)

    def _train_epoch(self, epoch: int, on_step: OnStep | None) -> EpochResult:
        start = time.perf_counter()
        self.model.train()
        total_loss = torch.zeros((), device=self.device)
        n_correct = torch.zeros((), dtype=torch.int64, device=self.device)
        for step, picked in enumerate(self._batches()):
            n_before = epoch * self.n_steps_per_epoch + step
            set_learning_rate(self.optimizer, self.config.learning_rate_at(n_before, self.n_steps_per_epoch))
            loss, hits = self._step(self.images[picked], self.labels[picked])
            total_loss += loss * len(picked)
            n_correct += hits
            if self.average is not None:
                update_average(self.average, self.model, n_before, self.config.ema_decay)
            _call(on_step, epoch + 1, step + 1, self.n_steps_per_epoch)
        n_images = len(self.shown)
        mean_loss, accuracy = total_loss.item() / n_images, n_correct.item() / self.n_digits
        seconds = time.perf_counter() - start
        learning_rate = self.optimizer.param_groups[0]["lr"]
        validation = self._validate()
        result = EpochResult(
            epoch + 1, mean_loss, accuracy, *validation, learning_rate, round(seconds, 3), round(n_images / seconds, 1)
        )
        self.history.append(result)
        return result

    def pack(self) -> RunState:
        """All that `restore` needs."""
        tensors = pack_module("model", self.model) | pack_optimizer(self.optimizer)
        tensors["shuffler"] = self.shuffler.get_state()
        if self.average is not None:
            tensors |= pack_module("average", self.average)
        if self.augmenter is not None:
            tensors["augmenter"] = self.augmenter.generator.get_state()
        history = [result.to_dict() for result in self.history]
        return RunState(self.config, self.data_digest, self.device.type, len(history), history, tensors)

    def restore(self, state: RunState) -> None:
        """Go back to the end of an epoch of a run with the same config, images and kind of device."""
        check_same_run(state, self.config, self.data_digest, self.device)
        unpack_module("model", self.model, state.tensors)
        unpack_optimizer(self.optimizer, state.tensors)
        self.shuffler.set_state(state.tensors["shuffler"])
        if self.average is not None:
            unpack_module("average", self.average, state.tensors)
        if self.augmenter is not None:
            self.augmenter.generator.set_state(state.tensors["augmenter"])
        self.history = [EpochResult(**fields) for fields in state.history]

    def finish(self, model: nn.Module) -> FitResult:
        """The network, and how to use it; `model` is calibrated and moved."""
        temperature = 1.0
        if self.sets.validation is not None:
            logits = predict_logits(model, self.sets.validation, self.device, None)
            temperature = fit_temperature(logits, torch.from_numpy(self.sets.validation.labels))
        if self.has_head and self.sets.validation_crops is not None:
            self._calibrate_head(model, self.sets.validation_crops)
        checkpoint_config = CheckpointConfig(
            self.config.architecture, dict(self.config.arguments), MNIST_NORMALIZATION, temperature, self.has_head
        )
        return FitResult(model.cpu().eval(), checkpoint_config, tuple(self.history))

    @torch.no_grad()
    def _calibrate_head(self, model: nn.Module, crops: Crops) -> None:
        """Scale and shift the eleventh logit until a half means as often a digit as not."""
        logits = predict_presence(model, crops.images, self.device)
        scale, shift = fit_platt(logits, torch.from_numpy(crops.is_digit))
        layer = model.fc
        layer.weight[N_CLASSES] *= scale
        layer.bias[N_CLASSES] = scale * layer.bias[N_CLASSES] + shift

    @contextmanager
    def _seeded(self, epoch: int) -> Iterator[None]:
        """Give dropout, which draws from torch's own generators, an epoch's numbers; they come out as they were."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(int(np.random.SeedSequence((self.config.seed, epoch)).generate_state(1)[0]))
            yield

    def _batches(self) -> Iterator[Tensor]:
        """Indices of each step's images, on the device."""
        order = torch.randperm(len(self.shown), generator=self.shuffler).to(self.device)
        return iter(self.shown[order].split(self.config.batch_size))

    def _step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Learn from one batch; returns its loss and how many it had right, both left on the device."""
        images = images.float() / 255
        if self.augmenter is not None:
            images = self.augmenter(images)
        images = normalize(images)
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not None):
            logits = self.model(images)
        logits = logits.float()
        loss = self._loss(logits, labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.config.max_gradient_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.max_gradient_norm)
        self.optimizer.step()
        return loss.detach(), (logits[:, :N_CLASSES].argmax(1) == labels).sum()

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of the ten classes where there is a digit, and of whether there is one where the network says so."""
        is_digit = labels >= 0
        # Summed by hand: a batch without digits has the loss zero, not none.
        losses = F.cross_entropy(
            logits[:, :N_CLASSES],
            labels,
            ignore_index=NOT_A_DIGIT,
            reduction="sum",
            label_smoothing=self.config.label_smoothing,
        )
        loss = losses / is_digit.sum().clamp(min=1)
        if not self.has_head:
            return loss
        presence = F.binary_cross_entropy_with_logits(logits[:, N_CLASSES], is_digit.float())
        return loss + self.config.is_digit_weight * presence

    def _validate(self) -> tuple[float | None, float | None]:
        """Loss and accuracy on the images held out."""
        held_out = self.sets.validation
        if held_out is None or not len(held_out):
            return None, None
        logits = predict_logits(self.final_model, held_out, self.device, self.dtype)
        labels = torch.from_numpy(held_out.labels)
        n_correct = int((logits.argmax(1) == labels).sum())
        return F.cross_entropy(logits, labels).item(), n_correct / len(labels)


def normalize(images: Tensor) -> Tensor:
    """(B, 1, H, W) floats in 0..1 → what the networks take, channels last."""
    images = (images - MNIST_NORMALIZATION.mean) / MNIST_NORMALIZATION.std
    return images.contiguous(memory_format=torch.channels_last)


def predict_logits(model: nn.Module, dataset: LabeledImages, device: torch.device, dtype: torch.dtype | None) -> Tensor:
    """(N, 10) float32 logits of the classes on the CPU, of images as they are."""
    return _predict(model, dataset.images, device, dtype)[:, :N_CLASSES]


def predict_presence(model: nn.Module, images: npt.NDArray[np.uint8], device: torch.device) -> Tensor:
    """(N,) float32 logits of "is it a digit?" on the CPU, of images (N, 28, 28) as they are."""
    return _predict(model, images, device, None)[:, N_CLASSES]


@torch.inference_mode()
def _predict(
    model: nn.Module, images: npt.NDArray[np.uint8], device: torch.device, dtype: torch.dtype | None
) -> Tensor:
    """All that the network says."""
    model.eval()
    batches = torch.from_numpy(images).split(EVALUATION_BATCH_SIZE)
    logits = []
    with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
        for batch in batches:
            logits.append(model(normalize(batch.to(device)[:, None].float() / 255)).float().cpu())
    return torch.cat(logits)


def _call(callback: Callable[..., None] | None, *arguments: Any) -> None:
    if callback is not None:
        callback(*arguments)
