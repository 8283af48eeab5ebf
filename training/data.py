"""Catalog files in, decoded pictures with their labels and clusters in memory out.

Pictures are uint8 [N, s, s, 3]; augmentation wants s a little larger than the network's S, evaluation wants s = S.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catalog.errors import MalformedError, OutOfRangeError, ShopcamError
from catalog.pictures import PictureLimits, load_input
from catalog.reader import read_queries
from catalog.rows import Box
from catalog.sources import fetch
from catalog.terminal import progress

MAX_BAD_PICTURES = 0.01
_DECODERS = 4


@dataclass(frozen=True)
class PictureSet:
    """N pictures uint8 [N, s, s, 3]; `labels` (None where there is none) and `clusters` say what each one shows.

    `coarse` is the label on the level above (None where there is none); empty says that nobody asked for it. `units`
    are what must not be torn apart where pictures are held out; empty says the clusters.
    """

    images: NDArray[np.uint8]
    labels: tuple[str | None, ...]
    clusters: tuple[str, ...]
    coarse: tuple[str | None, ...] = ()
    units: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.clusters)

    @property
    def size_px(self) -> int:
        """Side of the stored pictures."""
        return int(self.images.shape[1])


@dataclass(frozen=True)
class _Entry:
    image: str
    folder: Path
    box: Box | None
    label: str | None
    cluster: str
    coarse: str | None


def load_pictures(
    catalogs: Sequence[Path], *, splits: Sequence[str] | None, size_px: int, coarse_column: str | None = None
) -> PictureSet:
    """Decode every picture of the given splits of one or more catalog or query files.

    A row with a box gives two pictures: the whole and the part inside the box, as shoppers send both. The level above
    the label is the second one of `category_path`, or what `coarse_column` says. Raises `MalformedError` when nothing
    is left or more than 1 % of the pictures cannot be read; fewer are left out.
    """
    if size_px < 1:
        raise OutOfRangeError(f"pictures of {size_px} px are asked for, at least 1 is needed")
    entries = [entry for path in catalogs for entry in _entries(path, splits, coarse_column)]
    if not entries:
        asked = f" in split {', '.join(splits)}" if splits else ""
        raise MalformedError(f"{', '.join(map(str, catalogs))} has no rows{asked}")
    images = np.empty((len(entries), size_px, size_px, 3), np.uint8)
    problems: dict[int, str] = {}

    def decode(row: int) -> None:
        entry = entries[row]
        try:
            data = fetch(entry.image, base=entry.folder, limits=PictureLimits())
            images[row], _ = load_input(data, size_px=size_px, box=entry.box)
        except ShopcamError as error:
            problems[row] = f"{entry.image}: {error}"

    with ThreadPoolExecutor(_DECODERS) as pool:
        for _ in progress(pool.map(decode, range(len(entries))), description="decoding", total=len(entries)):
            pass
    if len(problems) > MAX_BAD_PICTURES * len(entries):
        first = problems[min(problems)]
        raise MalformedError(f"{len(problems)} of {len(entries)} pictures cannot be read (limit 1 %); first: {first}")
    kept = [row for row in range(len(entries)) if row not in problems]
    return PictureSet(
        images[kept] if problems else images,
        tuple(entries[row].label for row in kept),
        tuple(entries[row].cluster for row in kept),
        tuple(entries[row].coarse for row in kept),
    )


def concatenate(parts: Sequence[PictureSet]) -> PictureSet:
    """Join several sets of equal picture size."""
    return PictureSet(
        np.concatenate([part.images for part in parts]),
        tuple(label for part in parts for label in part.labels),
        tuple(cluster for part in parts for cluster in part.clusters),
        tuple(coarse for part in parts for coarse in part.coarse or (None,) * len(part)),
        tuple(unit for part in parts for unit in part.units or part.clusters),
    )


def subset(pictures: PictureSet, rows: NDArray[np.int64]) -> PictureSet:
    """Return the pictures of some rows; all of them in order come back without a copy."""
    if len(rows) == len(pictures):
        return pictures
    return PictureSet(
        pictures.images[rows],
        tuple(pictures.labels[row] for row in rows),
        tuple(pictures.clusters[row] for row in rows),
        tuple(pictures.coarse[row] for row in rows) if pictures.coarse else (),
        tuple(pictures.units[row] for row in rows) if pictures.units else (),
    )


def clustered_by_label(pictures: PictureSet) -> PictureSet:
    """Return the same pictures with their labels for clusters; `MalformedError` where a label is missing."""
    label_ids(pictures)
    return replace(
        pictures,
        clusters=tuple(label or "" for label in pictures.labels),
        units=pictures.units or pictures.clusters,
    )


def coarse_ids(pictures: PictureSet) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the labels of the level above, sorted, and the number of each picture's.

    Raises `MalformedError` for pictures without one, or where there are fewer than two.
    """
    missing = len(pictures) - sum(bool(coarse) for coarse in pictures.coarse)
    if missing:
        raise MalformedError(
            f"{missing} of {len(pictures)} pictures have no second level; two levels need a 'category_path' of two "
            "or more, or --coarse-column"
        )
    names = tuple(sorted({coarse for coarse in pictures.coarse if coarse}))
    if len(names) < 2:
        raise MalformedError(f"the only label of the second level is '{names[0]}'; two levels need at least two")
    number = {name: row for row, name in enumerate(names)}
    return names, np.array([number[coarse or ""] for coarse in pictures.coarse], np.int64)


def label_ids(
    pictures: PictureSet, *, labels: Sequence[str] | None = None
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the labels (sorted, unless given) and the number of each picture's label.

    Raises `MalformedError` for pictures without a label, fewer than two labels, or a label outside the given ones.
    """
    missing = sum(label is None for label in pictures.labels)
    if missing:
        raise MalformedError(
            f"{missing} of {len(pictures)} pictures have no label; a classifier needs the column 'label' in every row"
        )
    known = tuple(labels) if labels is not None else tuple(sorted({label for label in pictures.labels if label}))
    if len(known) < 2:
        raise MalformedError(f"the only label is '{known[0]}'; a classifier needs at least two")
    number = {label: row for row, label in enumerate(known)}
    if unknown := sorted({label for label in pictures.labels if label and label not in number}):
        raise MalformedError(
            f"label '{unknown[0]}' does not occur in the training split; add rows of it or leave it out"
        )
    return known, np.array([number[label or ""] for label in pictures.labels], np.int64)


def cluster_ids(pictures: PictureSet, *, for_loss: bool = True) -> NDArray[np.int64]:
    """Return the number of each picture's cluster.

    Raises `MalformedError` where no cluster has two pictures, unless the numbers are not `for_loss`: all losses on
    clusters need something to draw together.
    """
    names = {name: row for row, name in enumerate(sorted(set(pictures.clusters)))}
    most = max(Counter(pictures.clusters).values())
    if for_loss and (len(names) < 2 or most < 2):
        raise MalformedError(
            f"{len(names)} clusters with at most {most} pictures each cannot be learned; at least two clusters, one of "
            "them with two pictures, are needed (column 'cluster' or 'product_id', --clusters label, or --sample-views)"
        )
    return np.array([names[name] for name in pictures.clusters], np.int64)


def _entries(path: Path, splits: Sequence[str] | None, coarse_column: str | None) -> list[_Entry]:
    found = []
    # All rows are read and filtered here: one of several files may well have none of a split.
    for product in read_queries(path).products:
        if splits is not None and product.split not in splits:
            continue
        cluster = product.cluster or product.product_id or product.image
        level = product.category[1] if len(product.category) > 1 else None
        coarse = str(product.extra.get(coarse_column) or "") or None if coarse_column else level
        pictures: list[tuple[str, Box | None]] = [(image, None) for image in (product.image, *product.images)]
        if product.box is not None:
            pictures.append((product.image, product.box))
        found += [_Entry(image, path.parent, box, product.label, cluster, coarse) for image, box in pictures]
    return found
