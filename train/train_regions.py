"""Train RegionNet, the page network's second stage, on what that network finds on synthetic pages.

    python -m train.train_regions --detector checkpoints/detector

writes it into the detector's checkpoint, beside the network that it belongs to, or with --out into a copy. Pages are
searched first (some minutes; kept under runs/regions for the next time), then it learns; Ctrl-C keeps the last whole
epoch, and --resume goes on with it. Afterwards the opinions' weights are fitted anew: python -m train.fit_fusion.

`--preset regions-further --start-from DIR` goes on from the second stage that another checkpoint has, in place of new
weights.

Measured on two cores of an AMD EPYC with AVX-512's bfloat16: `regions` searches 24,000 pages in
15 minutes and learns from them in 28.
"""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import nn

from digitcore.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from digitcore.data import LabeledImages, load_mnist, split_train
from digitcore.detection import PageDetector
from digitcore.detector import PageNet
from digitcore.device import autocast_dtype, describe_device, pick_device
from digitcore.errors import CheckpointError, ConfigError, DigitcoreError
from digitcore.merging import DetectionConfig
from digitcore.model import count_multiply_adds, count_parameters
from digitcore.region_net import N_REGION_CHANNELS
from digitcore.regions import REGION_PX
from digitcore.training.detector_card import make_detector_card
from digitcore.training.detector_config import REGION_PRESETS, DetectorConfig, RegionConfig, load_region_preset
from digitcore.training.glyphs import DigitGlyphs
from digitcore.training.pages import PageConfig, PageMaker
from digitcore.training.region_loop import RegionEpoch, fit_regions
from digitcore.training.region_set import Regions, load_or_make_regions
from digitcore.training.state import STATE_NAME, load_state
from digitcore.training.writing import Writing
from train.circumstances import describe_circumstances, describe_images
from train.options import (
    CHECKPOINTS_FOLDER,
    EXIT_ERROR,
    EXIT_INTERRUPTED,
    GLYPHS_NAME,
    REGIONS_NAME,
    RUNS_FOLDER,
    add_run_options,
    list_folders,
    repeat_command,
)
from train.progress import StepBar

DEFAULT_PRESET = "regions"
REPEATED = ("detector", "start_from", "seed", "pages", "epochs", "batch_size", "learning_rate")
# Beside the streams of the first stage's pages, 0 and 1.
REGION_STREAM, VALIDATION_REGION_STREAM = 5, 6
TURNED_RATIO = 0.02


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = _parse(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        if options.workers < 0 or options.threads < 1:
            raise ConfigError(
                f"--workers must be at least 0 and --threads at least 1, got {options.workers} and {options.threads}."
            )
        first = _load_first_stage(options.detector)
        start = _load_second_stage(options.start_from) if options.start_from else None
        config = _make_config(options, first, start)
        torch.set_num_threads(options.threads)
        cv2.setNumThreads(1)
        return _train(config, options, first, start)
    except DigitcoreError as err:
        print(f"Error: {err}", file=sys.stderr)
        return EXIT_ERROR


def _train(config: RegionConfig, options: argparse.Namespace, first: Checkpoint, start: Checkpoint | None) -> int:
    """Search pages, fit, save; or stop at Ctrl-C."""
    run_folder = options.run_folder or RUNS_FOLDER / f"{config.name}-{config.seed}"
    device = pick_device(options.device)
    digits, held_out = split_train(load_mnist("train", options.data))
    print(_announce(config, options, device), flush=True)
    bar = StepBar()

    def finish_epoch(result: RegionEpoch) -> None:
        bar.close()
        _print(result)

    try:
        train, validation = _search_pages(config, options, first, (digits, held_out), run_folder)
        net, history = fit_regions(
            config,
            train,
            validation,
            start=None if start is None else start.model.regions,
            device=str(device),
            state_folder=run_folder,
            resume=options.resume,
            on_epoch=finish_epoch,
            on_step=bar.advance,
        )
    except KeyboardInterrupt:
        bar.close()
        print(_say_how_to_go_on(config, options, run_folder), file=sys.stderr)
        return EXIT_INTERRUPTED
    out = options.out or options.detector
    digest = _save(out, config, options, first, net, history, train, digits, device)
    (run_folder / STATE_NAME).unlink(missing_ok=True)
    print(f"Wrote {out} ({digest}). Fit the opinions' weights anew: python -m train.fit_fusion --detector {out}")
    return 0


def _load_first_stage(folder: Path) -> Checkpoint:
    checkpoint = load_checkpoint(folder)
    if not isinstance(checkpoint.model, PageNet):
        kind = checkpoint.config.architecture
        raise CheckpointError(f"--detector wants a checkpoint of a PageNet; {checkpoint.label} is a {kind}.")
    if "training" not in checkpoint.metrics:
        raise CheckpointError(
            f"{checkpoint.label} cannot be added to: its metrics.json does not say how it was trained, as those of "
            "train.train_detector do."
        )
    return checkpoint


def _load_second_stage(folder: Path) -> Checkpoint:
    checkpoint = load_checkpoint(folder)
    if not isinstance(checkpoint.model, PageNet) or checkpoint.model.regions is None:
        raise CheckpointError(
            f"--start-from wants a checkpoint of a PageNet with a second stage; {checkpoint.label} has none."
        )
    return checkpoint


def _search_pages(
    config: RegionConfig,
    options: argparse.Namespace,
    first: Checkpoint,
    digits: tuple[LabeledImages, LabeledImages],
    run_folder: Path,
) -> tuple[Regions, Regions]:
    """What to learn from, and what to measure by."""
    detector = PageDetector(first, options.device, replace(DetectionConfig(), min_score=config.min_score))
    kinds = PageConfig(
        touching=config.touching,
        words=config.words,
        nothing=config.nothing,
        font_digits_ratio=config.font_digits,
        turned_ratio=TURNED_RATIO,
    )
    sets = []
    for some, n_pages, stream in zip(
        digits,
        (config.n_pages, config.n_validation_pages),
        (REGION_STREAM, VALIDATION_REGION_STREAM),
        strict=True,
    ):
        maker = _make_pages(some, options.fonts, run_folder.parent / GLYPHS_NAME, kinds)
        cache_folder = run_folder.parent / REGIONS_NAME
        found = load_or_make_regions(
            maker,
            detector,
            n_pages,
            config.seed,
            stream,
            repr(kinds),
            cache_folder,
            _count_searchers(options, detector),
        )
        print(f"{len(found):,} finds on {n_pages:,} pages, {found.is_digit.mean():.0%} of them digits", flush=True)
        sets.append(found)
    return sets[0], sets[1]


def _count_searchers(options: argparse.Namespace, detector: PageDetector) -> int:
    """Processes that search pages; a GPU cannot be shared out to forked ones."""
    return options.workers if detector.device.type == "cpu" else 0


def _make_pages(digits: LabeledImages, fonts: Path, cache_folder: Path, kinds: PageConfig) -> PageMaker:
    """A maker of pages with these digits and the fonts that are for training."""
    return PageMaker(DigitGlyphs.from_images(digits, cache_folder), Writing.from_folder(fonts), kinds)


def _save(
    out: Path,
    config: RegionConfig,
    options: argparse.Namespace,
    first: Checkpoint,
    net: nn.Module,
    history: Sequence[RegionEpoch],
    regions: Regions,
    digits: LabeledImages,
    device: torch.device,
) -> str:
    """The first stage as it was, with the second; returns the checkpoint's digest."""
    arguments = {**first.config.arguments, **config.arguments}
    model = PageNet(**arguments)
    kept = {name: value for name, value in first.model.state_dict().items() if not name.startswith("regions.")}
    model.load_state_dict(kept | {f"regions.{name}": value for name, value in net.state_dict().items()})
    metrics: dict[str, Any] = {
        **first.metrics,
        "regions": {
            **describe_circumstances(config, repeat_command("train.train_regions", options, REPEATED), device, history),
            "n_workers": options.workers,
            "n_parameters": count_parameters(net),
            "n_multiply_adds": count_multiply_adds(net, (N_REGION_CHANNELS, REGION_PX, REGION_PX)),
            "data": {
                "digits": describe_images(digits),
                "finds": {"n": len(regions), "n_digits": int(regions.is_digit.sum()), "sha256": regions.digest()},
            },
        },
    }
    first_config = DetectorConfig.from_dict(first.metrics["training"])
    card = make_detector_card(out.name, first_config, metrics)
    return save_checkpoint(
        out, model.eval(), replace(first.config, arguments=arguments), metrics, card, half_precision=True
    )


def _print(result: RegionEpoch) -> None:
    print(
        f"epoch {result.epoch}  loss {result.loss:.4f}  validation: digits right {result.validation_accuracy:.2%}, "
        f"loss {result.validation_loss:.4f}; is it one: AUROC {result.validation_auroc:.4f}, "
        f"loss {result.validation_presence_loss:.4f}  ({result.regions_per_second:.0f} finds/s)",
        flush=True,
    )


def _make_config(options: argparse.Namespace, first: Checkpoint, start: Checkpoint | None) -> RegionConfig:
    """The preset, with what the command line changes."""
    given = {
        "seed": options.seed,
        "n_pages": options.pages,
        "n_epochs": options.epochs,
        "batch_size": options.batch_size,
        "learning_rate": options.learning_rate,
        "reduced_precision": options.reduced_precision,
    }
    if start is not None:
        given |= {"start": start.label, "arguments": {"region_width": start.config.arguments["region_width"]}}
    preset = replace(load_region_preset(options.preset), detector=first.label)
    return replace(preset, **{name: value for name, value in given.items() if value is not None})


def _announce(config: RegionConfig, options: argparse.Namespace, device: torch.device) -> str:
    reduced = autocast_dtype(device) if config.reduced_precision else None
    return (
        f"{config.name}: RegionNet for {config.detector}, {config.n_pages:,} pages, {config.n_epochs} epochs, seed "
        f"{config.seed}, {describe_device(device)}, {'bfloat16' if reduced else 'float32'}, {options.threads} "
        f"thread(s), {options.workers} worker(s)"
    )


def _say_how_to_go_on(config: RegionConfig, options: argparse.Namespace, run_folder: Path) -> str:
    """What is on disk after Ctrl-C, and what to type."""
    try:
        n_done = load_state(run_folder, RegionConfig).n_epochs_done
    except CheckpointError:
        return "Stopped before the first epoch was done: of the training nothing is kept."
    command = repeat_command("train.train_regions", options, REPEATED, *list_folders(options), "--resume")
    return f"Stopped; {n_done} of {config.n_epochs} epochs are kept in {run_folder}. Go on with:\n    {command}"


def _parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line; what is not given stays with the preset."""
    n_cores = os.cpu_count() or 1
    parser = argparse.ArgumentParser(
        prog="python -m train.train_regions", description="Train the page network's second stage."
    )
    add_run_options(parser, REGION_PRESETS, DEFAULT_PRESET)
    parser.add_argument(
        "--detector",
        type=Path,
        metavar="DIR",
        default=CHECKPOINTS_FOLDER / "detector",
        help="the page network's checkpoint (default: %(default)s)",
    )
    parser.add_argument(
        "--start-from",
        type=Path,
        metavar="DIR",
        help="a checkpoint whose second stage to start from (default: new weights)",
    )
    parser.add_argument("--pages", type=int, metavar="N", help="to search (default: the preset's)")
    parser.add_argument("--epochs", type=int, metavar="N", help="default: the preset's")
    parser.add_argument(
        "--workers", type=int, metavar="N", default=n_cores, help="processes that search pages (default: %(default)s)"
    )
    parser.add_argument("--threads", type=int, metavar="N", default=n_cores, help="that learn (default: %(default)s)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    # Also when started in the background, where shells have children ignore Ctrl-C; a service's stop is the same wish.
    for stop_signal in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop_signal, signal.default_int_handler)
    sys.exit(main())
