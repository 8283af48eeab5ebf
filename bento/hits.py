"""Rows that a gallery found in, the contract's hits out."""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import quote

from pydantic import TypeAdapter

from bento.schemas import Hit
from bento.serving import Serving
from index_builder.gallery import Hits

_HITS = TypeAdapter(list[Hit])


def hits_of(serving: Serving, found: Hits, *, leave_out: str | None = None) -> list[Hit]:
    """The hits of one query, best first, without the product `leave_out`."""
    hits = []
    for k, product in enumerate(serving.gallery.rows(found.rows[0])):
        if product["product_id"] == leave_out:
            continue
        text_score = float(found.text_scores[0, k])
        ours = {
            "score": float(found.scores[0, k]),
            "image_score": float(found.image_scores[0, k]),
            "text_score": None if math.isnan(text_score) else text_score,
            "image_url": image_url(product["product_id"]),
        }
        hits.append({**flat(product), **ours})
    return _HITS.validate_python(hits)


def image_url(product_id: str) -> str:
    """The path of a product's picture."""
    return f"/products/{quote(product_id, safe='')}/image"


def flat(product: dict[str, Any]) -> dict[str, Any]:
    """The catalog columns with the unknown ones beside the known; a known name always wins."""
    return {**product["extra"], **{name: value for name, value in product.items() if name != "extra"}}
