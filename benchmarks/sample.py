"""The sample shop as a benchmark sees it: the shipped networks, drawn products, camera photos."""

from __future__ import annotations

from pathlib import Path

from benchmarks.artifacts import Artifacts, make

SHOP = Path(".cache/sample-shop")
RUNS = Path(".cache/benchmarks/sample")


def prepare() -> Artifacts:
    """Draw the shop, train its word vectors and build its gallery, where that has not been done."""
    shop = Artifacts(
        catalog=SHOP / "catalog.csv",
        queries=SHOP / "queries.csv",
        photos=SHOP / "photos",
        repository=Path("model_repository"),
        words=RUNS / "words",
        store=RUNS / "store",
    )
    make(shop.catalog, "catalog", "sample", "--out", str(SHOP))
    make(shop.words / "words.json", "training", "words", "--catalog", str(shop.catalog), "--out", str(shop.words))
    make(
        shop.store / "live.json",
        *("index_builder", "build", "--catalog", str(shop.catalog), "--repository", str(shop.repository)),
        *("--words", str(shop.words), "--store", str(shop.store)),
    )
    return shop
