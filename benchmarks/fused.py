"""The best arm's fused GoogLeNet over the grocery photos, trained where that has not been done, and a gallery of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks import grocery
from benchmarks.artifacts import Artifacts, make
from benchmarks.quality.preparing import RUNS, Shared
from benchmarks.quality.preparing import prepare as prepare_recipe
from benchmarks.quality.recipes import FUSED


def prepare(shared: Path) -> Artifacts:
    """Train, export and build from `shared` where that has not been done (minutes); the settings are the README's."""
    pair = grocery.prepare(shared)
    fused = prepare_recipe(FUSED, Shared(shared))
    shop = replace(pair, repository=fused.repository, store=RUNS / "grocery-fused-store")
    make(
        shop.store / "live.json",
        *("index_builder", "build", "--catalog", str(shop.catalog), "--split", "train"),
        *("--repository", str(shop.repository), "--words", str(shop.words), "--store", str(shop.store)),
        *("--center-text", "--label-mode", "soft", "--default-weight", "1", "--min-confidence", "0.2"),
    )
    return shop
