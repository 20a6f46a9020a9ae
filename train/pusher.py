"""Pushes while a training runs: now and then in the background, and the finished checkpoint at the end."""

import argparse
import logging
import shlex
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Self

from digitcore.checkpoint import CARD_NAME
from digitcore.errors import ConfigError, DigitcoreError
from digitcore.hub_push import Push, open_repo, push_files
from train.push import push_checkpoint, read_checkpoint, write_card

logger = logging.getLogger(__name__)


def add_push_options(parser: argparse.ArgumentParser, unit: str) -> None:
    """Where to push to, and how often.

    Args:
        parser: of a training command.
        unit: what the training counts in, such as "epochs".
    """
    parser.add_argument(
        "--push-to-hub", metavar="NAME", help="push the checkpoint to this Hub repo at the end: user/name, or a name"
    )
    parser.add_argument(
        "--push-every",
        type=int,
        default=0,
        metavar="N",
        help=f"push after each N {unit} too, in the background (default: %(default)s, never)",
    )
    parser.add_argument("--private", action="store_true", help="make the Hub repo private, if it is made")


def list_push_options(options: argparse.Namespace) -> list[str]:
    """The words that repeat these options."""
    if not options.push_to_hub:
        return []
    words = ["--push-to-hub", options.push_to_hub]
    words += ["--push-every", str(options.push_every)] if options.push_every else []
    return words + (["--private"] if options.private else [])


class Pusher:
    """The pushes of one run. One is under way at a time; a checkpoint that comes meanwhile waits for its next turn."""

    def __init__(self, repo_id: str, every: int, data_root: Path | None, is_private: bool) -> None:
        """Open the repo now, so that a wrong name or token shows before the training and not after it.

        Args:
            repo_id: user/name, or a name alone for one of the token's owner.
            every: after so many epochs or rounds a checkpoint is pushed in the background; 0 is never.
            data_root: where MNIST is, for the picture on the card.
            is_private: what the repo is to be if it is made.

        Raises:
            HubError: if there is no token, or the repo cannot be opened.
        """
        self.repo_id = open_repo(repo_id, is_private=is_private)
        self.every = every
        self._data_root = data_root
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="push")
        self._under_way: Future[None] | None = None

    @classmethod
    def from_options(cls, options: argparse.Namespace) -> Self | None:
        """None if nothing is to be pushed.

        Raises:
            ConfigError: if the options do not fit one another.
            HubError: as for the constructor.
        """
        if options.push_every < 0:
            raise ConfigError(f"--push-every must be at least 0, got {options.push_every}.")
        if not options.push_to_hub:
            if options.push_every or options.private:
                raise ConfigError("--push-every and --private go with --push-to-hub NAME.")
            return None
        return cls(options.push_to_hub, options.push_every, options.data, options.private)

    def is_due(self, n_done: int) -> bool:
        """Whether a checkpoint is wanted after so many."""
        return self.every > 0 and n_done % self.every == 0

    def push_behind(self, folder: Path, progress: str) -> None:
        """Push a checkpoint while the training goes on; a failure is logged, and ends nothing.

        Args:
            folder: of the checkpoint; it may change as soon as this returns.
            progress: such as "4 of 16 epochs", for the commit's message.
        """
        if self._under_way is not None and not self._under_way.done():
            logger.warning("the push before is still under way; %s is not pushed", progress)
            return
        checkpoint, files = read_checkpoint(folder)
        # Without the picture of mistakes: the test images are read once, when the training is done.
        files[CARD_NAME] = write_card(checkpoint, self.repo_id, None).encode()
        message = f"{checkpoint.config.architecture} {checkpoint.digest}, {progress}"
        self._under_way = self._pool.submit(self._push, files, message)

    def push_at_end(self, folder: Path) -> Push:
        """Wait for what is under way, then push the finished checkpoint.

        Raises:
            HubError: if the Hub refuses, or cannot be reached; the sentence says how to push later.
        """
        self.close()
        try:
            return push_checkpoint(folder, self.repo_id, data_root=self._data_root)
        except DigitcoreError as err:
            later = shlex.join(["python", "-m", "train.push", str(folder), "--repo-id", self.repo_id])
            raise type(err)(f"{err} The checkpoint is in {folder}; push it later with:\n    {later}") from err

    def close(self) -> None:
        """Wait for what is under way."""
        self._pool.shutdown(wait=True)

    def _push(self, files: dict[str, bytes], message: str) -> None:
        try:
            push = push_files(self.repo_id, files, message)
        except DigitcoreError as err:
            logger.warning("%s The training goes on.", err)
        else:
            logger.info("pushed %s: %s", message, push.url)
