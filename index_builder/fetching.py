"""Where a picture lies in, its bytes out, after as many tries as its server is worth."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from catalog.errors import OutOfRangeError
from catalog.pictures import PictureLimits
from catalog.sources import TIMEOUT_S, UnreachableError, fetch

MAX_WAIT_S = 30.0  # however long a server asks to be left alone


@dataclass(frozen=True)
class FetchPolicy:
    """How patiently URLs are read. Raises `OutOfRangeError` for values that make no sense.

    `timeout_s` bounds one try; between tries `wait_s` pass, twice as long each time, or what the server asks for.
    """

    timeout_s: float = TIMEOUT_S
    tries: int = 3
    wait_s: float = 0.5

    def __post_init__(self) -> None:
        if not self.timeout_s > 0:
            raise OutOfRangeError(f"fetch timeout is {self.timeout_s} s, more than 0 is needed")
        if self.tries < 1:
            raise OutOfRangeError(f"fetch tries is {self.tries}, at least 1 is needed")


def is_url(image: str) -> bool:
    """Tell whether a picture lies behind http(s) or s3, not in a file."""
    return "://" in image


def fetch_patiently(
    image: str, *, base: Path, limits: PictureLimits, policy: FetchPolicy, stop: threading.Event | None = None
) -> bytes:
    """Return the bytes of a picture; tries again what may answer later: time over, connection lost, 5xx, 429.

    Raises as `catalog.sources.fetch`; the last try's sentence says how many there were. `stop` ends the waiting.
    """
    stop = stop or threading.Event()
    for number in range(1, policy.tries + 1):
        try:
            return fetch(image, base=base, limits=limits, timeout_s=policy.timeout_s)
        except UnreachableError as error:
            wait_s = policy.wait_s * 2 ** (number - 1) if error.wait_s is None else min(error.wait_s, MAX_WAIT_S)
            if number == policy.tries or stop.wait(wait_s):
                tries = f" (tried {number} times)" if number > 1 else ""
                raise UnreachableError(f"{error}{tries}") from error
    raise AssertionError("unreachable: the last try returns or raises")
