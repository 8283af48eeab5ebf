"""Photo bytes in, hits as JSON out, in this process: what every peer's server does for one request.

The same decoding, ONNX files, word vectors, fused query and FAISS index file as the service's, without its models in
another process, batching, filters, journal or exact re-ranking: nothing that a first version would not have.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bento.hits import flat, image_url
from bento.labels import of_probabilities
from catalog.errors import OutOfRangeError
from catalog.pictures import load_input
from export.onnx_runtime import OnnxRuntimeNetworks
from index_builder.faiss_index import faiss
from index_builder.fusion import fuse_query
from index_builder.gallery import INDEX_FILE, Gallery
from index_builder.manifest import ImageVector

LABELS_SHOWN = 5


@dataclass(frozen=True)
class PeerOptions:
    """What a peer's server is started with: `workers` processes or replicas, ONNX Runtime `threads` a call."""

    repository: Path
    gallery: Path
    port: int
    workers: int
    threads: int
    batch: int = 1

    @classmethod
    def parse(cls, description: str) -> PeerOptions:
        """Read the command line."""
        parser = argparse.ArgumentParser(description=description)
        parser.add_argument("--repository", type=Path, required=True)
        parser.add_argument("--gallery", type=Path, required=True)
        for name in ("port", "workers", "threads"):
            parser.add_argument(f"--{name}", type=int, required=True)
        parser.add_argument("--batch", type=int, default=1, help="most photos that are answered together")
        return cls(**vars(parser.parse_args()))


class PeerSearch:
    """One process's networks and index. `answer` may be called from several threads.

    Raises `OutOfRangeError` for a gallery with several pictures a product, whose hits would need grouping.
    """

    def __init__(self, repository: Path, gallery: Path, *, threads: int) -> None:
        self._networks = OnnxRuntimeNetworks(repository, threads=threads)
        self._gallery = Gallery.open(gallery, threads=1)
        manifest = self._gallery.manifest
        if manifest.products != manifest.count:
            raise OutOfRangeError(f"{gallery} has {manifest.count} pictures of {manifest.products} products")
        self._manifest = manifest
        faiss.omp_set_num_threads(1)  # the networks need the cores
        self._index = faiss.read_index(str(gallery / INDEX_FILE))
        self._products = [flat(row) for row in self._gallery.rows(range(manifest.count))]

    def answer(self, photo: bytes, *, top_k: int) -> dict[str, Any]:
        """Return the best hits of one photo."""
        return self.answers([photo], top_k=top_k)[0]

    def answers(self, photos: list[bytes], *, top_k: int) -> list[dict[str, Any]]:
        """Return the best hits of each photo; the networks and the index see them together."""
        size_px = self._networks.info.size_px
        outputs = self._networks.infer(np.stack([load_input(photo, size_px=size_px)[0] for photo in photos]))
        manifest = self._manifest
        image = outputs.pooled if manifest.image_vector is ImageVector.POOLED else outputs.embedding
        text = np.zeros((len(photos), manifest.text_dim), np.float32)
        for number, probabilities in enumerate(outputs.probabilities):
            vector = of_probabilities(self._gallery, probabilities, manifest.label.mode).vector
            if vector is not None:
                text[number] = vector
        weight = manifest.default_weight
        queries = fuse_query(image, text, weight=weight, default_weight=weight)
        scores, rows = self._index.search(queries, top_k)
        if manifest.text_dim:
            scores = scores / (1 + weight)
        return [self._body(*one) for one in zip(outputs.probabilities, scores, rows, strict=True)]

    def _body(self, probabilities: Any, scores: Any, rows: Any) -> dict[str, Any]:
        names = self._manifest.labels
        best = np.argsort(-probabilities)[:LABELS_SHOWN]
        hits = []
        for score, row in zip(scores, rows, strict=True):
            if row < 0:  # FAISS found fewer
                break
            product = self._products[row]
            hits.append({**product, "score": float(score), "image_url": image_url(product["product_id"])})
        labels = [{"label": names[k], "score": float(probabilities[k])} for k in best]
        return {"label": labels[0]["label"], "labels": labels, "weight": self._manifest.default_weight, "hits": hits}
