"""Where the networks run: CUDA where there is one, else the CPU. The only module that asks."""

import os

import torch

from digitcore.errors import DeviceError

# On ZeroGPU a card is lent for single calls only; a digit takes a millisecond on the CPU, less than asking for one.
ZERO_GPU_VARIABLE = "SPACES_ZERO_GPU"
# bf16 arithmetic is native from compute capability 8.0 (Ampere) on.
MIN_BF16_CAPABILITY = (8, 0)


def pick_device(name: str | None = None) -> torch.device:
    """Choose the device to run on.

    Args:
        name: as torch spells it ("cpu", "cuda", "cuda:1"), or None for the best there is.

    Returns:
        The device; without a name, CUDA where present and lasting, else the CPU.

    Raises:
        DeviceError: if `name` is not a device, or is CUDA and there is none.
    """
    if name is None:
        lasting_gpu = torch.cuda.is_available() and not os.environ.get(ZERO_GPU_VARIABLE)
        return torch.device("cuda" if lasting_gpu else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as err:
        raise DeviceError(f'"{name}" is not a device. Use "cpu" or "cuda".') from err
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f'Device "{name}" is not supported. Use "cpu" or "cuda".')
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(f'Device "{name}" was asked for, but this machine does not have it. Use "cpu".')
    return device


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """The reduced precision that the device computes natively: bfloat16, or None where there is none."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= MIN_BF16_CAPABILITY else None
    # Without AMX tiles, bf16 on a CPU is emulated or slower than float32 at our sizes.
    return torch.bfloat16 if torch.cpu._is_amx_tile_supported() else None


def describe_device(device: torch.device) -> str:
    """The device in a visitor's words, such as "CPU" or "NVIDIA H200"."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
