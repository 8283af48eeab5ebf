"""A URL that a client asks us to fetch in, the addresses that may be connected to for it out.

A host is looked up once and all its addresses are checked; `catalog.sources.fetch` connects to those and to no other,
so that a name which changes its address between check and connection leads nowhere.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from catalog.errors import ForbiddenError, MalformedError, NotFoundError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

SCHEMES = ("http", "https")
DEFAULT_PORTS = frozenset({80, 443})
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
UNICAST = ipaddress.IPv6Network("2000::/3")  # all of IPv6 that the internet routes
# Not servers on the internet, though `ipaddress` may say so: protocol assignments, 6to4 relays, Azure's service for its
# virtual machines, documentation.
REFUSED: tuple[Network, ...] = (
    ipaddress.IPv4Network("192.0.0.0/24"),
    ipaddress.IPv4Network("192.88.99.0/24"),
    ipaddress.IPv4Network("168.63.129.16/32"),
    ipaddress.IPv6Network("3fff::/20"),
)
ISATAP = (0x00005EFE, 0x02005EFE)  # first half of an interface id whose second half is an IPv4 address


def check_form(url: str) -> None:
    """Refuse anything but http and https URLs with a host: a client may not name files or buckets of ours."""
    parts = _split(url)
    if parts.username is not None or parts.password is not None:
        raise MalformedError("url must not hold a user name or a password")


@dataclass(frozen=True)
class PublicAddresses:
    """Calling it with host and port gives the addresses to connect to; the public internet's only.

    `networks` are trusted besides, such as that of the shop's own image server, with any port.
    """

    ports: Collection[int] = DEFAULT_PORTS
    networks: Sequence[Network] = ()

    def __call__(self, host: str, port: int) -> list[str]:
        """Raise ForbiddenError if any address of the host, or the port, may not be asked; NotFoundError without one."""
        addresses = resolve(host, port)
        found = [ipaddress.ip_address(address.split("%")[0]) for address in addresses]
        trusted = [self._is_trusted(address) for address in found]
        if not all(known or is_public(address) for known, address in zip(trusted, found, strict=True)):
            raise ForbiddenError("url names an address that is not public")
        if port not in self.ports and not all(trusted):
            listed = ", ".join(map(str, sorted(self.ports)))
            raise ForbiddenError(f"url names port {port}, allowed are {listed}")
        return addresses

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self.networks)


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host in the system's order, each once. Raises NotFoundError where there is none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NotFoundError(f"the host {host[:100]} of url is not known") from None
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    if not addresses:
        raise NotFoundError(f"the host {host[:100]} of url has no address")
    return addresses


def is_public(address: Address) -> bool:
    """Whether an address, and the IPv4 address that some IPv6 ones stand for, is a host of the public internet."""
    if address in NAT64:
        return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    if not address.is_global or address.is_multicast or any(address in network for network in REFUSED):
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return True
    if address not in UNICAST:
        return False
    return all(is_public(inner) for inner in _inner(address))


def _inner(address: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses that a tunnel would take the packet to."""
    inner = [address.sixtofour, *(address.teredo or ())]
    if (int(address) >> 32) & 0xFFFFFFFF in ISATAP:
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [one for one in inner if one is not None]


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
