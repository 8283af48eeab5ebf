"""Query vectors of many requests in, hits out: the one thread that searches a gallery (docs/adr/0005-batching.md).

It takes every query that waits, searches those of one weight and top_k together, and hands each its own row back.
"""

from __future__ import annotations

import queue
import threading
from asyncio import AbstractEventLoop, Future, get_running_loop
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index_builder.gallery import Gallery, Hits

MAX_BATCH = 64


@dataclass(frozen=True)
class Query:
    """One query: `image` [D_I] unit, `text` [D_T] at most unit or None."""

    image: NDArray[np.float32]
    text: NDArray[np.float32] | None
    weight: float
    top_k: int


@dataclass(frozen=True)
class _Waiting:
    query: Query
    answer: Future[Hits]
    loop: AbstractEventLoop


class GalleryOwner:
    """Owns a gallery's searches; `close` ends the thread after what was asked before."""

    def __init__(self, gallery: Gallery) -> None:
        self.gallery = gallery
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="gallery-owner", daemon=True)
        self._thread.start()

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
        self.gallery.close()

    def _serve(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            while len(batch) < MAX_BATCH and not self._waiting.empty():
                following = self._waiting.get()
                if following is None:
                    self._waiting.put(None)
                    break
                batch.append(following)
            groups: dict[tuple[float, int], list[_Waiting]] = defaultdict(list)
            for waiting in batch:
                groups[waiting.query.weight, waiting.query.top_k].append(waiting)
            for group in groups.values():
                self._answer(group)

    def _answer(self, group: list[_Waiting]) -> None:
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
            one = slice(number, number + 1)
            _settle(waiting, hits=Hits(hits.rows[one], hits.scores[one], hits.image_scores[one], hits.text_scores[one]))

    def _search(self, queries: list[Query]) -> Hits:
        image = np.stack([query.image for query in queries])
        text_dim = self.gallery.manifest.text_dim
        text = np.zeros((len(queries), text_dim), np.float32)
        for number, query in enumerate(queries):
            if query.text is not None:
                text[number] = query.text
        return self.gallery.search(image, text if text_dim else None, weight=queries[0].weight, top_k=queries[0].top_k)


def _settle(waiting: _Waiting, *, hits: Hits | None = None, error: Exception | None = None) -> None:
    def settle() -> None:
        if waiting.answer.done():  # the client went away
            return
        if error is not None:
            waiting.answer.set_exception(error)
        elif hits is not None:
            waiting.answer.set_result(hits)

    waiting.loop.call_soon_threadsafe(settle)
