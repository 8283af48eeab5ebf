"""The table of hits at any width of a terminal: numbers whole, titles cut, nothing of a seller's taken for markup."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from bento.client import print_hits

TITLE = "A [bold]very[/bold] fine Swiss automatic wrist watch 時計"


def table(columns: int, **changes: Any) -> list[str]:
    """The lines printed for twelve hits at a width."""
    hit = {"title": TITLE, "category_path": "Shop > Watches > wrist watches for men", "price": 1234.5}
    hit |= {"score": 0.98765, "image_score": -0.5, "text_score": 0.25}
    hits = [hit | {"product_id": f"watch-{number:04}"} for number in range(12)]
    hits[2] |= {"product_id": "x" * 60, "price": None, "text_score": None}
    body = {
        "label": "watch",
        "label_score": 0.934,
        "category": "watch",
        "abstained": False,
        "hits": hits,
        "gallery_version": "v1",
    }
    body |= {"weight": 2.0, "timings_ms": {"decode": 1.2, "models": 20.4, "search": 0.3, "total": 25.6}}
    category = changes.pop("asked", None)
    out = io.StringIO()
    print_hits(body | changes, photo=Path("a [1].jpg"), category=category, console=Console(width=columns, file=out))
    return out.getvalue().splitlines()


@pytest.mark.parametrize("columns", [80, 100, 120, 200])
def test_numbers_are_whole(columns: int) -> None:
    first, header, *rows, last = table(columns)
    assert first == "a [1].jpg  looks like watch (93%)"
    assert header.split() == ["product", "title", "category", "price", "score", "image", "text"]
    assert rows[0].split()[:2] == ["1", "watch-0000"]
    assert rows[0].split()[-4:] == ["1234.50", "0.988", "-0.500", "0.250"]
    assert rows[2].split()[-4:] == ["0.988", "-0.500", "no", "text"]
    assert {cell_len(row) for row in rows} == {cell_len(rows[0])}
    assert cell_len(rows[0]) <= columns
    assert last == "gallery v1, weight 2, 26 ms (decode 1, models 20, search 0)"


def test_wide_terminals_show_whole_titles() -> None:
    row = table(200)[2]
    assert TITLE[:43] in row
    assert " wrist watches for men " in row


def test_what_was_searched_is_said() -> None:
    assert table(120, category="mug", asked="mug")[0].endswith("(93%), searched as mug")
    assert table(120, category=None, asked="[!!!]")[0].endswith("by picture alone: no word of '[!!!]' is known")
    assert table(120, category=None, abstained=True)[0].endswith("(93%), not sure, so searched by picture alone")
    assert table(120, label=None, category=None)[0].strip() == "a [1].jpg"
    assert len(table(120, hits=[])) == 3
