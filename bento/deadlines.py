"""What a client says of its patience in; how long an answer may take out."""

from __future__ import annotations

from starlette.datastructures import Headers

from catalog.errors import MalformedError, OutOfRangeError

HEADER = "X-Timeout-Ms"
MAX_DIGITS = 9


def timeout_of(headers: Headers, *, default_s: float, most_s: float) -> float:
    """Seconds from the last byte of the request on; more than `most_s` is as much as that.

    Raises MalformedError for what is no whole number, OutOfRangeError for 0 and for absurd ones.
    """
    said = headers.get(HEADER)
    if said is None:
        return default_s
    said = said.strip()
    if not (said.isascii() and said.isdigit()):
        raise MalformedError(f"{HEADER} must be a whole number of milliseconds, got {said[:40]!r}")
    if len(said) > MAX_DIGITS or int(said) == 0:
        raise OutOfRangeError(f"{HEADER} must be from 1 to {10**MAX_DIGITS - 1}, got {said[:40]}")
    return min(int(said) / 1e3, most_s)
