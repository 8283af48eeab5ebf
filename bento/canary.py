"""An open gallery in, an exception out if it would not answer as it should: searches whose answers are known."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bento.errors import RefusedError
from bento.owner import Query
from bento.serving import Serving
from catalog.pictures import load_input
from index_builder.gallery_reader import GalleryReader

COSINE = 0.999
TIMEOUT_S = 5.0
SAMPLE = 64  # rows that must find themselves
SAMPLING_NOISE = 0.15  # four standard deviations of a share of 0.9 among 64
SCORE_NOISE = 1e-3


async def check_canary(serving: Serving) -> None:
    """Search with a picture of the gallery through the networks, as a request does.

    Raises `RefusedError` when it does not come back as itself, and what networks and gallery raise.
    """
    references = serving.gallery.manifest.references
    if not references:
        raise RefusedError("the gallery has no reference photo to check itself with; build it again")
    reference = references[0]
    if serving.reference is None:
        serving.reference = _pixels(serving, reference.image)
    outputs = await serving.networks.infer(serving.reference[None], timeout_s=TIMEOUT_S)
    image = serving.image_vectors(outputs)[0]
    cosine = float(image @ np.asarray(reference.image_vector, np.float32))
    if cosine < COSINE:
        raise RefusedError(
            f"the networks do not speak the gallery's space: cosine {cosine:.4f} to a reference, {COSINE} is needed"
        )
    hits = await serving.owner.search(Query(image, None, weight=0.0, top_k=1))
    own = float(image @ serving.gallery.image_vector(reference.row))
    # Another product may have the same picture; a worse best hit means that the search is broken.
    if float(hits.image_scores[0, 0]) < own - SCORE_NOISE:
        raise RefusedError(f"a search for product {reference.product_id} with its own picture does not find it")


def _pixels(serving: Serving, image: str) -> NDArray[np.uint8]:
    try:
        data = (serving.gallery.folder / image).read_bytes()
    except OSError as error:
        raise RefusedError(f"the reference photo cannot be read: {error}") from None
    return load_input(data, size_px=serving.networks.info.size_px)[0]


def check_recall(gallery: GalleryReader, *, seed: int = 0) -> None:
    """Search for rows by their own vectors; `RefusedError` when fewer find themselves than the manifest's recall@10.

    It sees an index and vectors that are each whole but not of each other, and a device that computes nonsense.
    """
    manifest = gallery.manifest
    weight = manifest.default_weight
    promised = [row.recall_at_10 for row in manifest.recall if math.isclose(row.weight, weight, abs_tol=1e-9)]
    if not promised:
        return
    rows = np.random.default_rng(seed).permutation(manifest.count)[:SAMPLE].tolist()
    texts = [gallery.text_vector(row) for row in rows]
    image = np.stack([gallery.image_vector(row) for row in rows])
    nothing = np.zeros(manifest.text_dim, np.float32)
    text = np.stack([nothing if vector is None else vector for vector in texts]) if manifest.text_dim else None
    best = gallery.search(image, text, weight=weight, top_k=1).scores[:, 0]
    own = np.array([1 / (1 + weight) if vector is None else 1.0 for vector in texts])
    found = float(np.mean(best >= own - SCORE_NOISE))
    if found < promised[0] - SAMPLING_NOISE:
        raise RefusedError(
            f"{found:.0%} of {len(rows)} rows of gallery {manifest.version} are found by their own vectors, its "
            f"manifest promises a recall@10 of {promised[0]:.3f}; build the gallery again"
        )
