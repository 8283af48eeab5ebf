"""POST routes in, answers out: the only place where a search's request meets the pipeline.

BentoML describes these routes and could answer them; the `Door` asks the handlers themselves, which takes a
millisecond less of a core (docs/adr/0029-searches-at-the-door.md).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response

from bento.deadlines import timeout_of
from bento.invocations import invoke
from bento.pages import body
from bento.pipeline import SearchPipeline
from bento.requests import read_search, read_text
from bento.routes import INVOCATIONS, SEARCH, SEARCH_TEXT

Handler = Callable[[Request], Awaitable[Response]]


class Searches:
    """The handlers; each raises a ShopcamError for what it cannot answer."""

    def __init__(self, pipeline: SearchPipeline) -> None:
        self._pipeline = pipeline
        self._settings = pipeline.settings

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """Handlers by path."""
        return {SEARCH: self.search, SEARCH_TEXT: self.search_text, INVOCATIONS: self.invocations}

    async def search(self, request: Request) -> Response:
        """Answer a photo, a URL of one, a product of the gallery, or the vectors of an earlier query."""
        timeout_s = self._timeout(request)
        asked = await read_search(request, timeout_s=self._settings.timeout_s)
        return body(await self._pipeline.search(asked, timeout_s=timeout_s))

    async def search_text(self, request: Request) -> Response:
        """Answer words alone."""
        timeout_s = self._timeout(request)
        asked = await read_text(request, timeout_s=self._settings.timeout_s)
        return body(await self._pipeline.search_text(asked, timeout_s=timeout_s))

    async def invocations(self, request: Request) -> Response:
        """Answer any operation at the one address that SageMaker has."""
        return await invoke(self._pipeline, request)

    def _timeout(self, request: Request) -> float:
        return timeout_of(request.headers, default_s=self._settings.timeout_s, most_s=self._settings.longest_s)
