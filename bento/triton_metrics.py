"""The address of Triton's metrics page in, its families for our own page out.

Triton's names begin with `nv_`, ours never do, so nothing can collide; whatever else stands on that page is left out.
"""

from __future__ import annotations

import asyncio
import re

import httpx
from prometheus_client.parser import text_string_to_metric_families

from bento.metrics import TRITON_SCRAPED

TIMEOUT_S = 1.0  # a scrape of ours must not wait long for another
MAX_BYTES = 1024 * 1024
THEIRS = re.compile(r"(?:# (?:HELP|TYPE) )?nv_")


class TritonMetrics:
    """Reads Triton's metrics. `url` is empty where they are not wanted. Belongs to one event loop."""

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._client: httpx.AsyncClient | None = None

    async def read(self) -> bytes:
        """Prometheus text, empty when there is none within the time; the gauge `shopcam_triton_scraped` says which."""
        text = ""
        if self._url:
            try:
                async with asyncio.timeout(self._timeout_s):
                    text = _theirs(await self._page())
            except (httpx.HTTPError, TimeoutError, ValueError, OSError):
                text = ""
        TRITON_SCRAPED.set(bool(text))
        return text.encode()

    async def close(self) -> None:
        """End the connection."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _page(self) -> str:
        """Raise ValueError for a page that is too long or no text."""
        if self._client is None:
            self._client = httpx.AsyncClient(trust_env=False, timeout=self._timeout_s)
        content = bytearray()
        async with self._client.stream("GET", self._url) as answer:
            answer.raise_for_status()
            async for chunk in answer.aiter_bytes():
                content += chunk
                if len(content) > MAX_BYTES:
                    raise ValueError(f"the page has more than {MAX_BYTES:,} bytes")
        return content.decode()


def _theirs(page: str) -> str:
    """Triton's lines of a page. Raises ValueError where they are no metrics: they would spoil our own page."""
    text = "".join(f"{line}\n" for line in page.splitlines() if THEIRS.match(line))
    list(text_string_to_metric_families(text))
    return text
