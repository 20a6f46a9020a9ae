"""Push a checkpoint to the Hugging Face Hub: one commit with weights, config, metrics, model card and its picture.

    python -m train.push checkpoints/digitnet --repo-id NAME [--private] [--revision BRANCH] [--create-pr] [--data DIR]

NAME is user/name, or a name alone for one of your own; the repo is made if it is not there. A token that may write is
needed: `hf auth login`, or HF_TOKEN. The model card is written for the push, with a picture of mistakes drawn from
MNIST's test images (--data, or DIGITCORE_DATA; without them the card has none). A folder without metrics, or one that
does not load, is refused; the same content again makes no new commit. Prints the commit and where to see it.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from digitcore.checkpoint import (
    CARD_NAME,
    CONFIG_NAME,
    METRICS_NAME,
    WEIGHTS_NAME,
    Checkpoint,
    load_checkpoint,
)
from digitcore.classifier import DigitClassifier
from digitcore.data import LabeledImages, find_mnist, load_mnist
from digitcore.detection import PageDetector
from digitcore.errors import CheckpointError, ConfigError, DigitcoreError
from digitcore.hub_push import Push, check_token, open_repo, push_files
from digitcore.model import ARCHITECTURES
from digitcore.training import TrainConfig
from digitcore.training.card import make_card
from digitcore.training.detector_card import make_detector_card
from digitcore.training.detector_config import DetectorConfig
from train.mistakes import PICTURE_NAME, MistakesPicture, draw_misread, draw_missed
from train.options import EXIT_ERROR

Tell = Callable[[str], None]


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = _parse(argv)
    try:
        push = push_checkpoint(
            options.checkpoint,
            options.repo_id,
            data_root=options.data,
            is_private=options.private,
            branch=options.revision,
            create_pr=options.create_pr,
            tell=lambda words: print(words, flush=True),
        )
    except DigitcoreError as err:
        print(f"Error: {err}", file=sys.stderr)
        return EXIT_ERROR
    print(describe_push(push))
    return 0


def push_checkpoint(
    folder: Path,
    repo_id: str,
    *,
    data_root: Path | None = None,
    is_private: bool = False,
    branch: str | None = None,
    create_pr: bool = False,
    tell: Tell = lambda words: None,
) -> Push:
    """Check a checkpoint, write its card, and commit all of it at once.

    Args:
        folder: of the checkpoint.
        repo_id: user/name, or a name alone for one of the token's owner.
        data_root: where MNIST is; None for DIGITCORE_DATA.
        is_private: what the repo is to be if it is made.
        branch: None is the main one; another is made if it is not there.
        create_pr: open a pull request against the branch.
        tell: called with a line on each step.

    Returns:
        What came of it.

    Raises:
        CheckpointError: if the checkpoint does not load, or lacks metrics.
        HubError: if there is no token, or the Hub refuses, or it cannot be reached.
    """
    checkpoint, files = read_checkpoint(folder)
    check_token()
    tell(f"Checked {folder}: {checkpoint.config.architecture}, {checkpoint.label}.")
    picture = draw_mistakes(checkpoint, data_root)
    if picture is None:
        tell("No picture of mistakes: MNIST is not here (--data), or nothing in it is read wrong.")
    else:
        tell(f"Drew {PICTURE_NAME}: {picture.sentence}")
        files[PICTURE_NAME] = picture.png
    # Written once before the repo is made: what the metrics lack shall leave nothing behind.
    write_card(checkpoint, repo_id, picture)
    repo = open_repo(repo_id, is_private=is_private, branch=branch, is_new_branch=not create_pr)
    files[CARD_NAME] = write_card(checkpoint, repo, picture).encode()
    tell(f"Pushing {len(files)} files, {sum(map(len, files.values())):,} bytes, to {repo}.")
    message = f"{checkpoint.config.architecture} {checkpoint.digest}"
    return push_files(repo, files, message, branch=branch, create_pr=create_pr)


def read_checkpoint(folder: Path) -> tuple[Checkpoint, dict[str, bytes]]:
    """A checkpoint that may be pushed, and its files as they are, without the card.

    Raises:
        CheckpointError: if it does not load, or lacks metrics.
    """
    folder = Path(folder)
    checkpoint = load_checkpoint(folder)
    if not checkpoint.metrics:
        raise CheckpointError(
            f"{folder} has no {METRICS_NAME}: nobody could tell how good it is. train.train and train.train_detector "
            "write one; a checkpoint of another making needs the same figures."
        )
    return checkpoint, {name: (folder / name).read_bytes() for name in (WEIGHTS_NAME, CONFIG_NAME, METRICS_NAME)}


def draw_mistakes(checkpoint: Checkpoint, data_root: Path | None = None) -> MistakesPicture | None:
    """What the checkpoint gets wrong of MNIST's test images; None without MNIST, or without mistakes."""
    if find_mnist(data_root, "test") is None:
        return None
    test: LabeledImages = load_mnist("test", data_root)
    if checkpoint.config.architecture in ARCHITECTURES:
        return draw_misread(DigitClassifier(checkpoint), test)
    return draw_missed(PageDetector(checkpoint), test)


def write_card(checkpoint: Checkpoint, repo_id: str, picture: MistakesPicture | None) -> str:
    """The model card for a repo, out of the checkpoint's metrics.

    Raises:
        CheckpointError: if the metrics lack a figure that the card is about.
    """
    is_digits = checkpoint.config.architecture in ARCHITECTURES
    config_class, write = (TrainConfig, make_card) if is_digits else (DetectorConfig, make_detector_card)
    mistakes = None if picture is None else (PICTURE_NAME, picture.sentence)
    name = repo_id.rpartition("/")[2]
    try:
        config = config_class.from_dict(checkpoint.metrics["training"])
        return write(name, config, checkpoint.metrics, repo_id=repo_id, mistakes=mistakes)
    except KeyError as err:
        raise CheckpointError(
            f"{METRICS_NAME} of {checkpoint.label} lacks {err}, which the model card is about."
        ) from err
    except (ConfigError, TypeError, ValueError, AttributeError, IndexError) as err:
        raise CheckpointError(f"{METRICS_NAME} of {checkpoint.label} is not what a training writes: {err}") from err


def describe_push(push: Push) -> str:
    """What came of it, for the terminal."""
    if not push.is_new:
        return f"Nothing to push: {push.repo_id} holds the same files already.\n{push.url}\n{push.commit}"
    return f"Pushed to {push.repo_id}.\n{push.url}\n{push.commit}"


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m train.push", description="Push a checkpoint to the Hub.")
    parser.add_argument("checkpoint", type=Path, help="the checkpoint's folder, such as checkpoints/digitnet")
    parser.add_argument("--repo-id", required=True, metavar="NAME", help="user/name, or a name of your own")
    parser.add_argument("--private", action="store_true", help="make the repo private, if it is made")
    parser.add_argument("--revision", metavar="BRANCH", help="branch to push to (default: main); made if need be")
    parser.add_argument("--create-pr", action="store_true", help="open a pull request in place of pushing")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="folder that holds MNIST/raw (default: DIGITCORE_DATA)"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
