"""Changed rows of a catalog and ids of deleted products in, a batch of the store's journal out.

The networks run over the changed products' pictures here; of the live gallery only the manifest is read, so an update
costs what its pictures cost, however large the gallery is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from catalog.errors import MalformedError, NotFoundError, OutOfRangeError
from catalog.pictures import PictureLimits
from catalog.rows import BadRow, Product
from catalog.terminal import progress
from export.networks import PhotoNetworks
from index_builder.batch import MAX_ROWS, Batch, ChangedPicture, MadeFor, Upsert
from index_builder.catalog_source import BadRows, CatalogFile, CatalogPicture, entries
from index_builder.fusion import unit
from index_builder.integrity import check_spaces
from index_builder.local_engine import LocalEngine
from index_builder.manifest import Manifest
from index_builder.pictures import Embedded, Job, Task, Unusable, vision_of
from index_builder.store import Store


@dataclass(frozen=True)
class Updated:
    """What an update did: the batch's number, how many products and pictures changed, what was deleted or skipped."""

    sequence: int
    products: int
    pictures: int
    deleted: int
    rejected: tuple[BadRow, ...]


def update_gallery(
    store: Store,
    networks: PhotoNetworks,
    *,
    catalog: Path | None = None,
    deletes: Sequence[str] = (),
    splits: Collection[str] | None = None,
    max_bad_rows: float = 0.01,
    limits: PictureLimits | None = None,
) -> Updated:
    """Append the catalog's rows and the deletions as one batch to the journal of a store with a live gallery.

    `splits` None are those of the live gallery; `max_bad_rows` is a share of the catalog's rows and pictures. A product
    whose pictures are all bad stays as it was. The same update again changes nothing. Stopped or failed, nothing is
    appended. Raises `NotFoundError` without a live gallery, `GalleryError` for other networks than its own,
    `MalformedError` when too many rows are bad, and `OutOfRangeError` for what cannot be.
    """
    if not 0 <= max_bad_rows <= 1:
        raise OutOfRangeError(f"max_bad_rows is {max_bad_rows}, expected a share from 0 to 1")
    pointer = store.live()
    if pointer is None:
        raise NotFoundError(f"no gallery is live in {store.uri}, so there is none to update; build one first")
    manifest = store.manifest(pointer.live.gallery)
    check_spaces(manifest, networks.info.spaces)
    deletes = list(dict.fromkeys(deletes))
    upserts: list[Upsert] = []
    rejected: list[BadRow] = []
    if catalog is not None:
        chosen = manifest.splits if splits is None else splits
        upserts, rejected = _upserts(
            catalog,
            networks,
            manifest,
            splits=chosen,
            max_bad_rows=max_bad_rows,
            limits=limits or PictureLimits(),
        )
    if not upserts and not deletes:
        raise MalformedError(f"nothing changes in {store.uri}: give --catalog with rows, or --delete with product ids")
    _check_apart(upserts, deletes)
    batch = Batch(MadeFor.of(manifest), tuple(upserts), tuple(deletes))
    sequence = store.journal().append(batch, after=manifest.journal)
    return Updated(sequence, len(upserts), batch.rows, len(deletes), tuple(rejected))


def read_ids(path: Path) -> list[str]:
    """Return the product ids of a text file, one a line; blank lines are none."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise NotFoundError(f"{path} does not exist, give a text file with one product id a line") from None
    except UnicodeDecodeError:
        raise MalformedError(f"{path} is not UTF-8, save it as UTF-8") from None
    return [product_id for line in lines if (product_id := line.strip())]


def _upserts(
    catalog: Path,
    networks: PhotoNetworks,
    manifest: Manifest,
    *,
    splits: Collection[str] | None,
    max_bad_rows: float,
    limits: PictureLimits,
) -> tuple[list[Upsert], list[BadRow]]:
    """Run the networks over the catalog's pictures; products in the order of their rows, and what was skipped."""
    source = CatalogFile(catalog, None if splits is None else tuple(splits))
    found = list(entries(source))
    pictures = [one for one in found if isinstance(one, CatalogPicture)]
    rejected = [one for one in found if isinstance(one, BadRow)]
    bad = BadRows(catalog, max_bad_rows)
    for row in rejected:
        bad.add(row)
    bad.check(total=len(found))
    if len(pictures) > MAX_ROWS:
        raise OutOfRangeError(
            f"{catalog} has {len(pictures):,} pictures, an update takes at most {MAX_ROWS:,}; build the gallery again"
        )
    # Labeled, so that the batch also fits galleries whose texts are the classifier's labels.
    vision = vision_of(
        networks.info, image_vector=manifest.image_vector, views=manifest.views, labeled=True, limits=limits
    )
    jobs = (Job(one.image, one.box) for one in pictures)
    outcomes = LocalEngine(networks).run(jobs, Task(catalog.parent.absolute(), vision))
    usable: list[tuple[CatalogPicture, ChangedPicture]] = []
    for picture, outcome in zip(pictures, progress(outcomes, description="pictures", total=len(pictures)), strict=True):
        if isinstance(outcome, Embedded):
            usable.append((picture, _changed(picture, outcome, networks.info.labels)))
        elif isinstance(outcome, Unusable):
            rejected.append(BadRow(picture.row, picture.product.product_id, outcome.reason))
            bad.add(rejected[-1])
            bad.check(total=len(found))
    return [
        Upsert(_absolute(source.product, catalog.parent), tuple(picture for _, picture in group))
        for source, group in _by_product(usable)
    ], rejected


def _by_product(
    usable: list[tuple[CatalogPicture, ChangedPicture]],
) -> list[tuple[CatalogPicture, list[tuple[CatalogPicture, ChangedPicture]]]]:
    groups = (list(group) for _, group in groupby(usable, key=lambda pair: pair[0].number))
    return [(group[0][0], group) for group in groups]


def _changed(source: CatalogPicture, made: Embedded, labels: tuple[str, ...]) -> ChangedPicture:
    vector = unit(made.vector[None]).astype(np.float32)[0]
    return ChangedPicture(source.image, vector, made.thumbnail, labels[made.label], made.probability)


def _absolute(product: Product, base: Path) -> Product:
    """The product with addresses that hold wherever its catalog lies."""

    def address(image: str) -> str:
        return image if "://" in image else str((base / image).resolve())

    images = tuple(address(image) for image in product.images)
    return product.model_copy(update={"image": address(product.image), "images": images})


def _check_apart(upserts: Sequence[Upsert], deletes: Sequence[str]) -> None:
    both = {upsert.product.product_id for upsert in upserts} & set(deletes)
    if both:
        raise OutOfRangeError(f"product {min(both)} is both in the catalog and to be deleted; leave out one of the two")
