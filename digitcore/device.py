"""Where the networks run: CUDA where there is one, a GPU lent for a call on ZeroGPU, else the CPU.

The only module that asks. On ZeroGPU the process itself has no GPU: a function that is handed to `lend_gpu` runs in
another one that has, for as long as the call takes. Networks for it are placed on "cuda" beforehand, which `spaces`
stands in for. Elsewhere `spaces` is not imported.
"""

import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from copy import deepcopy
from typing import ParamSpec, TypeVar

import torch
from torch import nn

from digitcore.errors import DeviceError

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

ZERO_GPU_VARIABLE = "SPACES_ZERO_GPU"
# As `spaces` reads it.
IS_ZERO_GPU = os.environ.get(ZERO_GPU_VARIABLE, "").lower() in ("1", "t", "true")
if IS_ZERO_GPU:
    # Before anything starts CUDA: from here on "cuda" is a stand-in.
    import spaces
    from spaces.zero.torch.patching import dispatch_mode, function_mode
LENT_DEVICE = "cuda"
# The stand-in for CUDA is there in this thread; in any other it must be entered, and nowhere twice.
_FIRST_THREAD = threading.get_ident()
# bf16 arithmetic is native from compute capability 8.0 (Ampere) on.
MIN_BF16_CAPABILITY = (8, 0)


def pick_device(name: str | None = None, *, is_lent: bool = False) -> torch.device:
    """Choose the device to run on.

    Args:
        name: as torch spells it ("cpu", "cuda", "cuda:1"), or None for the best there is.
        is_lent: whether a GPU that is lent for single calls will do, for photos and reports. It will not for sketches:
            a digit takes a millisecond on the CPU, less than asking for a GPU, and every stroke would be off the
            visitor's quota.

    Returns:
        The device; without a name, CUDA where present and lasting (or lent, if that will do), else the CPU.

    Raises:
        DeviceError: if `name` is not a device, or is CUDA and there is none.
    """
    if name is None:
        is_cuda = is_lent if IS_ZERO_GPU else torch.cuda.is_available()
        return torch.device("cuda" if is_cuda else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as err:
        raise DeviceError(f'"{name}" is not a device. Use "cpu" or "cuda".') from err
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f'Device "{name}" is not supported. Use "cpu" or "cuda".')
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(f'Device "{name}" was asked for, but this machine does not have it. Use "cpu".')
    return device


def is_lent(device: torch.device) -> bool:
    """Whether the device is there only inside what `lend_gpu` runs."""
    return IS_ZERO_GPU and device.type == LENT_DEVICE


def place(model: nn.Module, device: torch.device, memory_format: torch.memory_format | None = None) -> nn.Module:
    """A network in evaluation mode on its device, as ZeroGPU wants it where the GPU is lent.

    Args:
        model: on the CPU; it is moved, but for a lent GPU copied, since the CPU keeps its own.
        device: of the network.
        memory_format: of its weights; None leaves them.
    """
    options = {} if memory_format is None else {"memory_format": memory_format}
    if not is_lent(device):
        return model.to(device, **options).eval()
    with ExitStack() as stack:
        # A checkpoint may be exchanged in any thread.
        if threading.get_ident() != _FIRST_THREAD:
            stack.enter_context(function_mode)
            stack.enter_context(dispatch_mode)
        return deepcopy(model).to(device, **options).eval()


def lend_gpu(task: Callable[Parameters, Result], seconds: int) -> Callable[Parameters, Result]:
    """Have a function run where the GPU is.

    Args:
        task: a function or generator function, not one that returns a generator. On ZeroGPU what it takes and gives is
            pickled, and what it raises becomes an error of Gradio's that says only its kind: check the visitor's input
            before.
        seconds: it takes at most, a GPU's start included; the fewer, the sooner it is one's turn.

    Returns:
        On ZeroGPU, what calls it in a process with a GPU; elsewhere `task` itself.
    """
    return spaces.GPU(task, duration=seconds) if IS_ZERO_GPU else task


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """The reduced precision that the device computes natively: bfloat16, or None where there is none."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= MIN_BF16_CAPABILITY else None
    # With AMX tiles or AVX-512's bfloat16 products; without, bf16 is emulated or slower than float32 at our sizes.
    is_native = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if is_native else None


def describe_device(device: torch.device) -> str:
    """The device in a visitor's words, such as "CPU", "NVIDIA H200" or, where one is lent, "CPU and ZeroGPU"."""
    if IS_ZERO_GPU:
        return "CPU and ZeroGPU"
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
