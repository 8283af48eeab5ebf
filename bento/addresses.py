"""A URL that a client asks us to fetch in; refused unless its host is on the public internet."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import SplitResult, urlsplit

from catalog.errors import ForbiddenError, MalformedError, NotFoundError

SCHEMES = ("http", "https")
NAT64 = ipaddress.ip_network("64:ff9b::/96")


def check_form(url: str) -> None:
    """Refuse anything but http and https URLs with a host: a client may not name files or buckets of ours."""
    _split(url)


def check_public(url: str) -> None:
    """Resolve the host; raises ForbiddenError if any of its addresses is not one of the public internet."""
    host = _split(url).hostname or ""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NotFoundError(f"the host {host[:100]} of url is not known") from None
    for *_, address in found:
        if not _is_public(str(address[0]).split("%")[0]):
            raise ForbiddenError("url names an address that is not public")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise MalformedError(f"url cannot be read: {error}") from None
    if parts.scheme.lower() not in SCHEMES or "://" not in url:
        raise MalformedError("url must begin with http:// or https://")
    if not parts.hostname:
        raise MalformedError("url has no host")
    return parts


def _is_public(address: str) -> bool:
    """Whether an address, and the IPv4 address that some IPv6 ones stand for, is on the public internet."""
    found = ipaddress.ip_address(address)
    inner = None
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo or (None, None))[1]
        if found in NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    if inner is not None and not (inner.is_global and not inner.is_multicast):
        return False
    return found.is_global and not found.is_multicast
