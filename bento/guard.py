"""A request's visit in; refused with 401, 403 or 429, or let through with what is left of its limits in the headers."""

from __future__ import annotations

import ipaddress

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import Scope

from bento.admin import is_token
from bento.key_ring import KeyRing
from bento.keys import ApiKey
from bento.limits import Allowance, Limiter
from bento.routes import INVOCATIONS, Access
from bento.settings import Settings
from bento.visits import Visit
from catalog.errors import ForbiddenError, UnauthorizedError

DATA_COST = 0.05  # of a search: a page of hits asks for dozens of pictures
SITE_PREFIX = 64  # an IPv6 client has a whole network of addresses


class Guard:
    """Who may pass, for one replica. Raises as `KeyRing` when its key file cannot be read."""

    def __init__(self, settings: Settings, *, limiter: Limiter | None = None) -> None:
        self._keys = None if settings.api_keys is None else KeyRing(settings.api_keys)
        self._metrics_token = settings.metrics_token
        self._open = {INVOCATIONS} if settings.invocations_open else set()
        self._limiter = limiter or Limiter()
        self._default = Allowance(
            rate_per_s=settings.rate_per_s or None,
            burst=settings.rate_burst or None,
            per_day=settings.quota_per_day or None,
        )

    async def admit(self, scope: Scope, visit: Visit) -> None:
        """Let a request through or raise; admin routes ask for their own token themselves."""
        if visit.access is Access.METRICS:
            _check_metrics(Headers(scope=scope), self._metrics_token)
        if visit.access is not Access.KEY or visit.route in self._open:
            return
        who, allowance = f"address {_site(visit.client)}", self._default
        if self._keys is not None:
            visit.private = True
            key = await self._keys.key_of(Headers(scope=scope))
            visit.key_id = key.id
            _check_route(key, visit.route)
            who, allowance = f"key {key.id}", _allowance(key, self._default)
        cost = 1.0 if scope["method"] == "POST" else DATA_COST  # what is posted makes the networks work
        self._limiter.take(who, allowance, cost=cost, headers=visit.headers)


def _check_metrics(headers: Headers, token: SecretStr | None) -> None:
    if token is not None and not is_token(headers, token):
        raise UnauthorizedError("give the token of the metrics, as in `Authorization: Bearer TOKEN`")


def _check_route(key: ApiKey, route: str) -> None:
    if key.routes is not None and route.removeprefix("/") not in key.routes:
        raise ForbiddenError(f"the API key {key.id} is for {', '.join(key.routes) or 'nothing'} only")


def _allowance(key: ApiKey, default: Allowance) -> Allowance:
    """The key's own limits; what it leaves open is as the settings have it."""
    burst = key.burst if key.rate_per_s is not None else key.burst or default.burst
    return Allowance(
        rate_per_s=key.rate_per_s or default.rate_per_s, burst=burst, per_day=key.quota_per_day or default.per_day
    )


def _site(client: str) -> str:
    """What counts as one client: an IPv4 address, or the network of an IPv6 one."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    if isinstance(address, ipaddress.IPv4Address):
        return client
    return str(ipaddress.ip_network((address, SITE_PREFIX), strict=False))
