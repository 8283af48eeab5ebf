"""Query photos and a live gallery in, ranked relevance out, through the same readers the service uses.

Networks run in this process (ONNX Runtime): the service's own tests show that Triton answers the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catalog.pictures import load_input
from catalog.reader import read_queries
from catalog.rows import Box, Product
from catalog.terminal import progress
from export.networks import PhotoNetworks
from index_builder.gallery import Gallery

BATCH = 16
SECOND_LEVEL = "second level of the category path"


@dataclass(frozen=True)
class Queries:
    """Q query photos as the networks see them. `image` [Q, D] unit rows, `probabilities` [Q, V]."""

    rows: tuple[Product, ...]
    image: NDArray[np.float32]
    probabilities: NDArray[np.float32]


def run_networks(path: Path, networks: PhotoNetworks, *, splits: Sequence[str], boxes: bool = False) -> Queries:
    """Read the query file, decode each photo and run both networks on it.

    `boxes` crops each photo to its box, as a shopper who draws one does; without it the whole photo is searched.
    """
    rows = read_queries(path, splits=splits).products
    outputs = []
    for batch in _batched(progress(rows, description="query photos", total=len(rows))):
        pictures = [_picture(row, path.parent, networks.info.size_px, boxes=boxes) for row in batch]
        outputs.append(networks.infer(np.stack(pictures)))
    return Queries(
        rows=rows,
        image=np.concatenate([output.embedding for output in outputs]),
        probabilities=np.concatenate([output.probabilities for output in outputs]),
    )


def _batched(rows: Iterator[Product]) -> Iterator[list[Product]]:
    while batch := list(islice(rows, BATCH)):
        yield batch


def _picture(row: Product, folder: Path, size_px: int, *, boxes: bool) -> NDArray[np.uint8]:
    box = Box(*row.box) if boxes and row.box is not None else None
    pixels, _ = load_input((folder / row.image).read_bytes(), size_px=size_px, box=box)
    return pixels


def ranked(gallery: Gallery, queries: Queries, *, weight: float, top_k: int = 10) -> list[list[dict[str, object]]]:
    """Hits of every query, best first, at `weight`; the text part is the vector of the most probable label (hard)."""
    labels = queries.probabilities.argmax(axis=1)
    text = gallery.labels.vectors[labels] if weight else None
    hits = gallery.search(queries.image, text, weight=weight, top_k=top_k)
    return [[gallery.product(int(row)) for row in rows if row >= 0] for rows in hits.rows]


def relevance(queries: Queries, hits: list[list[dict[str, object]]], *, by: str, top_k: int = 10) -> NDArray[np.bool_]:
    """Boolean [Q, top_k]: the hit's `by` is the query's; a missing hit is not relevant.

    `by` is a column (label, product_id) or `SECOND_LEVEL`, the second level of the category path.
    """
    matrix = np.zeros((len(hits), top_k), dtype=bool)
    for number, (row, products) in enumerate(zip(queries.rows, hits, strict=True)):
        wanted = _value(row.category_path if by == SECOND_LEVEL else getattr(row, by), by)
        matrix[number, : len(products)] = [
            _value(product["category_path" if by == SECOND_LEVEL else by], by) == wanted for product in products[:top_k]
        ]
    return matrix


def _value(cell: object, by: str) -> object:
    if by != SECOND_LEVEL:
        return cell
    levels = [level.strip() for level in str(cell).split(">")]
    return tuple(levels[:2])
