"""A service that answers what a test says, right or wrong, on a free port: for what only a misbehaving one can show."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JSON: Mapping[str, str] = {"Content-Type": "application/json", "X-Request-ID": "one"}


@contextlib.contextmanager
def answering(answer: Callable[[str, str], tuple[int, str, Mapping[str, str]]]) -> Iterator[str]:
    """Give the address of a server that answers `answer(method, path)`: status, body, headers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body, headers = answer(self.command, self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body.encode()))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, listening(server) as url:
        yield url


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """Give the address of a server that takes connections and says nothing."""
    over = threading.Event()

    class Silent(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            over.wait(60)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Silent) as server, listening(server) as url:
        yield url
        over.set()


@contextlib.contextmanager
def listening(server: socketserver.BaseServer) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    host, port = server.server_address[:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        server.shutdown()
        thread.join()
