"""A gallery in its owner thread and the networks that speak its space; counts who uses it, so that it can be let go."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from bento.breaker import Breaker
from bento.owner import GalleryOwner
from bento.threads import in_thread
from export.networks import AsyncPhotoNetworks, PhotoOutputs
from index_builder.gallery_reader import GalleryReader
from index_builder.live_gallery import JournalState, LiveGallery
from index_builder.manifest import ImageVector, ModelPair


class Serving:
    """What one request searches with, from its first line to its last. Belongs to one event loop."""

    def __init__(self, live: LiveGallery, networks: AsyncPhotoNetworks) -> None:
        """Takes in the journal's changes so far; it blocks, and belongs into the thread that opens a gallery."""
        self._live = live
        self.networks = networks
        self.breaker = Breaker()
        self.reference: NDArray[np.uint8] | None = None  # a photo of the gallery, kept: its folder may be gone later
        self._counted = -1
        self.category_paths: dict[str, int] = {}
        self.refresh()
        self.owner = GalleryOwner(live)
        self._leases = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def gallery(self) -> GalleryReader:
        """The gallery with all changes so far; take it once for what must fit together."""
        return self._live.gallery

    @property
    def changes(self) -> JournalState:
        """How far the gallery follows the store's journal."""
        return self._live.state

    def refresh(self) -> JournalState:
        """Take in what is new in the journal; blocks. Raises nothing of the journal's, see `LiveGallery.refresh`."""
        state = self._live.refresh()
        gallery = self._live.gallery
        if gallery.sequence != self._counted:
            self.category_paths, self._counted = gallery.category_paths(), gallery.sequence
        return state

    @property
    def version(self) -> str:
        """The version of the gallery."""
        return self.gallery.manifest.version

    @property
    def pair(self) -> ModelPair:
        """The gallery and the networks that made it, as the store's pointer says it."""
        return ModelPair(gallery=self.version, models=self.gallery.manifest.spaces)

    @property
    def space(self) -> Hashable:
        """Equal where a photo's vectors and label probabilities mean the same."""
        manifest = self.gallery.manifest
        return manifest.image_vector, tuple(sorted(manifest.spaces.items())), tuple(manifest.labels)

    def image_vectors(self, outputs: PhotoOutputs) -> NDArray[np.float32]:
        """The output that this gallery's image parts were made of, [B, D_I]."""
        pooled = self.gallery.manifest.image_vector is ImageVector.POOLED
        return outputs.pooled if pooled else outputs.embedding

    @contextmanager
    def lease(self) -> Iterator[None]:
        """Keep it open as long as this is."""
        self._leases += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._leases -= 1
            if not self._leases:
                self._idle.set()

    async def idle(self, *, timeout_s: float) -> bool:
        """Wait until nobody uses it; False when somebody still does after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Let go of gallery and networks; who still searches gets a `GalleryError`."""
        await self.breaker.close()
        await self.networks.close()
        await in_thread(self.owner.close, name="gallery-close")
