"""The outermost middleware: gives every request its visit, every answer its headers, and the audit log its line.

What browsers of other origins may do (CORS) is decided here too; admin routes and metrics are never opened to them.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bento import audit
from bento.addresses import Network
from bento.headers import CORS_ANSWER_HEADERS, CORS_MAX_AGE_S, CORS_REQUEST_HEADERS, complete
from bento.observed import observed
from bento.routes import Access
from bento.visits import begin

POLICY_VIOLATION = 1008
UVLOOP_CLOSED = "the handler is closed"  # asyncio's own connections take what is written to them when they are closed


class Perimeter:
    """ASGI middleware. `origins` are the web origins whose pages may call, `proxies` those that name the client."""

    def __init__(self, app: ASGIApp, *, origins: Sequence[str] = (), proxies: Sequence[Network] = ()) -> None:
        self._app = app
        self._proxies = proxies
        self._shared = app
        if origins:
            self._shared = CORSMiddleware(
                app,
                allow_origins=origins,
                allow_methods=("GET", "POST"),
                allow_headers=CORS_REQUEST_HEADERS,
                expose_headers=CORS_ANSWER_HEADERS,
                max_age=CORS_MAX_AGE_S,
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "websocket":  # nothing here speaks it
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        visit = begin(scope, self._proxies)

        async def counted() -> Message:
            message = await receive()
            visit.bytes_in += len(message.get("body", b""))
            return message

        async def completed(message: Message) -> None:
            if message["type"] == "http.response.start":
                visit.status = message["status"]
                complete(MutableHeaders(scope=message), visit)
            visit.bytes_out += len(message.get("body", b""))
            try:
                await send(message)
            except RuntimeError as error:  # the client is gone, and nobody is left to be told
                if UVLOOP_CLOSED not in str(error):
                    raise

        app = self._shared if visit.access in (Access.KEY, Access.OPEN) else self._app
        with observed(scope, visit):
            try:
                await app(scope, counted, completed)
            finally:
                audit.record(visit, method=scope["method"])
