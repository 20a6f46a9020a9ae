import pytest
import torch

from digitcore import device
from digitcore.device import autocast_dtype, describe_device, is_lent, lend_gpu, pick_device
from digitcore.errors import DeviceError


def test_pick_device_finds_the_best():
    assert pick_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize(
    ("is_zero_gpu", "may_be_lent", "expected"),
    [(False, False, "cuda"), (False, True, "cuda"), (True, False, "cpu"), (True, True, "cuda")],
)
def test_pick_device_takes_a_lent_gpu_only_where_it_will_do(monkeypatch, is_zero_gpu, may_be_lent, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(device, "IS_ZERO_GPU", is_zero_gpu)
    picked = pick_device(is_lent=may_be_lent)
    assert picked.type == expected
    assert is_lent(picked) == (is_zero_gpu and may_be_lent)


def test_lend_gpu_elsewhere_is_the_function_itself():
    def task():
        return 1

    assert lend_gpu(task, 5) is task


def test_pick_device_by_name():
    assert pick_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["abacus", "meta", "cuda:99"])
def test_pick_device_refuses(name):
    with pytest.raises(DeviceError, match=name):
        pick_device(name)


@pytest.mark.parametrize(
    ("has_amx", "has_avx512_bf16", "expected"),
    [(True, True, torch.bfloat16), (True, False, torch.bfloat16), (False, True, torch.bfloat16), (False, False, None)],
)
def test_autocast_dtype_on_a_cpu_wants_its_products(monkeypatch, has_amx, has_avx512_bf16, expected):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has_amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_avx512_bf16)
    assert autocast_dtype(torch.device("cpu")) is expected


@pytest.mark.parametrize(
    ("capability", "expected"), [((7, 5), None), ((8, 0), torch.bfloat16), ((9, 0), torch.bfloat16)]
)
def test_autocast_dtype_on_a_gpu_wants_ampere(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert autocast_dtype(torch.device("cuda")) is expected


def test_describe_device():
    assert describe_device(torch.device("cpu")) == "CPU"
