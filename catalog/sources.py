"""Where a picture lies (path, http(s) URL or s3 URL) in, its bytes out, within a time limit and a size cap."""

from __future__ import annotations

import contextlib
import functools
import ssl
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from catalog.deadline import Deadline
from catalog.errors import NotFoundError, TooLargeError
from catalog.pictures import PictureLimits

TIMEOUT_S = 10.0
MAX_REDIRECTS = 3
MAX_ADDRESSES = 4  # of a host that are tried: whoever owns a name may list any number of others' machines
_CHUNK_BYTES = 64 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
PORTS = {"http": 80, "https": 443}
_PASSING = frozenset({408, 425, 429})  # with 5xx: what a server answers that may have the picture a little later

AddressesOf = Callable[[str, int], Sequence[str]]


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
    addresses_of: AddressesOf | None = None,
) -> bytes:
    """Bytes of `image`: a path (relative to the folder `base`, or absolute), an http(s) URL, or s3://bucket/key.

    `addresses_of` is given host and port of every http(s) URL before it is asked, redirects included. It raises to
    refuse one; what it returns is all that is connected to, so no second look-up can lead elsewhere. Raises
    `NotFoundError` where there is nothing to read within `timeout_s` (`UnreachableError` where it is worth another
    try), `TooLargeError` as soon as more than `limits.max_bytes` come.
    """
    limits = limits or PictureLimits()
    scheme = image.split("://", 1)[0].lower() if "://" in image else ""
    if scheme in ("http", "https"):
        return _fetch_http(image, limits, timeout_s, addresses_of)
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


def _fetch_http(url: str, limits: PictureLimits, timeout_s: float, addresses_of: AddressesOf | None) -> bytes:
    import httpx  # late: reading a local catalog needs no HTTP client

    with Deadline(timeout_s) as deadline:
        try:
            return _follow(url, limits, deadline, addresses_of)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError) as error:  # ValueError: urllib's
            if deadline.passed or isinstance(error, httpx.TimeoutException):
                raise UnreachableError(f"{_short(url)} did not answer within {timeout_s:g} s") from error
            lost = isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol)
            kind = UnreachableError if lost else NotFoundError
            raise kind(f"{_short(url)} can't be fetched: {error or type(error).__name__}") from error


def _follow(url: str, limits: PictureLimits, deadline: Deadline, addresses_of: AddressesOf | None) -> bytes:
    """GET `url` hop by hop, so that every address is checked before it is asked."""
    import httpx

    asked = url
    # Where addresses are checked, no proxy and no password file of this machine's environment has a part in it. No
    # connection is used twice: one host's must not answer for another at the same address.
    options: dict[str, Any] = {"trust_env": addresses_of is None, "limits": httpx.Limits(max_keepalive_connections=0)}
    with httpx.Client(verify=_tls(), timeout=deadline.timeout_s, **options) as client:
        for _ in range(MAX_REDIRECTS + 1):
            target = httpx.URL(url)
            _check_url(target)
            with _get(client, target, deadline, addresses_of) as response:
                if response.status_code in _REDIRECTS and "location" in response.headers:
                    url = urljoin(url, response.headers["location"])
                    continue
                if response.status_code != 200:
                    raise _refused(asked, response.status_code, response.headers.get("retry-after", ""))
                return _read_plain(asked, response, limits, deadline)
    raise NotFoundError(f"{_short(asked)} redirects more than {MAX_REDIRECTS} times")


@contextlib.contextmanager
def _get(client: Any, target: Any, deadline: Deadline, addresses_of: AddressesOf | None) -> Iterator[Any]:
    """GET `target`: by its name, or from the first of its checked addresses that takes the connection.

    The name stays what the server is asked for and what its certificate must show.
    """
    import httpx

    headers = {"Accept-Encoding": "identity"}
    extensions: dict[str, Any] = {"trace": deadline.watch}
    if addresses_of is None:
        with client.stream("GET", target, headers=headers, extensions=extensions) as response:
            yield response
        return
    host = target.raw_host.decode("ascii")
    addresses = addresses_of(host, target.port or PORTS[target.scheme])[:MAX_ADDRESSES]
    headers["Host"] = target.netloc.decode("ascii")
    extensions["sni_hostname"] = host.rstrip(".")  # a certificate has no name with a dot at its end
    with contextlib.ExitStack() as stack:
        for number, address in enumerate(addresses, start=1):
            pinned = target.copy_with(host=address, username=None, password=None)
            request = client.stream("GET", pinned, headers=headers, extensions=extensions)
            try:
                response = stack.enter_context(request)
            except httpx.ConnectError:
                if number == len(addresses) or deadline.passed:
                    raise
                continue
            yield response
            return
    raise NotFoundError(f"{_short(host)} has no address")


def _refused(url: str, status: int, retry_after: str) -> NotFoundError:
    sentence = f"{_short(url)} answered {status}, expected 200"
    if status < 500 and status not in _PASSING:
        return NotFoundError(sentence)
    return UnreachableError(sentence, wait_s=float(retry_after) if retry_after.isdecimal() else None)


def _check_url(target: Any) -> None:
    """Refuse a URL that may not be asked; called for the first address and for every redirect."""
    if target.scheme not in PORTS or not target.host:
        raise NotFoundError(f"{_short(str(target))} can't be fetched, expected http://host/... or https://host/...")


def _read_plain(url: str, response: Any, limits: PictureLimits, deadline: Deadline) -> bytes:
    """Read a body that is not compressed: we did not ask for it, and a small one can unpack to gigabytes."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise NotFoundError(f"{_short(url)} answered with content encoding {encoding[:40]!r}, expected none")
    return _read_capped(url, response.iter_raw(_CHUNK_BYTES), limits, deadline)


def _read_capped(name: str, chunks: Iterable[bytes], limits: PictureLimits, deadline: Deadline) -> bytes:
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

    with Deadline(timeout_s) as deadline:
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
