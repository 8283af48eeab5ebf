"""The BentoML service: transport only. It describes POST routes as BentoML's APIs; the `Door` answers all of them."""

from __future__ import annotations

import os
from typing import Any

import bentoml
from _bentoml_sdk.io_models import IODescriptor
from pydantic import Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from bento import audit, logs, openapi, tracing
from bento.admin import Admin
from bento.admission import Admission
from bento.door import Door, on_error
from bento.guard import Guard
from bento.pages import Pages
from bento.perimeter import Perimeter
from bento.pipeline import SearchPipeline
from bento.routes import INVOCATIONS, SEARCH, SEARCH_TEXT
from bento.schemas import Invocation, SearchOptions, SearchResponse, TextOptions, TextResponse
from bento.searches import Searches
from bento.settings import from_environment
from bento.tether import end_with_parent
from catalog.errors import ShopcamError
from catalog.machine import keep_little

SETTINGS = from_environment()
# Our own limits of upload and search answer first, each with a sentence.
BENTOML_TIMEOUT_S = SETTINGS.timeout_s + SETTINGS.longest_s + 5.0
# The server would believe what any client of this machine says of its own address; `trusted_proxies` decides instead.
os.environ["FORWARDED_ALLOW_IPS"] = ""


class SearchForm(SearchOptions, IODescriptor):
    """POST /search as BentoML describes it. The form is read by `bento.requests`, whose errors are the contract's."""

    # A file is what BentoML's own clients upload; its type for one cannot be optional.
    image: Any = Field(default=None, json_schema_extra={"type": "file", "content_type": "image/*"})

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> SearchForm:  # noqa: ARG003
        """Leave the form to the API function, where a client's mistake can become an answer of ours."""
        return cls.model_construct()


class TextForm(TextOptions, IODescriptor):
    """POST /search/text as BentoML describes it."""

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> TextForm:  # noqa: ARG003
        """Leave the body to the API function, as `SearchForm` does."""
        return cls.model_construct(query="")


class InvocationForm(Invocation, IODescriptor):
    """POST /invocations as BentoML describes it."""

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> InvocationForm:  # noqa: ARG003
        """Leave the body to the API function, as `SearchForm` does."""
        return cls.model_construct()


class SearchAnswer(SearchResponse, IODescriptor):
    """The answer of POST /search as BentoML describes it."""


class TextAnswer(TextResponse, IODescriptor):
    """The answer of POST /search/text as BentoML describes it."""


@bentoml.service(
    name="shopcam",
    workers=1,
    traffic={"timeout": BENTOML_TIMEOUT_S},
    metrics={"enabled": False},
    # /metrics counts instead; BentoML's access log fails on odd content types.
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": "."},  # `bento.tracing` makes the spans
)
class Shopcam:
    """One replica: one process that owns one gallery."""

    def __init__(self) -> None:
        end_with_parent()  # BentoML's workers outlive it otherwise, should it be killed
        keep_little()
        logs.start(SETTINGS.log_format)
        audit.start(SETTINGS.audit_log)
        tracing.start()
        self.pipeline = SearchPipeline(SETTINGS)
        # BentoML's own probes come before any mounted app, so the door hands these routes over.
        admin = Admin(self.pipeline.live, SETTINGS.admin_token)
        self.pages = Pages(self.pipeline)
        routes = [*self.pages.routes, *admin.routes, openapi.route(SETTINGS)]
        Door.pages = Starlette(routes=routes, exception_handlers={ShopcamError: on_error})
        self.searches = Searches(self.pipeline)
        Door.searches = self.searches.handlers

    @bentoml.api(route=SEARCH, input_spec=SearchForm, output_spec=SearchAnswer)
    async def search(self, ctx: bentoml.Context, **_fields: Any) -> Response:
        """Search with a photo, a URL of one, a product of the gallery, or the vectors of an earlier query."""
        return await self.searches.search(ctx.request)

    @bentoml.api(route=SEARCH_TEXT, input_spec=TextForm, output_spec=TextAnswer)
    async def search_text(self, ctx: bentoml.Context, **_fields: Any) -> Response:
        """Search with words alone."""
        return await self.searches.search_text(ctx.request)

    @bentoml.api(route=INVOCATIONS, input_spec=InvocationForm, output_spec=SearchAnswer)
    async def invocations(self, ctx: bentoml.Context, **_fields: Any) -> Response:
        """Any operation at the one address that SageMaker has."""
        return await self.searches.invocations(ctx.request)

    @bentoml.on_shutdown
    async def close(self) -> None:
        """Let go of threads, connections and the gallery."""
        Door.pages, Door.searches = None, {}
        await self.pipeline.close()
        await self.pages.close()
        await tracing.stop()


# The first one added is the outermost.
Shopcam.add_asgi_middleware(  # type: ignore[attr-defined]  # the decorator makes a Service of the class
    Perimeter, origins=SETTINGS.origins, proxies=SETTINGS.proxies
)
Shopcam.add_asgi_middleware(  # type: ignore[attr-defined]
    Door,
    guard=Guard(SETTINGS),
    admission=Admission(max_searches=SETTINGS.max_searches, max_wait_s=SETTINGS.max_wait_ms / 1e3),
    max_bytes=SETTINGS.max_bytes,
)
