"""Fetching over real sockets: a server thread that answers, redirects, drips or never answers."""

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest
from moto import mock_aws

from catalog import sources
from catalog.errors import NotFoundError, TooLargeError
from catalog.pictures import PictureLimits
from catalog.sources import fetch

BODY = bytes(range(256)) * 8
LIMITS = PictureLimits(max_bytes=4096)


class Handler(BaseHTTPRequestHandler):
    stop = threading.Event()

    def do_GET(self):
        kind, _, rest = self.path.strip("/").partition("/")
        if kind == "ok":
            self._answer(200, BODY)
        elif kind == "hop" and rest != "0":
            self._answer(302, b"", location=f"/hop/{int(rest) - 1}")
        elif kind == "hop":
            self._answer(200, BODY)
        elif kind == "loop":
            self._answer(302, b"", location="/loop")
        elif kind == "ftp":
            self._answer(302, b"", location="ftp://example.org/a.jpg")
        elif kind == "drip":
            self._drip()
        elif kind == "drip-header":
            self._drip(header=True)
        elif kind == "endless":
            self._endless()
        else:
            self._answer(404, b"no")

    def _answer(self, status, body, location=None):
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _drip(self, header=False):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n" + (b"X: " if header else b"\r\n"))
        try:
            while not self.stop.wait(0.05):
                self.wfile.write(b"x")
        except OSError:
            return

    def _endless(self):
        self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
        try:
            while not self.stop.is_set():
                self.wfile.write(b"x" * 1000)
        except OSError:
            return

    def log_message(self, *args):
        """Silent."""


@pytest.fixture(scope="module")
def server():
    Handler.stop.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        Handler.stop.set()
        listening.shutdown()
        thread.join()


def test_local_paths_are_relative_to_the_base_or_absolute(tmp_path):
    (tmp_path / "images").mkdir()
    file = tmp_path / "images" / "ü #1%20.jpg"
    file.write_bytes(BODY)
    assert fetch("images/ü #1%20.jpg", base=tmp_path) == BODY
    assert fetch(str(file), base=tmp_path / "elsewhere") == BODY


def test_local_size_cap_is_exact(tmp_path):
    (tmp_path / "full").write_bytes(bytes(4096))
    (tmp_path / "over").write_bytes(bytes(4097))
    assert len(fetch("full", base=tmp_path, limits=LIMITS)) == 4096
    with pytest.raises(TooLargeError, match="more than 4,096 bytes"):
        fetch("over", base=tmp_path, limits=LIMITS)


@pytest.mark.parametrize(
    "image", ["missing.jpg", ".", "a\0b", "/dev/zero", "x" * 5000, "ftp://host/a.jpg", "s3://bucket"]
)
def test_nothing_to_read(tmp_path, image):
    with pytest.raises(NotFoundError) as caught:
        fetch(image, base=tmp_path)
    assert "\n" not in str(caught.value)


def test_http_body_and_three_redirects(server, tmp_path):
    assert fetch(f"{server}/ok", base=tmp_path, limits=LIMITS) == BODY
    assert fetch(f"{server}/hop/3", base=tmp_path, limits=LIMITS) == BODY


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("nothing", "answered 404"),
        ("hop/4", "more than 3 times"),
        ("loop", "more than 3 times"),
        ("ftp", "expected http"),
    ],
)
def test_http_refusals(server, tmp_path, path, sentence):
    with pytest.raises(NotFoundError, match=sentence):
        fetch(f"{server}/{path}", base=tmp_path)


def test_http_stops_reading_at_the_cap(server, tmp_path):
    with pytest.raises(TooLargeError, match="more than 4,096 bytes"):
        fetch(f"{server}/endless", base=tmp_path, limits=LIMITS)


@pytest.mark.parametrize("path", ["drip", "drip-header"])
def test_http_dripping_server_is_left_in_time(server, tmp_path, path):
    started = time.monotonic()
    with pytest.raises(NotFoundError, match=r"did not answer within 0\.5 s"):
        fetch(f"{server}/{path}", base=tmp_path, timeout_s=0.5)
    assert time.monotonic() - started < 3


def test_http_silent_server_is_left_in_time(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(NotFoundError, match=r"did not answer within 0\.3 s"):
            fetch(f"http://127.0.0.1:{silent.getsockname()[1]}/", base=tmp_path, timeout_s=0.3)
        assert time.monotonic() - started < 3


@pytest.mark.parametrize("url", ["http://", "http://127.0.0.1:1/a", "http://[bad/", "http://host:99999/", "http:// /"])
def test_http_bad_addresses(tmp_path, url):
    with pytest.raises(NotFoundError):
        fetch(url, base=tmp_path, timeout_s=2)


def test_s3(tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    sources._s3.cache_clear()
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="shop")
        client.put_object(Bucket="shop", Key="a/b.jpg", Body=BODY)
        assert fetch("s3://shop/a/b.jpg", base=tmp_path, limits=LIMITS) == BODY
        with pytest.raises(TooLargeError, match="more than 100 bytes"):
            fetch("s3://shop/a/b.jpg", base=tmp_path, limits=PictureLimits(max_bytes=100))
        with pytest.raises(NotFoundError, match="s3://shop/none"):
            fetch("s3://shop/none", base=tmp_path)
    sources._s3.cache_clear()
