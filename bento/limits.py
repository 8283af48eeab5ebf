"""Who asks and how much that costs in, room left out: a token bucket and a daily quota each, kept in bounded memory.

Both belong to one replica and one process: they are forgotten when it ends, and N replicas grant N times as much.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from catalog.errors import ShopcamError

DAY_S = 86_400
MAX_TRACKED = 50_000
DEFAULT_BURST_S = 2.0
ROUNDING = 1e-6  # of a token: who waits as long as told must not be refused for the last bit of a sum


class RateLimitedError(ShopcamError):
    """More requests a second than allowed."""

    status, code = 429, "rate_limited"


class QuotaExceededError(ShopcamError):
    """More searches a day than allowed."""

    status, code = 429, "quota_exceeded"


@dataclass(frozen=True)
class Allowance:
    """What one key or client address may do; None is without limit.

    `burst` requests pass at once, after that `rate_per_s`; `per_day` searches pass between two midnights UTC.
    """

    rate_per_s: float | None = None
    burst: int | None = None
    per_day: int | None = None

    @property
    def room(self) -> int:
        """Size of the bucket in requests."""
        return self.burst or max(1, math.ceil(DEFAULT_BURST_S * (self.rate_per_s or 0)))


@dataclass
class _Account:
    tokens: float
    filled_s: float
    day: int
    used: int = 0


class Limiter:
    """The accounts of all who asked lately; the one not heard of for longest makes room, and starts anew when back.

    Belongs to one event loop. `clock` gives seconds that never go back, `wall_clock` seconds of UTC.
    """

    def __init__(
        self,
        *,
        most: int = MAX_TRACKED,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._most = most
        self._clock = clock
        self._wall_clock = wall_clock
        self._accounts: OrderedDict[str, _Account] = OrderedDict()

    def __len__(self) -> int:
        return len(self._accounts)

    def take(self, who: str, allowance: Allowance, *, cost: float, headers: dict[str, str]) -> None:
        """Count one request, and write what is left into `headers`, also when it is refused.

        `cost` is 1 for a search; less is too cheap to count for the day. Raises RateLimitedError or QuotaExceededError,
        with the seconds until the same request passes; a refused request costs nothing.
        """
        if allowance.rate_per_s is None and allowance.per_day is None:
            return
        account = self._account(who, allowance)
        counts = cost >= 1
        try:
            _check_quota(account, allowance, counts=counts, left_s=DAY_S - self._wall_clock() % DAY_S)
            _check_rate(account, allowance, cost)
            if allowance.rate_per_s is not None:
                account.tokens -= cost
            account.used += counts
        finally:
            headers.update(self._told(account, allowance))

    def _account(self, who: str, allowance: Allowance) -> _Account:
        now_s, day = self._clock(), int(self._wall_clock() // DAY_S)
        account = self._accounts.pop(who, None) or _Account(allowance.room, now_s, day)
        if allowance.rate_per_s is not None:
            grown = account.tokens + (now_s - account.filled_s) * allowance.rate_per_s
            account.tokens = min(float(allowance.room), grown)
        account.filled_s = now_s
        if account.day != day:
            account.day, account.used = day, 0
        self._accounts[who] = account
        while len(self._accounts) > self._most:
            self._accounts.popitem(last=False)
        return account

    def _told(self, account: _Account, allowance: Allowance) -> dict[str, str]:
        """RateLimit and RateLimit-Policy as the IETF's draft has them: q of w seconds, r left, t seconds to all."""
        policies, left = [], []
        if allowance.rate_per_s is not None:
            room = allowance.room
            policies.append(f'"rate";q={room};w={math.ceil(room / allowance.rate_per_s)}')
            full_s = math.ceil((room - account.tokens) / allowance.rate_per_s)
            left.append(f'"rate";r={math.floor(account.tokens + ROUNDING)};t={full_s}')
        if allowance.per_day is not None:
            policies.append(f'"day";q={allowance.per_day};w={DAY_S}')
            left_s = math.ceil(DAY_S - self._wall_clock() % DAY_S)
            left.append(f'"day";r={max(0, allowance.per_day - account.used)};t={left_s}')
        return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(left)}


def _check_quota(account: _Account, allowance: Allowance, *, counts: bool, left_s: float) -> None:
    if counts and allowance.per_day is not None and account.used >= allowance.per_day:
        raise QuotaExceededError(
            f"the {allowance.per_day:,} searches of this day are used up; the next day begins at midnight UTC",
            retry_after_s=left_s,
        )


def _check_rate(account: _Account, allowance: Allowance, cost: float) -> None:
    if allowance.rate_per_s is not None and account.tokens < cost - ROUNDING:
        wait_s = (cost - account.tokens) / allowance.rate_per_s
        raise RateLimitedError(
            f"more than {allowance.rate_per_s:g} requests a second; try again in {wait_s:.1f} s", retry_after_s=wait_s
        )
