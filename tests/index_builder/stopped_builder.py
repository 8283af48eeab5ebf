"""A builder in a process of its own, that stops at a named moment and waits to be killed.

    python -m tests.index_builder.stopped_builder WHERE CATALOG REPOSITORY STORE

WHERE is "shard" (the third batch, with one shard finished), "rows" (assembling), "index" (training) or "publish".
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from export.onnx_runtime import OnnxRuntimeNetworks
from index_builder import assembling, build, embedding, indexing
from index_builder.build import RunOptions, run_build
from index_builder.catalog_source import CatalogFile
from index_builder.store import LocalStore
from tests.index_builder.conftest import plain_settings

SHARD_ENTRIES = 40
# What is stopped at, and how often it may happen before.
MOMENTS: dict[str, tuple[Any, str, int]] = {
    "shard": (embedding, "write_shard", 1),
    "rows": (assembling, "_parts", 50),
    "index": (indexing.faiss_index, "make_index", 0),
    "publish": (build, "write_manifest", 0),
}


def stopping(function: Callable[..., Any], *, after: int) -> Callable[..., Any]:
    calls = 0

    def run(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > after:
            sys.stdout.write("here\n")
            sys.stdout.flush()
            sys.stdin.read()
        return function(*args, **options)

    return run


if __name__ == "__main__":
    where, catalog, repository, store = sys.argv[1:]
    module, name, after = MOMENTS[where]
    setattr(module, name, stopping(getattr(module, name), after=after))
    run_build(
        CatalogFile(Path(catalog)),
        OnnxRuntimeNetworks(Path(repository), threads=1),
        None,
        settings=plain_settings(),
        store=LocalStore(Path(store)),
        version="v",
        options=RunOptions(shard_entries=SHARD_ENTRIES),
    )
