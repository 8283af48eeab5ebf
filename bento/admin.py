"""POST /admin/swap and /admin/rollback: bearer token and a small JSON body in, the store's new pointer out.

The gallery is opened and asked here before the pointer moves, so that one which would fail on this replica never does;
the other replicas follow the pointer by themselves.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel, SecretStr, ValidationError
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bento.errors import RefusedError
from bento.live import Live
from bento.schemas import PointerResponse, RollbackRequest, SwapRequest
from bento.serving import Serving
from bento.visits import visit_of
from catalog.errors import ForbiddenError, MalformedError, NotReadyError, TooLargeError, UnauthorizedError
from index_builder.errors import GalleryError, GateError
from index_builder.gate import QualityGate
from index_builder.manifest import LivePointer
from index_builder.pointer_moves import previous_of, refuse_on_trial
from index_builder.store import Store, check_expected, check_version

MAX_BODY_BYTES = 4096

AnyBody = TypeVar("AnyBody", bound=BaseModel)
Move = Callable[[Store, Serving], LivePointer]


class Admin:
    """The handlers; `routes` is their table. Without a `token` they are closed."""

    def __init__(self, live: Live, token: SecretStr | None) -> None:
        self._live = live
        self._token = token

    @property
    def routes(self) -> list[Route]:
        """The table of POST routes."""
        return [
            Route("/admin/swap", self.swap, methods=["POST"]),
            Route("/admin/rollback", self.rollback, methods=["POST"]),
        ]

    async def swap(self, request: Request) -> Response:
        """Make a published gallery live, if it passes the gate; the live one again: look at the store now."""
        check_token(request, self._token)
        asked = await _read(request, SwapRequest)
        visit_of(request.scope).action = {
            "action": "swap",
            "version": asked.version,
            "expected_version": asked.expected_version,
        }
        pointer = await self._live.opener.seen()
        check_expected(pointer, asked.expected_version)
        if pointer is not None and pointer.live.gallery == asked.version:
            return await self._answer()
        refuse_on_trial(pointer, check_version(asked.version))

        def move(store: Store, green: Serving) -> LivePointer:
            return store.swap_opened(green.gallery, expected=asked.expected_version, gate=QualityGate())

        await self._move(asked.version, move)
        return await self._answer()

    async def rollback(self, request: Request) -> Response:
        """Make the gallery live again that was before; it passed the gate in its time."""
        check_token(request, self._token)
        asked = await _read(request, RollbackRequest)
        visit_of(request.scope).action = {"action": "rollback", "expected_version": asked.expected_version}
        pointer = await self._live.opener.pointer()
        check_expected(pointer, asked.expected_version)

        def move(store: Store, green: Serving) -> LivePointer:
            return store.rollback(expected=pointer.live.gallery, spaces=green.networks.info.spaces)

        await self._move(previous_of(pointer).gallery, move)
        return await self._answer()

    async def _move(self, version: str, move: Move) -> None:
        """Open a gallery here, move the pointer, answer from it; `RefusedError` when it is not fit for it."""

        async def confirm(green: Serving) -> None:
            await self._live.opener.ask(lambda store: move(store, green), name="store")

        try:
            await self._live.move_to(version, confirm=confirm)
        except (GalleryError, GateError) as error:
            raise RefusedError(str(error)) from error

    async def _answer(self) -> Response:
        """The pointer, once this replica has followed it."""
        follower = self._live.follower
        await follower.look()
        pointer, answers = follower.pointer, self._live.version
        if follower.store_failure is not None or pointer is None or answers is None:
            raise NotReadyError(follower.reason)
        if answers != follower.wanted and (failure := follower.failures.get(follower.wanted or "")) is not None:
            raise RefusedError(f"gallery {answers} goes on here: {failure.reason}")
        content = PointerResponse(
            live=pointer.live.gallery,
            previous=pointer.previous and pointer.previous.gallery,
            canary=pointer.canary and pointer.canary.gallery,
            canary_share=pointer.canary_share,
            answers=answers,
        )
        return Response(content.model_dump_json(), media_type="application/json")


def check_token(request: Request, token: SecretStr | None) -> None:
    """Raise `ForbiddenError` when there is no token to know anybody by, `UnauthorizedError` for another than it."""
    if token is None:
        raise ForbiddenError("the admin routes are closed: the service was started without SHOPCAM_ADMIN_TOKEN")
    if not is_token(request.headers, token):
        raise UnauthorizedError("give the admin token, as in `Authorization: Bearer TOKEN`")


def is_token(headers: Headers, token: SecretStr) -> bool:
    """Whether a request brings this bearer token, compared in a time that does not tell how much of it is right."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    same = hmac.compare_digest(given.strip().encode("latin-1"), token.get_secret_value().encode())
    return same and scheme.lower() == "bearer"


async def _read(request: Request, kind: type[AnyBody]) -> AnyBody:
    """The JSON body, none counts as an empty one; `MalformedError` or `TooLargeError` with what is wrong."""
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY_BYTES:
            raise TooLargeError(f"the body is larger than {MAX_BODY_BYTES} bytes")
    try:
        return kind.model_validate(json.loads(content or b"{}"))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "the body"
        raise MalformedError(f"{name}: {first['msg'][0].lower()}{first['msg'][1:]}") from None
    except (ValueError, RecursionError):
        raise MalformedError("the body is not valid JSON") from None
