"""A real S3 server's address in, another one out that passes everything on, counts it, and makes trouble when told."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

ERRORS = {
    "busy": (b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>", 503),
    "denied": (b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>", 403),
}


@dataclass(frozen=True)
class Call:
    method: str
    path: str  # with the query
    span: str  # the header Range


def quiet(call: Call) -> str:
    """No trouble."""
    return ""


@dataclass
class Tap:
    """What `trouble` says of a call happens to it; `calls` are those that were answered in full.

    "" nothing, "busy", "denied", "cut" half an answer, "lose" done but no answer, "hold" no answer until `release`.
    """

    url: str
    calls: list[Call] = field(default_factory=list)
    trouble: Callable[[Call], str] = quiet
    held: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)

    def sent(self) -> list[Call]:
        return [call for call in self.calls if is_sent(call)]

    def fetched(self) -> list[Call]:
        return [call for call in self.calls if is_fetched(call)]


def is_sent(call: Call) -> bool:
    """Whether a file of a gallery, or a part of one, goes up."""
    return call.method == "PUT" and _of_a_file(call)


def is_fetched(call: Call) -> bool:
    """Whether a file of a gallery, or a part of one, comes down."""
    return call.method == "GET" and _of_a_file(call) and "?" not in call.path


def _of_a_file(call: Call) -> bool:
    return "/galleries/" in call.path and "manifest.json" not in call.path


def from_the(number: int, matches: Callable[[Call], bool], what: str) -> Callable[[Call], str]:
    """Trouble with the `number`-th call that matches, counted from one, and with all after it."""
    lock, seen = threading.Lock(), [0]

    def trouble(call: Call) -> str:
        with lock:
            seen[0] += matches(call)
            return what if matches(call) and seen[0] >= number else ""

    return trouble


@contextmanager
def tapped(target_url: str) -> Iterator[Tap]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.block_on_close = False
    tap = Tap(f"http://127.0.0.1:{server.server_port}")
    server.tap, server.target = tap, urlsplit(target_url)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield tap
    finally:
        tap.release.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        tap = self.server.tap
        call = Call(self.command, self.path, self.headers.get("Range", ""))
        what = tap.trouble(call)
        if what in ERRORS:
            self.answer(ERRORS[what][1], [("Content-Type", "application/xml")], ERRORS[what][0])
        elif what == "hold":
            tap.held.set()
            tap.release.wait(600)
            self.close_connection = True
        else:
            status, headers, content = self.passed_on(body)
            if what == "lose":
                self.close_connection = True
                return
            if what == "cut":
                self.close_connection = True
                content = content[: len(content) // 2]
            else:
                tap.calls.append(call)
            self.answer(status, headers, content)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = serve  # noqa: N815 - the names of http.server

    def passed_on(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.server.target.hostname, self.server.target.port, timeout=600)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
        connection.request(self.command, self.path, body, headers)
        got = connection.getresponse()
        content = got.read()
        connection.close()
        passed = [(n, v) for n, v in got.getheaders() if n.lower() not in ("connection", "transfer-encoding")]
        return got.status, passed, content

    def answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if not any(name.lower() == "content-length" for name, _ in headers):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing on stderr."""

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):  # whoever asked was killed
            super().handle()
