"""The demo. `python app.py` serves it on http://127.0.0.1:7860; a Hugging Face Space runs the same file."""

import argparse
import logging
import os
import sys

# Idle threads of PyTorch's pool sleep instead of spinning, so that an evaluation does not slow the sketches; but not
# at once where the pool is GNU's: a network's next layer comes within microseconds, and waking up takes longer (photos
# take a quarter less time). Both are read when torch is imported, hence before the imports below.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "3000")

from digitcore.errors import DigitcoreError
from digitcore.live import LiveReader
from digitcore.ui.build import build_app, launch_options
from digitcore.ui.webhook import SECRET_VARIABLE, make_webhook_routes

CHECKPOINT_VARIABLE, DETECTOR_VARIABLE = "DIGITCORE_CHECKPOINT", "DIGITCORE_DETECTOR"
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 7860


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line; a Space sets host and port by Gradio's own environment variables instead."""
    parser = argparse.ArgumentParser(description="Read handwritten digits in the browser.")
    parser.add_argument(
        "--host", default=os.environ.get("GRADIO_SERVER_NAME", DEFAULT_HOST), help="address (default: %(default)s)"
    )
    parser.add_argument(
        "--port",
        type=int,
        default=int(os.environ.get("GRADIO_SERVER_PORT", DEFAULT_PORT)),
        help="(default: %(default)s)",
    )
    parser.add_argument("--share", action="store_true", help="also make a public gradio.live link")
    parser.add_argument(
        "--checkpoint",
        default=os.environ.get(CHECKPOINT_VARIABLE) or None,
        help=f"folder or Hub repo (user/name@revision); default: ${CHECKPOINT_VARIABLE}, else the shipped one",
    )
    parser.add_argument(
        "--detector",
        default=os.environ.get(DETECTOR_VARIABLE) or None,
        help=f"the same for the page network; default: ${DETECTOR_VARIABLE}, else the shipped one",
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Load the reader once, build the page, serve until stopped; returns the exit status."""
    arguments = parse_arguments(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        reader = LiveReader.from_pretrained(arguments.checkpoint, detector=arguments.detector)
    except DigitcoreError as err:
        print(f"digitcore cannot start: {err}", file=sys.stderr)
        return 1
    reader.warm_up()
    demo = build_app(reader)
    options = launch_options(make_webhook_routes(reader, os.environ.get(SECRET_VARIABLE)))
    try:
        demo.launch(server_name=arguments.host, server_port=arguments.port, share=arguments.share, **options)
    except OSError as err:
        if "empty port" not in str(err):
            raise
        print(f"Port {arguments.port} is taken. Choose another one: python app.py --port 7861", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
