"""The first tables: the sample shop, and grocery photos with frozen features, each through a live gallery."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks import grocery, sample
from benchmarks.artifacts import Artifacts
from benchmarks.metrics import mean_average_precision, paired_bootstrap, recall_at, top5_score
from benchmarks.quality.evaluate import SECOND_LEVEL, Queries, ranked, relevance, run_networks
from benchmarks.quality.folds import FOLDS, relevant_by_weight, smallest_good_weight
from benchmarks.results import Row, Target, publish
from catalog.reader import load_catalog
from export.onnx_runtime import OnnxRuntimeNetworks
from index_builder.gallery import Gallery
from index_builder.store import open_store

IMAGE_ONLY_TOP5 = Target(">=", 2.50)
ONE_SHOT_TOP5 = Target(">=", 3.25)


def sample_table() -> None:
    """Camera photo to its product, sample shop and shipped networks."""
    shop = sample.prepare()
    gallery, networks = _load(shop)
    rows = [Row("products in the gallery", gallery.manifest.products)]
    for taken, boxes in (("whole photo", False), ("photo with its box", True)):
        queries = run_networks(shop.queries, networks, splits=["val"], boxes=boxes)
        rows.append(Row(f"{taken}: held-out camera photos", len(queries.rows)))
        for arm, weight in _arms(gallery).items():
            hits = ranked(gallery, queries, weight=weight)
            product = relevance(queries, hits, by="product_id")
            rows += [
                Row(f"{taken}, {arm}: its product, recall@1", recall_at(product, 1)),
                Row(f"{taken}, {arm}: its product, recall@5", recall_at(product, 5)),
                Row(
                    f"{taken}, {arm}: same label, top-5 score", top5_score(relevance(queries, hits, by="label")), "of 5"
                ),
            ]
        rows.append(Row(f"{taken}: classifier accuracy", _accuracy(gallery, queries)))
    publish(
        "sample_quality", rows, title="Sample shop, shipped networks", command="python -m benchmarks.quality sample"
    )


def grocery_table(shared: Path) -> None:
    """One-shot search on real grocery photos with frozen features."""
    shop = grocery.prepare(shared)
    gallery, networks = _load(shop)
    queries = run_networks(shop.queries, networks, splits=["val"])
    in_gallery = Counter(row.label for row in load_catalog(shop.catalog, splits=["train"]).products)
    total = np.array([in_gallery[row.label] for row in queries.rows])
    rows, per_query = (
        [Row("query photos (val)", len(queries.rows)), Row("gallery rows (train)", gallery.manifest.count)],
        [],
    )
    for (arm, weight), target in zip(_arms(gallery).items(), (IMAGE_ONLY_TOP5, ONE_SHOT_TOP5), strict=True):
        hits = ranked(gallery, queries, weight=weight)
        relevant = relevance(queries, hits, by="label")
        per_query.append(relevant[:, :5].sum(axis=1).astype(np.float64))
        rows += [
            Row(f"{arm}: top-5 score", top5_score(relevant), "of 5", target),
            Row(f"{arm}: recall@1", recall_at(relevant, 1)),
            Row(f"{arm}: mAP@10", mean_average_precision(relevant, total)),
            Row(f"{arm}: top-5 score, second level", top5_score(relevance(queries, hits, by=SECOND_LEVEL)), "of 5"),
        ]
    mean, low, high = paired_bootstrap(*per_query)
    rows.append(Row("one-shot minus image only, top-5 score", mean, note=f"95 % interval {low:.2f} to {high:.2f}"))
    rows.append(Row("classifier accuracy", _accuracy(gallery, queries)))
    publish(
        "grocery_quality",
        rows,
        title="Grocery photos, one-shot protocol, GoogLeNet pool5 (square root, L2)",
        command="python -m benchmarks.quality grocery",
    )


def weight_table(shared: Path) -> None:
    """Top-5 score against the weight, by folds of the grocery training split."""
    gallery, _ = _load(grocery.prepare(shared))
    relevant = relevant_by_weight(gallery)
    rows = [Row(f"top-5 score at weight {weight:g}", float(n.mean()), "of 5") for weight, n in relevant.items()]
    note = f"{FOLDS} contiguous folds of train, the smallest that is as good as the best; val was not used"
    rows.append(Row("weight chosen", smallest_good_weight(relevant), note=note))
    publish(
        "grocery_weight",
        rows,
        title="Grocery photos: the weight, chosen inside the training split",
        command="python -m benchmarks.quality weight",
    )


def _load(shop: Artifacts) -> tuple[Gallery, OnnxRuntimeNetworks]:
    store = open_store(shop.store)
    live = store.live()
    if live is None:
        raise RuntimeError(f"{shop.store} has no live gallery although its build succeeded")
    networks = OnnxRuntimeNetworks(shop.repository)
    return Gallery.open(store.gallery(live.live.gallery), spaces=networks.info.spaces), networks


def _arms(gallery: Gallery) -> dict[str, float]:
    default = gallery.manifest.default_weight
    return {"image only": 0.0, f"one-shot (weight {default:g})": default}


def _accuracy(gallery: Gallery, queries: Queries) -> float:
    predicted = np.array(gallery.manifest.labels)[queries.probabilities.argmax(axis=1)]
    return float(np.mean(predicted == np.array([row.label for row in queries.rows])))
