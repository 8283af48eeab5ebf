"""Query vectors of many requests in, hits out: the one thread that searches a gallery (docs/adr/0005-batching.md).

It takes every query that waits, searches those that may share a batch together, and hands each its own row back. When
the GPU that holds the index is lost, it goes on with the CPU.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from asyncio import AbstractEventLoop, Future, get_running_loop
from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bento import metrics
from index_builder.filters import Filters
from index_builder.gallery import Hits
from index_builder.gallery_reader import GalleryReader
from index_builder.live_gallery import LiveGallery
from index_builder.manifest import Device

logger = logging.getLogger("shopcam")

MAX_BATCH = 64


@dataclass(frozen=True)
class Query:
    """One query: `image` [D_I] unit, `text` [D_T] at most unit or None."""

    image: NDArray[np.float32]
    text: NDArray[np.float32] | None
    weight: float
    top_k: int
    filters: Filters | None = None

    @property
    def batch(self) -> Hashable:
        """Equal for queries that one search of the gallery can answer together."""
        return self.weight, self.top_k, self.filters


@dataclass(frozen=True)
class _Waiting:
    query: Query
    answer: Future[Hits]
    loop: AbstractEventLoop


class GalleryOwner:
    """Owns a gallery's searches; `close` ends the thread after what was asked before."""

    def __init__(self, live: LiveGallery) -> None:
        self._live = live
        gallery = live.gallery
        if gallery.manifest.recipe.device is Device.GPU and gallery.device is Device.CPU:
            logger.warning("gallery %s was built for a GPU; none is here, the CPU answers", gallery.manifest.version)
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="gallery-owner", daemon=True)
        self._thread.start()

    @property
    def gallery(self) -> GalleryReader:
        """The gallery as it is searched now."""
        return self._live.gallery

    async def search(self, query: Query) -> Hits:
        """Return the hits of one query, [1, K]. Raises what `Gallery.search` raises."""
        loop = get_running_loop()
        answer: Future[Hits] = loop.create_future()
        self._waiting.put(_Waiting(query, answer, loop))
        return await answer

    def close(self) -> None:
        """End the thread and let go of the gallery."""
        self._waiting.put(None)
        self._thread.join()
        self._live.close()

    def _serve(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            while len(batch) < MAX_BATCH and not self._waiting.empty():
                following = self._waiting.get()
                if following is None:
                    self._waiting.put(None)
                    break
                batch.append(following)
            groups: dict[Hashable, list[_Waiting]] = defaultdict(list)
            for waiting in batch:
                groups[waiting.query.batch].append(waiting)
            for group in groups.values():
                self._answer(group)

    def _answer(self, group: list[_Waiting]) -> None:
        group = [waiting for waiting in group if not waiting.answer.done()]  # clients that left cost no search
        if not group:
            return
        try:
            hits = self._search([waiting.query for waiting in group])
        except Exception as error:  # whatever went wrong belongs to the request that asked, not to its neighbors
            if len(group) == 1:
                _settle(group[0], error=error)
            else:
                for waiting in group:
                    self._answer([waiting])
            return
        for number, waiting in enumerate(group):
            _settle(waiting, hits=hits.of(number))

    def _search(self, queries: list[Query]) -> Hits:
        image = np.stack([query.image for query in queries])
        text_dim = self.gallery.manifest.text_dim
        text = np.zeros((len(queries), text_dim), np.float32)
        for number, query in enumerate(queries):
            if query.text is not None:
                text[number] = query.text
        return self._ask(image, text if text_dim else None, queries[0])

    def _ask(self, image: NDArray[np.float32], text: NDArray[np.float32] | None, like: Query) -> Hits:
        try:
            return self._found(image, text, like)
        except RuntimeError as error:  # what FAISS raises, also for CUDA
            if self.gallery.device is Device.CPU:
                raise
            logger.error("the GPU failed, the CPU answers from now on: %s", error)
            self._live.to_cpu()
            metrics.fell_back()
            return self._found(image, text, like)

    def _found(self, image: NDArray[np.float32], text: NDArray[np.float32] | None, like: Query) -> Hits:
        """Search the gallery as it is now; whoever reads the hits' rows does so from this reader or a later one."""
        return self.gallery.search(image, text, weight=like.weight, top_k=like.top_k, filters=like.filters)


def _settle(waiting: _Waiting, *, hits: Hits | None = None, error: Exception | None = None) -> None:
    def settle() -> None:
        if waiting.answer.done():  # the client went away
            return
        if error is not None:
            waiting.answer.set_exception(error)
        elif hits is not None:
            waiting.answer.set_result(hits)

    with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile; others wait for this thread
        waiting.loop.call_soon_threadsafe(settle)
