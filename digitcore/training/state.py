"""What an unfinished run needs to go on, in one safetensors file: tensors as such, the rest as JSON in its header.

One file, moved into place whole: whenever a run is stopped, the state on disk is that of a finished epoch. No pickles.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from digitcore.checkpoint import replace_files
from digitcore.errors import CheckpointError, ConfigError
from digitcore.training.config import TrainConfig

STATE_NAME = "resume.safetensors"
STATE_FORMAT = 1


class RunConfig(Protocol):
    """The settings of a run of any kind."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """The inverse."""

    def differences(self, other: Self) -> list[str]:
        """What differs, as sentences."""


@dataclass(frozen=True, slots=True, eq=False)
class RunState:
    """A run between two epochs.

    Attributes:
        config: of the run.
        data_digest: of what is learnt from; a run goes on with the same ones only.
        device: "cpu" or "cuda": random numbers differ between the two.
        n_epochs_done: how many epochs, or rounds of pages, are in it.
        history: one JSON object an epoch.
        tensors: weights, averaged weights, optimizer's state, random generators' states, by name.
    """

    config: RunConfig
    data_digest: str
    device: str
    n_epochs_done: int
    history: list[dict[str, Any]]
    tensors: Mapping[str, Tensor]


def save_state(folder: Path, state: RunState) -> None:
    """Write the state to `folder`/resume.safetensors, over an older one."""
    header = {
        "format": STATE_FORMAT,
        "config": state.config.to_dict(),
        "data_digest": state.data_digest,
        "device": state.device,
        "n_epochs_done": state.n_epochs_done,
        "history": state.history,
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors.items()}
    replace_files(folder, {STATE_NAME: safetensors.torch.save(tensors, metadata={"state": json.dumps(header)})})


def load_state(folder: Path, config_class: type[RunConfig] = TrainConfig) -> RunState:
    """Read what `save_state` wrote.

    Args:
        folder: of the run.
        config_class: of the kind of run that is expected there.

    Raises:
        CheckpointError: if there is none, or it is damaged.
    """
    path = folder / STATE_NAME
    if not path.is_file():
        raise CheckpointError(f"There is no unfinished run in {folder}: {path.name} is not there.")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        if header["format"] != STATE_FORMAT:
            raise CheckpointError(f"{path} was written by another version of digitcore: train anew, without --resume.")
        return RunState(
            config=config_class.from_dict(header["config"]),
            data_digest=header["data_digest"],
            device=header["device"],
            n_epochs_done=header["n_epochs_done"],
            history=header["history"],
            tensors=tensors,
        )
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as err:
        raise CheckpointError(f"{path} is damaged: {err}. Train anew, without --resume.") from err


def check_same_run(state: RunState, config: RunConfig, data_digest: str, device: torch.device) -> None:
    """Refuse to go on with a run under other settings.

    Raises:
        ConfigError: that says what differs.
    """
    differences = state.config.differences(config)
    if differences:
        raise ConfigError("The unfinished run has other settings (" + "; ".join(differences) + "). Use the same ones.")
    if state.data_digest != data_digest:
        raise ConfigError(
            "The unfinished run had other images or made other pages. Point --data and --fonts at the same ones."
        )
    if state.device != device.type:
        raise ConfigError(f"The unfinished run is one on {state.device}, not on {device.type}: name it with --device.")


def pack_optimizer(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's memory of each parameter, by the parameter's number."""
    return {
        f"optimizer.{index}.{name}": value
        for index, memory in optimizer.state_dict()["state"].items()
        for name, value in memory.items()
    }


def unpack_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `pack_optimizer` took, every tensor where its parameter is and laid out like it."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for key, value in tensors.items():
        kind, _, rest = key.partition(".")
        if kind != "optimizer":
            continue
        index, name = rest.split(".")
        parameter = parameters[int(index)]
        is_like_parameter = value.ndim > 0 and value.shape == parameter.shape
        place = torch.empty_like(parameter) if is_like_parameter else torch.empty_like(value, device=parameter.device)
        optimizer.state[parameter][name] = place.copy_(value)


def pack_module(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    """A module's state, each name after the prefix."""
    return {f"{prefix}.{name}": tensor for name, tensor in module.state_dict().items()}


def unpack_module(prefix: str, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `pack_module` took; keeps the module's device and layout."""
    start = prefix + "."
    module.load_state_dict({name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)})
