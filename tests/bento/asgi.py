"""The service's real middleware around a small application, in this process: no Triton, no gallery, no socket."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from bento.admin import check_token
from bento.admission import Admission
from bento.door import Door, error_response, on_error
from bento.guard import Guard
from bento.perimeter import Perimeter
from bento.requests import read_search
from bento.settings import Settings
from bento.visits import visit_of
from catalog.errors import ShopcamError

CLIENT = "203.0.113.9"
ADMIN_TOKEN = "an-admin-token-of-27-letters"
MAX_BYTES = 2_000_000


def service(**settings: Any) -> ASGIApp:
    """Perimeter, door and guard as the service has them; POST /search reads its form as the service does."""
    known = Settings(admin_token=ADMIN_TOKEN, **settings)

    async def search(request: Request) -> Response:
        try:
            asked = await read_search(request, timeout_s=20)
        except ShopcamError as error:
            return error_response(error)
        return JSONResponse({"photo": len(asked.image or b""), "options": asked.options.model_dump(mode="json")})

    async def data(_: Request) -> Response:
        return JSONResponse({"data": True})

    async def picture(_: Request) -> Response:
        return Response(b"picture", media_type="image/jpeg", headers={"Cache-Control": "public, max-age=300"})

    async def swap(request: Request) -> Response:
        check_token(request, known.admin_token)
        version = (await request.json())["version"]
        visit_of(request.scope).action = {"action": "swap", "version": version}
        return JSONResponse({"live": version})

    async def fail(_: Request) -> Response:
        raise ZeroDivisionError("the photo said\nso")

    descriptions = ("/docs.json", "/schema.json")
    open_paths = ("/", "/livez", "/readyz", "/healthz", "/ping", *descriptions, "/static/app.js", "/metrics")
    routes = [
        Route("/search", search, methods=["POST"]),
        Route("/products/{product_id}/image", picture),
        Route("/gallery", fail, methods=["DELETE"]),
        *(Route(path, swap, methods=["POST"]) for path in ("/admin/swap", "/admin/rollback")),
        *(Route(path, data) for path in (*open_paths, "/gallery", "/categories", "/products/{product_id}")),
    ]
    inner = Starlette(routes=routes, exception_handlers={ShopcamError: on_error})
    door = Door(inner, guard=Guard(known), admission=Admission(max_searches=8, max_wait_s=60), max_bytes=MAX_BYTES)
    return Perimeter(door, origins=known.origins, proxies=known.proxies)


def ask(app: ASGIApp, method: str, path: str, *, client: str = CLIENT, **options: Any) -> httpx.Response:
    """One request of one client."""

    async def request() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, client=(client, 50_000), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop.example") as asking:
            return await asking.request(method, path, **options)

    return asyncio.run(request())


def get(app: ASGIApp, path: str, **headers: str) -> httpx.Response:
    """GET with headers whose underscores are dashes."""
    return ask(app, "GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})


def lines(path: Path) -> list[str]:
    """The lines of an audit log."""
    return path.read_text(encoding="utf-8").split("\n")[:-1]
