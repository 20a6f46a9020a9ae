"""Where a checkpoint's name leads: a folder, one that is shipped, or a repository on the Hugging Face Hub."""

import re
from dataclasses import replace
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    DryRunError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from digitcore.checkpoint import (
    CARD_NAME,
    CONFIG_NAME,
    MAX_WEIGHTS_BYTES,
    METRICS_NAME,
    WEIGHTS_NAME,
    Checkpoint,
    load_checkpoint,
)
from digitcore.errors import CheckpointError

SHIPPED_FOLDER = Path(__file__).resolve().parent.parent / "checkpoints"
SHIPPED_NAMES = ("digitnet", "seed")
DEFAULT_NAME, DEFAULT_DETECTOR = "digitnet", "detector"
REPO_PATTERN = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?", re.ASCII)
# Nothing else of a repository is ever fetched.
CHECKPOINT_FILES = [WEIGHTS_NAME, CONFIG_NAME, METRICS_NAME, CARD_NAME]


def load_pretrained(name: str | Path | None = None, revision: str | None = None) -> Checkpoint:
    """Load a checkpoint by name.

    Args:
        name: a folder, "digitnet", "seed" or "detector" for a shipped one, or `user/name` or `user/name@revision` on
            the Hub; None is the shipped DigitNet.
        revision: branch, tag or commit on the Hub.

    Returns:
        The checkpoint; one from the Hub bears its repo id as name.

    Raises:
        CheckpointError: if there is none of that name, or it is damaged.
    """
    folder = resolve_checkpoint(name, revision)
    if _is_shipped(name) or Path(name).is_dir():
        return load_checkpoint(folder)
    return load_named(folder, str(name).partition("@")[0])


def load_named(folder: Path, name: str) -> Checkpoint:
    """Load a folder's checkpoint under another name, in its label and in what may be wrong with it.

    Whoever named a repo need not see where our cache lies.

    Args:
        folder: as `resolve_checkpoint` or `pull` gives it.
        name: to stand for the folder.

    Raises:
        CheckpointError: if it is damaged; the sentence names `name`, not the folder.
    """
    try:
        return replace(load_checkpoint(folder), name=name)
    except CheckpointError as err:
        raise CheckpointError(str(err).replace(str(folder), name)) from err


def resolve_checkpoint(name: str | Path | None = None, revision: str | None = None) -> Path:
    """Find a checkpoint's folder, downloading it once if it lies on the Hub.

    Args:
        name: as for `load_pretrained`.
        revision: as for `load_pretrained`.

    Returns:
        A local folder.

    Raises:
        CheckpointError: if there is none of that name, or the Hub does not give it.
    """
    if _is_shipped(name):
        folder = SHIPPED_FOLDER / str(name or DEFAULT_NAME)
    else:
        folder = Path(name)
    if folder.is_dir():
        if revision is not None:
            raise CheckpointError(f"A revision belongs to a Hub repo; {folder} is a local folder. Leave it out.")
        return folder
    match = REPO_PATTERN.fullmatch(str(name))
    if match is None:
        raise CheckpointError(
            f'There is no checkpoint "{name}". Name a folder, one of {", ".join(SHIPPED_NAMES)}, or a Hub repo as '
            "user/name or user/name@revision."
        )
    if revision is not None and match["revision"] is not None:
        raise CheckpointError(f'"{name}" names a revision already; "{revision}" was given as well. Give one.')
    return pull(match["repo"], revision or match["revision"])


def _is_shipped(name: str | Path | None) -> bool:
    return name is None or str(name) in (*SHIPPED_NAMES, DEFAULT_DETECTOR)


def pull(repo_id: str, revision: str | None = None) -> Path:
    """Download a checkpoint from the Hub, or find it in the cache.

    Args:
        repo_id: `user/name`.
        revision: branch, tag or commit; None is the main branch.

    Returns:
        The folder of the snapshot in the Hub's cache.

    Raises:
        CheckpointError: if the repo or revision is not there or not open to us, holds no safetensors or too large
            ones, or the Hub cannot be reached and nothing is cached.
    """
    where = f"{repo_id}@{revision}" if revision else repo_id
    try:
        return _download(repo_id, revision, where)
    except RevisionNotFoundError as err:
        raise CheckpointError(f'The Hub repo {repo_id} has no revision "{revision}".') from err
    except RepositoryNotFoundError as err:
        raise CheckpointError(
            f"There is no folder and no Hub repo {repo_id}, or it is private and the token does not open it."
        ) from err
    except HFValidationError as err:
        raise CheckpointError(f'"{repo_id}" is not a repo id of the Hub. Write it as user/name.') from err
    except LocalEntryNotFoundError as err:
        raise CheckpointError(
            f"{where} is neither a folder here nor in the Hub's cache, and the Hub cannot be reached. "
            "Check the name and the network."
        ) from err
    except (HfHubHTTPError, OSError) as err:
        raise CheckpointError(f"The Hub did not give {where}: {' '.join(str(err).split())}") from err


def _download(repo_id: str, revision: str | None, where: str) -> Path:
    """Look at the sizes first; then fetch what is not cached."""
    try:
        files = snapshot_download(repo_id, revision=revision, allow_patterns=CHECKPOINT_FILES, dry_run=True)
    except DryRunError:
        # The Hub is out of reach or refuses: the cache answers, or says that it cannot.
        return Path(snapshot_download(repo_id, revision=revision, allow_patterns=CHECKPOINT_FILES))
    weights = next((file for file in files if file.filename == WEIGHTS_NAME), None)
    if weights is None:
        raise CheckpointError(f"{where} holds no {WEIGHTS_NAME}; only safetensors are loaded, never pickles.")
    if weights.file_size is None or weights.file_size > MAX_WEIGHTS_BYTES:
        raise CheckpointError(
            f"{where} has weights of {weights.file_size or 0:,} bytes; at most {MAX_WEIGHTS_BYTES:,} are loaded."
        )
    # The commit that was looked at, so that nothing can change in between.
    commit = weights.commit_hash
    return Path(snapshot_download(repo_id, revision=commit, allow_patterns=CHECKPOINT_FILES))
