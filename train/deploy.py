"""Put the app on the Hugging Face Hub as a Space: the files that it needs and no others, in one commit.

    python -m train.deploy --space NAME [--checkpoint user/digitnet@revision] [--detector …] [--private] [--dry-run]

NAME is user/name, or a name alone for one of your own; the Space is made if it is not there. What the Space holds and
the app does not need is deleted. --checkpoint and --detector become its variables DIGITCORE_CHECKPOINT and
DIGITCORE_DETECTOR, are checked, and fetched when the Space is built; without them the variables stay as they are, and
a Space without them uses the checkpoints that are shipped. If WEBHOOK_SECRET is set here, it becomes the Space's
secret for reloading. --dry-run prints the files, the header and the variables, and reaches for nothing.
"""

import argparse
import os
import sys
from pathlib import Path

from huggingface_hub import HfApi

from digitcore.errors import DigitcoreError, HubError
from digitcore.hub import COMMIT_PATTERN, DEFAULT_DETECTOR, REPO_PATTERN, SHIPPED_NAMES
from digitcore.hub_errors import hub_errors
from digitcore.hub_push import Push, open_repo, push_files
from digitcore.reader import DigitReader
from train.options import EXIT_ERROR
from train.space_files import (
    README_NAME,
    describe_files,
    dump_header,
    find_space_files,
    make_space_readme,
    split_header,
)

ROOT = Path(__file__).resolve().parent.parent
CHECKPOINT_VARIABLE, DETECTOR_VARIABLE, SECRET_VARIABLE = "DIGITCORE_CHECKPOINT", "DIGITCORE_DETECTOR", "WEBHOOK_SECRET"
COMMIT_MESSAGE = "The app, from its repository"
NOT_SET = "Set it in the Space's settings, under Variables and secrets."


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = _parse(argv)
    variables = {CHECKPOINT_VARIABLE: options.checkpoint, DETECTOR_VARIABLE: options.detector}
    try:
        variables = {name: value for name, value in variables.items() if value is not None}
        models = find_models(variables)
        if options.dry_run:
            print(preview(options.space, variables, models))
            return 0
        push = deploy(options.space, variables, models, is_private=options.private)
    except DigitcoreError as err:
        print(f"Error: {err}", file=sys.stderr)
        return EXIT_ERROR
    what = "Deployed to" if push.is_new else "Nothing to deploy: the same files are there already, in"
    print(f"{what} {push.repo_id}.\n{HfApi().endpoint}/spaces/{push.repo_id}\n{push.commit}")
    return 0


def find_models(variables: dict[str, str]) -> dict[str, str | None]:
    """The Hub repos among the checkpoints, each with its commit if one was named.

    Raises:
        HubError: if one is neither a Hub repo nor shipped: a Space cannot see this machine's folders.
    """
    models: dict[str, str | None] = {}
    for value in variables.values():
        match = REPO_PATTERN.fullmatch(value)
        if match is not None:
            is_commit = COMMIT_PATTERN.fullmatch(match["revision"] or "") is not None
            models[match["repo"]] = match["revision"] if is_commit else None
        elif value not in (*SHIPPED_NAMES, DEFAULT_DETECTOR):
            raise HubError(
                f'"{value}" is no checkpoint that a Space can load. Use {", ".join(SHIPPED_NAMES)}, or a Hub repo as '
                "user/name or user/name@revision; train.push makes one of a folder."
            )
    return models


def preview(space: str, variables: dict[str, str], models: dict[str, str | None]) -> str:
    """What a deployment would send."""
    files = _collect(space, models)
    header = dump_header(split_header(files[README_NAME].decode())[0])
    lines = [f"Space {space}:", *describe_files(files), "", "Header of README.md:", header]
    lines += ["Variables:", *(f"{name}={value}" for name, value in variables.items())]
    lines += [] if variables else ["(left as they are)"]
    lines += [
        f"{SECRET_VARIABLE}: {'set here, becomes a secret' if os.environ.get(SECRET_VARIABLE) else 'not set here'}"
    ]
    return "\n".join(lines)


def deploy(space: str, variables: dict[str, str], models: dict[str, str | None], *, is_private: bool = False) -> Push:
    """Make or update a Space.

    Args:
        space: user/name, or a name alone for one of the token's owner.
        variables: to be set.
        models: as `find_models` gives them.
        is_private: what the Space is to be if it is made.

    Raises:
        CheckpointError: if a checkpoint cannot be loaded: the Space could not start.
        HubError: if there is no token, or the Hub refuses, or it cannot be reached.
    """
    commits = _check_checkpoints(variables)
    pinned = {repo: commits[repo] for repo in models}
    _collect(space, pinned)
    repo_id = open_repo(space, "space", is_private=is_private)
    for name, value in variables.items():
        print(_set(repo_id, name, value, is_secret=False))
    if secret := os.environ.get(SECRET_VARIABLE):
        print(_set(repo_id, SECRET_VARIABLE, secret, is_secret=True))
    files = _collect(repo_id, {repo: commit for repo, commit in pinned.items() if _is_public(repo)})
    print(f"Pushing {len(files)} files, {sum(map(len, files.values())):,} bytes, to {repo_id}.", flush=True)
    return push_files(repo_id, files, COMMIT_MESSAGE, kind="space", is_all=True)


def _collect(space: str, models: dict[str, str | None]) -> dict[str, bytes]:
    """All files of the Space."""
    readme = (ROOT / README_NAME).read_text(encoding="utf-8")
    name = space.rpartition("/")[2]
    return {README_NAME: make_space_readme(readme, name, models).encode()} | find_space_files(ROOT)


def _check_checkpoints(variables: dict[str, str]) -> dict[str, str | None]:
    """See that the app would start with them; returns the commits of those from the Hub."""
    reader = DigitReader.from_pretrained(
        variables.get(CHECKPOINT_VARIABLE), detector=variables.get(DETECTOR_VARIABLE), device="cpu"
    )
    print(f"Checked {reader.classifier.label} and {reader.detector_label}.", flush=True)
    return {part.checkpoint.name: part.checkpoint.revision for part in (reader.classifier, reader.detector)}


def _is_public(repo: str) -> bool:
    """Only what is public can be fetched while a Space is built."""
    with hub_errors(f"look at {repo}", repo):
        is_private = bool(HfApi().model_info(repo).private)
    if is_private:
        print(f"{repo} is private: put a token that may read it into the Space's settings, as the secret HF_TOKEN.")
    return not is_private


def _set(repo_id: str, name: str, value: str, *, is_secret: bool) -> str:
    """Set a variable or secret; a Trusted Publisher's token may write files and, it may be, nothing else."""
    add = HfApi().add_space_secret if is_secret else HfApi().add_space_variable
    shown = "(secret)" if is_secret else value
    try:
        with hub_errors(f"set {name}", repo_id):
            add(repo_id, name, value)
    except HubError as err:
        return f"Not set: {name}={shown}. {err} {NOT_SET}"
    return f"Set {name}={shown}."


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m train.deploy", description="Put the app on the Hub as a Space.")
    parser.add_argument("--space", required=True, metavar="NAME", help="user/name, or a name of your own")
    parser.add_argument("--checkpoint", metavar="NAME", help="digitnet, seed, or a Hub repo user/name[@revision]")
    parser.add_argument("--detector", metavar="NAME", help="detector, or a Hub repo user/name[@revision]")
    parser.add_argument("--private", action="store_true", help="make the Space private, if it is made")
    parser.add_argument("--dry-run", action="store_true", help="print what would be sent, and send nothing")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
