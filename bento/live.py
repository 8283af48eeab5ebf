"""The store's live gallery and the model server in, what a request searches with out; a canary tells if it works."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bento.owner import GalleryOwner, Query
from bento.settings import Settings
from catalog.errors import NotReadyError, ShopcamError
from catalog.pictures import load_input
from export.contract import RepositoryInfo
from export.networks import PhotoOutputs
from export.triton_client import AsyncTritonNetworks, remote_info
from index_builder.gallery import Gallery
from index_builder.manifest import ImageVector
from index_builder.store import open_store

RETRY_S = 1.0  # between attempts to open what was not there
CANARY_S = 2.0  # how long a canary's answer counts
CANARY_COSINE = 0.999
CANARY_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Serving:
    """A gallery in its owner thread and the networks that speak its space."""

    owner: GalleryOwner
    networks: AsyncTritonNetworks

    @property
    def gallery(self) -> Gallery:
        """The gallery searched."""
        return self.owner.gallery

    @cached_property
    def category_paths(self) -> dict[str, int]:
        """The number of products of each category path; counted once, since a gallery never changes."""
        return self.gallery.category_paths()

    def image_vectors(self, outputs: PhotoOutputs) -> NDArray[np.float32]:
        """The output that this gallery's image parts were made of, [B, D_I]."""
        pooled = self.gallery.manifest.image_vector is ImageVector.POOLED
        return outputs.pooled if pooled else outputs.embedding


class Live:
    """Opens gallery and networks when first asked, again after a failure; belongs to one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._serving: Serving | None = None
        self._opening = asyncio.Lock()
        self._tried_at = float("-inf")
        self._reason = "the service is starting"
        self._canary = asyncio.Lock()
        self._canary_at = float("-inf")
        self._canary_failure: str | None = None

    async def serving(self) -> Serving:
        """Return what to search with; raises NotReadyError with the reason when it cannot be opened."""
        if self._serving is not None:
            return self._serving
        async with self._opening:
            if self._serving is None:
                if time.monotonic() - self._tried_at < RETRY_S:
                    raise NotReadyError(self._reason, retry_after_s=RETRY_S)
                try:
                    self._serving = await asyncio.to_thread(_open, self._settings)
                except ShopcamError as error:  # a version that is missing is the shop's trouble, never the client's
                    self._tried_at, self._reason = time.monotonic(), str(error)
                    raise NotReadyError(self._reason, retry_after_s=RETRY_S) from error
        return self._serving

    async def check(self) -> str:
        """Search with a picture of the gallery through the networks, as a request does; return the gallery's version.

        Raises NotReadyError when the picture does not come back as itself. An answer counts for two seconds.
        """
        serving = await self.serving()
        async with self._canary:
            if time.monotonic() - self._canary_at > CANARY_S:
                self._canary_failure = await _canary(serving)
                self._canary_at = time.monotonic()
        if self._canary_failure is not None:
            raise NotReadyError(self._canary_failure, retry_after_s=RETRY_S)
        return serving.gallery.manifest.version

    async def close(self) -> None:
        """Let go of both."""
        serving, self._serving = self._serving, None
        if serving is not None:
            await serving.networks.close()
            await asyncio.to_thread(serving.owner.close)


def live_gallery(store_uri: str) -> Path:
    """Return the folder of the store's live gallery; NotReadyError when there is none."""
    store = open_store(store_uri)
    pointer = store.live()
    if pointer is None:
        raise NotReadyError(f"the store {store_uri} has no live gallery; `python -m index_builder build` makes one")
    return store.gallery(pointer.live.gallery)


def _open(settings: Settings) -> Serving:
    info: RepositoryInfo = remote_info(settings.triton_url, timeout_s=CANARY_TIMEOUT_S)
    gallery = Gallery.open(live_gallery(settings.store), spaces=info.spaces)
    return Serving(
        GalleryOwner(gallery), AsyncTritonNetworks(settings.triton_url, info=info, timeout_s=settings.timeout_s)
    )


async def _canary(serving: Serving) -> str | None:
    """Why a search with the reference photo does not work; None when it does."""
    references = serving.gallery.manifest.references
    if not references:
        return "the gallery has no reference photo to check itself with; build it again"
    reference = references[0]
    try:
        data = (serving.gallery.folder / reference.image).read_bytes()
        pixels, _ = load_input(data, size_px=serving.networks.info.size_px)
        outputs = await serving.networks.infer(pixels[None], timeout_s=CANARY_TIMEOUT_S)
        image = serving.image_vectors(outputs)[0]
        cosine = float(image @ np.asarray(reference.image_vector, np.float32))
        if cosine < CANARY_COSINE:
            return (
                f"the networks do not speak the gallery's space: cosine {cosine:.4f} to a reference, "
                f"{CANARY_COSINE} is needed"
            )
        hits = await serving.owner.search(Query(image, None, weight=0.0, top_k=1))
        own = float(image @ serving.gallery.image_vector(reference.row))
    except ShopcamError as error:
        return str(error)
    except OSError as error:
        return f"the reference photo cannot be read: {error}"
    # Another product may have the same picture; a worse best hit means that the search is broken.
    if float(hits.image_scores[0, 0]) < own - 1e-3:
        return f"a search for product {reference.product_id} with its own picture does not find it"
    return None
