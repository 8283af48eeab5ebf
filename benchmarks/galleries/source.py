"""The real grocery gallery in; points drawn like its rows, as many as asked, in a file that is mapped out.

The centers are the unit image parts (frozen `pool5`) and text parts (titles) of the gallery's rows, side by side; a
class is a label. Points are drawn whole and their two parts made unit again, as a gallery stores them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.galleries.points import IntrinsicDimension, Points
from benchmarks.grocery import prepare
from catalog.terminal import progress
from index_builder.fusion import unit
from index_builder.gallery import VECTORS_FILE, Gallery
from index_builder.manifest import Manifest
from index_builder.recall import Questions
from index_builder.store import open_store

FOLDER = Path(".cache/benchmarks/galleries")
BLOCK = 16_384


@dataclass(frozen=True)
class Source:
    """Points around the rows of the gallery in `folder`, whose first `image_dim` dimensions are the image."""

    points: Points
    image_dim: int
    folder: Path
    manifest: Manifest

    @property
    def dim(self) -> int:
        """D, of image and text together."""
        return self.points.dim

    @property
    def intrinsic_dimension(self) -> IntrinsicDimension:
        """How hard the points are to search."""
        return self.points.intrinsic_dimension()

    def questions(self, count: int) -> Questions:
        """Return queries drawn like the rows that are in no gallery."""
        parts = unit_parts(self.points.queries(count).vectors, self.image_dim)
        return Questions(parts[:, : self.image_dim], parts[:, self.image_dim :])

    def write(self, path: Path, count: int) -> NDArray[np.int64]:
        """Write unit parts float32 [count, D] as a .npy file; returns the center of each row [count].

        Rows of the reference photos are the photos' own, so that a service can check itself on what is made of them.
        """
        rows = np.lib.format.open_memmap(path, "w+", dtype=np.float32, shape=(count, self.dim))
        centers = np.empty(count, np.int64)
        start = 0
        blocks = self.points.blocks(count, block_rows=BLOCK)
        for block in progress(blocks, description="points", total=-(-count // BLOCK)):
            end = start + len(block.vectors)
            rows[start:end] = unit_parts(block.vectors, self.image_dim)
            centers[start:end] = block.centers
            start = end
        kept = [reference.row for reference in self.manifest.references if reference.row < count]
        rows[kept] = np.load(self.folder / VECTORS_FILE, mmap_mode="r")[kept]
        centers[kept] = kept
        rows.flush()
        return centers


def grocery_source(shared: Path) -> Source:
    """Return the source made of the grocery gallery, which is built where that has not been done."""
    store = open_store(str(prepare(shared).store))
    live = store.live()
    if live is None:
        raise RuntimeError(f"{store.uri} has no live gallery although it was just built")
    return source_of(store.gallery(live.live.gallery))


def source_of(folder: Path) -> Source:
    """Return the source made of one gallery folder."""
    gallery = Gallery.open(folder)
    try:
        parts = np.load(folder / VECTORS_FILE)
        labels = [row["label"] or row["category_path"] for row in gallery.rows(np.arange(len(parts)))]
        return Source(Points(parts, np.array(labels)), gallery.manifest.image_dim, folder, gallery.manifest)
    finally:
        gallery.close()


def unit_parts(vectors: NDArray[np.float32], image_dim: int) -> NDArray[np.float32]:
    """Return vectors [N, D] with both parts at length 1."""
    return np.hstack([unit(vectors[:, :image_dim]), unit(vectors[:, image_dim:])]).astype(np.float32)


def drawn(source: Source, count: int, *, folder: Path = FOLDER) -> Path:
    """Return a folder with `vectors.npy` [count, D] and `centers.npy` [count], drawn where that has not been done."""
    made = folder / f"points-{count}"
    if not (made / "centers.npy").exists():
        made.mkdir(parents=True, exist_ok=True)
        centers = source.write(made / VECTORS_FILE, count)
        np.save(made / "centers.npy", centers)  # last: it says that the vectors are whole
    return made
