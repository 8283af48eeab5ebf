"""The verb `update`: changes of products in, a batch of the journal out, which replicas take in within seconds."""

from __future__ import annotations

import argparse
from pathlib import Path

from export.onnx_runtime import OnnxRuntimeNetworks
from index_builder.store import open_store
from index_builder.store_verbs import Verbs, out, verb
from index_builder.update import read_ids, update_gallery

REASONS_SHOWN = 10


def update(options: argparse.Namespace) -> None:
    """Add, change and delete products of the live gallery, without a build."""
    deletes = [product_id for text in options.delete.split(",") if (product_id := text.strip())]
    if options.delete_file is not None:
        deletes += read_ids(options.delete_file)
    store = open_store(options.store, endpoint_url=options.endpoint_url, cache=options.cache)
    networks = OnnxRuntimeNetworks(options.repository, threads=options.threads)
    try:
        done = update_gallery(
            store,
            networks,
            catalog=options.catalog,
            deletes=deletes,
            splits=options.split,
            max_bad_rows=options.max_bad_rows,
        )
    finally:
        networks.close()
    for row in done.rejected[:REASONS_SHOWN]:
        out.print(f"[yellow]skipped row {row.row or '?'} ({row.product_id or 'no id'}):[/yellow] ", end="")
        out.print(row.reason, markup=False)
    if len(done.rejected) > REASONS_SHOWN:
        out.print(f"[yellow]... and {len(done.rejected) - REASONS_SHOWN} more[/yellow]")
    out.print(
        f"batch {done.sequence} of {store.journal().uri}: {done.products:,} products with {done.pictures:,} pictures "
        f"added or changed, {done.deleted:,} deleted, {len(done.rejected):,} rows skipped"
    )


def add_update(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add the verb to a command line."""
    one = verb(verbs, "update", update)
    one.add_argument("--repository", type=Path, required=True, help="model repository of the live gallery")
    one.add_argument("--catalog", type=Path, help="CSV, JSON lines or Parquet file of new and changed products")
    one.add_argument("--split", type=_splits, help="use only the rows of these splits; default: those of the gallery")
    one.add_argument("--delete", metavar="ID,ID", default="", help="products that are gone")
    one.add_argument("--delete-file", type=Path, help="text file with one product id a line")
    one.add_argument(
        "--max-bad-rows", type=float, default=0.01, help="give up when a larger share is bad (default 0.01)"
    )
    one.add_argument("--threads", type=int, help="cores for the networks; default: all")


def _splits(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
