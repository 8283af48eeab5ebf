"""An application and one request in; its answer out, as long as the client is there to read it.

A client that hangs up costs nothing from then on: the work for it is cancelled, also what waits in Triton's queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send


async def answer_while_there(
    app: ASGIApp, scope: Scope, receive: Receive, send: Send, *, whole: Callable[[], None]
) -> bool:
    """Let `app` answer; False when the client left before its answer was sent. Raises what `app` raises.

    `whole` is called when the request is there to its last byte; what it raises ends the request.
    """
    request = _Request(receive, send, whole)
    answer = asyncio.ensure_future(app(scope, request.receive, request.send))
    watch = asyncio.ensure_future(request.left())
    try:
        await asyncio.wait((answer, watch), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done() and not request.is_answered:
            return False
        await answer
        return True
    finally:
        await _ended(answer, watch)


class _Request:
    """The request as the application reads it, whose end is watched from outside."""

    def __init__(self, receive: Receive, send: Send, whole: Callable[[], None]) -> None:
        self._receive = receive
        self._send = send
        self._whole = whole
        self._is_whole = asyncio.Event()
        self._gone = asyncio.Event()
        self.is_answered = False

    async def receive(self) -> Message:
        """ASGI receive; after the last byte it waits until the client has left."""
        if self._is_whole.is_set():
            await self._gone.wait()
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] != "http.request":
            self._gone.set()
            self._is_whole.set()
        elif not message.get("more_body", False):
            self._whole()
            self._is_whole.set()
        return message

    async def send(self, message: Message) -> None:
        """ASGI send."""
        await self._send(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.is_answered = True

    async def left(self) -> None:
        """Return when the client has left."""
        await self._is_whole.wait()
        while not self._gone.is_set():
            if (await self._receive())["type"] == "http.disconnect":
                self._gone.set()


async def _ended(*tasks: Awaitable[object]) -> None:
    """Cancel what still runs and wait for it."""
    for task in tasks:
        if isinstance(task, asyncio.Future) and not task.done():
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
