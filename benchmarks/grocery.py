"""Real photos and given weights: GoogLeNet `pool5` as embedder, a classifier trained on `train`, as a shop would.

These are the commands of the README's section "Your own catalog, your own weights".
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.artifacts import Artifacts, make
from catalog.errors import NotFoundError

RUNS = Path("runs")
WEIGHT = "3"  # chosen by `python -m benchmarks.quality weight`, inside the training split


def prepare(shared: Path) -> Artifacts:
    """Export, train and build from `shared` where that has not been done; raises NotFoundError without the photos."""
    catalog = shared / "data/grocery/catalog.csv"
    weights = shared / "weights/googlenet-imagenet.onnx"
    for needed in (catalog, weights):
        if not needed.exists():
            raise NotFoundError(f"{needed} is missing; say where the real photos and weights lie with --shared")
    shop = Artifacts(
        catalog=catalog,
        queries=catalog,
        photos=catalog.parent / "images",
        repository=RUNS / "grocery-models",
        words=RUNS / "grocery-words",
        store=RUNS / "grocery-store",
    )
    embedder, classifier = RUNS / "grocery-embedder", RUNS / "grocery-classifier"
    backbone = ("--weights", str(weights), "--power", "0.5")
    make(
        embedder / "run.json",
        "training",
        "embedder",
        *backbone,
        "--head",
        "none",
        "--epochs",
        "0",
        "--out",
        str(embedder),
    )
    make(
        classifier / "run.json",
        *("training", "classifier", *backbone, "--freeze", "backbone"),
        *("--catalog", str(catalog), "--split", "train", "--out", str(classifier)),
    )
    for verb, checkpoint in (("embedder", embedder), ("classifier", classifier)):
        make(
            shop.repository / verb / "config.pbtxt",
            *("export", verb, "--checkpoint", str(checkpoint), "--repository", str(shop.repository)),
        )
    make(
        shop.words / "words.json",
        *("training", "words", "--catalog", str(shared / "data/text/products.csv"), "--catalog", str(catalog)),
        *("--out", str(shop.words)),
    )
    make(
        shop.store / "live.json",
        *("index_builder", "build", "--catalog", str(catalog), "--split", "train"),
        *("--repository", str(shop.repository), "--words", str(shop.words), "--store", str(shop.store)),
        *("--default-weight", WEIGHT),
    )
    return shop
