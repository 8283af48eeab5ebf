"""GET routes as one ASGI app: the page, products, the gallery, and the probes that tell the truth."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from bento.pipeline import SearchPipeline
from bento.schemas import HealthResponse

PAGE = Path(__file__).parent / "page"
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; style-src 'self'; script-src 'self'; "
    "object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)


def body(model: BaseModel) -> Response:
    """A pydantic model as a JSON answer."""
    return Response(model.model_dump_json(), media_type="application/json")


class Pages:
    """The handlers; `routes` is their table."""

    def __init__(self, pipeline: SearchPipeline) -> None:
        self._pipeline = pipeline

    @property
    def routes(self) -> list[Route | Mount]:
        """The table of GET routes."""
        return [
            Route("/", self.index),
            Route("/livez", self.alive),
            Route("/healthz", self.alive),
            Route("/readyz", self.ready),
            Route("/metrics", self.metrics),
            Route("/gallery", self.gallery),
            Route("/categories", self.categories),
            Route("/products/{product_id:path}/image", self.picture),
            Route("/products/{product_id:path}", self.product),
            Mount("/static", StaticFiles(directory=PAGE)),
        ]

    async def index(self, _: Request) -> Response:
        """The web page."""
        return FileResponse(PAGE / "index.html", headers={"Content-Security-Policy": POLICY})

    async def alive(self, _: Request) -> Response:
        """The process answers; says nothing about Triton or the gallery."""
        return body(HealthResponse(status="ok"))

    async def ready(self, _: Request) -> Response:
        """A canary search through Triton and the gallery worked within the last two seconds."""
        return body(HealthResponse(status="ready", gallery_version=await self._pipeline.live.check()))

    async def metrics(self, _: Request) -> Response:
        """Prometheus text."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    async def gallery(self, _: Request) -> Response:
        """The live gallery."""
        return body(await self._pipeline.gallery())

    async def categories(self, _: Request) -> Response:
        """Labels and category paths."""
        return body(await self._pipeline.categories())

    async def product(self, request: Request) -> Response:
        """One catalog row."""
        return body(await self._pipeline.product(request.path_params["product_id"]))

    async def picture(self, request: Request) -> Response:
        """One product's picture."""
        picture = await self._pipeline.picture(request.path_params["product_id"])
        return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "public, max-age=300"})
