"""Where a picture lies (path, http(s) URL or s3 URL) in, its bytes out, within a time limit and a size cap."""

from __future__ import annotations

import functools
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urljoin, urlsplit

from catalog.errors import NotFoundError, TooLargeError
from catalog.pictures import PictureLimits

TIMEOUT_S = 10.0
MAX_REDIRECTS = 3
_CHUNK_BYTES = 64 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429})  # with 5xx: what a server answers that may have the picture a little later


class UnreachableError(NotFoundError):
    """Nothing was read, but the same address may answer later: time over, connection lost, 5xx, 429.

    `wait_s` is how long the server asked to be left alone, None where it said nothing.
    """

    def __init__(self, message: str, *, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


def fetch(
    image: str,
    *,
    base: Path,
    limits: PictureLimits | None = None,
    timeout_s: float = TIMEOUT_S,
    check_url: Callable[[str], None] | None = None,
) -> bytes:
    """Bytes of `image`: a path (relative to the folder `base`, or absolute), an http(s) URL, or s3://bucket/key.

    `check_url` sees every http(s) address before it is asked, redirects included, and raises to refuse one. Raises
    `NotFoundError` where there is nothing to read within `timeout_s` (`UnreachableError` where it is worth another
    try), `TooLargeError` as soon as more than `limits.max_bytes` come.
    """
    limits = limits or PictureLimits()
    scheme = image.split("://", 1)[0].lower() if "://" in image else ""
    if scheme in ("http", "https"):
        return _fetch_http(image, limits, timeout_s, check_url)
    if scheme == "s3":
        return _fetch_s3(image, limits, timeout_s)
    if scheme:
        raise NotFoundError(f"{_short(image)} can't be fetched, expected a path, http://, https:// or s3://")
    return _read_local(base / image, limits)


def _read_local(path: Path, limits: PictureLimits) -> bytes:
    try:
        if not path.is_file():  # a folder, a pipe or a device would fail later or never end
            raise NotFoundError(f"the picture {_short(str(path))} does not exist or is not a file")
        with path.open("rb") as file:
            data = file.read(limits.max_bytes + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise NotFoundError(f"the picture {_short(str(path))} can't be read: {reason}") from error
    if len(data) > limits.max_bytes:
        raise _too_large(str(path), limits)
    return data


def _fetch_http(url: str, limits: PictureLimits, timeout_s: float, check_url: Callable[[str], None] | None) -> bytes:
    import httpx  # late: reading a local catalog needs no HTTP client

    with _Deadline(timeout_s) as deadline:
        try:
            with httpx.Client(verify=_tls(), timeout=timeout_s, headers={"Accept-Encoding": "identity"}) as client:
                return _follow(client, url, limits, deadline, check_url)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError) as error:  # ValueError: urllib's
            if deadline.passed or isinstance(error, httpx.TimeoutException):
                raise UnreachableError(f"{_short(url)} did not answer within {timeout_s:g} s") from error
            lost = isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol)
            kind = UnreachableError if lost else NotFoundError
            raise kind(f"{_short(url)} can't be fetched: {error or type(error).__name__}") from error


def _follow(
    client: Any, url: str, limits: PictureLimits, deadline: _Deadline, check_url: Callable[[str], None] | None
) -> bytes:
    """GET `url` hop by hop, so that `_check_url` sees every address before it is asked."""
    asked = url
    for _ in range(MAX_REDIRECTS + 1):
        _check_url(url)
        if check_url is not None:
            check_url(url)
        with client.stream("GET", url, extensions={"trace": deadline.watch}) as response:
            if response.status_code in _REDIRECTS and "location" in response.headers:
                url = urljoin(url, response.headers["location"])
                continue
            if response.status_code != 200:
                raise _refused(asked, response.status_code, response.headers.get("retry-after", ""))
            return _read_capped(asked, response.iter_bytes(_CHUNK_BYTES), limits, deadline)
    raise NotFoundError(f"{_short(asked)} redirects more than {MAX_REDIRECTS} times")


def _refused(url: str, status: int, retry_after: str) -> NotFoundError:
    sentence = f"{_short(url)} answered {status}, expected 200"
    if status < 500 and status not in _PASSING:
        return NotFoundError(sentence)
    return UnreachableError(sentence, wait_s=float(retry_after) if retry_after.isdecimal() else None)


def _check_url(url: str) -> None:
    """Refuse a URL that may not be asked; called for the first address and for every redirect."""
    parts = urlsplit(url)
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise NotFoundError(f"{_short(url)} can't be fetched, expected http://host/... or https://host/...")


def _read_capped(name: str, chunks: Iterable[bytes], limits: PictureLimits, deadline: _Deadline) -> bytes:
    data = bytearray()
    for chunk in chunks:
        data += chunk
        if len(data) > limits.max_bytes:
            raise _too_large(name, limits)
        if deadline.passed:
            break
    if deadline.passed:  # a socket shut down early can look like an ordinary end
        raise UnreachableError(f"{_short(name)} did not answer within {deadline.timeout_s:g} s")
    return bytes(data)


def _fetch_s3(url: str, limits: PictureLimits, timeout_s: float) -> bytes:
    bucket, _, key = url[len("s3://") :].partition("/")
    if not bucket or not key:
        raise NotFoundError(f"{_short(url)} must be s3://bucket/key")
    import botocore.exceptions  # late: only those who keep pictures in S3 need it

    with _Deadline(timeout_s) as deadline:
        try:
            body = _s3(timeout_s).get_object(Bucket=bucket, Key=key)["Body"]
            with body:
                return _read_capped(url, body.iter_chunks(_CHUNK_BYTES), limits, deadline)
        except botocore.exceptions.ClientError as error:
            detail = error.response.get("Error", {})
            reason = detail.get("Message") or detail.get("Code") or "refused"
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            kind = UnreachableError if status >= 500 or status in _PASSING else NotFoundError
            raise kind(f"{_short(url)} can't be fetched: {reason}") from error
        except botocore.exceptions.HTTPClientError as error:  # time over, connection lost
            raise UnreachableError(f"{_short(url)} can't be fetched: {error}") from error
        except botocore.exceptions.BotoCoreError as error:
            raise NotFoundError(f"{_short(url)} can't be fetched: {error}") from error


class _Deadline:
    """Bounds a whole exchange: httpx bounds each read, so a server that drips bytes would never end otherwise.

    At the end of `timeout_s` a timer shuts the last socket opened, which wakes the read that waits on it.
    """

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._ends = time.monotonic() + timeout_s
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(timeout_s, self._shut)
        self._timer.daemon = True

    @property
    def passed(self) -> bool:
        return time.monotonic() >= self._ends

    def watch(self, event: str, info: Mapping[str, Any]) -> None:
        """Trace hook of httpx: remembers the socket of each connection."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._socket = info["return_value"].get_extra_info("socket")
            if self.passed:
                self._shut()

    def _shut(self) -> None:
        if self._socket is None:
            return
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # closed already

    def __enter__(self) -> _Deadline:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()


@functools.cache
def _tls() -> ssl.SSLContext:
    """One context for all fetches: loading the certificates takes tens of milliseconds."""
    return ssl.create_default_context()


@functools.cache
def _s3(timeout_s: float) -> Any:
    """One client for all fetches of one time limit: it is thread-safe and slow to make."""
    import boto3
    import botocore.config

    config = botocore.config.Config(
        connect_timeout=timeout_s, read_timeout=timeout_s, retries={"total_max_attempts": 1}
    )
    return boto3.session.Session().client("s3", config=config)


def _too_large(name: str, limits: PictureLimits) -> TooLargeError:
    return TooLargeError(f"{_short(name)} has more than {limits.max_bytes:,} bytes, the most that is allowed")


def _short(name: str) -> str:
    return name if len(name) <= 200 else name[:197] + "..."
