"""Rows measured now and rows of earlier runs in, one result file `galleries` out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.results import RESULTS, Row, Target, publish

NAME = "galleries"


def merge(rows: Sequence[Row], *, folder: Path = RESULTS) -> Path:
    """Publish the rows; those of other names that the file has stay, in their order."""
    known = {row.name: row for row in _earlier(folder / f"{NAME}.json")}
    merged = {**known, **{row.name: row for row in rows}}
    return publish(
        NAME,
        list(merged.values()),
        title="Large galleries on this machine; points drawn around real photos (intrinsic dimension in the notes)",
        command="python -m benchmarks.galleries embed|memory|build|search|open|swap",
        folder=folder,
    )


def _earlier(path: Path) -> list[Row]:
    if not path.exists():
        return []
    return [
        Row(
            row["name"],
            float("nan") if row["value"] is None else row["value"],
            row["unit"],
            None if row["target"] is None else Target(*_target(row["target"])),
            row.get("note", ""),
        )
        for row in json.loads(path.read_text())["rows"]
    ]


def _target(text: str) -> tuple[str, float]:
    comparison, number = text.split(" ")
    return comparison, float(number)
