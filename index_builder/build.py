"""Catalog, exported networks and word vectors in, a published gallery out; nothing is left behind on failure.

Catalog rows -> pictures -> image vectors + text vectors -> index -> measured recall -> manifest -> one rename.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import shutil
from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from catalog.errors import OutOfRangeError
from catalog.pictures import PictureLimits
from catalog.rows import BadRow
from export.networks import PhotoNetworks
from export.words import WORDS_BIN, WORDS_JSON, WordModel
from index_builder import faiss_index
from index_builder.fusion import FusedRows
from index_builder.gallery import INDEX_FILE
from index_builder.gallery_texts import CENTER_FILE, LABELS_FILE, WORDS_FOLDER
from index_builder.integrity import record_files, write_manifest
from index_builder.manifest import (
    ImageVector,
    IndexRecipe,
    LabelSettings,
    LabelSource,
    Manifest,
    RecallRow,
    TextVector,
    UnknownLabel,
)
from index_builder.recall import measure_recall, measured_weights
from index_builder.recipes import Budget, Facts, choose_recipe
from index_builder.row_builder import BuildSettings, RowBuilder
from index_builder.search import Parts, Searcher
from index_builder.store import Store, check_version
from index_builder.texts import TextOptions, TextParts
from index_builder.tuning import tune

__all__ = ["REJECTED_FILE", "build_gallery", "new_version"]

REJECTED_FILE = "rejected.jsonl"
LIBRARIES = ("numpy", "fasttext", "onnxruntime", "pillow", "pyarrow")


def build_gallery(
    catalog: Path,
    networks: PhotoNetworks,
    words: WordModel | None,
    *,
    store: Store,
    splits: Collection[str] | None = None,
    version: str | None = None,
    image_vector: ImageVector = ImageVector.EMBEDDING,
    text_vector: TextVector = TextVector.WORDVECTOR,
    default_weight: float = 1.0,
    label: LabelSettings | None = None,
    label_source: LabelSource = LabelSource.CATALOG,
    unknown_label: UnknownLabel = UnknownLabel.NOTHING,
    center_text: bool = False,
    views: int = 1,
    recipe: str = "auto",
    budget: Budget | None = None,
    max_bad_rows: float = 0.01,
    min_recall: float = 0.8,
    limits: PictureLimits | None = None,
    seed: int = 0,
) -> Manifest:
    """Build a gallery from the catalog's rows of `splits` (None: all) and publish it under `version` (None: the time).

    `budget` is what the index may cost and should find. `max_bad_rows` is a share of all rows; `min_recall` is what the
    index must find of the exact neighbors at the default weight. `label` is how predicted labels enter a query;
    `label_source` says who labels the gallery's pictures; `views` of each picture are averaged. Nothing is published or
    left in the store when it fails or is stopped. Raises `MalformedError` when too many rows are bad, `NotFoundError`
    without the word vectors it needs, `ConflictError` when the version is taken, and `OutOfRangeError` for settings
    that do not fit.
    """
    settings = BuildSettings(
        image_vector=ImageVector(image_vector),
        text=TextOptions(
            kind=TextVector(text_vector),
            label_source=LabelSource(label_source),
            unknown=UnknownLabel(unknown_label),
            centered=center_text,
        ),
        default_weight=default_weight,
        recipe=recipe,
        budget=budget or Budget(),
        max_bad_rows=max_bad_rows,
        min_recall=min_recall,
        limits=limits or PictureLimits(),
        seed=seed,
        label=label or LabelSettings(),
        views=views,
    )
    version = new_version(store) if version is None else check_version(version)
    with store.staging(version) as folder:
        rows = RowBuilder(folder, catalog, networks, settings).run(words, splits=splits)
        built, recall = _write_index(folder, rows.parts, settings)
        _write_texts(folder, rows.texts)
        _write_rejected(folder, rows.rejected)
        manifest = Manifest(
            version=version,
            created_at=datetime.now(UTC),
            count=len(rows.parts.vectors),
            products=len(np.unique(rows.parts.products)),
            splits=None if splits is None else sorted(splits),
            image_vector=settings.image_vector,
            text_vector=settings.text.kind,
            image_dim=rows.parts.image_dim,
            text_dim=rows.parts.text_dim,
            default_weight=settings.stored_weight,
            text=rows.texts.settings,
            label=settings.label,
            views=settings.views,
            labels=list(networks.info.labels),
            recipe=built,
            recall=recall,
            spaces=networks.info.spaces,
            references=rows.references,
            files=record_files(folder),
            libraries=_libraries(),
            catalog=_catalog_record(catalog, read=rows.read, skipped=len(rows.rejected)),
        )
        write_manifest(folder, manifest)
        store.publish(folder, version)
    return manifest


def new_version(store: Store) -> str:
    """Return a version made of the time (UTC) that the store does not have yet."""
    name = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    taken = set(store.versions())
    return next(one for one in (name, *(f"{name}-{number}" for number in range(2, 1000))) if one not in taken)


def _write_index(folder: Path, parts: Parts, settings: BuildSettings) -> tuple[IndexRecipe, list[RecallRow]]:
    """Build, tune and write the index, and refuse one that finds too little."""
    count, weight = len(parts.vectors), settings.stored_weight
    facts = Facts(count, image_dim=parts.image_dim, text_dim=parts.text_dim, budget=settings.budget)
    recipe = choose_recipe(settings.recipe, facts)
    rows = FusedRows(parts.vectors, parts.image_dim, default_weight=weight)
    index = faiss_index.make_index(rows, recipe, image_dim=parts.image_dim, seed=settings.seed)
    by_row = Parts(parts.vectors, parts.image_dim, parts.has_text, products=np.arange(count))
    weights = measured_weights(weight, with_text=parts.text_dim > 0)
    recipe = tune(index, by_row, recipe, default_weight=weight, weights=weights, seed=settings.seed + 1)
    searcher = Searcher(index, by_row, recipe=recipe, default_weight=weight)
    recall = measure_recall(searcher, by_row, weights=weights, seed=settings.seed)
    got = next(row.recall_at_10 for row in recall if row.weight == weight)
    if got < settings.min_recall:
        raise OutOfRangeError(
            f"the recipe '{recipe.factory}' finds {got:.2f} of the ten nearest rows, at least "
            f"{settings.min_recall:g} is asked; choose another --recipe"
        )
    faiss_index.write_index(index, folder / INDEX_FILE)
    return recipe, recall


def _write_texts(folder: Path, texts: TextParts) -> None:
    texts.labels.save(folder / LABELS_FILE)
    if texts.center is not None:
        np.save(folder / CENTER_FILE, texts.center, allow_pickle=False)
    if texts.words is not None:
        (folder / WORDS_FOLDER).mkdir()
        for name in (WORDS_BIN, WORDS_JSON):
            shutil.copyfile(texts.words.folder / name, folder / WORDS_FOLDER / name)


def _write_rejected(folder: Path, rejected: Sequence[BadRow]) -> None:
    lines = (json.dumps(asdict(row), ensure_ascii=False) for row in rejected)
    (folder / REJECTED_FILE).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _libraries() -> dict[str, str]:
    found = {"faiss": faiss_index.version()}
    for name in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # the networks may run elsewhere
            found[name] = importlib.metadata.version(name)
    return found


def _catalog_record(catalog: Path, *, read: int, skipped: int) -> dict[str, str | int]:
    with catalog.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {"file": catalog.name, "sha256": sha256, "rows_read": read, "rows_skipped": skipped}
