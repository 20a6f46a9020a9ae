"""28×28 images → calibrated probabilities, and "is it a digit?"."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from digitcore.checkpoint import Checkpoint
from digitcore.device import IS_ZERO_GPU, autocast_dtype, is_lent, pick_device, place
from digitcore.errors import CheckpointError, ImageError
from digitcore.model import ARCHITECTURES, fold_norms
from digitcore.results import N_CLASSES

# A page has hundreds of digits at the most; a data set is streamed in parts by its caller.
MAX_BATCH = 1024
# Fewer, as on the sketchpad, are read sooner in float32 than weights are rounded: one in 0.9 ms against 1.8.
MIN_REDUCED_BATCH = 8


@dataclass(frozen=True, slots=True, eq=False)
class Classification:
    """What the network says of B images.

    Attributes:
        probs: (B, 10) float32, each row sums to 1.
        is_digit: (B,) float32, 0 to 1.
    """

    probs: npt.NDArray[np.float32]
    is_digit: npt.NDArray[np.float32]

    @property
    def confidence(self) -> npt.NDArray[np.float32]:
        """(B,) float32: no more than that it is a digit, and no more than which one."""
        return np.minimum(self.is_digit, self.probs.max(axis=1, initial=0.0))


class DigitClassifier:
    """A digit network on its device, ready to answer; holds no state between calls.

    Attributes:
        checkpoint: whose network it is.
        device: where it runs.
        asked_device: what was asked for; None if it was picked, and another network is to be picked for too.
    """

    def __init__(self, checkpoint: Checkpoint, device: str | None = None, *, is_lent: bool = False) -> None:
        """Place the network.

        Args:
            checkpoint: as `digitcore.checkpoint.load_checkpoint` gives it.
            device: as torch spells it; None picks.
            is_lent: whether a GPU that is lent for single calls will do; see `digitcore.device`.

        Raises:
            CheckpointError: if the checkpoint holds another kind of network.
        """
        if checkpoint.config.architecture not in ARCHITECTURES:
            raise CheckpointError(
                f"{checkpoint.label} is a {checkpoint.config.architecture}, which finds digits on a page; reading "
                f"single digits takes a checkpoint of a {' or a '.join(ARCHITECTURES)}, such as checkpoints/digitnet."
            )
        self.checkpoint = checkpoint
        self.asked_device = device
        self.device = pick_device(device, is_lent=is_lent)
        # Its own copy, laid out and folded for speed: 10,000 images take a third of the time or less with AMX.
        self._model = place(fold_norms(checkpoint.model), self.device, torch.channels_last)

    @property
    def label(self) -> str:
        """name@hash of the checkpoint."""
        return self.checkpoint.label

    @cached_property
    def lent(self) -> "DigitClassifier":
        """The same network where a GPU is lent for single calls, for `lend_gpu`; itself where none is, or wanted."""
        is_elsewhere = self.asked_device is None and IS_ZERO_GPU and not is_lent(self.device)
        return DigitClassifier(self.checkpoint, is_lent=True) if is_elsewhere else self

    def classify(self, images: npt.NDArray[np.uint8]) -> Classification:
        """Read 28×28 images.

        Args:
            images: (B, 28, 28) uint8, white on black, as `normalize_digits` makes them; B may be 0.

        Returns:
            The calibrated probabilities. Without an is-digit head, the largest of the ten stands for `is_digit`.

        Raises:
            ImageError: if `images` has another shape or type.
        """
        if images.ndim != 3 or images.shape[1:] != (28, 28) or images.dtype != np.uint8:
            raise ImageError(
                f"Expected uint8 images of shape (B, 28, 28), white on black; got {images.dtype} {images.shape}."
            )
        if len(images) == 0:
            return Classification(np.zeros((0, N_CLASSES), np.float32), np.zeros(0, np.float32))
        parts = [self._predict(images[start : start + MAX_BATCH]) for start in range(0, len(images), MAX_BATCH)]
        return Classification(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

    @torch.inference_mode()
    def _predict(self, images: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """(B, 28, 28) uint8 → (B, 10) and (B,) float32."""
        config = self.checkpoint.config
        batch = torch.from_numpy(np.ascontiguousarray(images)).to(self.device).float().div_(255.0)
        batch.sub_(config.normalization.mean).div_(config.normalization.std)
        dtype = autocast_dtype(self.device) if len(images) >= MIN_REDUCED_BATCH else None
        with torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None):
            logits = self._model(batch.unsqueeze(1)).float()  # (B, 1, 28, 28) → (B, 10 or 11)
        probs = (logits[:, :N_CLASSES] / config.temperature).softmax(dim=1)
        is_digit = logits[:, N_CLASSES].sigmoid() if config.is_digit_head else probs.amax(dim=1)
        return probs.cpu().numpy(), is_digit.cpu().numpy()
