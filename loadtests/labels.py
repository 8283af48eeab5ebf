"""A service in, the labels it knows out: what shoppers correct a category to."""

from __future__ import annotations

import json
import urllib.request

TIMEOUT_S = 10.0


def labels(url: str) -> tuple[str, ...]:
    """The labels of GET /categories; none where that does not answer, so that no shopper names a category."""
    try:
        with urllib.request.urlopen(f"{url}/categories", timeout=TIMEOUT_S) as answer:  # noqa: S310  # scheme checked
            return tuple(str(label) for label in json.load(answer)["labels"])
    except (OSError, ValueError, KeyError, TypeError):
        return ()
