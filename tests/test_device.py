import pytest
import torch

from digitcore.device import ZERO_GPU_VARIABLE, autocast_dtype, describe_device, pick_device
from digitcore.errors import DeviceError


def test_pick_device_finds_the_best(monkeypatch):
    monkeypatch.delenv(ZERO_GPU_VARIABLE, raising=False)
    assert pick_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_pick_device_prefers_a_gpu_but_not_a_lent_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.delenv(ZERO_GPU_VARIABLE, raising=False)
    assert pick_device().type == "cuda"
    monkeypatch.setenv(ZERO_GPU_VARIABLE, "true")
    assert pick_device().type == "cpu"


def test_pick_device_by_name():
    assert pick_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["abacus", "meta", "cuda:99"])
def test_pick_device_refuses(name):
    with pytest.raises(DeviceError, match=name):
        pick_device(name)


def test_autocast_dtype_is_bf16_or_nothing():
    assert autocast_dtype(torch.device("cpu")) in (torch.bfloat16, None)


def test_describe_device():
    assert describe_device(torch.device("cpu")) == "CPU"
