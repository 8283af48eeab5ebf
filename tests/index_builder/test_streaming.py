"""Memory of a build's streaming stages: it does not grow with the catalog. Measured in processes of their own.

The index and its measured recall come after them; their memory grows with the gallery by right.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.galleries.stages import StageSpec, staged
from tests.index_builder.conftest import make_catalog


@pytest.mark.slow
def test_four_times_the_rows_take_no_more_memory(tiny, tmp_path: Path):
    """200 pictures stand in the catalog again and again: rows are what counts."""
    folder = make_catalog(tmp_path / "shop", 200).parent
    peak = {}
    for count in (8_000, 32_000):
        catalog = folder / f"{count}.jsonl"
        rows = ({"product_id": f"p{one}", "image": f"{one % 200}.png", "title": "x" * 500} for one in range(count))
        catalog.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        done = staged(StageSpec(str(catalog), str(tiny[0]), str(tmp_path / f"stages-{count}")))
        assert done.rows == count
        peak[count] = done.peak_bytes
    assert peak[32_000] < 1.1 * peak[8_000], peak
