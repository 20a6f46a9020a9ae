"""A checkpoint is a folder: model.safetensors, config.json, metrics.json and README.md (the model card).

Loading is strict, since the folder may come from a stranger: safetensors only, at most 16 MB, every tensor there, of
the right shape and finite, and the architecture one that we know. Whatever is wrong becomes one `CheckpointError`.
"""

import hashlib
import json
import math
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from digitcore.detector import PageNet
from digitcore.errors import CheckpointError, ConfigError
from digitcore.model import ARCHITECTURES, HubModel

CONFIG_FORMAT = 1
WEIGHTS_NAME, CONFIG_NAME, METRICS_NAME, CARD_NAME = "model.safetensors", "config.json", "metrics.json", "README.md"
MAX_WEIGHTS_BYTES = 16 * 1024 * 1024
# config.json and metrics.json are a few kB; a longer one is not ours.
MAX_JSON_BYTES = 1024 * 1024
DIGEST_LENGTH = 7
# What a checkpoint may hold: a digit network or the page network. Who needs one kind says so when it gets the other.
NETWORKS: dict[str, type[HubModel]] = {**ARCHITECTURES, "PageNet": PageNet}


@dataclass(frozen=True, slots=True)
class Normalization:
    """What to take from pixels in 0..1, and what to divide them by, before they enter the network."""

    mean: float
    std: float

    def __post_init__(self) -> None:
        """Check that both are finite and that one can divide by `std`."""
        if not (math.isfinite(self.mean) and math.isfinite(self.std) and self.std > 0):
            raise ConfigError(f"normalization needs a finite mean and a std above 0, got {self.mean} and {self.std}.")


# The mean and standard deviation of MNIST's training pixels.
MNIST_NORMALIZATION = Normalization(mean=0.1307, std=0.3081)


@dataclass(frozen=True, slots=True)
class CheckpointConfig:
    """What config.json holds: all that is needed, beside the weights, to use the network.

    Attributes:
        architecture: a key of `NETWORKS`.
        arguments: its constructor's arguments.
        normalization: of the pixels.
        temperature: by which logits are divided before the softmax, so that confidence means what it says.
        is_digit_head: whether the network also says if the image is a digit at all.
    """

    architecture: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    normalization: Normalization = MNIST_NORMALIZATION
    temperature: float = 1.0
    is_digit_head: bool = False

    def __post_init__(self) -> None:
        """Check the invariants."""
        if self.architecture not in NETWORKS:
            known = ", ".join(NETWORKS)
            raise ConfigError(f"architecture must be one of {known}, got {self.architecture!r}.")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ConfigError(f"temperature must be a number above 0, got {self.temperature}.")
        if self.is_digit_head != bool(self.arguments.get("is_digit_head", False)):
            raise ConfigError(f"is_digit_head is {self.is_digit_head} here and not in arguments; the two must agree.")

    def to_dict(self) -> dict[str, Any]:
        """As config.json holds it."""
        return {
            "format": CONFIG_FORMAT,
            "architecture": self.architecture,
            "arguments": dict(self.arguments),
            "normalization": {"mean": self.normalization.mean, "std": self.normalization.std},
            "temperature": self.temperature,
            "is_digit_head": self.is_digit_head,
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Read config.json's content.

        Raises:
            ConfigError: if a field is missing, of the wrong type or out of range, or if the format is another.
        """
        if fields.get("format") != CONFIG_FORMAT:
            raise ConfigError(f"format must be {CONFIG_FORMAT}, got {fields.get('format')!r}.")
        normalization = _typed(fields, "normalization", dict)
        return cls(
            architecture=_typed(fields, "architecture", str),
            arguments=_typed(fields, "arguments", dict),
            normalization=Normalization(
                mean=float(_typed(normalization, "mean", float)), std=float(_typed(normalization, "std", float))
            ),
            temperature=float(_typed(fields, "temperature", float)),
            is_digit_head=_typed(fields, "is_digit_head", bool),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A checkpoint in memory.

    Attributes:
        model: in evaluation mode, on the CPU, float32.
        config: content of config.json.
        metrics: content of metrics.json; empty without one.
        name: of its folder.
        digest: the first 7 hex digits of the SHA-256 of model.safetensors.
        revision: the commit on the Hub that it came from; None for one from a folder.
    """

    model: nn.Module
    config: CheckpointConfig
    metrics: dict[str, Any]
    name: str
    digest: str
    revision: str | None = None

    @property
    def label(self) -> str:
        """The name by which results tell which weights made them: name@digest."""
        return f"{self.name}@{self.digest}"


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    config: CheckpointConfig,
    metrics: Mapping[str, Any],
    card: str,
    *,
    half_precision: bool = False,
) -> str:
    """Write a checkpoint, over an older one if there is one.

    Everything is written beside its place first and moved there at the end, the weights last.

    Args:
        folder: made if it is missing.
        model: of the class that `config` names, on any device.
        config: goes to config.json.
        metrics: JSON types; goes to metrics.json.
        card: the model card in Markdown, with the Hub's YAML header; goes to README.md.
        half_precision: keep floats in 16 bits, for networks that compute in no more: half the file. They are loaded as
            float32 all the same.

    Returns:
        The digest, as in `Checkpoint`.

    Raises:
        CheckpointError: if the weights are too large to be loaded again.
    """
    folder = Path(folder)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    if half_precision:
        tensors = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    weights = safetensors.torch.save(tensors, metadata={"format": "pt"})
    if len(weights) > MAX_WEIGHTS_BYTES:
        raise CheckpointError(f"The weights take {len(weights):,} bytes; a checkpoint may have {MAX_WEIGHTS_BYTES:,}.")
    replace_files(
        folder,
        {
            CARD_NAME: card.encode(),
            METRICS_NAME: _json_bytes(metrics),
            CONFIG_NAME: _json_bytes(config.to_dict()),
            WEIGHTS_NAME: weights,
        },
    )
    return _digest(weights)


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read and check a checkpoint.

    Args:
        folder: as `save_checkpoint` writes it; metrics.json and README.md may be missing.

    Raises:
        CheckpointError: if the folder or its weights are missing, or anything in it is damaged or does not fit.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(f"There is no checkpoint folder at {folder}.")
    try:
        config = CheckpointConfig.from_dict(_read_json(folder / CONFIG_NAME))
    except ConfigError as err:
        raise CheckpointError(f"{folder / CONFIG_NAME} does not describe a checkpoint: {err}") from err
    weights = _read_file(folder / WEIGHTS_NAME, MAX_WEIGHTS_BYTES)
    metrics = _read_json(folder / METRICS_NAME) if (folder / METRICS_NAME).exists() else {}
    model = _build_model(folder, config, _parse_weights(folder / WEIGHTS_NAME, weights))
    return Checkpoint(model, config, metrics, folder.resolve().name, _digest(weights))


def replace_files(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files into a folder so that each one is the old or the new, never half of it.

    Args:
        folder: made if it is missing.
        contents: bytes by file name, moved into place in this order once all of them are written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mark = f".{secrets.token_hex(4)}.tmp"
    try:
        for name, content in contents.items():
            with open(folder / (name + mark), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for name in contents:
            os.replace(folder / (name + mark), folder / name)
    finally:
        for name in contents:
            (folder / (name + mark)).unlink(missing_ok=True)


def _build_model(folder: Path, config: CheckpointConfig, tensors: dict[str, Tensor]) -> nn.Module:
    """The network with these weights; the weights are compared before any memory is taken for the network."""
    try:
        with torch.device("meta"):
            model = NETWORKS[config.architecture](**config.arguments)
    except (TypeError, ValueError, RuntimeError) as err:
        raise CheckpointError(
            f"{folder / CONFIG_NAME} has arguments that {config.architecture} refuses: {err}"
        ) from err
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    wrong = [name for name in expected | found if expected.get(name) != found.get(name)]
    if wrong:
        raise CheckpointError(
            f"{folder / WEIGHTS_NAME} does not fit its config.json: {wrong[0]} "
            f"has the shape {found.get(wrong[0], '(missing)')}, expected {expected.get(wrong[0], 'no such tensor')}."
        )
    model.load_state_dict(tensors, strict=True, assign=True)
    return model.eval().requires_grad_(False)


def _parse_weights(path: Path, weights: bytes) -> dict[str, Tensor]:
    """The tensors of a safetensors file, floats as float32; raises CheckpointError if one is not finite."""
    try:
        tensors = safetensors.torch.load(weights)
    except (SafetensorError, ValueError, KeyError) as err:
        raise CheckpointError(f"{path} is damaged or is no safetensors file: {err}") from err
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            tensors[name] = tensor.float()
            if not torch.isfinite(tensors[name]).all():
                raise CheckpointError(f"{path} is damaged: {name} has values that are not finite.")
    return tensors


def _read_file(path: Path, max_bytes: int) -> bytes:
    if not path.is_file():
        raise CheckpointError(f"The checkpoint has no {path.name}: it should be at {path}.")
    n_bytes = path.stat().st_size
    if n_bytes > max_bytes:
        raise CheckpointError(f"{path} has {n_bytes:,} bytes; at most {max_bytes:,} are accepted.")
    return path.read_bytes()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(_read_file(path, MAX_JSON_BYTES))
    except (ValueError, RecursionError) as err:
        raise CheckpointError(f"{path} is not valid JSON: {err}") from err
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} must hold a JSON object, got {type(content).__name__}.")
    return content


def _typed(fields: Mapping[str, Any], name: str, kind: type) -> Any:
    """One field, if it is there and of this JSON type (a whole number passes as a float)."""
    value = fields.get(name)
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"{name} must be of type {kind.__name__}, got {value!r}.")
    return value


def _json_bytes(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _digest(weights: bytes) -> str:
    return hashlib.sha256(weights).hexdigest()[:DIGEST_LENGTH]
