"""ZeroGPU without a GPU: the real `spaces` package, a loopback device API, and lent processes that compute on the CPU.

`spaces` runs as on the Hub but for one thing: a process that it forks for a call keeps the stand-in for CUDA that the
first process has, since there is no CUDA to go over to. The stand-in computes with the tensors that a network was
placed with, read back from the files into which `spaces` packs them at launch.
"""

import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

UUID = "GPU-of-the-test"


class DeviceApi:
    """What ZeroGPU's scheduler was asked for, as (path, query)."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, list[str]]]] = []
        # Of visitors who have nothing left for today.
        self.exhausted_tokens: set[str] = set()
        self.url = ""

    def count(self, path: str) -> int:
        return sum(called == path for called, _ in self.calls)


@contextmanager
def serve_device_api() -> Iterator[DeviceApi]:
    """Run a scheduler with a GPU for whoever has quota left; the process of the last call is kept for the next."""
    api = DeviceApi()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def do_POST(self):  # noqa: N802
            split = urlsplit(self.path)
            api.calls.append((split.path, parse_qs(split.query)))
            answer, status = {}, 200
            if split.path == "/schedule":
                if api.exhausted_tokens & set(parse_qs(split.query).get("token", [])):
                    answer, status = {"left": 7, "wait": 3600}, 429
                else:
                    token = f"token{len(api.calls)}"
                    answer = {"idle": True, "nvidiaIndex": 0, "nvidiaUUID": UUID, "allowToken": token}
            raw = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()


def zero_gpu_environment(api: DeviceApi, folder: Path) -> dict[str, str]:
    """What a ZeroGPU Space sets."""
    cgroup = folder / "cgroup"
    cgroup.write_text("0::/of-the-test\n")
    return {
        "SPACES_ZERO_GPU": "true",
        "SPACES_ZERO_DEVICE_API_URL": api.url,
        "ZEROGPU_OFFLOAD_DIR": str(folder / "tensors"),
        "ZEROGPU_PROC_SELF_CGROUP_PATH": str(cgroup),
        "HOME": str(folder),
    }


def compute_on_the_cpu() -> None:
    """In the process that imported `spaces`: have the lent processes keep the stand-in."""
    from spaces.zero import torch as zero_torch
    from spaces.zero import wrappers
    from spaces.zero.torch.patching import enter_mode

    zero_torch.unpatch = lambda: None
    zero_torch.init = lambda nvidia_uuid: os.environ.update(CUDA_VISIBLE_DEVICES=nvidia_uuid)
    zero_torch.move = lambda callback=None: _read_packs()
    # The stand-in is of a thread, and calls run in threads of the lent process.
    wrappers.ThreadPoolExecutor = partial(ThreadPoolExecutor, initializer=enter_mode)


def _read_packs() -> None:
    """As `spaces.zero.torch.packing.pack_to_cuda`, to the CPU."""
    import torch
    from spaces.zero.torch.patching import cuda_aliases, tensor_packs

    for pack in tensor_packs:
        raw = Path(pack.path()).read_bytes()
        offset = 0
        for tensor, size, aligned_size in [entry for batch in pack.batches for entry in batch] + pack.big_tensors:
            storage = torch.frombuffer(bytearray(raw[offset : offset + size]), dtype=torch.uint8).untyped_storage()
            original = torch.tensor([], dtype=tensor.dtype).set_(storage, 0, tensor.shape, tensor.stride())
            for fake in pack.fakes[tensor]:
                cuda_aliases[fake] = original
            offset += aligned_size
