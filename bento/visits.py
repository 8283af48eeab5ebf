"""One request as limits and logs see it: its id, who asks, and what becomes of it. Never what it contains."""

from __future__ import annotations

import ipaddress
import re
import time
import uuid
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.types import Scope

from bento.addresses import Network
from bento.routes import Access, access_of, route_of

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
MAX_FORWARDED = 32  # addresses of X-Forwarded-For that are looked at, from the nearest on
SCOPE_KEY = "shopcam.visit"
UNKNOWN = "unknown"


@dataclass
class Visit:
    """Belongs to one request; the parts that answer it fill in what they find out.

    `headers` are added to the answer; `action` is what an admin request asks for.
    """

    request_id: str
    client: str
    route: str
    access: Access
    begun_s: float = field(default_factory=time.perf_counter)
    key_id: str | None = None
    private: bool = False  # the answer is for the one who asked, not for shared caches
    status: int = 0
    code: str = "ok"
    bytes_in: int = 0
    bytes_out: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    action: dict[str, str | None] = field(default_factory=dict)


CURRENT: ContextVar[Visit | None] = ContextVar("visit", default=None)  # of the request that is being answered


def begin(scope: Scope, proxies: Sequence[Network] = ()) -> Visit:
    """Make the visit of a request and leave it in its scope."""
    headers = Headers(scope=scope)
    given = headers.get("x-request-id", "")
    visit = Visit(
        request_id=given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex,
        client=client_address(scope, proxies),
        route=route_of(scope["path"]),
        access=access_of(scope["path"]),
    )
    scope[SCOPE_KEY] = visit
    return visit


def visit_of(scope: Scope) -> Visit:
    """The visit of a request that `begin` has seen, else a new one."""
    visit = scope.get(SCOPE_KEY)
    return visit if isinstance(visit, Visit) else begin(scope)


def client_address(scope: Scope, proxies: Sequence[Network]) -> str:
    """The peer's address; behind trusted proxies the nearest address that none of them has.

    What a client writes into X-Forwarded-For itself stands left of what the first proxy adds, and is never reached.
    """
    peer = (scope.get("client") or (UNKNOWN, 0))[0]
    if not _is_within(peer, proxies):
        return str(peer)
    said = ",".join(Headers(scope=scope).getlist("x-forwarded-for"))
    nearest = peer
    for part in reversed(said.split(",")[-MAX_FORWARDED:]):
        address = _plain(part)
        if address is None:
            break
        nearest = address
        if not _is_within(address, proxies):
            break
    return str(nearest)


def _plain(said: str) -> str | None:
    """An address as we write it, without the port that some proxies add; None for what is none."""
    said = said.strip().strip('"')
    if said.startswith("["):
        said = said[1:].partition("]")[0]
    elif said.count(":") == 1:
        said = said.partition(":")[0]
    try:
        address = ipaddress.ip_address(said)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _is_within(address: str, networks: Sequence[Network]) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in networks)
