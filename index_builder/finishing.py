"""The parts of a gallery in, its texts' files and its manifest out."""

from __future__ import annotations

import contextlib
import importlib.metadata
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from export.contract import RepositoryInfo
from export.words import WORDS_BIN, WORDS_JSON
from index_builder import faiss_index
from index_builder.assembling import BuiltRows
from index_builder.catalog_source import CatalogSource
from index_builder.gallery_texts import CENTER_FILE, LABELS_FILE, WORDS_FOLDER
from index_builder.integrity import record_files
from index_builder.manifest import IndexRecipe, Manifest, RecallRow
from index_builder.settings import BuildSettings
from index_builder.texts import TextParts

LIBRARIES = ("numpy", "fasttext", "onnxruntime", "pillow", "pyarrow")


@dataclass(frozen=True)
class CatalogRead:
    """A catalog and how many entries it has, good and bad."""

    source: CatalogSource
    entries: int


@dataclass(frozen=True)
class MeasuredIndex:
    """How an index is asked, and what it finds."""

    recipe: IndexRecipe
    recall: list[RecallRow]


def write_texts(folder: Path, texts: TextParts) -> None:
    """Write labels, center and word vectors: what a query's text part is made of."""
    texts.labels.save(folder / LABELS_FILE)
    if texts.center is not None:
        np.save(folder / CENTER_FILE, texts.center, allow_pickle=False)
    if texts.words is not None:
        (folder / WORDS_FOLDER).mkdir()
        for name in (WORDS_BIN, WORDS_JSON):
            shutil.copyfile(texts.words.folder / name, folder / WORDS_FOLDER / name)


def manifest_of(
    folder: Path,
    version: str,
    rows: BuiltRows,
    index: MeasuredIndex,
    *,
    info: RepositoryInfo,
    settings: BuildSettings,
    catalog: CatalogRead,
) -> Manifest:
    """Return the manifest of the gallery whose files lie in a folder."""
    source = catalog.source
    return Manifest(
        version=version,
        created_at=datetime.now(UTC),
        count=len(rows.parts.vectors),
        products=len(np.unique(rows.parts.products)),
        splits=None if source.splits is None else sorted(source.splits),
        image_vector=settings.image_vector,
        text_vector=settings.text.kind,
        image_dim=rows.parts.image_dim,
        text_dim=rows.parts.text_dim,
        default_weight=settings.stored_weight,
        text=rows.texts.settings,
        label=settings.label,
        views=settings.views,
        labels=list(info.labels),
        recipe=index.recipe,
        recall=index.recall,
        spaces=info.spaces,
        references=rows.references,
        journal=source.journal,
        files=record_files(folder),
        libraries=_libraries(),
        catalog={
            "file": source.path.name,
            "sha256": source.sha256,
            "rows_read": catalog.entries,
            "rows_skipped": rows.rejected,
        },
    )


def _libraries() -> dict[str, str]:
    found = {"faiss": faiss_index.version()}
    for name in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # the networks may run elsewhere
            found[name] = importlib.metadata.version(name)
    return found
