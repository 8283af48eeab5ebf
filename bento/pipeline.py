"""One request in, hits out: all logic of a search, no HTTP (DESIGN section 1)."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Coroutine, Hashable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from bento.addresses import PublicAddresses, check_form, resolve
from bento.hits import flat, hits_of, image_url
from bento.labels import TextPart, of_category, of_probabilities
from bento.live import Live
from bento.memory import QueryMemory, Remembered
from bento.metrics import Stages, answer_of, predicted
from bento.owner import Query
from bento.requests import SearchRequest
from bento.samples import offered
from bento.schemas import (
    BoxBody,
    CategoriesResponse,
    ChangesBody,
    FollowingBody,
    GalleryResponse,
    Hit,
    LabelBody,
    ProductResponse,
    RecallBody,
    SamplesResponse,
    SearchOptions,
    SearchResponse,
    SwapFailureBody,
    TextOptions,
    TextResponse,
    Timings,
)
from bento.serving import Serving
from bento.settings import Settings
from bento.shared_work import SharedWork
from bento.text_search import search_words
from catalog.errors import DeadlineError
from catalog.pictures import load_input, parse_box
from catalog.rows import Box
from catalog.sources import fetch
from index_builder.filters import Filters
from index_builder.gallery import Hits
from index_builder.manifest import LabelMode
from index_builder.views import mean_of_views, mean_probabilities, views_of

LABELS_SHOWN = 5
LARGE_BYTES = 512 * 1024  # of a photo whose hash would hold up others; it is made in a thread
FETCHERS = 8

T = TypeVar("T")


class SearchPipeline:
    """Everything the service can answer. Belongs to one event loop; `close` ends its threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._limits = settings.limits
        self.live = Live(settings)
        self._memory = QueryMemory(keep_s=settings.query_memory_s)
        most, keep_s = settings.cache_entries, settings.query_memory_s
        self._seen: SharedWork[Remembered] = SharedWork("vectors", most=most, keep_s=keep_s)
        self._found: SharedWork[Hits] = SharedWork("hits", most=most, keep_s=keep_s)
        self._secret = secrets.token_bytes(32)  # so that what is kept does not tell which photo it was
        self._decoders = ThreadPoolExecutor(settings.decoders, thread_name_prefix="decode")
        # Apart from the decoders, so that a slow web server of others does not hold up uploaded photos.
        self._fetchers = ThreadPoolExecutor(FETCHERS, thread_name_prefix="fetch")
        public = PublicAddresses(settings.ports, settings.networks)
        self._addresses_of = resolve if settings.allow_private_urls else public

    async def search(self, request: SearchRequest, *, timeout_s: float) -> SearchResponse:
        """Answer a photo, a product or an earlier query; raises DeadlineError when that takes longer."""
        return await _in_time(self._search(request), timeout_s)

    async def search_text(self, options: TextOptions, *, timeout_s: float) -> TextResponse:
        """Answer words; raises DeadlineError when that takes longer."""
        return await _in_time(self._search_text(options), timeout_s)

    async def _search_text(self, options: TextOptions) -> TextResponse:
        stages = Stages()
        async with self.live.lease() as serving:
            with answer_of(serving.version):
                return await search_words(serving, options, stages)

    async def _search(self, request: SearchRequest) -> SearchResponse:
        stages = Stages()
        box = parse_box(request.options.box) if request.options.box is not None else None
        async with self.live.lease() as serving:
            with answer_of(serving.version):
                return await self._answer(serving, request, box, stages)

    async def _answer(
        self, serving: Serving, request: SearchRequest, box: Box | None, stages: Stages
    ) -> SearchResponse:
        options = request.options
        asked = await self._vectors(serving, request, box, stages)
        with stages.stage("fuse"):
            text = _text_part(serving, asked, options)
            weight = serving.gallery.manifest.default_weight if options.weight is None else options.weight
            filters = None if options.filters is None else Filters.parse(options.filters)
            top_k = options.top_k + (asked.product_id is not None)
            query = Query(asked.image, text.vector, weight, top_k, filters)
        with stages.stage("search"):
            hits = await self._hits(serving, asked, query)
        labels = _labels(serving, asked)
        if labels and options.query_id is None:
            predicted(labels[0].label, labels[0].score, abstained=text.abstained)
        query_id = options.query_id or self._memory.add(asked)
        return SearchResponse(
            query_id=query_id,
            gallery_version=serving.version,
            label=labels[0].label if labels else None,
            label_score=labels[0].score if labels else None,
            labels=labels,
            category=text.said,
            abstained=text.abstained,
            box=None if asked.box is None else BoxBody(**asked.box._asdict()),
            weight=weight,
            hits=hits[: options.top_k],
            timings_ms=Timings(**stages.total()),
        )

    async def product(self, product_id: str) -> ProductResponse:
        """The catalog row of a product; NotFoundError for an unknown one."""
        async with self.live.lease() as serving:
            gallery = serving.gallery
            row = flat(gallery.product(gallery.row_of(product_id)))
        return ProductResponse(**{**row, "image_url": image_url(product_id)})

    async def picture(self, product_id: str) -> bytes:
        """The picture of a product as JPEG; NotFoundError for an unknown one."""
        async with self.live.lease() as serving:
            gallery = serving.gallery
            return gallery.image_bytes(gallery.row_of(product_id))

    async def categories(self) -> CategoriesResponse:
        """What `category` may be."""
        async with self.live.lease() as serving:
            return CategoriesResponse(labels=serving.gallery.manifest.labels, category_paths=serving.category_paths)

    async def samples(self, photos: list[Path]) -> SamplesResponse:
        """Photos that the page offers to try: these, or products of the gallery."""
        async with self.live.lease() as serving:
            return offered(photos, serving)

    async def gallery(self) -> GalleryResponse:
        """The gallery that answers, and how this replica follows the store."""
        async with self.live.lease() as serving:
            gallery, changes = serving.gallery, serving.changes
        manifest = gallery.manifest
        return GalleryResponse(
            version=manifest.version,
            created_at=manifest.created_at.isoformat(),
            count=gallery.count,
            products=gallery.products,
            default_weight=manifest.default_weight,
            image_vector=manifest.image_vector,
            text_vector=manifest.text_vector,
            image_dim=manifest.image_dim,
            text_dim=manifest.text_dim,
            recipe=manifest.recipe.factory,
            device=gallery.device,
            recall=[RecallBody(weight=row.weight, recall_at_10=row.recall_at_10) for row in manifest.recall],
            spaces=manifest.spaces,
            labels=manifest.labels,
            label=manifest.label,
            text=manifest.text,
            views=manifest.views,
            following=self._following(),
            changes=ChangesBody(
                sequence=changes.sequence,
                applied=changes.applied,
                skipped=changes.skipped,
                misfits=list(changes.misfits),
                reason=changes.reason,
            ),
        )

    def _following(self) -> FollowingBody:
        follower = self.live.follower
        failures = [
            SwapFailureBody(version=failure.version, reason=failure.reason, attempts=failure.attempts)
            for failure in follower.failures.values()
        ]
        return FollowingBody(
            wanted=follower.wanted,
            on_trial=follower.on_trial,
            failures=failures,
            store_failure=follower.store_failure,
        )

    async def close(self) -> None:
        """End threads and connections."""
        for threads in (self._fetchers, self._decoders):
            threads.shutdown(wait=False, cancel_futures=True)
        await self.live.close()

    async def _vectors(self, serving: Serving, request: SearchRequest, box: Box | None, stages: Stages) -> Remembered:
        """What the networks say of the photo, or what is stored of the product or the earlier query."""
        options = request.options
        if options.query_id is not None:
            remembered = self._memory.get(options.query_id, space=serving.space)
            if remembered.product_id is None:
                return remembered
            return _product(serving, remembered.product_id)  # as this gallery has it
        if options.product_id is not None:
            return _product(serving, options.product_id)
        loop = asyncio.get_running_loop()
        data = request.image
        if data is None:
            data = await loop.run_in_executor(self._fetchers, self._fetch, options.url or "")
        key = (await self._digest(data), box, serving.space)
        return await self._seen.get(key, partial(self._look, serving, data, box, key, stages))

    async def _look(self, serving: Serving, data: bytes, box: Box | None, key: Hashable, stages: Stages) -> Remembered:
        """Decode a photo and ask the networks; others may wait for it longer than the one who asked first."""
        with serving.lease():
            with stages.stage("decode"):
                decode = partial(load_input, data, size_px=serving.networks.info.size_px, box=box, limits=self._limits)
                pixels, _ = await asyncio.get_running_loop().run_in_executor(self._decoders, decode)
            views = self.settings.query_views
            with stages.stage("models"):
                outputs = await serving.breaker.call(lambda: serving.networks.infer(views_of(pixels, views)))
                image = mean_of_views(serving.image_vectors(outputs), views)[0]
                probabilities = mean_probabilities(outputs.probabilities, views)[0]
        return Remembered(serving.space, image, probabilities, box, photo=key)

    async def _hits(self, serving: Serving, asked: Remembered, query: Query) -> list[Hit]:
        async def search() -> Hits:
            with serving.lease():
                return await serving.owner.search(query)

        if asked.photo is None:
            found = await search()
        else:
            text = None if query.text is None else query.text.tobytes()
            key = (asked.photo, text, query.batch, serving.version, serving.gallery.sequence)
            found = await self._found.get(key, search)
        # Rows and scores are kept, a kilobyte; what the rows show would be fifty.
        return hits_of(serving, found, leave_out=asked.product_id)

    async def _digest(self, data: bytes) -> bytes:
        digest = partial(hashlib.blake2b, data, key=self._secret, digest_size=16)
        if len(data) < LARGE_BYTES:
            return digest().digest()
        made = await asyncio.get_running_loop().run_in_executor(self._decoders, digest)
        return made.digest()

    def _fetch(self, url: str) -> bytes:
        check_form(url)
        return fetch(url, base=Path(), limits=self._limits, addresses_of=self._addresses_of)


async def _in_time(search: Coroutine[None, None, T], timeout_s: float) -> T:
    try:
        async with asyncio.timeout(timeout_s):
            return await search
    except TimeoutError:
        raise DeadlineError(f"the search took longer than {timeout_s:g} s") from None


def _product(serving: Serving, product_id: str) -> Remembered:
    gallery = serving.gallery
    return Remembered(serving.space, gallery.image_vector(gallery.row_of(product_id)), None, None, product_id)


def _text_part(serving: Serving, asked: Remembered, options: SearchOptions) -> TextPart:
    gallery = serving.gallery
    if options.category is not None:
        return of_category(gallery, options.category, paths=serving.category_paths)
    mode = options.label_mode or gallery.manifest.label.mode
    if mode is LabelMode.NONE:
        return TextPart(None, None)
    if asked.product_id is not None:
        row = gallery.row_of(asked.product_id)
        return TextPart(gallery.text_vector(row), gallery.product(row)["category_path"] or None)
    if asked.probabilities is None:
        return TextPart(None, None)
    return of_probabilities(gallery, asked.probabilities, mode)


def _labels(serving: Serving, asked: Remembered) -> list[LabelBody]:
    if asked.probabilities is None:
        return []
    names = serving.gallery.manifest.labels
    best = np.argsort(-asked.probabilities, kind="stable")[:LABELS_SHOWN]
    return [LabelBody(label=names[int(k)], score=min(1.0, float(asked.probabilities[k]))) for k in best]
