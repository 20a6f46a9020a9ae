"""The training loop: images as one tensor on the device, whole batches augmented there, every epoch resumable."""

import logging
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.optim.swa_utils import update_bn

from digitcore.checkpoint import MNIST_NORMALIZATION, CheckpointConfig
from digitcore.data import LabeledImages, load_mnist, split_train
from digitcore.device import pick_device
from digitcore.errors import ConfigError
from digitcore.model import ARCHITECTURES
from digitcore.results import N_CLASSES
from digitcore.training.augmentation import BatchAugmenter
from digitcore.training.calibration import fit_platt, fit_temperature
from digitcore.training.config import TrainConfig
from digitcore.training.crop_set import Crops
from digitcore.training.optimization import set_learning_rate
from digitcore.training.results import EpochResult, FitResult, TrainingSets, find_best
from digitcore.training.run import TrainingRun, compute_digit_loss, compute_presence_loss, notify
from digitcore.training.state import RunState, load_state, pack_module, unpack_module

logger = logging.getLogger(__name__)

EVALUATION_BATCH_SIZE = 1000
# What the norms' statistics are taken of anew at the end: other draws move the validation loss by .0001 at most.
N_STATISTICS_IMAGES = 16_384
STATISTICS_BATCH_SIZE = 256

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
        The last epoch's network; with patience that of the epoch with the lowest loss on the images held out; with a
        finish that of the finish, which goes on from there.

    Raises:
        ConfigError: if there is patience and nothing is held out, or the state to go on from belongs to other
            settings, images or device.
        CheckpointError: if there is no state to go on from, or it is damaged.
        KeyboardInterrupt: on Ctrl-C; the state of the last whole epoch is on disk.
    """
    run = _Run(config, load_training_sets(config) if sets is None else sets, pick_device(device))
    if resume:
        run.resume(state_folder)
        for result in run.history:
            notify(on_epoch, result)
    n_epochs = config.n_epochs_in_all
    for result in run.run_rounds(n_epochs, lambda: run.train_epoch(on_step), state_folder):
        notify(on_epoch, result)
        if interim_epochs and len(run.history) % interim_epochs == 0 and not run.is_done(n_epochs):
            notify(on_interim, run.make_result(deepcopy(run.chosen_model)))
    return run.make_result(run.chosen_model)


class _Run(TrainingRun):
    """Epochs over the same images, and those of the finish.

    Attributes:
        phase: the settings of the epochs that are trained now: the config's, or its finish's.
        best: the weights of the epoch with the lowest loss on the images held out; None without patience.
    """

    result_class = EpochResult

    def __init__(self, config: TrainConfig, sets: TrainingSets, device: torch.device) -> None:
        if not len(sets.train):
            raise ConfigError("There are no images to train on.")
        super().__init__(
            config, lambda: ARCHITECTURES[config.architecture](**config.arguments), device, config.optimizer
        )
        self.sets = sets
        self.best: nn.Module | None = None
        if config.patience:
            if sets.validation is None or not len(sets.validation):
                raise ConfigError("Patience looks at images held out, and there are none.")
            self.best = deepcopy(self.final_model).eval().requires_grad_(False)
        self.shuffler = Generator().manual_seed(config.seed)
        self.generators = {"shuffler": self.shuffler}
        self.has_head = bool(config.arguments.get("is_digit_head", False))
        if self.has_head and sets.crops is None:
            raise ConfigError("An is-digit head learns from crops, and there are none.")
        parts = [sets.train] if sets.crops is None else [sets.train, sets.crops]
        images, labels = (np.concatenate([getattr(part, name) for part in parts]) for name in ("images", "labels"))
        self.images = torch.from_numpy(images).to(device)[:, None]  # (N, 1, 28, 28) uint8
        self.labels = torch.from_numpy(labels).to(device)  # NOT_A_DIGIT for what is none
        self.data_digest = "+".join(part.digest() for part in parts)
        self._enter(config)

    def _enter(self, phase: TrainConfig) -> None:
        """Show, and vary, images as these settings have it from now on."""
        self.phase = phase
        # What an epoch shows: MNIST's images as often as the settings say, each crop once.
        numbers = torch.arange(len(self.labels), device=self.device)
        n_mnist = len(self.sets.train)
        self.shown = torch.cat([numbers[:n_mnist].repeat(phase.n_repeats), numbers[n_mnist:]])
        self.n_digits = int((self.labels[self.shown] >= 0).sum())
        self.n_steps_per_epoch = -(-len(self.shown) // phase.batch_size)
        self.augmenter = None
        self.generators.pop("augmenter", None)
        if phase.augmentation is not None:
            self.augmenter = BatchAugmenter(phase.augmentation, phase.seed, self.device)
            self.generators["augmenter"] = self.augmenter.generator

    def _enter_finish(self) -> None:
        """Go on from the weights chosen: with an optimizer that remembers nothing, and an average that is new."""
        chosen = self.chosen_model.state_dict()
        self.model.load_state_dict(chosen)
        self.average = deepcopy(self.model).eval().requires_grad_(False)
        self.optimizer.state.clear()
        self._enter(self.config.finishing())

    @property
    def is_finishing(self) -> bool:
        """Whether the epochs of the finish have begun."""
        return self.phase is not self.config

    @property
    def chosen_model(self) -> nn.Module:
        """What the run gives if it ends here."""
        return self.final_model if self.best is None or self.is_finishing else self.best

    def average_decay(self, step: int) -> float:
        """As of any run; in the finish, that of the mean in which its start counts as the share asked for."""
        if not self.is_finishing:
            return super().average_decay(step)
        share = self.config.finish.start_share
        # The start counts as so many steps do.
        n_before = share / (1 - share) * self.phase.n_epochs * self.n_steps_per_epoch + step
        return n_before / (n_before + 1)

    def is_done(self, n_rounds: int) -> bool:
        """Whether all epochs are done, the finish's too."""
        n_finished = sum(result.is_finish for result in self.history)
        n_finish = self.config.n_epochs_in_all - self.config.n_epochs
        return super().is_done(n_rounds) or (self._is_finish_due() and n_finished == n_finish)

    def _is_finish_due(self) -> bool:
        """Whether the epochs before the finish are done: all of them, or the best was too long ago."""
        n_done = sum(not result.is_finish for result in self.history)
        if n_done >= self.config.n_epochs:
            return True
        return self.best is not None and n_done > 0 and n_done - find_best(self.history).epoch >= self.config.patience

    def resume(self, state_folder: Path | None) -> None:
        """As of any run; the best epoch's weights too."""
        if state_folder is not None and _has_finish_begun(Path(state_folder)):
            self._enter_finish()
        super().resume(state_folder)
        if self.best is not None:
            unpack_module("best", self.best, load_state(Path(state_folder)).tensors)

    def _pack(self) -> RunState:
        state = super()._pack()
        return state if self.best is None else replace(state, tensors=state.tensors | pack_module("best", self.best))

    def train_epoch(self, on_step: OnStep | None) -> EpochResult:
        """See every training image, MNIST's as often as the settings say, in a new order."""
        if self._is_finish_due() and not self.is_finishing:
            self._enter_finish()
        epoch = len(self.history)
        with self.seeded(epoch):
            result = self._train_epoch(epoch, on_step)
        if self.best is not None and not self.is_finishing and find_best([*self.history, result]) is result:
            self.best.load_state_dict(self.final_model.state_dict())
        return result

    def _train_epoch(self, epoch: int, on_step: OnStep | None) -> EpochResult:
        start = time.perf_counter()
        self.model.train()
        total_loss = torch.zeros((), device=self.device)
        n_correct = torch.zeros((), dtype=torch.int64, device=self.device)
        n_epochs_before = sum(result.is_finish == self.is_finishing for result in self.history)
        for step, picked in enumerate(self._batches()):
            n_before = n_epochs_before * self.n_steps_per_epoch + step
            set_learning_rate(self.optimizer, self.phase.learning_rate_at(n_before, self.n_steps_per_epoch))
            loss, hits = self._step(self.images[picked], self.labels[picked], n_before)
            total_loss += loss * len(picked)
            n_correct += hits
            notify(on_step, epoch + 1, step + 1, self.n_steps_per_epoch)
        n_images = len(self.shown)
        mean_loss, accuracy = total_loss.item() / n_images, n_correct.item() / self.n_digits
        seconds = time.perf_counter() - start
        learning_rate = self.optimizer.param_groups[0]["lr"]
        if self.is_finishing:
            self._renew_statistics()
        validation = self._validate()
        return EpochResult(
            epoch + 1,
            mean_loss,
            accuracy,
            *validation,
            learning_rate,
            round(seconds, 3),
            round(n_images / seconds, 1),
            self.is_finishing,
        )

    def _renew_statistics(self) -> None:
        """Give the averaged weights' norms the statistics of images as they are, of those that these epochs show.

        See Izmailov et al. 2018 for why anew, and for why not of images varied Touvron et al., Fixing the train-test
        resolution discrepancy, 2019: training's images have other statistics than those to be read.
        """
        order = torch.randperm(len(self.shown), generator=Generator().manual_seed(self.config.seed))
        picked = self.shown[order[:N_STATISTICS_IMAGES].to(self.device)]
        batches = picked.split(STATISTICS_BATCH_SIZE)
        update_bn((normalize(self.images[batch].float() / 255) for batch in batches), self.final_model)

    def make_result(self, model: nn.Module) -> FitResult:
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

    def _batches(self) -> Iterator[Tensor]:
        """Indices of each step's images, on the device."""
        order = torch.randperm(len(self.shown), generator=self.shuffler).to(self.device)
        return iter(self.shown[order].split(self.config.batch_size))

    def _step(self, images: Tensor, labels: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Learn from one batch; returns its loss and how many it had right, both left on the device."""
        images = images.float() / 255
        if self.augmenter is not None:
            images = self.augmenter(images)
        images = normalize(images)
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not None):
            logits = self.model(images)
        logits = logits.float()
        loss = self._loss(logits, labels)
        self.learn(loss, step)
        return loss.detach(), (logits[:, :N_CLASSES].argmax(1) == labels).sum()

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of the ten classes where there is a digit, and of whether there is one where the network says so."""
        loss = compute_digit_loss(logits, labels, self.config.label_smoothing)
        if not self.has_head:
            return loss
        return loss + self.config.is_digit_weight * compute_presence_loss(logits, labels)

    def _validate(self) -> tuple[float | None, float | None]:
        """Loss and accuracy on the images held out."""
        held_out = self.sets.validation
        if held_out is None or not len(held_out):
            return None, None
        logits = predict_logits(self.final_model, held_out, self.device, self.dtype)
        labels = torch.from_numpy(held_out.labels)
        n_correct = int((logits.argmax(1) == labels).sum())
        return F.cross_entropy(logits, labels).item(), n_correct / len(labels)


def _has_finish_begun(state_folder: Path) -> bool:
    """Whether an epoch of the finish is in the state kept there."""
    return any(result.get("is_finish", False) for result in load_state(state_folder).history)


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
