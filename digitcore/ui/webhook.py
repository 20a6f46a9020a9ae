"""The webhook by which the Hub, or its owner, tells a running app that there is a new revision.

    curl -X POST https://USER-SPACE.hf.space/webhooks/reload -H "X-Webhook-Secret: $WEBHOOK_SECRET"

The secret stands in the Space's settings as WEBHOOK_SECRET and in the webhook's own; without one there is no such
address. Payload and header: https://huggingface.co/docs/hub/webhooks.
"""

import hmac
import json
import logging
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from digitcore.errors import DigitcoreError
from digitcore.live import LiveReader

logger = logging.getLogger(__name__)

SECRET_VARIABLE = "WEBHOOK_SECRET"
SECRET_HEADER = "X-Webhook-Secret"
WEBHOOK_PATH = "/webhooks/reload"
# The Hub's payloads are of one or two kB.
MAX_BODY_BYTES = 64 * 1024
# Commits, branches and tags; what else happens to a repo changes no weights.
CONTENT_SCOPE = "repo.content"


def make_webhook_routes(reader: LiveReader, secret: str | None) -> list[Route]:
    """The route for `launch_options`.

    Args:
        reader: to be told.
        secret: that a request must know; None or "" for no route at all.
    """
    if not secret:
        return []

    async def reload(request: Request) -> JSONResponse:
        given = request.headers.get(SECRET_HEADER, "")
        if not hmac.compare_digest(given.encode(), secret.encode()):
            return _answer(401, error=f"The header {SECRET_HEADER} does not hold this app's secret.")
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MAX_BODY_BYTES:
                return _answer(413, error=f"A payload has at most {MAX_BODY_BYTES:,} bytes.")
        try:
            reason = find_reason_to_ignore(json.loads(body or b"{}"), reader.repo_ids)
        except ValueError as err:
            return _answer(400, error=f"The payload is not what the Hub sends: {err}")
        if reason is not None:
            return _answer(200, changed=False, ignored=reason, **_describe(reader))
        return await run_in_threadpool(_reload, reader)

    return [Route(WEBHOOK_PATH, reload, methods=["POST"])]


def find_reason_to_ignore(payload: Any, repo_ids: tuple[str, ...]) -> str | None:
    """Why an event changes nothing here.

    Args:
        payload: the request's JSON; an empty object asks for a look whatever happened.
        repo_ids: that the app follows.

    Returns:
        A sentence, or None if the app is to look for a new revision.

    Raises:
        ValueError: if it is no event of the Hub's.
    """
    if not isinstance(payload, dict):
        raise ValueError(f"expected a JSON object, got {type(payload).__name__}")
    if not payload:
        return None
    event, repo = payload.get("event"), payload.get("repo")
    if not isinstance(event, dict) or not isinstance(repo, dict) or not isinstance(event.get("scope"), str):
        raise ValueError('expected "event" with a "scope", and "repo"')
    if not event["scope"].startswith(CONTENT_SCOPE) and event["scope"] != "repo":
        return f'An event of scope "{event["scope"]}" changes no weights.'
    if repo.get("type") != "model" or repo.get("name") not in repo_ids:
        return f"This app follows {' and '.join(repo_ids) or 'no repo of the Hub'}, and no other."
    return None


def _reload(reader: LiveReader) -> JSONResponse:
    try:
        changed = reader.reload()
    except DigitcoreError:
        return _answer(502, error=reader.problem, **_describe(reader))
    except Exception:
        logger.exception("unexpected failure while reloading")
        return _answer(500, error="Not reloaded because of a fault on our side; see the log.", **_describe(reader))
    return _answer(200, changed=changed, **_describe(reader))


def _describe(reader: LiveReader) -> dict[str, str | None]:
    """What answers now."""
    classifier = reader.classifier
    return {
        "model": classifier.label,
        "detector": reader.detector_label,
        "revision": classifier.checkpoint.revision,
    }


def _answer(status: int, **content: Any) -> JSONResponse:
    return JSONResponse(content, status)
