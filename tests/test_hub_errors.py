import httpx2
import pytest
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

from digitcore.errors import DigitcoreError, HubError
from digitcore.hub_errors import explain, find_cause, find_status, hub_errors, is_passing, is_unreachable


def _answer(kind, status):
    request = httpx2.Request("GET", "https://huggingface.co/api/models/ada/digits")
    return kind("planned", response=httpx2.Response(status, request=request))


CASES = [
    (LocalTokenNotFoundError("x"), "There is no Hub token", False),
    (OIDCError("no provider"), "Trusted Publisher needs cannot be had. no provider", False),
    (HFValidationError("x"), "no repo id of the Hub", False),
    (OfflineModeIsEnabled("x"), "cannot be reached", True),
    (httpx2.ConnectError("x"), "cannot be reached", True),
    (httpx2.ReadTimeout("x"), "cannot be reached", True),
    (httpx2.RemoteProtocolError("x"), "broke off", True),
    (_answer(GatedRepoError, 403), "is gated", False),
    (_answer(RevisionNotFoundError, 404), "no such revision", False),
    (_answer(RepositoryNotFoundError, 404), "no repo ada/digits, or it is private", False),
    (_answer(HfHubHTTPError, 401), "does not know the token", False),
    (_answer(HfHubHTTPError, 403), "may not write to ada/digits", False),
    (_answer(HfHubHTTPError, 429), "fault of its own (status 429)", True),
    (_answer(HfHubHTTPError, 500), "fault of its own (status 500)", True),
    (_answer(BadRequestError, 400), "refuses what was sent. planned", False),
    (ValueError("bad header"), "refuses what was sent. bad header", False),
]


@pytest.mark.parametrize(("err", "words", "passing"), CASES, ids=lambda value: type(value).__name__)
def test_each_error_has_its_sentence(err, words, passing):
    assert words in explain(err, "ada/digits") and "\n" not in explain(err, "ada/digits")
    assert is_passing(err) is passing
    if not isinstance(err, OSError) or isinstance(err, HfHubHTTPError | OfflineModeIsEnabled):
        with pytest.raises(HubError, match="Could not push") as raised, hub_errors("push", "ada/digits"):
            raise err
        assert words in str(raised.value)


def test_find_cause_looks_through_the_clients_wrappings():
    inner = _answer(HfHubHTTPError, 500)
    for wrapping in (RuntimeError("uploading"), LocalEntryNotFoundError("looking")):
        wrapping.__cause__ = inner
        assert find_cause(wrapping) is inner
    alone = RuntimeError("alone")
    assert find_cause(alone) is alone


def test_find_status_and_unreachable_of_others():
    assert find_status(ValueError("x")) is None and not is_unreachable(ValueError("x"))
    assert find_status(_answer(HfHubHTTPError, 418)) == 418


def test_our_own_errors_pass_as_they_are():
    with pytest.raises(DigitcoreError, match="^as it was$"), hub_errors("push", "ada/digits"):
        raise DigitcoreError("as it was")


def test_a_servers_page_is_shown_in_part():
    assert len(explain(OSError("x" * 5000), "ada/digits")) <= 300
