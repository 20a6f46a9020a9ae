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


@pytest.mark.parametrize(("has_amx", "expected"), [(True, torch.bfloat16), (False, None)])
def test_autocast_dtype_on_a_cpu_wants_amx(monkeypatch, has_amx, expected):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has_amx)
    assert autocast_dtype(torch.device("cpu")) is expected


@pytest.mark.parametrize(
    ("capability", "expected"), [((7, 5), None), ((8, 0), torch.bfloat16), ((9, 0), torch.bfloat16)]
)
def test_autocast_dtype_on_a_gpu_wants_ampere(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert autocast_dtype(torch.device("cuda")) is expected


def test_describe_device():
    assert describe_device(torch.device("cpu")) == "CPU"
