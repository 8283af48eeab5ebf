"""A small real HTTP server with the contract of POST /search, known latency and faults; it counts what it does."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import uvicorn
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

BUCKETS_S = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 2.0, 4.0, 8.0)


class Shop:
    """`latency_s` is the time of one search, `at_once` how many are worked on, `waiting` how many may queue.

    A test sets `fault` to make the n-th search answer with (status, Retry-After or None) instead.
    """

    def __init__(self, *, latency_s: float = 0.0, at_once: int = 1000, waiting: int = 10_000) -> None:
        self.latency_s = latency_s
        self.at_once = at_once
        self.waiting = waiting
        self.fault: Callable[[int], tuple[int, str | None] | None] = lambda _: None
        self.ready = True
        self.is_ready: Callable[[], bool] = lambda: self.ready
        self.frozen_until_s = 0.0
        self.accepts_garbage = False
        self.statuses: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.begun_s: list[float] = []
        self.files: dict[str, int] = {}
        self.port = 0
        self._searches = 0
        self._registry = CollectorRegistry()
        self._stages = Histogram("shopcam_stage_seconds", "", ["stage"], buckets=BUCKETS_S, registry=self._registry)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def serving(self) -> Iterator[Shop]:
        """Answer on a free port until the end."""
        routes = [
            Route("/search", self._search, methods=["POST"]),
            Route("/readyz", self._readyz),
            Route("/categories", lambda _: JSONResponse({"labels": ["mug", "lamp"]})),
            Route("/metrics", lambda _: Response(generate_latest(self._registry), media_type="text/plain")),
        ]
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        self.port = int(listener.getsockname()[1])
        server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="critical", lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield self
        finally:
            server.should_exit = True
            thread.join(30)
            listener.close()

    def _readyz(self, _: Request) -> Response:
        return JSONResponse({}, 200 if self.is_ready() else 503)

    async def _search(self, request: Request) -> Response:
        self.begun_s.append(time.monotonic())
        form = await request.form()
        kind, size = await self._kind(form)
        self.kinds[kind] += 1
        begun_s = time.perf_counter()
        status, retry_after = await self._status(kind)
        self.statuses[str(status)] += 1
        if status == 200:
            for stage in ("models", "total"):
                self._stages.labels(stage).observe(time.perf_counter() - begun_s)
        body = {"query_id": f"q{size}", "hits": [{"product_id": "p1"}, {"product_id": "p2"}]}
        headers = {"Retry-After": retry_after} if retry_after else {}
        return JSONResponse(body if status == 200 else {"error": {}}, status, headers)

    async def _kind(self, form: object) -> tuple[str, int]:
        fields = dict(form)  # type: ignore[call-overload]
        if "query_id" in fields:
            return "slider", 0
        if "product_id" in fields:
            return "similar", 0
        image = fields.get("image")
        data = await image.read() if isinstance(image, UploadFile) else b""
        whole = data.startswith(b"\xff\xd8") and data.endswith(b"\xff\xd9")
        if whole:
            self.files[str(image.filename)] = len(data)  # type: ignore[union-attr]
        return ("category" if "category" in fields else "photo") if whole else "garbage", len(data)

    async def _status(self, kind: str) -> tuple[int, str | None]:
        if kind == "garbage" and not self.accepts_garbage:
            return 415, None
        self._searches += 1
        fault = self.fault(self._searches)
        if fault is not None:
            return fault
        if self._busy >= self.at_once + self.waiting:
            return 429, "1"
        self._busy += 1
        try:
            async with self._slots:
                await asyncio.sleep(max(self.latency_s, self.frozen_until_s - time.monotonic()))
        finally:
            self._busy -= 1
        return 200, None

    _busy = 0

    @property
    def _slots(self) -> asyncio.Semaphore:
        if not hasattr(self, "_semaphore"):
            self._semaphore = asyncio.Semaphore(self.at_once)
        return self._semaphore
