"""A picture's address in, its image vector and thumbnail out: what an engine does to each picture, wherever it runs.

Two steps, so that the first can run beside the second: `load` fetches and decodes, `infer` asks the networks about a
batch. Everything here can be sent to another process.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catalog.errors import ShopcamError
from catalog.pictures import FIT, PictureLimits, load_input
from catalog.rows import Box
from export.contract import RepositoryInfo, Tensor
from export.networks import PhotoNetworks, network_of
from index_builder.fetching import FetchPolicy, fetch_patiently
from index_builder.manifest import ImageVector
from index_builder.product_table import THUMBNAIL_QUALITY, THUMBNAIL_SIDE_PX, thumbnail
from index_builder.views import mean_of_views, mean_probabilities, views_of

DIGEST_BYTES = 32


@dataclass(frozen=True)
class Vision:
    """How pictures are seen: by which networks, at what size, in how many views. Equal ones give equal vectors."""

    spaces: tuple[tuple[str, str], ...]  # (network, space id) of those that are asked
    size_px: int
    image_dim: int
    image_vector: ImageVector
    views: int
    labeled: bool
    limits: PictureLimits

    @cached_property
    def key(self) -> str:
        """What tells vectors and thumbnails made this way from any other."""
        facts = {**asdict(self), "fit": FIT, "thumbnail": [THUMBNAIL_SIDE_PX, THUMBNAIL_QUALITY]}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def digest(self, data: bytes, box: Box | None) -> bytes:
        """Return the content hash [32 bytes] of a picture: equal ones have equal vectors and thumbnails."""
        seen = hashlib.sha256(data).digest()
        return hashlib.sha256(b"\0".join([self.key.encode(), repr(box and tuple(box)).encode(), seen])).digest()


@dataclass(frozen=True)
class Job:
    """One picture to be embedded."""

    image: str
    box: Box | None = None


@dataclass(frozen=True)
class Task:
    """What is done to each picture: paths start at `base`; content hashes that are `known` need no embedding.

    `known` is sorted, of numpy type S32.
    """

    base: Path
    vision: Vision
    fetching: FetchPolicy = field(default_factory=FetchPolicy)
    known: NDArray[np.bytes_] = field(default_factory=lambda: np.zeros(0, f"S{DIGEST_BYTES}"))

    def knows(self, digest: bytes) -> bool:
        """Whether a row with this content hash is kept from an earlier build."""
        key = np.array(digest, self.known.dtype)
        position = int(np.searchsorted(self.known, key))
        return position < len(self.known) and bool(self.known[position] == key)


@dataclass(frozen=True)
class Loaded:
    """A picture that was read: content hash, network input uint8 [S, S, 3], thumbnail JPEG."""

    digest: bytes
    pixels: NDArray[np.uint8]
    thumbnail: bytes


@dataclass(frozen=True)
class Embedded:
    """What was made of a picture: unit image vector [D_I], float32, and thumbnail JPEG.

    `vector` is the mean over the views asked for, `plain` the vector of the picture as it is (None: the same).
    `label` is the number of the classifier's most probable label where labels were asked for, -1 otherwise.
    """

    digest: bytes
    vector: NDArray[np.float32]
    plain: NDArray[np.float32] | None
    label: int
    probability: float
    thumbnail: bytes


@dataclass(frozen=True)
class Unchanged:
    """A picture whose vector is known from an earlier build."""

    digest: bytes


@dataclass(frozen=True)
class Unusable:
    """A picture that cannot be used, and why."""

    reason: str


Outcome = Embedded | Unchanged | Unusable


def vision_of(
    info: RepositoryInfo, *, image_vector: ImageVector, views: int, labeled: bool, limits: PictureLimits
) -> Vision:
    """Return how networks see pictures for a gallery of this kind."""
    asked = {network_of(Tensor(image_vector), info)}
    if labeled:
        asked.add(network_of(Tensor.PROBABILITIES, info))
    image_dim = info.pooled_dim if image_vector is ImageVector.POOLED else info.embedding_dim
    return Vision(
        spaces=tuple(sorted((name.value, info.spaces[name]) for name in asked)),
        size_px=info.size_px,
        image_dim=image_dim,
        image_vector=ImageVector(image_vector),
        views=views,
        labeled=labeled,
        limits=limits,
    )


def load(job: Job, task: Task, *, stop: threading.Event | None = None) -> Loaded | Unchanged | Unusable:
    """Fetch and decode one picture; one that is known is not decoded."""
    vision = task.vision
    try:
        data = fetch_patiently(job.image, base=task.base, limits=vision.limits, policy=task.fetching, stop=stop)
        digest = vision.digest(data, job.box)
        if task.knows(digest):
            return Unchanged(digest)
        pixels, decoded = load_input(data, size_px=vision.size_px, box=job.box, limits=vision.limits)
    except ShopcamError as error:
        return Unusable(f"image '{job.image}': {error}")
    return Loaded(digest, pixels, thumbnail(decoded.image))


def infer(loaded: Sequence[Loaded], networks: PhotoNetworks, vision: Vision) -> list[Embedded]:
    """Return the vectors of a batch of at least one picture; only the networks needed for them run."""
    views = vision.views
    images = np.concatenate([views_of(one.pixels, views) for one in loaded])
    labels, sure = np.full(len(loaded), -1), np.zeros(len(loaded))
    if vision.labeled:
        outputs = networks.infer(images)
        vectors = outputs.pooled if vision.image_vector is ImageVector.POOLED else outputs.embedding
        probabilities = mean_probabilities(outputs.probabilities, views)
        labels, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    else:
        vectors = networks.vectors(images, Tensor(vision.image_vector))
    means = mean_of_views(vectors, views)
    plain = None if views == 1 else vectors[::views]
    return [
        Embedded(
            one.digest,
            means[row],
            None if plain is None else plain[row],
            int(labels[row]),
            float(sure[row]),
            one.thumbnail,
        )
        for row, one in enumerate(loaded)
    ]
