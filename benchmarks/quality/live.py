"""A live gallery, a model repository and a query file in, a table out: how well does this shop's search answer?

Networks run in this process; labels become text parts by the service's own code, so that what is measured is what is
served, abstention and label settings of the gallery included.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.metrics import mean_average_precision, recall_at, top5_score
from benchmarks.quality.outputs import Outputs, outputs_of
from bento.labels import of_probabilities
from catalog.errors import MalformedError, NotFoundError
from export.networks import PhotoNetworks
from export.onnx_runtime import OnnxRuntimeNetworks
from index_builder.gallery import Gallery
from index_builder.manifest import ImageVector, LabelMode
from index_builder.store import open_store

RECALL_AT = (1, 5, 10)
TOP_K = 10
MODES = {"image only": LabelMode.NONE, "hard label": LabelMode.HARD, "soft label": LabelMode.SOFT}


@dataclass(frozen=True)
class LiveFigures:
    """One way to ask a live gallery. `top5` is nan for queries that name one product each; `ms` is the search alone."""

    name: str
    top5: float
    recall: dict[int, float]
    map_10: float
    ms: float


def evaluate_live(
    store: Path,
    repository: Path,
    queries: Path,
    *,
    splits: list[str] | None = None,
    weight: float | None = None,
    boxes: bool = False,
    modes: Mapping[str, LabelMode] = MODES,
) -> list[LiveFigures]:
    """Ask the live gallery of `store` with every query photo by each of `modes`: image only, hard label, soft label.

    A hit is right when it has the query's label, or its product_id where the query has no label. Raises
    `NotFoundError` without a live gallery and `MalformedError` for queries without a truth that the gallery knows.
    """
    gallery = _open(store, repository)
    try:
        asked = outputs_of(repository, queries, splits, boxes=boxes)
        total = _total_relevant(gallery, asked)
        usable = {name: mode for name, mode in modes.items() if gallery.manifest.text_dim or mode is LabelMode.NONE}
        return [_figures(gallery, asked, total, name=name, mode=mode, weight=weight) for name, mode in usable.items()]
    finally:
        gallery.close()


def print_live(rows: list[LiveFigures], *, title: str) -> None:
    """Show the table."""
    table = Table(title=title, title_justify="left")
    for column in ("search", "top-5 score", *(f"recall@{k}" for k in RECALL_AT), "mAP@10", "ms per query"):
        table.add_column(column, justify="left" if column == "search" else "right")
    for row in rows:
        top5 = "" if np.isnan(row.top5) else f"{row.top5:.2f}"
        recall = [f"{row.recall[k]:.3f}" if k in row.recall else "" for k in RECALL_AT]
        table.add_row(row.name, top5, *recall, f"{row.map_10:.3f}", f"{row.ms:.2f}")
    Console().print(table)


def _open(store: Path, repository: Path) -> Gallery:
    opened = open_store(store)
    live = opened.live()
    if live is None:
        raise NotFoundError(f"no gallery is live in {store}; build one with python -m index_builder build")
    networks: PhotoNetworks = OnnxRuntimeNetworks(repository)
    spaces = networks.info.spaces
    networks.close()
    return Gallery.open(opened.gallery(live.live.gallery), spaces=spaces)


def _truth(row: object) -> tuple[str, str]:
    """What makes a hit right: the column and its value."""
    label, product_id = getattr(row, "label", None), getattr(row, "product_id", "")
    return ("label", label) if label else ("product_id", product_id)


def _total_relevant(gallery: Gallery, asked: Outputs) -> NDArray[np.int64]:
    """Return how many products of the gallery are right for each query, [Q]."""
    products = {product["product_id"]: product for product in gallery.rows(np.arange(gallery.manifest.count))}
    counts = {column: Counter(product[column] for product in products.values()) for column in ("label", "product_id")}
    total = np.array([counts[column][value] for column, value in map(_truth, asked.rows)], np.int64)
    if not total.any():
        column, value = _truth(asked.rows[0])
        raise MalformedError(f"no query has a right answer in this gallery; the first asks for {column} '{value}'")
    return total


def _figures(
    gallery: Gallery, asked: Outputs, total: NDArray[np.int64], *, name: str, mode: LabelMode, weight: float | None
) -> LiveFigures:
    image = asked.pooled if gallery.manifest.image_vector is ImageVector.POOLED else asked.embedding
    weight = gallery.manifest.default_weight if weight is None else weight
    top_k = min(TOP_K, gallery.manifest.products)
    relevant = np.zeros((len(asked), top_k), bool)
    times = []
    for place, row in enumerate(asked.rows):
        vector = of_probabilities(gallery, asked.probabilities[place], mode).vector
        text = None if vector is None else vector[None]
        start = time.perf_counter()
        hits = gallery.search(image[place : place + 1], text, weight=weight if text is not None else 0.0, top_k=top_k)
        times.append(time.perf_counter() - start)
        column, value = _truth(row)
        relevant[place] = [product[column] == value for product in gallery.rows(hits.rows[0])]
    by_label = any(row.label for row in asked.rows)
    return LiveFigures(
        name=name if mode is LabelMode.NONE else f"{name} (weight {weight:g})",
        top5=top5_score(relevant) if by_label and top_k >= 5 else float("nan"),
        recall={k: recall_at(relevant, k) for k in RECALL_AT if k <= top_k},
        map_10=mean_average_precision(relevant, total),
        ms=1000 * float(np.median(times)),
    )
