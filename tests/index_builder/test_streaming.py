"""Memory of a build: it does not grow with the catalog. Measured in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.index_builder.conftest import make_catalog

ROOT = Path(__file__).parents[2]
BUILDER = """
import resource, sys
from pathlib import Path
from export.onnx_runtime import OnnxRuntimeNetworks
from index_builder.build import RunOptions, run_build
from index_builder.catalog_source import CatalogFile
from index_builder.store import LocalStore
from tests.index_builder.conftest import plain_settings
catalog, repository, store = map(Path, sys.argv[1:])
built = run_build(
    CatalogFile(catalog), OnnxRuntimeNetworks(repository, threads=1), None,
    settings=plain_settings(), store=LocalStore(store), options=RunOptions(shard_entries=512),
)
print(built.manifest.count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_ten_times_the_rows_take_no_more_memory(tiny, tmp_path: Path):
    """200 pictures stand in the catalog again and again: rows are what counts."""
    folder = make_catalog(tmp_path / "shop", 200).parent
    peak = {}
    for count in (2_000, 20_000):
        catalog = folder / f"{count}.jsonl"
        rows = ({"product_id": f"p{one}", "image": f"{one % 200}.png", "title": "x" * 500} for one in range(count))
        catalog.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        command = [sys.executable, "-c", BUILDER, str(catalog), str(tiny[0]), str(tmp_path / f"s{count}")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        built, peak[count] = map(int, done.stdout.split())
        assert built == count
    assert peak[20_000] < 1.1 * peak[2_000], peak
