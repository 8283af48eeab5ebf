"""GET routes as one ASGI app: the page, products, the gallery, and the probes that tell the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from bento.ping import Ping
from bento.pipeline import SearchPipeline
from bento.samples import sample_photos
from bento.schemas import HealthResponse
from bento.triton_metrics import TritonMetrics
from catalog.errors import NotFoundError

PAGE = Path(__file__).parent / "page"
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; style-src 'self'; script-src 'self'; "
    "object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)

# The engineers' page asks the services that a person names, and no other one.
ENGINEERS_POLICY = f"{POLICY}; connect-src 'self' http: https:"


class PageFiles(StaticFiles):
    """The page's files, asked for anew each time, so that parts of two releases never meet in one browser."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """Send a file, or 304 where the browser has it."""
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


def body(model: BaseModel) -> Response:
    """A pydantic model as a JSON answer."""
    return Response(model.model_dump_json(), media_type="application/json")


class Pages:
    """The handlers; `routes` is their table."""

    def __init__(self, pipeline: SearchPipeline) -> None:
        self._pipeline = pipeline
        self._ping = Ping(pipeline.live.check)
        self._samples = sample_photos(pipeline.settings.samples)
        self._triton_metrics = TritonMetrics(pipeline.settings.triton_metrics_url)

    @property
    def routes(self) -> list[Route | Mount]:
        """The table of GET routes."""
        return [
            Route("/", self.index),
            Route("/engineers", self.engineers),
            Route("/livez", self.alive),
            Route("/healthz", self.alive),
            Route("/readyz", self.ready),
            Route("/ping", self.ping),
            Route("/metrics", self.metrics),
            Route("/gallery", self.gallery),
            Route("/categories", self.categories),
            Route("/samples", self.samples),
            Route("/samples/{number}", self.sample),
            Route("/products/{product_id:path}/image", self.picture),
            Route("/products/{product_id:path}", self.product),
            Mount("/static", PageFiles(directory=PAGE)),
        ]

    async def close(self) -> None:
        """End connections."""
        await self._triton_metrics.close()

    async def index(self, _: Request) -> Response:
        """The web page."""
        return FileResponse(PAGE / "index.html", headers={"Content-Security-Policy": POLICY})

    async def engineers(self, _: Request) -> Response:
        """The page of those who tune: timings, facts of the gallery, two searches side by side."""
        return FileResponse(PAGE / "engineers.html", headers={"Content-Security-Policy": ENGINEERS_POLICY})

    async def alive(self, _: Request) -> Response:
        """The process answers; says nothing about Triton or the gallery."""
        return body(HealthResponse(status="ok"))

    async def ready(self, _: Request) -> Response:
        """A canary search through Triton and the gallery worked within the last two seconds."""
        return body(HealthResponse(status="ready", gallery_version=await self._pipeline.live.check()))

    async def ping(self, _: Request) -> Response:
        """SageMaker's probe: as /readyz, within two seconds."""
        return body(HealthResponse(status="ready", gallery_version=await self._ping()))

    async def metrics(self, _: Request) -> Response:
        """Prometheus text: our metrics and, after them, Triton's."""
        theirs = await self._triton_metrics.read()
        return Response(generate_latest() + theirs, media_type=CONTENT_TYPE_LATEST)

    async def gallery(self, _: Request) -> Response:
        """The live gallery."""
        return body(await self._pipeline.gallery())

    async def categories(self, _: Request) -> Response:
        """Labels and category paths."""
        return body(await self._pipeline.categories())

    async def samples(self, _: Request) -> Response:
        """Photos to try."""
        return body(await self._pipeline.samples(self._samples))

    async def sample(self, request: Request) -> Response:
        """One of the photos to try."""
        photos = {str(number): path for number, path in enumerate(self._samples)}
        number = request.path_params["number"]
        if number not in photos:
            raise NotFoundError(f"there is no sample photo {number[:40]}; GET /samples lists them")
        return FileResponse(photos[number], headers={"Cache-Control": "public, max-age=300"})

    async def product(self, request: Request) -> Response:
        """One catalog row."""
        return body(await self._pipeline.product(request.path_params["product_id"]))

    async def picture(self, request: Request) -> Response:
        """One product's picture."""
        picture = await self._pipeline.picture(request.path_params["product_id"])
        return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "public, max-age=300"})
