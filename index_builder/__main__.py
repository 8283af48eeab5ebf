"""`python -m index_builder VERB`: build, list, swap, roll back and verify the galleries of a store."""

from __future__ import annotations

import argparse
from pathlib import Path

from pydantic import ValidationError
from rich import box
from rich.console import Console
from rich.table import Column, Table

from catalog.errors import NotFoundError, OutOfRangeError
from catalog.terminal import run_main
from export.onnx_runtime import OnnxRuntimeNetworks
from export.words import WordModel
from index_builder.build import REJECTED_FILE, build_gallery
from index_builder.errors import GalleryError
from index_builder.gallery import Gallery
from index_builder.integrity import read_manifest
from index_builder.manifest import (
    ImageVector,
    LabelMode,
    LabelSettings,
    LabelSource,
    LivePointer,
    Manifest,
    TextVector,
    UnknownLabel,
)
from index_builder.store import LocalStore, open_store

out = Console(highlight=False, soft_wrap=True)


def main(arguments: list[str]) -> int:
    """Run one verb; mistakes are raised as `ShopcamError`."""
    options = _parser().parse_args(arguments)
    code: int | None = options.run(options)
    return code or 0


def build(options: argparse.Namespace) -> None:
    """Build a gallery, publish it, and make it live unless --no-swap."""
    text = options.text or (TextVector.WORDVECTOR if options.words else TextVector.NONE)
    words = WordModel.load(options.words) if options.words and text == TextVector.WORDVECTOR else None
    store = open_store(options.store)
    label = _label_settings(options)
    networks = OnnxRuntimeNetworks(options.repository, threads=options.threads)
    try:
        manifest = build_gallery(
            options.catalog,
            networks,
            words,
            store=store,
            splits=options.split,
            version=options.version,
            image_vector=options.image_vector,
            text_vector=text,
            default_weight=options.default_weight,
            label=label,
            label_source=options.label_source,
            unknown_label=options.unknown_label,
            center_text=options.center_text,
            views=options.gallery_views,
            recipe=options.recipe,
            max_bad_rows=options.max_bad_rows,
            min_recall=options.min_recall,
        )
        if options.swap:
            store.swap(manifest.version, spaces=networks.info.spaces)
    finally:
        networks.close()
    _print_manifest(manifest)
    folder = store.gallery(manifest.version)
    skipped = manifest.catalog["rows_skipped"]
    if skipped:
        out.print(f"[yellow]{skipped} bad rows were skipped; reasons in {folder / REJECTED_FILE}[/yellow]")
    state = "live" if options.swap else "published, not live"
    out.print(f"gallery {manifest.version} of {manifest.products:,} products is {state}: {folder}")


def list_versions(options: argparse.Namespace) -> None:
    """Show the published galleries of a store, the oldest first."""
    store = _existing(options.store)
    live = store.live()
    damaged: list[str] = []
    columns = ("", "version", "made (UTC)", "products", "recipe", "weight", "recall")
    table = Table(*(Column(name, overflow="fold") for name in columns), box=box.SIMPLE, padding=(0, 1), pad_edge=False)
    for version in store.versions():
        try:
            manifest = read_manifest(store.gallery(version))
        except GalleryError as error:
            table.add_row("[red]bad[/red]", version)
            damaged.append(str(error))
            continue
        recall = f"{min(row.recall_at_10 for row in manifest.recall):.3f}" if manifest.recall else ""
        created = f"{manifest.created_at:%Y-%m-%d %H:%M}"
        what = (f"{manifest.products:,}", manifest.recipe.factory, f"{manifest.default_weight:g}", recall)
        table.add_row(_state(live, version), version, created, *what)
    out.print(table)
    for sentence in damaged:
        out.print(f"[red]{sentence}[/red]")
    out.print(f"{len(store.versions())} galleries in {store.path}; live: {live.live.gallery if live else 'none'}")


def swap(options: argparse.Namespace) -> None:
    """Make a published gallery the live one."""
    pointer = _existing(options.store).swap(options.version, expected=options.expected)
    before = pointer.previous.gallery if pointer.previous else "none"
    out.print(f"gallery {pointer.live.gallery} is live in {options.store}; before it: {before}")


def rollback(options: argparse.Namespace) -> None:
    """Make the previous gallery live again."""
    pointer = _existing(options.store).rollback()
    before = pointer.previous.gallery if pointer.previous else "none"
    out.print(f"gallery {pointer.live.gallery} is live again in {options.store}; before it: {before}")


def verify(options: argparse.Namespace) -> None:
    """Check every file of a gallery (default: the live one) and open it."""
    store = _existing(options.store)
    version = options.version
    if version is None:
        live = store.live()
        if live is None:
            raise NotFoundError(f"no gallery is live in {options.store}; name one with --version")
        version = live.live.gallery
    gallery = Gallery.open(store.gallery(version))
    manifest = gallery.manifest
    gallery.close()
    _print_manifest(manifest)
    size = sum(record.size_bytes for record in manifest.files.values()) / 2**20
    out.print(f"gallery {version} is whole: {len(manifest.files)} files, {size:.1f} MiB, {store.gallery(version)}")


def _label_settings(options: argparse.Namespace) -> LabelSettings:
    try:
        return LabelSettings(mode=options.label_mode, min_confidence=options.min_confidence, top=options.label_top)
    except ValidationError as error:
        first = error.errors()[0]
        raise OutOfRangeError(f"label {first['loc'][0]} is {first['input']}: {first['msg'].lower()}") from None


def _print_manifest(manifest: Manifest) -> None:
    table = Table("weight", "recall@10", title=f"{manifest.recipe.factory}, {manifest.count:,} rows")
    for row in manifest.recall:
        table.add_row(f"{row.weight:g}", f"{row.recall_at_10:.3f}")
    out.print(table)


def _state(live: LivePointer | None, version: str) -> str:
    if live is not None and live.live.gallery == version:
        return "live"
    return "prev" if live is not None and live.previous and live.previous.gallery == version else ""


def _existing(path: str) -> LocalStore:
    store = open_store(path)
    if not store.path.is_dir():
        raise NotFoundError(f"no store at {path}: there is no such folder; make it with `index_builder build`")
    return store


def _splits(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m index_builder", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    one = _verb(verbs, "build", build)
    one.add_argument("--catalog", type=Path, required=True, help="CSV, JSON lines or Parquet file")
    one.add_argument("--split", type=_splits, help="use only the rows of these splits, such as a,b")
    one.add_argument("--repository", type=Path, required=True, help="model repository with the exported networks")
    one.add_argument("--words", type=Path, help="folder of word vectors, from `training words`")
    one.add_argument("--image-vector", type=ImageVector, choices=list(ImageVector), default=ImageVector.EMBEDDING)
    one.add_argument(
        "--text",
        type=TextVector,
        choices=list(TextVector),
        help="text part; default: wordvector with --words, else none",
    )
    one.add_argument(
        "--label-source",
        type=LabelSource,
        choices=list(LabelSource),
        default=LabelSource.CATALOG,
        help="classifier: text parts are made of what it says of each picture (default: the catalog's texts or labels)",
    )
    one.add_argument(
        "--unknown-label",
        type=UnknownLabel,
        choices=list(UnknownLabel),
        default=UnknownLabel.NOTHING,
        help="delta0: with --text onehot an unknown label is a component of its own (default: no text)",
    )
    one.add_argument("--center-text", action="store_true", help="subtract the gallery's mean text from every text")
    one.add_argument(
        "--label-mode",
        type=LabelMode,
        choices=list(LabelMode),
        default=LabelMode.HARD,
        help="how predicted labels enter a query that does not say (default hard)",
    )
    one.add_argument(
        "--min-confidence",
        type=float,
        default=0.0,
        help="below this probability of the best label a query is searched by picture only (default 0: never)",
    )
    one.add_argument("--label-top", type=int, help="labels that a soft text part is made of; default: all")
    one.add_argument(
        "--gallery-views",
        type=int,
        default=1,
        help="average each picture's vector over 2: its mirror image, 3 and 4: a center crop too (default 1)",
    )
    one.add_argument("--default-weight", type=float, default=1.0, help="text against image, up to 25 (default 1)")
    one.add_argument(
        "--recipe", default="auto", help="FAISS factory string; auto: exact up to 50,000 rows, then HNSW32"
    )
    one.add_argument(
        "--max-bad-rows", type=float, default=0.01, help="give up when a larger share is bad (default 0.01)"
    )
    one.add_argument("--min-recall", type=float, default=0.8, help="refuse an index that finds less (default 0.8)")
    one.add_argument("--version", help="name of the gallery; default: the time")
    one.add_argument("--threads", type=int, help="cores for the networks; default: all")
    one.add_argument("--swap", action=argparse.BooleanOptionalAction, default=True, help="make it live when built")
    _verb(verbs, "list", list_versions)
    one = _verb(verbs, "swap", swap)
    one.add_argument("version")
    one.add_argument("--expected", help="refuse unless this version is live now")
    _verb(verbs, "rollback", rollback)
    _verb(verbs, "verify", verify).add_argument("--version", help="default: the live one")
    return parser


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, run: object
) -> argparse.ArgumentParser:
    text = (run.__doc__ or "").splitlines()[0]
    parser = verbs.add_parser(name, help=text, description=text)
    parser.add_argument("--store", required=True, help="folder of galleries")
    parser.set_defaults(run=run)
    return parser


if __name__ == "__main__":
    run_main(main)
