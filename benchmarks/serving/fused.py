"""One fused GoogLeNet over the grocery photos, and its gallery: what `benchmarks.quality main` made, or random heads.

Speed does not depend on weights, so a fused network that nobody has trained on these photos serves as well: the given
backbone with heads as they are drawn.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.artifacts import Artifacts, make
from benchmarks.quality.preparing import RUNS, Shared

TRAINED = "grocery-best"  # of `python -m benchmarks.quality main`
UNTRAINED = "speed-fused"


def prepare_fused(shared: Path, *, words: Path, runs: Path = RUNS) -> Artifacts:
    """Return the trained network and its gallery where both are there, else make untrained ones."""
    given = Shared(shared)
    if (runs / f"{TRAINED}-store/live.json").exists() and (runs / f"{TRAINED}-models").is_dir():
        return _artifacts(given, words, runs / TRAINED)
    shop = _artifacts(given, words, runs / UNTRAINED)
    run, catalog = runs / UNTRAINED, ("--catalog", str(given.catalog), "--split", "train")
    make(
        run / "run.json",
        *("training", "fused", "--weights", str(given.weights), *catalog, "--clusters", "label", "--epochs", "0"),
        *("--dim", "0", "--pooling", "none", "--out", str(run)),
    )
    repository = ("--repository", str(shop.repository))
    make(shop.repository / "photo/config.pbtxt", "export", "fused", "--checkpoint", str(run), *repository)
    make(
        shop.store / "live.json",
        *("index_builder", "build", *catalog, *repository, "--words", str(words), "--store", str(shop.store)),
        *("--label-mode", "soft", "--default-weight", "1"),
    )
    return shop


def _artifacts(given: Shared, words: Path, stem: Path) -> Artifacts:
    return Artifacts(
        catalog=given.catalog,
        queries=given.catalog,
        photos=given.catalog.parent / "images",
        repository=stem.with_name(f"{stem.name}-models"),
        words=words,
        store=stem.with_name(f"{stem.name}-store"),
    )
