"""Push: files → one commit of a repository on the Hugging Face Hub, a model's or a Space's."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError

from digitcore.errors import HubError
from digitcore.hub_errors import NO_TOKEN, PRECONDITION_FAILED, find_status, hub_errors

logger = logging.getLogger(__name__)

RepoKind = Literal["model", "space"]
MAIN = "main"
# As the Hub names the branch behind a pull request.
PULL_REQUEST_PREFIX = "refs/pr/"
# Whoever commits between our look and our commit makes us look again; more often than this, somebody is at war.
MAX_RACES = 5
# The Hub's own, in every repo: which files are stored as large ones.
ATTRIBUTES_NAME = ".gitattributes"


@dataclass(frozen=True, slots=True)
class Push:
    """What a push came to.

    Attributes:
        repo_id: user/name.
        url: of the page that shows it: the pull request if one was opened, else the commit.
        commit: 40 hex digits; without a new commit, the one that holds the same files already.
        is_new: whether a commit was made.
    """

    repo_id: str
    url: str
    commit: str
    is_new: bool


def check_token() -> None:
    """See that there is a token to push with.

    Raises:
        HubError: if there is none.
    """
    with hub_errors("find a token", "the Hub"):
        token = get_token()
    if not token:
        raise HubError(NO_TOKEN)


def open_repo(
    name: str,
    kind: RepoKind = "model",
    *,
    is_private: bool = False,
    branch: str | None = None,
    is_new_branch: bool = True,
) -> str:
    """Find a repo, or make it.

    Args:
        name: user/name; a name alone is one of the token's owner.
        kind: of the repo.
        is_private: what it is to be if it is made; one that is there must agree.
        branch: to find, or to make from the main one; None is the main one.
        is_new_branch: whether `branch` may be made.

    Returns:
        Its id, user/name.

    Raises:
        HubError: if there is no token, or the repo can neither be found nor made, or is there and public.
    """
    check_token()
    api = HfApi()
    with hub_errors(f"open {name}", name):
        sdk = "gradio" if kind == "space" else None
        # None leaves the choice to the organisation's setting.
        url = api.create_repo(name, repo_type=kind, private=is_private or None, exist_ok=True, space_sdk=sdk)
        repo_id = url.repo_id
        is_public = is_private and not api.repo_info(repo_id, repo_type=kind).private
        if branch and not is_public and is_new_branch and not branch.startswith(PULL_REQUEST_PREFIX):
            api.create_branch(repo_id, repo_type=kind, branch=branch, exist_ok=True)
    if is_public:
        raise HubError(
            f"{repo_id} is there already, and public. Make it private in its settings first, or push without --private."
        )
    return repo_id


def push_files(
    repo_id: str,
    files: Mapping[str, bytes],
    message: str,
    *,
    kind: RepoKind = "model",
    branch: str | None = None,
    create_pr: bool = False,
    is_all: bool = False,
) -> Push:
    """Commit files, all or none of them.

    The commit follows the one that was looked at: if another push came in between, this one looks again, so that the
    repo never holds some files of one and some of the other.

    Args:
        repo_id: as `open_repo` gives it.
        files: contents by path in the repo.
        message: the commit's first line.
        kind: of the repo.
        branch: None is the main one.
        create_pr: open a pull request against the branch in place of committing to it.
        is_all: whether the repo shall hold these files and no others; what else it holds is deleted.

    Raises:
        HubError: if the Hub refuses, or is not reached.
    """
    api = HfApi()
    revision = branch or MAIN
    with hub_errors(f"push to {repo_id}", f"{repo_id}@{branch}" if branch else repo_id):
        for _ in range(MAX_RACES):
            info = api.repo_info(repo_id, repo_type=kind, revision=revision)
            there = [sibling.rfilename for sibling in info.siblings or []]
            operations = [CommitOperationAdd(path, content) for path, content in files.items()]
            operations += [CommitOperationDelete(path) for path in _find_others(there, files) if is_all]
            try:
                commit = api.create_commit(
                    repo_id,
                    operations,
                    commit_message=message,
                    repo_type=kind,
                    revision=revision,
                    create_pr=create_pr,
                    parent_commit=info.sha,
                )
            except HfHubHTTPError as err:
                if find_status(err) != PRECONDITION_FAILED:
                    raise
                logger.info("somebody else pushed to %s; looking again", repo_id)
                continue
            url = commit.pr_url or commit.commit_url
            return Push(repo_id, url, commit.oid, commit.oid != info.sha)
    raise HubError(f"Others keep pushing to {repo_id}: {MAX_RACES} times a commit came in between. Try again later.")


def _find_others(there: Iterable[str], files: Mapping[str, bytes]) -> list[str]:
    return [path for path in there if path not in files and path != ATTRIBUTES_NAME]
