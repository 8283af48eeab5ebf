"""Shards in, the rows of a gallery out: vectors, table, thumbnails, rejected rows and reference photos, on disk.

One shard is in memory at a time; what stays for each row is its product's number and whether it has text.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catalog.errors import MalformedError
from catalog.terminal import progress
from export.contract import RepositoryInfo
from index_builder.catalog_source import Survey
from index_builder.fusion import unit
from index_builder.gallery import VECTORS_FILE
from index_builder.manifest import ReferencePhoto
from index_builder.pictures import Embedded, Task
from index_builder.product_table import TableWriter
from index_builder.references import ReferencePicker
from index_builder.search import Parts
from index_builder.settings import BuildSettings
from index_builder.shards import Row, Shard
from index_builder.texts import TextParts
from index_builder.vector_file import VectorFile, center_in_place, read_vectors

REJECTED_FILE = "rejected.jsonl"


@dataclass(frozen=True)
class BuiltRows:
    """What the catalog became; `rejected` counts the entries without a gallery row."""

    parts: Parts
    texts: TextParts
    references: list[ReferencePhoto]
    rejected: int


class Assembler:
    """Puts the rows of one gallery together in a staging folder."""

    def __init__(
        self, folder: Path, shards: Sequence[Path], task: Task, *, info: RepositoryInfo, settings: BuildSettings
    ) -> None:
        self._folder = folder
        self._shards = shards
        self._task = task
        self._info = info
        self._settings = settings
        self._surest = 0.0  # of the classifier's best labels

    def run(self, texts: TextParts, found: Survey) -> BuiltRows:
        """Write all files but the index and its labels; errors as `build.build_gallery`."""
        catalog = found.bad.catalog
        rejected = self._write_rejected()
        count = found.total - rejected
        if not count:
            raise MalformedError(f"{catalog} has no usable picture; first: {found.bad.first[0].reason}")
        numbers, has_text = np.zeros(count, np.int64), np.zeros(count, np.bool_)
        references = ReferencePicker(self._folder, self._task, pictures=found.pictures)
        path, dim = self._folder / VECTORS_FILE, self._image_dim + texts.dim
        with TableWriter(self._folder) as table, VectorFile(path, count=count, dim=dim) as vectors:
            for number, row in enumerate(progress(self._rows(references), description="rows", total=count)):
                text = texts.of(row.product, predicted=self._predicted(row.made))
                vectors.add(_parts(row.made.vector, text, text_dim=texts.dim))
                numbers[number], has_text[number] = row.number, text is not None
                table.add(
                    row.product,
                    number=row.number,
                    image=row.image,
                    has_text=text is not None,
                    picture=row.made.thumbnail,
                )
        if texts.dim and not has_text.any():
            raise MalformedError(self._no_text(catalog, texts))
        if texts.options.centered:
            center = center_in_place(path, image_dim=self._image_dim, has_text=has_text)
            if center is None:
                raise MalformedError(f"all texts of {catalog} are alike, so centering leaves nothing of them")
            texts = texts.centered_on(center)
        parts = Parts(read_vectors(path), self._image_dim, has_text=has_text, products=numbers)
        return BuiltRows(parts, texts, references.photos, rejected)

    @property
    def _image_dim(self) -> int:
        return self._task.vision.image_dim

    def _rows(self, references: ReferencePicker) -> Iterator[Row]:
        """Yield all gallery rows in order; some become reference photos on the way."""
        pictures = 0
        for path in self._shards:
            with contextlib.closing(Shard(path)) as shard:
                for row in shard.rows():
                    references.offer(row, picture=pictures + row.picture)
                    yield row
                pictures += shard.pictures

    def _predicted(self, made: Embedded) -> str | None:
        """The classifier's label of a picture; None where it is not asked, or abstains as it would for a query."""
        if not self._settings.labeled:
            return None
        self._surest = max(self._surest, made.probability)
        if made.probability < self._settings.label.min_confidence:
            return None
        return self._info.labels[made.label]

    def _no_text(self, catalog: Path, texts: TextParts) -> str:
        least = self._settings.label.min_confidence
        if self._settings.labeled and self._surest < least:
            return (
                f"the classifier labels no row of {catalog}: its surest label has the probability "
                f"{self._surest:.3g}, --min-confidence is {least:g}; lower that or use --text none"
            )
        return f"no row of {catalog} has usable text for '{texts.kind}'; use --text none"

    def _write_rejected(self) -> int:
        """Write why entries are no gallery rows, those that the catalog itself spoils first; return how many."""
        count = 0
        with (self._folder / REJECTED_FILE).open("w", encoding="utf-8") as file:
            for of_catalog in (True, False):
                for path in self._shards:
                    with contextlib.closing(Shard(path)) as shard:
                        for row in shard.bad_rows(of_catalog=of_catalog):
                            file.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")
                            count += 1
        return count


def _parts(image: NDArray[np.float32], text: NDArray[np.float32] | None, *, text_dim: int) -> NDArray[np.float32]:
    """Return the unit parts of one row [1, D_I + D_T]; networks normalize up to rounding, texts are unit already."""
    given = np.zeros(text_dim, np.float32) if text is None else text
    return np.hstack([unit(image[None]).astype(np.float32)[0], given])[None]
