"""Real photos and given weights: GoogLeNet `pool5` as embedder, a classifier trained on `train`, as a shop would.

These are the commands of the README's section "Your own catalog, your own weights".
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.artifacts import Artifacts, make
from benchmarks.quality import preparing
from benchmarks.quality.recipes import FROZEN, WORDS

RUNS = preparing.RUNS
WEIGHT = "3"  # where the curve of `python -m benchmarks.quality weight` flattens; more leaves less to the picture


def prepare(shared: Path) -> Artifacts:
    """Export, train and build from `shared` where that has not been done; raises NotFoundError without the photos."""
    given = preparing.Shared(shared)
    frozen = preparing.prepare(FROZEN, given)
    preparing.prepare(WORDS, given)
    shop = Artifacts(
        catalog=given.catalog,
        queries=given.catalog,
        photos=given.catalog.parent / "images",
        repository=frozen.repository,
        words=RUNS / "grocery-words",
        store=RUNS / "grocery-store",
    )
    make(
        shop.store / "live.json",
        *("index_builder", "build", "--catalog", str(given.catalog), "--split", "train"),
        *("--repository", str(shop.repository), "--words", str(shop.words), "--store", str(shop.store)),
        *("--default-weight", WEIGHT),
    )
    return shop
