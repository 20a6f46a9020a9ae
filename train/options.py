"""What the training commands have in common: options, and the command that repeats a run."""

import argparse
import shlex
from collections.abc import Iterable
from pathlib import Path

CHECKPOINTS_FOLDER, RUNS_FOLDER, FONTS_FOLDER = Path("checkpoints"), Path("runs"), Path("fonts")
# Beside the run folders, for all runs: the digits of synthetic pages, thinned once.
GLYPHS_NAME = "glyphs"
# The surroundings of a page network's finds.
REGIONS_NAME = "regions"
# In a run's folder: the checkpoint of what is learnt so far.
LATEST_NAME = "latest"
EXIT_ERROR, EXIT_INTERRUPTED = 1, 130


def add_run_options(parser: argparse.ArgumentParser, presets: Iterable[str], default_preset: str) -> None:
    """Recipe and folders, and what every recipe has; what is not given stays with the preset."""
    parser.add_argument("--preset", choices=presets, default=default_preset, help="the recipe (default: %(default)s)")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="folder that holds MNIST/raw (default: DIGITCORE_DATA)"
    )
    parser.add_argument(
        "--fonts", type=Path, metavar="DIR", default=FONTS_FOLDER, help="folder of fonts (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="the checkpoint's folder (default: checkpoints/PRESET)")
    parser.add_argument(
        "--run-folder", type=Path, metavar="DIR", help="where an unfinished run is kept (default: runs/PRESET-SEED)"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="of everything random (default: the preset's)")
    parser.add_argument("--batch-size", type=int, metavar="N", help="default: the preset's")
    parser.add_argument("--learning-rate", type=float, metavar="X", help="default: the preset's")
    parser.add_argument(
        "--reduced-precision",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="bfloat16 where the hardware has it (default: the preset's)",
    )
    parser.add_argument("--device", help='"cpu" or "cuda" (default: CUDA where there is one)')
    parser.add_argument("--resume", action="store_true", help="go on with the unfinished run")


def repeat_command(program: str, options: argparse.Namespace, names: Iterable[str], *more: str) -> str:
    """The command that repeats a run, without this machine's folders.

    Args:
        program: such as "train.train".
        options: as parsed.
        names: of the options with a number, as attributes.
        more: words to put last.
    """
    words = ["python", "-m", program, "--preset", options.preset]
    for name in names:
        if (value := getattr(options, name)) is not None:
            words += [f"--{name.replace('_', '-')}", f"{value:g}" if isinstance(value, float) else str(value)]
    if options.reduced_precision is not None:
        words.append("--reduced-precision" if options.reduced_precision else "--no-reduced-precision")
    return shlex.join([*words, *more])


def list_folders(options: argparse.Namespace) -> list[str]:
    """The words that name this machine's folders and device where they are not the usual ones."""
    words = []
    for name in ("data", "fonts", "out", "run_folder", "device"):
        if (value := getattr(options, name)) not in (None, FONTS_FOLDER):
            words += [f"--{name.replace('_', '-')}", str(value)]
    return words
