"""Catalog, exported networks and word vectors in, a published gallery out; nobody sees half of one.

    catalog -> shards on disk (embedding) -> vectors, table, thumbnails (assembling) -> index -> manifest -> one rename

Stopped at any moment, the next run of the same build goes on with the shards there are. The shards of a published
gallery are kept for the next build, which embeds only what changed.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from catalog.pictures import PictureLimits
from export.networks import PhotoNetworks
from export.words import WordModel
from index_builder.assembling import REJECTED_FILE, Assembler
from index_builder.catalog_source import CatalogFile, CatalogSource, Survey, survey
from index_builder.disk import full_disk_is_told
from index_builder.earlier import EarlierRows
from index_builder.embedding import Counts, Embedding
from index_builder.engines import Engine
from index_builder.fetching import FetchPolicy
from index_builder.finishing import CatalogRead, MeasuredIndex, manifest_of, write_texts
from index_builder.indexing import write_index
from index_builder.integrity import write_manifest
from index_builder.local_engine import LocalEngine
from index_builder.manifest import (
    ImageVector,
    LabelSettings,
    LabelSource,
    Manifest,
    TextVector,
    UnknownLabel,
)
from index_builder.pictures import Task, vision_of
from index_builder.recipes import Budget
from index_builder.settings import BuildSettings
from index_builder.shards import SHARD_ENTRIES
from index_builder.store import Store, check_version
from index_builder.texts import TextOptions, text_parts
from index_builder.work import BuildFolder, WorkFolder, default_work, work_folder

__all__ = ["REJECTED_FILE", "Built", "RunOptions", "build_gallery", "new_version", "run_build"]


@dataclass(frozen=True)
class RunOptions:
    """How a build runs; none of it changes the gallery.

    `work` is where shards are kept (None: beside the store). `resume` goes on with those of a run that was stopped,
    `reuse` takes over rows of earlier builds whose pictures did not change: a file with the size and time it had then
    is not read again, a URL is, unless `trust_urls`. A stopped run loses at most `shard_entries` pictures' work.
    """

    work: Path | None = None
    resume: bool = True
    reuse: bool = True
    trust_urls: bool = False
    fetching: FetchPolicy = field(default_factory=FetchPolicy)
    shard_entries: int = SHARD_ENTRIES


@dataclass(frozen=True)
class Built:
    """A gallery that was published, and what became of the catalog's pictures."""

    manifest: Manifest
    counts: Counts


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
    engine: Engine | None = None,
    work: Path | None = None,
    resume: bool = True,
) -> Manifest:
    """Build a gallery from the catalog's rows of `splits` (None: all) and publish it under `version` (None: the time).

    `budget` is what the index may cost and should find. `max_bad_rows` is a share of all rows; `min_recall` is what the
    index must find of the exact neighbors at the default weight. `label` is how predicted labels enter a query;
    `label_source` says who labels the gallery's pictures; `views` of each picture are averaged. `engine` embeds (None:
    `networks` in this process), `work` and `resume` are those of `RunOptions`. Nothing is published when it fails or is
    stopped, and nothing is left in the store. Raises `MalformedError` when too many rows are bad, `NotFoundError`
    without the word vectors it needs, `ConflictError` when the version is taken or another build holds the work folder,
    and `OutOfRangeError` for settings that do not fit.
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
    source = CatalogFile(catalog, None if splits is None else tuple(splits))
    options = RunOptions(work=work, resume=resume)
    return run_build(
        source, networks, words, settings=settings, store=store, version=version, engine=engine, options=options
    ).manifest


def run_build(
    source: CatalogSource,
    networks: PhotoNetworks,
    words: WordModel | None,
    *,
    settings: BuildSettings,
    store: Store,
    version: str | None = None,
    engine: Engine | None = None,
    options: RunOptions | None = None,
) -> Built:
    """Do what `build_gallery` says, and tell what became of the pictures."""
    options = options or RunOptions()
    version = new_version(store) if version is None else check_version(version)
    root = options.work or default_work(store)
    with store.staging(version) as folder, full_disk_is_told(folder, root), work_folder(root) as work:
        one = _Build(source, networks, settings, options, work)
        built = one.run(words, folder=folder, version=version, engine=engine or LocalEngine(networks))
        store.publish(folder, version)
        one.keep()
    return built


def new_version(store: Store) -> str:
    """Return a version made of the time (UTC) that the store does not have yet."""
    name = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    taken = set(store.versions())
    return next(one for one in (name, *(f"{name}-{number}" for number in range(2, 1000))) if one not in taken)


class _Build:
    """The stages of one build, each of which reads what the one before wrote."""

    def __init__(
        self,
        source: CatalogSource,
        networks: PhotoNetworks,
        settings: BuildSettings,
        options: RunOptions,
        work: WorkFolder,
    ) -> None:
        self._source = source
        self._info = networks.info
        self._settings = settings
        self._options = options
        self._work = work
        self._vision = vision_of(
            self._info,
            image_vector=settings.image_vector,
            views=settings.views,
            labeled=settings.labeled,
            limits=settings.limits,
        )

    def run(self, words: WordModel | None, *, folder: Path, version: str, engine: Engine) -> Built:
        """Make a whole gallery in `folder`."""
        settings = self._settings
        found = survey(self._source, labels=self._info.labels, limit=settings.max_bad_rows)
        texts = text_parts(settings.text, words, labels=self._info.labels, label_paths=found.label_paths)
        task, shards, counts = self._embed(engine, found)
        rows = Assembler(folder, shards, task, info=self._info, settings=settings).run(texts, found)
        recipe, recall = write_index(folder, rows.parts, settings)
        write_texts(folder, rows.texts)
        read = CatalogRead(self._source, found.total)
        index = MeasuredIndex(recipe, recall)
        manifest = manifest_of(folder, version, rows, index, info=self._info, settings=settings, catalog=read)
        write_manifest(folder, manifest)
        return Built(manifest, counts)

    def keep(self) -> None:
        """Keep the shards of the published gallery for the next build, which would only take longer without."""
        with contextlib.suppress(OSError, sqlite3.Error):
            self._work.keep(self._shards(resume=True))

    def _shards(self, *, resume: bool) -> BuildFolder:
        return self._work.build(
            self._source.key, self._vision, shard_entries=self._options.shard_entries, resume=resume
        )

    def _embed(self, engine: Engine, found: Survey) -> tuple[Task, list[Path], Counts]:
        options = self._options
        build = self._shards(resume=options.resume)
        folders = self._work.others(build) if options.reuse else []
        with contextlib.closing(EarlierRows(folders)) as earlier:
            base = self._source.path.parent.absolute()  # workers of an engine may start elsewhere
            task = Task(base, self._vision, options.fetching, known=earlier.known())
            stage = Embedding(
                self._source,
                task,
                folder=build,
                earlier=earlier,
                trust_urls=options.trust_urls,
                shard_entries=options.shard_entries,
            )
            shards = stage.run(engine, found)
        return task, shards, stage.counts
