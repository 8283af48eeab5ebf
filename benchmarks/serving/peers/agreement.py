"""The hits of two servers for the same photos in; whether they are the same search out."""

from __future__ import annotations

from collections.abc import Sequence

import httpx

from benchmarks.serving.uploads import CONTENT_TYPE, multipart
from catalog.errors import NotReadyError

TIE = 1e-4  # scores of different builds of ONNX Runtime; closer ones may come in any order

Hits = list[tuple[str, float]]  # product_id and score, best first


def hits_of(url: str, photo: bytes, *, top_k: int) -> Hits:
    """Ask a server; NotReadyError when it does not answer with hits."""
    answer = httpx.post(
        f"{url}/search", content=multipart(photo, top_k=top_k), headers={"Content-Type": CONTENT_TYPE}, timeout=60
    )
    if not answer.is_success:
        raise NotReadyError(f"{url} answered {answer.status_code}: {answer.text[:200]}")
    return [(hit["product_id"], float(hit["score"])) for hit in answer.json()["hits"]]


def same_hits(one: Hits, other: Hits) -> bool:
    """Whether both have as many hits, equal scores place by place, and the same products but for ties at the end."""
    if len(one) != len(other):
        return False
    if any(abs(a - b) > TIE for (_, a), (_, b) in zip(one, other, strict=True)):
        return False
    if not one:
        return True
    last = min(one[-1][1], other[-1][1])
    scores = [dict(one), dict(other)]
    sure = [{product for product, score in hits.items() if score > last + 2 * TIE} for hits in scores]
    return all(
        product in scores[1 - side] and abs(scores[1 - side][product] - scores[side][product]) <= TIE
        for side in (0, 1)
        for product in sure[side]
    )


def check_agreement(name: str, url: str, *, photos: Sequence[bytes], expected: Sequence[Hits]) -> None:
    """Raise NotReadyError unless a server's hits for every photo are the expected ones."""
    for number, (photo, hits) in enumerate(zip(photos, expected, strict=True)):
        found = hits_of(url, photo, top_k=len(hits))
        if not same_hits(found, hits):
            raise NotReadyError(f"{name} finds other products in photo {number}: {found[:3]}, expected {hits[:3]}")
