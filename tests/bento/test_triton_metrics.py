"""Triton's page beside ours: only its families, within a time, and never the cause that ours cannot be read."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from prometheus_client import REGISTRY

from bento.settings import from_environment
from bento.triton_metrics import MAX_BYTES, TritonMetrics
from catalog.errors import MalformedError

GAUGE = "# HELP nv_cpu_utilization of the CPU\n# TYPE nv_cpu_utilization gauge\nnv_cpu_utilization 0.5\n"
COUNTER = '# TYPE nv_inference_count counter\nnv_inference_count{model="photo",version="1"} 7\n'
FOREIGN = "# TYPE shopcam_ready gauge\nshopcam_ready 1\nprocess_open_fds 3\n# a remark\n\n"


@contextlib.contextmanager
def page(content: bytes, *, status: int = 200) -> Iterator[str]:
    """The address of a page."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def read(url: str, *, timeout_s: float = 30.0) -> str:
    async def once() -> bytes:
        metrics = TritonMetrics(url, timeout_s=timeout_s)
        try:
            return await metrics.read()
        finally:
            await metrics.close()

    return asyncio.run(once()).decode()


def scraped() -> float | None:
    return REGISTRY.get_sample_value("shopcam_triton_scraped")


def test_only_families_of_triton_pass() -> None:
    with page(f"{GAUGE}{FOREIGN}{COUNTER}".encode()) as url:
        assert read(url) == GAUGE + COUNTER
    assert scraped() == 1


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 200),
        (GAUGE.encode(), 500),
        (b'nv_cpu_utilization{model="photo 0.5\n', 200),
        (b"nv_cpu_utilization \xff\n", 200),
        (b"nv_x 1\n" * (MAX_BYTES // 7 + 1), 200),
        (b"<html>404</html>", 200),
    ],
)
def test_a_page_that_is_none_is_left_out(content: bytes, status: int) -> None:
    with page(content, status=status) as url:
        assert read(url) == ""
    assert scraped() == 0


def test_nobody_there_or_no_address() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # and never listens
        assert read(f"http://127.0.0.1:{silent.getsockname()[1]}/metrics") == ""
    assert scraped() == 0
    assert read("") == ""


def test_one_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert read(f"http://127.0.0.1:{silent.getsockname()[1]}/metrics", timeout_s=0.2) == ""
    assert scraped() == 0


@pytest.mark.parametrize("url", ["127.0.0.1:8002", "http://user:secret@triton:8002/metrics", "file:///etc/passwd"])
def test_the_address_is_one_without_a_password(url: str) -> None:
    with pytest.raises(MalformedError, match=r"SHOPCAM_TRITON_METRICS_URL: .*such as http://127.0.0.1:8002/metrics"):
        from_environment({"SHOPCAM_TRITON_METRICS_URL": url})
