"""Rows measured now in, one result file `galleries` out, which keeps the rows of earlier runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks import results
from benchmarks.results import RESULTS, Row

NAME = "galleries"


def merge(rows: Sequence[Row], *, folder: Path = RESULTS) -> Path:
    """Publish the rows; those of other names that the file has stay, in their order."""
    return results.merge(
        NAME,
        rows,
        title="Large galleries on this machine; points drawn around real photos (intrinsic dimension in the notes)",
        command="python -m benchmarks.galleries embed|memory|build|search|open|swap",
        folder=folder,
    )
