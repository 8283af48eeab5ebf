"""Catalog rows in, image vectors and thumbnails out, in batches; a picture that cannot be used becomes a bad row."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catalog.errors import MalformedError, ShopcamError
from catalog.pictures import PictureLimits, load_input
from catalog.reader import iter_rows
from catalog.rows import BadRow, Box, Product
from catalog.sources import fetch
from export.contract import Tensor
from export.networks import PhotoNetworks
from index_builder.manifest import ImageVector
from index_builder.product_table import thumbnail
from index_builder.views import mean_of_views, mean_probabilities, views_of

BATCH = 32
DECODERS = 4


@dataclass(frozen=True)
class CatalogPicture:
    """One picture of a product: `row` is the row in the catalog (0: unknown), `number` the product's number."""

    product: Product
    row: int
    number: int
    image: str
    box: Box | None


@dataclass(frozen=True)
class Embedded:
    """A picture and what was made of it: network input uint8 [S, S, 3], unit image vector [D_I], thumbnail JPEG.

    `vector` is the mean over the views asked for, `plain` the vector of the picture as it is; `probabilities` [V] are
    there where labels were asked for.
    """

    source: CatalogPicture
    pixels: NDArray[np.uint8]
    vector: NDArray[np.float32]
    plain: NDArray[np.float32]
    probabilities: NDArray[np.float32] | None
    thumbnail: bytes


@dataclass(frozen=True)
class BadRowLimit:
    """How many rows may be bad before a build is given up: a share of all rows of the catalog."""

    catalog: Path
    share: float

    def check(self, bad: Sequence[BadRow], *, total: int) -> None:
        """Raise `MalformedError` with the first reason when `bad` is more than the share of `total` rows."""
        if len(bad) <= self.share * total:
            return
        first = bad[0]
        row = f"row {first.row} " if first.row else ""
        raise MalformedError(
            f"{self.catalog.name}: {len(bad):,} of {total:,} rows are bad (limit {self.share:.3g} of them); "
            f"first: {row}({first.product_id or 'no id'}): {first.reason}"
        )


def read_pictures(catalog: Path, *, splits: Collection[str] | None) -> tuple[list[CatalogPicture], list[BadRow]]:
    """Return all pictures of the catalog's rows, the further ones of a product right after its main one."""
    pictures: list[CatalogPicture] = []
    bad: list[BadRow] = []
    number = 0
    for position, row in enumerate(iter_rows(catalog, splits=splits), start=1):
        if isinstance(row, BadRow):
            bad.append(row)
            continue
        # With splits, rows of other splits are passed over unseen, so the position is not the row's number.
        known = position if splits is None else 0
        pictures.append(CatalogPicture(row, known, number, row.image, row.box))
        pictures += [CatalogPicture(row, known, number, image, None) for image in row.images if image != row.image]
        number += 1
    return pictures, bad


def embed(
    pictures: Sequence[CatalogPicture],
    networks: PhotoNetworks,
    *,
    base: Path,
    image_vector: ImageVector,
    limits: PictureLimits,
    views: int = 1,
    labeled: bool = False,
) -> Iterator[Embedded | BadRow]:
    """Yield each picture with its vector, or why it cannot be used, in order. Pictures are read by a few threads.

    The vector is the unit mean over `views` of the picture; `labeled` asks for label probabilities too.
    """
    size_px = networks.info.size_px
    with ThreadPoolExecutor(DECODERS, thread_name_prefix="decode") as pool:
        for batch in _batches(pictures):
            loaded = list(pool.map(lambda one: _load(one, base=base, size_px=size_px, limits=limits), batch))
            good = [one for one in loaded if not isinstance(one, BadRow)]
            pixels = [one[0] for one in good]
            answers = _answers(networks, pixels, image_vector, views=views, labeled=labeled) if good else iter(())
            for source, one in zip(batch, loaded, strict=True):
                yield one if isinstance(one, BadRow) else Embedded(source, one[0], *next(answers), one[1])


def _load(
    picture: CatalogPicture, *, base: Path, size_px: int, limits: PictureLimits
) -> tuple[NDArray[np.uint8], bytes] | BadRow:
    try:
        data = fetch(picture.image, base=base, limits=limits)
        pixels, decoded = load_input(data, size_px=size_px, box=picture.box, limits=limits)
    except ShopcamError as error:
        return BadRow(picture.row, picture.product.product_id, f"image '{picture.image}': {error}")
    return pixels, thumbnail(decoded.image)


def _answers(
    networks: PhotoNetworks, pixels: list[NDArray[np.uint8]], image_vector: ImageVector, *, views: int, labeled: bool
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32] | None]]:
    """Yield vector, plain vector and probabilities of each picture; only the networks needed for them run."""
    images = np.concatenate([views_of(one, views) for one in pixels])
    probabilities = None
    if labeled:
        outputs = networks.infer(images)
        vectors = outputs.pooled if image_vector is ImageVector.POOLED else outputs.embedding
        probabilities = mean_probabilities(outputs.probabilities, views)
    else:
        vectors = networks.vectors(images, Tensor(image_vector))
    means, plain = mean_of_views(vectors, views), vectors[::views]
    for row in range(len(pixels)):
        yield means[row], plain[row], None if probabilities is None else probabilities[row]


def _batches(pictures: Sequence[CatalogPicture]) -> Iterator[Sequence[CatalogPicture]]:
    for start in range(0, len(pictures), BATCH):
        yield pictures[start : start + BATCH]
