"""A page with marked places and the tables for them in, the page with new tables out.

A place is what stands between `<!-- NAME -->` and `<!-- end -->`; all else is written by hand and stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from catalog.errors import MalformedError

PLACE = re.compile(r"<!-- (?!end)([a-z-]+) -->\n.*?<!-- end -->", re.DOTALL)


def fill(page: str, tables: Mapping[str, str]) -> str:
    """Put each table in its place; MalformedError where the page and the tables do not name the same places."""
    places = PLACE.findall(page)
    if sorted(places) != sorted(tables):
        raise MalformedError(f"the page has the places {sorted(places)}, the tables are {sorted(tables)}")
    return PLACE.sub(lambda match: f"<!-- {match[1]} -->\n\n{tables[match[1]]}\n\n<!-- end -->", page)


def refill(path: Path, tables: Mapping[str, str]) -> Path:
    """The same for a file."""
    text = fill(path.read_text(encoding="utf-8"), tables)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
    return path
