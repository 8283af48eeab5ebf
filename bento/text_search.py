"""A shopper's words in, the products whose texts are closest out: the text part of a one-shot search, without a photo.

The image part of the query is zero, so that its scores are text cosines times a factor and rank as these do.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bento.hits import hits_of
from bento.metrics import Stages
from bento.owner import Query
from bento.schemas import MAX_WEIGHT, TextOptions, TextResponse, Timings
from bento.serving import Serving
from catalog.errors import OutOfRangeError
from index_builder.filters import Filters
from index_builder.gallery_reader import GalleryReader


async def search_words(serving: Serving, options: TextOptions, stages: Stages) -> TextResponse:
    """Rank by text score alone.

    Products without words, and those whose words point away from the query's (a cosine of 0 or less), are no hits.
    Raises OutOfRangeError for a gallery without word vectors and for words that say nothing to it.
    """
    gallery = serving.gallery
    with stages.stage("fuse"):
        text = words_part(gallery, options.query)
        filters = None if options.filters is None else Filters.parse(options.filters)
        nothing = np.zeros(gallery.manifest.image_dim, np.float32)
        query = Query(nothing, text, MAX_WEIGHT, options.top_k, filters)
    with stages.stage("search"):
        found = await serving.owner.search(query)
        hits = [
            hit.model_copy(update={"score": hit.text_score, "image_score": None})
            for hit in hits_of(serving, found)
            if hit.text_score is not None and hit.text_score > 0
        ]
    return TextResponse(
        gallery_version=serving.version, query=options.query, hits=hits, timings_ms=Timings(**stages.total())
    )


def words_part(gallery: GalleryReader, query: str) -> NDArray[np.float32]:
    """The unit text part [D_T] of a query; OutOfRangeError where it has none."""
    if gallery.words is None:
        raise OutOfRangeError("this gallery was built without word vectors, so it cannot be searched by words")
    text = gallery.text_part(query)
    if text is None:
        raise OutOfRangeError(f"no word of the query {query[:80]!r} is known to this gallery; use other words")
    return text
