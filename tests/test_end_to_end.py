"""From training to the Hub to the app: what is read in the end is read with the weights that were trained."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from gradio_client import handle_file

from digitcore.checkpoint import load_checkpoint
from tests.drawn import draw_strokes, encode, place
from tests.fakehub import TOKEN
from tests.small_mnist import draw_hand, write_small_mnist
from tests.test_deploy import start_app

ROOT = Path(__file__).resolve().parent.parent
SECRET = "of the Space"
COUNTS = {"train": 1200, "test": 100}
# The command, on drawn images of MNIST's form but not of its number.
TRAIN = (
    f"import sys; from digitcore import data; data.MNIST_COUNTS = {COUNTS}; "
    "from train import train; sys.exit(train.main(sys.argv[1:]))"
)


@pytest.fixture
def environment(hub, tmp_path) -> dict[str, str]:
    """Of a person who is logged in, with a cache of their own."""
    data = write_small_mnist(tmp_path / "data", COUNTS, draw_hand)
    return {
        "HF_TOKEN": TOKEN,
        "HF_HOME": str(tmp_path / "hf"),
        "DIGITCORE_DATA": str(data),
        "OMP_NUM_THREADS": "1",
        "GRADIO_TEMP_DIR": str(tmp_path / "uploads"),
    }


def _train_and_push(environment: dict[str, str], folder: Path, *more: str) -> str:
    words = ["--preset", "seed", "--epochs", "2", "--learning-rate", "0.003", "--batch-size", "20", "--device", "cpu"]
    words += ["--push-to-hub", "digits"]
    command = [sys.executable, "-c", TRAIN, *words, "--out", str(folder), "--run-folder", f"{folder}-run", *more]
    result = subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.slow
def test_train_push_and_read_with_what_was_pushed(hub, environment, tmp_path):
    told = _train_and_push(environment, tmp_path / "mine")
    commit = hub.repo("ada/digits").refs["main"]
    assert f"{hub.url}/ada/digits/commit/{commit}" in told
    pushed = hub.files("ada/digits")
    digest = hashlib.sha256(pushed["model.safetensors"]).hexdigest()[:7]
    assert digest == load_checkpoint(tmp_path / "mine").digest
    assert "mistakes.png" in pushed or "mistakes" not in pushed["README.md"].decode()

    sketch = tmp_path / "sketch.png"
    sketch.write_bytes(encode(draw_strokes(place(7, 100, 40, 90, 150), (320, 240), 14)))
    process, client = start_app(ROOT, environment | {"DIGITCORE_CHECKPOINT": "ada/digits", "WEBHOOK_SECRET": SECRET})
    try:
        info = client.predict(api_name="/model_info")
        assert (info["model"], info["revision"]) == (f"ada/digits@{digest}", commit)
        reading = client.predict(handle_file(sketch), api_name="/read_sketch")
        assert (reading["text"], reading["model"]) == ("7", f"ada/digits@{digest}")

        # Another training, pushed over it: the running app takes it when it is told to.
        _train_and_push(environment, tmp_path / "mine-too", "--seed", "1")
        fresh = hashlib.sha256(hub.files("ada/digits")["model.safetensors"]).hexdigest()[:7]
        assert fresh != digest
        assert client.predict(handle_file(sketch), api_name="/read_sketch")["model"] == f"ada/digits@{digest}"
        answer = httpx.post(
            f"{client.src.rstrip('/')}/webhooks/reload", headers={"X-Webhook-Secret": SECRET}, timeout=60
        )
        assert answer.json()["changed"] is True
        assert client.predict(handle_file(sketch), api_name="/read_sketch")["model"] == f"ada/digits@{fresh}"
    finally:
        process.terminate()
        process.wait(20)

    # The Hub is gone: what was fetched once is enough to start again, at a commit too.
    for name, expected in (("ada/digits", fresh), (f"ada/digits@{commit}", digest)):
        offline = {"DIGITCORE_CHECKPOINT": name, "HF_ENDPOINT": "http://127.0.0.1:9"}
        process, client = start_app(ROOT, environment | offline)
        try:
            assert client.predict(handle_file(sketch), api_name="/read_sketch")["model"] == f"ada/digits@{expected}"
        finally:
            process.terminate()
            process.wait(20)
