"""Train the page network on synthetic pages and write its checkpoint.

    npm ci --prefix fonts
    python -m train.train_detector --preset detector

prints losses and speed after each round of pages, measured on synthetic pages and on nothing else, and writes
checkpoints/PRESET/ (model.safetensors, config.json, metrics.json and the model card). While it runs,
runs/PRESET-SEED/latest/ is such a checkpoint too, of the last whole round. Ctrl-C stops it; the same command with
--resume goes on after the last whole round, to the same weights. MNIST is looked for in --data, or DIGITCORE_DATA; the
digits of its training images are thinned once, which takes a minute, and kept in runs/glyphs.

`detector-further --start-from checkpoints/detector` goes on from a checkpoint in place of new weights.

Measured on two cores that had other work too, bfloat16, one thread that learns and one process that makes pages.
`detector`, 72,000 pages, on an AMX Xeon: 65 minutes, F1 .80 on the validation pages of then, each looked at once. The
shipped checkpoint went on from there with `detector-further` three times, on pages that changed in between: 48,000
pages, 50 minutes; 24,000, 26 minutes; and, as the preset is now, 72,000, 39 minutes on an AMD EPYC with AVX-512's
bfloat16, from .837 after 2,000 pages to .856 (one run each).
"""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import nn

from digitcore.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from digitcore.data import LabeledImages, load_mnist, split_train
from digitcore.detector import N_CHANNELS
from digitcore.device import autocast_dtype, describe_device, pick_device
from digitcore.errors import CheckpointError, ConfigError, DigitcoreError
from digitcore.model import count_multiply_adds, count_parameters
from digitcore.training.detector_card import make_detector_card
from digitcore.training.detector_config import DETECTOR_PRESETS, DetectorConfig, load_detector_preset
from digitcore.training.detector_loop import RoundResult, checkpoint_config, fit_detector
from digitcore.training.glyphs import DigitGlyphs
from digitcore.training.pages import SIZE_PX, PageConfig, PageMaker
from digitcore.training.state import STATE_NAME, load_state
from digitcore.training.writing import Writing
from train.circumstances import describe_circumstances, describe_images
from train.options import (
    CHECKPOINTS_FOLDER,
    EXIT_ERROR,
    EXIT_INTERRUPTED,
    GLYPHS_NAME,
    LATEST_NAME,
    RUNS_FOLDER,
    add_run_options,
    list_folders,
    repeat_command,
)
from train.progress import StepBar
from train.push import describe_push
from train.pusher import Pusher, add_push_options, list_push_options

DEFAULT_PRESET = "detector"
# Options that belong to the command that repeats a run.
REPEATED = ("start_from", "seed", "pages", "batch_size", "learning_rate", "touching")


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = _parse(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    try:
        start = load_checkpoint(options.start_from) if options.start_from else None
        config = _make_config(options, start)
        if options.workers < 0 or options.threads < 1:
            raise ConfigError(
                f"--workers must be at least 0 and --threads at least 1, got {options.workers} and {options.threads}."
            )
        run_folder = options.run_folder or RUNS_FOLDER / f"{config.name}-{config.seed}"
        torch.set_num_threads(options.threads)
        cv2.setNumThreads(1)
        return _train(config, options, start, run_folder)
    except DigitcoreError as err:
        print(f"Error: {err}", file=sys.stderr)
        return EXIT_ERROR


def _train(config: DetectorConfig, options: argparse.Namespace, start: Checkpoint | None, run_folder: Path) -> int:
    """Fit, save; or stop at Ctrl-C."""
    device = pick_device(options.device)
    digits, held_out = split_train(load_mnist("train", options.data))
    pages = PageConfig(touching=config.touching, font_digits_ratio=config.font_digits), PageConfig()
    cache_folder = run_folder.parent / GLYPHS_NAME
    makers = [
        _make_pages(some, options.fonts, cache_folder, kinds)
        for some, kinds in zip((digits, held_out), pages, strict=True)
    ]
    print(_announce(config, options, device), flush=True)
    if not options.resume and (run_folder / STATE_NAME).exists():
        print(f"Starting anew: the unfinished run in {run_folder} will be overwritten (--resume goes on with it).")
    circumstances = _Circumstances(config, options, device, digits)
    pusher = Pusher.from_options(options)
    watcher = _Watcher(config, circumstances, run_folder, options.resume, pusher)
    try:
        result = fit_detector(
            config,
            makers[0],
            validation_maker=makers[1],
            start=None if start is None else start.model,
            device=str(device),
            n_workers=options.workers,
            state_folder=run_folder,
            resume=options.resume,
            on_round=watcher.finish_round,
            on_step=watcher.advance,
        )
    except KeyboardInterrupt:
        watcher.close()
        print(_say_how_to_go_on(config, options, run_folder), file=sys.stderr)
        return EXIT_INTERRUPTED
    watcher.close()
    out = options.out or CHECKPOINTS_FOLDER / config.name
    digest = circumstances.save(out, result.model, result.history)
    (run_folder / STATE_NAME).unlink(missing_ok=True)
    print(f"Wrote {out} ({digest}).")
    if pusher is not None:
        print(describe_push(pusher.push_at_end(out)))
    return 0


def _make_pages(digits: LabeledImages, fonts: Path, cache_folder: Path, kinds: PageConfig) -> PageMaker:
    """A maker of pages with these digits and the fonts that are for training."""
    return PageMaker(DigitGlyphs.from_images(digits, cache_folder), Writing.from_folder(fonts), kinds)


@dataclass(frozen=True, slots=True)
class _Circumstances:
    """How the run came about, for metrics.json and the card of each checkpoint."""

    config: DetectorConfig
    options: argparse.Namespace
    device: torch.device
    digits: LabeledImages

    def save(self, folder: Path, model: nn.Module, history: Sequence[RoundResult]) -> str:
        """Write a checkpoint with all that is known; returns its digest."""
        metrics = self._measure(model, history)
        card = make_detector_card(self.config.name, self.config, metrics)
        return save_checkpoint(folder, model, checkpoint_config(self.config), metrics, card, half_precision=True)

    def _measure(self, model: nn.Module, history: Sequence[RoundResult]) -> dict[str, Any]:
        """Content of metrics.json."""
        last = history[-1]
        command = repeat_command("train.train_detector", self.options, REPEATED)
        return {
            "validation_f1": last.validation_f1,
            "validation_recall": last.validation_recall,
            "validation_false": last.validation_false,
            "n_pages": last.n_pages,
            "n_parameters": count_parameters(model),
            "n_multiply_adds": count_multiply_adds(model, (N_CHANNELS, SIZE_PX, SIZE_PX)),
            "data": {"train": describe_images(self.digits)},
            **describe_circumstances(self.config, command, self.device, history),
            "n_workers": self.options.workers,
        }


class _Watcher:
    """A bar while a round runs (on a terminal), and a line and a checkpoint when it is done."""

    def __init__(
        self,
        config: DetectorConfig,
        circumstances: _Circumstances,
        run_folder: Path,
        is_resumed: bool,
        pusher: Pusher | None = None,
    ) -> None:
        self._config, self._circumstances, self._run_folder = config, circumstances, run_folder
        self._pusher = pusher
        history = load_state(run_folder, DetectorConfig).history if is_resumed else []
        self._history = [RoundResult(**fields) for fields in history]
        self._bar = StepBar()
        for result in self._history:
            self._print(result)

    def advance(self, n_done: int, n_steps: int) -> None:
        self._bar.advance(n_done, n_steps)

    def finish_round(self, result: RoundResult, model: nn.Module) -> None:
        self.close()
        self._history.append(result)
        self._circumstances.save(self._run_folder / LATEST_NAME, model, self._history)
        self._print(result)
        is_last = result.n_pages >= self._config.n_pages
        if self._pusher is not None and not is_last and self._pusher.is_due(len(self._history)):
            progress = f"{result.n_pages:,} of {self._config.n_pages:,} pages"
            self._pusher.push_behind(self._run_folder / LATEST_NAME, progress)

    def close(self) -> None:
        self._bar.close()

    def _print(self, result: RoundResult) -> None:
        line = (
            f"{result.n_pages:>7,}/{self._config.n_pages:,} pages  loss {result.loss:.3f} (centre "
            f"{result.center_loss:.3f}, class {result.class_loss:.3f}, box {result.box_loss:.3f}, "
            f"ink {result.ink_loss:.3f})"
        )
        if result.validation_f1 is not None:
            line += (
                f"  validation F1 {result.validation_f1:.3f}, recall {result.validation_recall:.3f}, "
                f"{result.validation_false:.2f} false a page"
            )
        print(f"{line}  ({result.pages_per_second:.1f} pages/s)", flush=True)


def _parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line; what is not given stays with the preset."""
    n_cores = os.cpu_count() or 1
    parser = argparse.ArgumentParser(
        prog="python -m train.train_detector", description="Train the page network and write its checkpoint."
    )
    add_run_options(parser, DETECTOR_PRESETS, DEFAULT_PRESET)
    parser.add_argument(
        "--start-from", type=Path, metavar="DIR", help="a checkpoint whose weights to start from (default: new ones)"
    )
    parser.add_argument("--pages", type=int, metavar="N", help="to learn from (default: the preset's)")
    parser.add_argument(
        "--touching", type=float, metavar="X", help="weight of pages of touching pairs (default: the preset's)"
    )
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        default=max(n_cores - 1, 1),
        help="processes that make pages (default: %(default)s)",
    )
    parser.add_argument(
        "--threads", type=int, metavar="N", default=max(n_cores // 2, 1), help="that learn (default: %(default)s)"
    )
    add_push_options(parser, "rounds of pages")
    return parser.parse_args(argv)


def _make_config(options: argparse.Namespace, start: Checkpoint | None) -> DetectorConfig:
    """The preset, with what the command line changes."""
    if start is not None and start.config.architecture != "PageNet":
        kind = start.config.architecture
        raise ConfigError(f"--start-from wants a checkpoint of a PageNet; {start.label} is a {kind}.")
    given = {
        "seed": options.seed,
        "n_pages": options.pages,
        "batch_size": options.batch_size,
        "learning_rate": options.learning_rate,
        "touching": options.touching,
        "reduced_precision": options.reduced_precision,
    }
    if start is not None:
        # A second stage belongs to the finds of the network that it was trained for.
        arguments = {name: value for name, value in start.config.arguments.items() if name != "region_width"}
        given |= {"start": start.label, "arguments": arguments}
    preset = load_detector_preset(options.preset)
    return replace(preset, **{name: value for name, value in given.items() if value is not None})


def _announce(config: DetectorConfig, options: argparse.Namespace, device: torch.device) -> str:
    reduced = autocast_dtype(device) if config.reduced_precision else None
    return (
        f"{config.name}: PageNet, {config.n_pages:,} pages, seed {config.seed}, {describe_device(device)}, "
        f"{'bfloat16' if reduced else 'float32'}, {options.threads} thread(s), {options.workers} worker(s)"
    )


def _say_how_to_go_on(config: DetectorConfig, options: argparse.Namespace, run_folder: Path) -> str:
    """What is on disk after Ctrl-C, and what to type."""
    try:
        history = load_state(run_folder, DetectorConfig).history
    except CheckpointError:
        return "Stopped before the first round was done: nothing is kept."
    command = repeat_command(
        "train.train_detector", options, REPEATED, *list_folders(options), *list_push_options(options), "--resume"
    )
    n_done = history[-1]["n_pages"]
    return f"Stopped; {n_done:,} of {config.n_pages:,} pages are kept in {run_folder}. Go on with:\n    {command}"


if __name__ == "__main__":
    # Also when started in the background, where shells have children ignore Ctrl-C; a service's stop is the same wish.
    for stop_signal in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop_signal, signal.default_int_handler)
    sys.exit(main())
