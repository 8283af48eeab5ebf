"""A pattern of photo files in, what the page offers to try out; without photos, products of the gallery stand in."""

from __future__ import annotations

import glob
from pathlib import Path

from bento.hits import image_url
from bento.schemas import SampleBody, SamplesResponse
from bento.serving import Serving
from catalog.errors import NotFoundError

MOST = 8
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def sample_photos(pattern: str) -> list[Path]:
    """The first files by name that a pattern such as `photos/*.jpg` matches; none for an empty one."""
    found = sorted(Path(name) for name in glob.glob(pattern)) if pattern else []  # noqa: PTH207  # may be absolute
    return [path for path in found if path.suffix.lower() in SUFFIXES and path.is_file()][:MOST]


def offered(photos: list[Path], serving: Serving) -> SamplesResponse:
    """What a shopper without a photo can try: `photos`, else products that the gallery holds as references."""
    if photos:
        return SamplesResponse(
            photos=[SampleBody(name=f"Sample photo {k + 1}", url=f"/samples/{k}") for k in range(len(photos))]
        )
    gallery, bodies = serving.gallery, []
    for product_id in dict.fromkeys(reference.product_id for reference in gallery.manifest.references):
        try:
            title = gallery.product(gallery.row_of(product_id))["title"]
        except NotFoundError:  # deleted since the build
            continue
        bodies.append(SampleBody(name=title or product_id, url=image_url(product_id)))
    return SamplesResponse(photos=bodies[:MOST])
