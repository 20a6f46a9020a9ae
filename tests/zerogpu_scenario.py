"""What a process on ZeroGPU does, step by step; run by test_zerogpu.py with ZeroGPU's environment. Prints JSON lines.

python -m tests.zerogpu_scenario reader|app PICTURE
"""

import json
import os
import sys
import threading
from pathlib import Path

# Of a visitor who has used the day's quota up.
EXHAUSTED_TOKEN = "of.grace"


def tell(step: str, **facts) -> None:
    print(json.dumps({"step": step} | facts), flush=True)


def run_reader(picture: Path) -> None:
    """The reader alone, without a launch."""
    import torch

    from digitcore.data import load_uci
    from digitcore.errors import ImageError
    from digitcore.evaluation import evaluate
    from digitcore.live import LiveReader
    from digitcore.ui.evaluate_api import find_classifier
    from tests.fakezerogpu import compute_on_the_cpu

    tell("import", has_spaces="spaces" in sys.modules, is_cuda_started=torch.cuda.is_initialized())
    compute_on_the_cpu()
    reader = LiveReader.from_pretrained("ada/digits")
    reader.warm_up()
    tell("load", sketches=str(reader.classifier.device), photos=str(reader.detector.device))
    tell("sketch", **reader.read_sketch(picture).to_dict())
    tell("photo", **reader.read_photo(picture, keep_stages=True).to_dict())
    tell("photo again", **reader.read_photo(picture).to_dict())
    try:
        reader.read_photo(b"no picture")
    except ImageError as err:
        tell("no picture", error=str(err))
    *_, report = evaluate(reader.classifier, load_uci(), 300)
    tell("report", n_correct=report.n_correct, n=report.n)
    other = find_classifier(reader, "seed")
    *_, report = evaluate(other, load_uci(), 300)
    tell("other report", device=str(other.lent.device), n_correct=report.n_correct, n=report.n)
    print("reload?", flush=True)
    sys.stdin.readline()
    changed = []
    # As the webhook does: in a thread that never saw `spaces` being imported.
    thread = threading.Thread(target=lambda: changed.append(reader.reload()))
    thread.start()
    thread.join()
    tell(
        "reload", changed=changed, sketch=reader.read_sketch(picture).model, photo=reader.read_photo(picture).to_dict()
    )


def run_app(picture: Path) -> None:
    """The app as app.py launches it, asked by a client."""
    from gradio_client import Client, handle_file
    from gradio_client.exceptions import AppError

    from digitcore.live import LiveReader
    from digitcore.ui.build import build_app, launch_options
    from tests.fakezerogpu import compute_on_the_cpu

    compute_on_the_cpu()
    reader = LiveReader.from_pretrained()
    reader.warm_up()
    _, url, _ = build_app(reader).launch(
        server_name="127.0.0.1",
        server_port=int(os.environ["PORT"]),
        prevent_thread_lock=True,
        quiet=True,
        **launch_options(),
    )
    client = Client(url, verbose=False)
    tell("info", **client.predict(api_name="/model_info"))
    for name in ("read_sketch", "read_photo"):
        tell(name, **client.predict(handle_file(picture), api_name=f"/{name}"))
    *_, report = client.submit("uci", "digitnet", 200, api_name="/evaluate")
    tell("evaluate", **report)
    visitor = Client(url, headers={"X-IP-Token": EXHAUSTED_TOKEN}, verbose=False)
    try:
        visitor.predict("uci", "seed", 200, api_name="/evaluate")
    except AppError as err:
        tell("quota", error=str(err))


if __name__ == "__main__":
    {"reader": run_reader, "app": run_app}[sys.argv[1]](Path(sys.argv[2]))
