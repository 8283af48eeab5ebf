"""The inner middleware: hands requests to pages and searches, limits work, gives every failure the contract's body.

BentoML answers its own probes and errors in its own form; this stands before it, so that what a client sees is
DESIGN section 5 whatever part of the stack spoke. Who may pass at all is asked of the `Guard`.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bento.admission import Admission
from bento.deadlines import timeout_of
from bento.guard import Guard
from bento.metrics import ANSWERS
from bento.presence import answer_while_there
from bento.schemas import ErrorDetail, ErrorResponse
from bento.searches import Handler
from bento.visits import visit_of
from catalog.errors import ShopcamError, TooLargeError

logger = logging.getLogger("shopcam")

FORM_OVERHEAD_BYTES = 64 * 1024  # boundaries and fields around the photo
MAX_ERROR_BODY_BYTES = 64 * 1024
CLIENT_CLOSED = "client_closed"
MAX_DIGITS = 18  # of a declared length: Python refuses to read a number of thousands
_CODES = {
    400: ("malformed", "the request cannot be read"),
    404: ("not_found", "there is nothing at this address"),
    405: ("method_not_allowed", "this address does not take this method"),
    422: ("out_of_range", "a value is out of range"),
    503: ("not_ready", "the service is not ready"),
    504: ("deadline_exceeded", "the answer would come too late"),
}


def error_response(error: ShopcamError) -> Response:
    """The contract's body and headers for one of our errors."""
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if error.status == HTTPStatus.REQUEST_TIMEOUT:
        headers["Connection"] = "close"  # what is left of the request may still come
    return _error(error.status, error.code, str(error), headers)


def unexpected_response() -> Response:
    """The body for a bug; the log has the traceback."""
    return _error(500, "internal", "something went wrong here; the service's log says more")


class Door:
    """ASGI middleware around BentoML's app. `pages` and `searches`, once there, answer the routes they know."""

    pages: ClassVar[Starlette | None] = None
    searches: ClassVar[Mapping[str, Handler]] = {}

    def __init__(self, app: ASGIApp, *, guard: Guard, admission: Admission, max_bytes: int) -> None:
        self.app = app
        self._guard = guard
        self._admission = admission
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer, visit = _Answer(scope, send), visit_of(scope)
        try:
            await self._guard.admit(scope, visit)
            search = self._searching(scope)
            if search is None and (page := self._page(scope)) is not None:
                await page(scope, receive, answer.send)
            else:  # whatever is neither is BentoML's, which says 404 or 405
                await self._search(search or self.app, scope, receive, answer)
        except ShopcamError as error:
            await answer.replace(error_response(error), receive)
        except Exception:  # the last place where a bug can become an answer
            logger.exception("unexpected error on %s %s", scope["method"], scope["path"])
            await answer.replace(unexpected_response(), receive)
        visit.code = answer.code
        ANSWERS.labels(visit.route, visit.code).inc()

    def _page(self, scope: Scope) -> ASGIApp | None:
        """Our pages, if one of them has this address (whatever the method: they say 405 then)."""
        pages = self.pages
        if pages is not None and any(route.matches(scope)[0] is not Match.NONE for route in pages.routes):
            return pages
        return None

    async def _search(self, app: ASGIApp, scope: Scope, receive: Receive, answer: _Answer) -> None:
        """Let a search be answered, unless that would take too long or the client leaves."""
        patience_s = timeout_of(Headers(scope=scope), default_s=math.inf, most_s=math.inf)
        with self._admission.request(timeout_s=patience_s) as place:
            capped = self._capped(scope, receive)
            if not await answer_while_there(app, scope, capped, answer.send, whole=place.enter):
                answer.code = CLIENT_CLOSED

    def _searching(self, scope: Scope) -> ASGIApp | None:
        """What answers this search, if it is one."""
        handler = self.searches.get(scope["path"]) if scope["method"] == "POST" else None
        if handler is None:
            return None

        async def answered(scope: Scope, receive: Receive, send: Send) -> None:
            response = await handler(Request(scope, receive))
            await response(scope, receive, send)

        return answered

    def _capped(self, scope: Scope, receive: Receive) -> Receive:
        """Count the body while it is read; a declared length over the limit is refused before a byte of it."""
        limit = self._max_bytes + FORM_OVERHEAD_BYTES
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and (len(declared) > MAX_DIGITS or int(declared) > limit):
            raise self._too_large()
        read = 0

        async def capped() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > limit:
                raise self._too_large()
            return message

        return capped

    def _too_large(self) -> TooLargeError:
        return TooLargeError(f"the upload is larger than {self._max_bytes:,} bytes; send a smaller photo")


class _Answer:
    """Passes an answer on; holds back one that failed in a foreign form and sends the contract's body instead."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._held: Message | None = None
        self._body = b""
        self._started = False
        self.code = "ok"

    async def send(self, message: Message) -> None:
        """ASGI send."""
        if message["type"] == "http.response.start":
            if message["status"] >= HTTPStatus.BAD_REQUEST:
                self._held = message
                return
            self._started = True
            await self._send(message)
        elif self._held is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")[:MAX_ERROR_BODY_BYTES]
            if not message.get("more_body", False):
                await self._finish(self._held)

    async def replace(self, response: Response, receive: Receive) -> None:
        """Send `response` unless an answer is already on its way."""
        if not self._started:
            self.code = json.loads(bytes(response.body))["error"]["code"]
            self._started = True
            await response(self._scope, receive, self._send)

    async def _finish(self, held: Message) -> None:
        ours = _ours(self._body)
        if ours is None:
            response = _foreign(held, self._body)
            await self.replace(response, _nothing)
            return
        self.code = ours
        self._started = True
        await self._send(held)
        await self._send({"type": "http.response.body", "body": self._body})


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


def _ours(data: bytes) -> str | None:
    """The code of a body in the contract's form, None for any other body."""
    try:
        return ErrorResponse.model_validate_json(data).error.code
    except ValueError:
        return None


def _foreign(held: Message, data: bytes) -> Response:
    """A failure of Starlette's or BentoML's as the contract says it."""
    status = held["status"]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and status not in _CODES:
        return unexpected_response()
    if status not in _CODES:
        return _error(400, "malformed", " ".join(data.decode(errors="replace").split())[:200] or _CODES[400][1])
    headers = {}
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = Headers(raw=held["headers"]).get("allow", "GET, HEAD")
    return _error(status, *_CODES[status], headers)


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    # What a client sent may be quoted, whatever characters it is of: half a surrogate pair cannot even be encoded.
    sentence = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in message)
    content: dict[str, Any] = ErrorResponse(error=ErrorDetail(code=code, message=sentence)).model_dump()
    return JSONResponse(content, status_code=status, headers=headers)


async def on_error(_: Request, error: Exception) -> Response:
    """Starlette's exception handler for our pages."""
    return error_response(error) if isinstance(error, ShopcamError) else unexpected_response()
