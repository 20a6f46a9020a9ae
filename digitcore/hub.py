"""Where a checkpoint's name leads: a folder, one that is shipped, or a repository on the Hugging Face Hub."""

import hashlib
import logging
import re
from dataclasses import replace
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    OIDCError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.hf_api import RepoSibling

from digitcore.checkpoint import (
    CARD_NAME,
    CONFIG_NAME,
    MAX_WEIGHTS_BYTES,
    METRICS_NAME,
    WEIGHTS_NAME,
    Checkpoint,
    load_checkpoint,
    replace_files,
)
from digitcore.errors import CheckpointError
from digitcore.hub_errors import explain, find_cause, find_status, is_passing

logger = logging.getLogger(__name__)

SHIPPED_FOLDER = Path(__file__).resolve().parent.parent / "checkpoints"
SHIPPED_NAMES = ("digitnet", "seed")
DEFAULT_NAME, DEFAULT_DETECTOR = "digitnet", "detector"
REPO_PATTERN = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?", re.ASCII)
# Nothing else of a repository is ever fetched.
CHECKPOINT_FILES = [WEIGHTS_NAME, CONFIG_NAME, METRICS_NAME, CARD_NAME]
COMMIT_PATTERN = re.compile(r"[0-9a-f]{40}")
UNAUTHORIZED = 401
# Long enough for a slow answer; without one, the cache is asked.
HUB_TIMEOUT_S = 10


def load_pretrained(
    name: str | Path | None = None, revision: str | None = None, *, allow_cached: bool = True
) -> Checkpoint:
    """Load a checkpoint by name.

    Args:
        name: a folder, "digitnet", "seed" or "detector" for a shipped one, or `user/name` or `user/name@revision` on
            the Hub; None is the shipped DigitNet.
        revision: branch, tag or commit on the Hub.
        allow_cached: as for `pull`.

    Returns:
        The checkpoint; one from the Hub bears its repo id as name, and its commit as revision.

    Raises:
        CheckpointError: if there is none of that name, or it is damaged.
    """
    folder = resolve_checkpoint(name, revision, allow_cached=allow_cached)
    if _is_shipped(name) or Path(name).is_dir():
        return load_checkpoint(folder)
    return replace(load_named(folder, str(name).partition("@")[0]), revision=folder.name)


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


def resolve_checkpoint(
    name: str | Path | None = None, revision: str | None = None, *, allow_cached: bool = True
) -> Path:
    """Find a checkpoint's folder, downloading it once if it lies on the Hub.

    Args:
        name: as for `load_pretrained`.
        revision: as for `load_pretrained`.
        allow_cached: as for `pull`.

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
    return pull(match["repo"], revision or match["revision"], allow_cached=allow_cached)


def _is_shipped(name: str | Path | None) -> bool:
    return name is None or str(name) in (*SHIPPED_NAMES, DEFAULT_DETECTOR)


def pull(repo_id: str, revision: str | None = None, *, allow_cached: bool = True) -> Path:
    """Download a checkpoint from the Hub, or find it in the cache.

    A file is taken for what the Hub says it is only if its hash agrees; and a branch is noted in the cache as standing
    at a commit only when all of that commit's files are there. So a download that breaks off leaves the last whole one
    as what is found without a network.

    Args:
        repo_id: `user/name`.
        revision: branch, tag or commit; None is the main branch.
        allow_cached: whether what is cached will do, with a warning, where the Hub is not reached or has a fault of
            its own; not where it says that repo or revision are not there.

    Returns:
        The folder of the snapshot in the Hub's cache; its name is the commit.

    Raises:
        CheckpointError: if the repo or revision is not there or not open to us, holds no safetensors or too large
            ones, comes damaged, or the Hub cannot be reached and nothing is cached.
    """
    where = f"{repo_id}@{revision}" if revision else repo_id
    if revision and ".." in revision:
        # Git has no such names, and in the cache they would lead elsewhere.
        raise CheckpointError(f'The Hub repo {repo_id} has no revision "{revision}".')
    try:
        return _download(repo_id, revision, where)
    except RevisionNotFoundError as err:
        raise CheckpointError(f'The Hub repo {repo_id} has no revision "{revision}".') from err
    except HFValidationError as err:
        raise CheckpointError(f'"{repo_id}" is not a repo id of the Hub. Write it as user/name.') from err
    except RepositoryNotFoundError as err:
        raise CheckpointError(_describe_missing(repo_id, err)) from err
    except (httpx2.HTTPError, OIDCError, OSError) as err:
        cause = find_cause(err)
        if allow_cached and is_passing(cause):
            return _find_cached(repo_id, revision, where, cause)
        raise CheckpointError(f"Could not get {where}: {explain(cause, repo_id)}") from err


def _download(repo_id: str, revision: str | None, where: str) -> Path:
    """Look at commit, sizes and hashes first; then fetch what is not cached, of that very commit."""
    if revision and COMMIT_PATTERN.fullmatch(revision) and (cached := _find_whole(repo_id, revision)):
        # A commit never changes: nothing to ask the Hub.
        return cached
    info = HfApi().model_info(repo_id, revision=revision, files_metadata=True, timeout=HUB_TIMEOUT_S)
    files = {file.rfilename: file for file in info.siblings or []}
    weights = files.get(WEIGHTS_NAME)
    if weights is None:
        raise CheckpointError(f"{where} holds no {WEIGHTS_NAME}; only safetensors are loaded, never pickles.")
    if weights.size is None or weights.size > MAX_WEIGHTS_BYTES:
        raise CheckpointError(
            f"{where} has weights of {weights.size or 0:,} bytes; at most {MAX_WEIGHTS_BYTES:,} are loaded."
        )
    folder = Path(snapshot_download(repo_id, revision=info.sha, allow_patterns=CHECKPOINT_FILES))
    for name in CHECKPOINT_FILES:
        if name in files:
            _check_hash(folder / name, files[name], where)
    _note_branch(repo_id, revision or constants.DEFAULT_REVISION, info.sha)
    return folder


def _check_hash(path: Path, file: RepoSibling, where: str) -> None:
    """Compare with the hash that the Hub gave; a damaged file is removed from the cache, so that it is fetched anew."""
    content = path.read_bytes()
    is_large = file.lfs is not None
    expected = file.lfs.sha256 if is_large else file.blob_id
    # Git names a file by the SHA-1 of a header and the content.
    header = b"" if is_large else b"blob %d\0" % len(content)
    found = hashlib.new("sha256" if is_large else "sha1", header + content).hexdigest()
    if expected is not None and found != expected:
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        raise CheckpointError(
            f"{where}/{path.name} came damaged: its hash is not the one that the Hub names. Try again."
        )


def _find_cached(repo_id: str, revision: str | None, where: str, cause: Exception) -> Path:
    """The last whole snapshot that was fetched; the log tells that it is used, and why."""
    folder = _find_whole(repo_id, revision)
    if folder is None:
        raise CheckpointError(
            f"{where} is neither a folder here nor in the Hub's cache, and {explain(cause, repo_id)}"
        ) from cause
    logger.warning("%s: %s Using what was fetched before, commit %s.", where, explain(cause, repo_id), folder.name[:7])
    return folder


def _find_whole(repo_id: str, revision: str | None) -> Path | None:
    """A snapshot in the cache with all its files; None without one."""
    try:
        folder = snapshot_download(repo_id, revision=revision, allow_patterns=CHECKPOINT_FILES, local_files_only=True)
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    return Path(folder) if (Path(folder) / WEIGHTS_NAME).is_file() and (Path(folder) / CONFIG_NAME).is_file() else None


def _note_branch(repo_id: str, branch: str, commit: str) -> None:
    """Have the cache know where a branch stands, as the client itself would, but after the download."""
    if branch != commit:
        repo_folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repo_id, repo_type="model")
        path = repo_folder / "refs" / branch
        try:
            replace_files(path.parent, {path.name: commit.encode()})
        except OSError as err:
            # A cache that others filled may not be ours to write: what was fetched is there all the same.
            logger.warning("%s@%s is not noted in the Hub's cache: %s", repo_id, branch, err)


def _describe_missing(repo_id: str, err: RepositoryNotFoundError) -> str:
    if isinstance(err, GatedRepoError):
        return f"The Hub repo {repo_id} is gated: ask for access on its page, and set HF_TOKEN to a token of yours."
    if find_status(err) == UNAUTHORIZED:
        return (
            f"There is no folder and no Hub repo {repo_id}, or it is private: then set HF_TOKEN to a token that may "
            "read it."
        )
    return f"There is no folder and no Hub repo {repo_id}, or it is private and the token does not open it."
