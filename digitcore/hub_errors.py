"""What the Hub's client raises → one sentence for the person in front of the screen."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
from huggingface_hub import constants
from huggingface_hub.errors import (
    BadRequestError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    OIDCError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from digitcore.errors import HubError

NO_TOKEN = (
    "There is no Hub token. Make one that may write at https://huggingface.co/settings/tokens, and either run "
    "`hf auth login` or set HF_TOKEN to it."
)
TOO_MANY_REQUESTS = 429
# A commit was made since the one that ours was to follow.
PRECONDITION_FAILED = 412
# A server's message is shown in part: it may be a page of HTML.
MAX_DETAIL_LENGTH = 300


def find_cause(err: BaseException) -> BaseException:
    """What went wrong, out of the client's wrappings: of an upload's thread, of a look into the cache."""
    while isinstance(err, RuntimeError | LocalEntryNotFoundError) and err.__cause__ is not None:
        err = err.__cause__
    return err


def is_unreachable(err: BaseException) -> bool:
    """Whether the Hub gave no answer: no network, a name that leads nowhere, a connection cut off, or offline mode."""
    return isinstance(err, OfflineModeIsEnabled) or (
        isinstance(err, httpx2.TransportError | TimeoutError | ConnectionError) and not isinstance(err, HfHubHTTPError)
    )


def find_status(err: BaseException) -> int | None:
    """The HTTP status that the Hub answered with; None if it is no answer of the Hub."""
    return err.response.status_code if isinstance(err, HfHubHTTPError) and err.response is not None else None


def is_passing(err: BaseException) -> bool:
    """Whether trying again later may help: the Hub was not reached, or has a fault of its own."""
    status = find_status(err)
    return is_unreachable(err) or (status is not None and (status >= 500 or status == TOO_MANY_REQUESTS))


@contextmanager
def hub_errors(what: str, where: str) -> Iterator[None]:
    """Turn what the client raises inside the block into a `HubError`.

    Args:
        what: was to be done, to follow "could not": "push to ada/digitnet".
        where: the repo's id.

    Raises:
        HubError: with a sentence that says what is wrong and what would be right.
    """
    try:
        yield
    except (httpx2.HTTPError, HFValidationError, OIDCError, RuntimeError, ValueError, OSError) as err:
        raise HubError(f"Could not {what}: {explain(find_cause(err), where)}") from err


def explain(err: BaseException, where: str) -> str:
    """One sentence or two about an error of the Hub's client.

    Args:
        err: what was raised.
        where: the repo's id.
    """
    status = find_status(err)
    if isinstance(err, LocalTokenNotFoundError):
        return NO_TOKEN
    if isinstance(err, OIDCError):
        return f"the identity that a Trusted Publisher needs cannot be had. {_detail(err)}"
    if isinstance(err, HFValidationError):
        return f'"{where}" is no repo id of the Hub. Write it as user/name, of letters, digits, "-", "_" and ".".'
    if is_unreachable(err):
        return f"the Hub ({constants.ENDPOINT}) cannot be reached, or broke off. Check the network, and try again."
    if isinstance(err, GatedRepoError):
        return f"{where} is gated; ask for access on its page first."
    if isinstance(err, RevisionNotFoundError):
        return f"{where} has no such revision."
    if isinstance(err, RepositoryNotFoundError):
        return f"there is no repo {where}, or it is private and the token does not open it."
    if status == 401:
        return f"the Hub does not know the token. {NO_TOKEN.partition('. ')[2]}"
    if status == 403:
        return f"the token may not write to {where}. It needs write permission for that user or organisation."
    if status is not None and is_passing(err):
        return f"the Hub has a fault of its own (status {status}). Nothing was changed; try again later."
    if isinstance(err, BadRequestError | ValueError):
        return f"the Hub refuses what was sent. {_detail(err)}"
    return _detail(err)


def _detail(err: BaseException) -> str:
    return " ".join(str(err).split())[:MAX_DETAIL_LENGTH]
