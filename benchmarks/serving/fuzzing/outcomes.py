"""An answer in, whether it is one that the contract allows out."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass

INTENDED = frozenset({503, 504})  # of all server errors, those that the contract has
CLOSED = 0  # instead of a status: the connection ended without an answer


@dataclass(frozen=True)
class Outcome:
    """What became of one request. `problem` is empty where the answer is allowed; `again` says how to send it again."""

    kind: str
    status: int
    problem: str = ""
    again: str = ""

    @property
    def is_server_error(self) -> bool:
        """Whether it is a 5xx other than those that the contract has."""
        return self.status >= 500 and self.status not in INTENDED


def problem_of(status: int, body: bytes, allowed: Collection[int]) -> str:
    """One sentence if an answer of the service is not allowed, else nothing. A busy service may always say so."""
    if status not in allowed and status not in {429, *INTENDED}:
        expected = ", ".join(map(str, sorted(allowed)))
        return f"answered {status}, expected one of {expected}: {body[:200]!r}"
    try:
        content = json.loads(body)
    except ValueError:
        return f"{status} with a body that is not JSON: {body[:200]!r}"
    if status == 200:
        return "" if isinstance(content, dict) and "hits" in content else f"200 without hits: {body[:200]!r}"
    error = content.get("error") if isinstance(content, dict) else None
    if not isinstance(error, dict) or set(error) != {"code", "message"} or not all(error.values()):
        return f"{status} with a body that is not of the contract: {body[:200]!r}"
    if "\n" in error["message"] or "Traceback" in error["message"]:
        return f"{status} with more than a sentence: {error['message'][:200]!r}"
    return ""
