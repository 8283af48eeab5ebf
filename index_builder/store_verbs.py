"""The verbs over a store that exists: list, swap, try, roll back, verify, publish and prune its galleries."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Column, Table

from catalog.errors import NotFoundError
from index_builder.errors import ConflictError, GalleryError
from index_builder.gate import CANARY_TOP, COUNT_BAND, MIN_RECALL, QualityGate, read_canaries
from index_builder.manifest import LivePointer, Manifest
from index_builder.milvus_alias import follow
from index_builder.opening import open_gallery
from index_builder.prune_journal import prune_journal
from index_builder.store import Store, open_store

out = Console(highlight=False, soft_wrap=True)

Verbs = argparse._SubParsersAction  # its name is argparse's own


def list_versions(options: argparse.Namespace) -> None:
    """Show the published galleries of a store, the oldest first."""
    store = existing_store(options)
    live, versions = store.live(), store.versions()
    damaged: list[str] = []
    columns = ("", "version", "made (UTC)", "products", "recipe", "weight", "recall")
    table = Table(*(Column(name, overflow="fold") for name in columns), box=box.SIMPLE, padding=(0, 1), pad_edge=False)
    for version in versions:
        try:
            manifest = store.manifest(version)
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
    print_forced(live)
    out.print(f"{len(versions)} galleries in {store.uri}; live: {live.live.gallery if live else 'none'}")


def swap(options: argparse.Namespace) -> None:
    """Make a published gallery the live one, if it passes the gate."""
    gate = gate_of(options)
    pointer = existing_store(options).swap(options.version, expected=options.expected, gate=gate)
    before = pointer.previous.gallery if pointer.previous else "none"
    print_forced(pointer)
    out.print(f"gallery {pointer.live.gallery} is live in {options.store}; before it: {before}")


def rollback(options: argparse.Namespace) -> None:
    """Make the previous gallery live again."""
    pointer = existing_store(options).rollback()
    before = pointer.previous.gallery if pointer.previous else "none"
    out.print(f"gallery {pointer.live.gallery} is live again in {options.store}; before it: {before}")


def canary(options: argparse.Namespace) -> None:
    """Let a share of the replicas answer from a published gallery, if it passes the gate; again: another share."""
    gate = gate_of(options)
    pointer = existing_store(options).canary(options.version, share=options.share, gate=gate)
    print_forced(pointer)
    out.print(
        f"gallery {options.version} is on trial in {options.store}: about {pointer.canary_share:.0%} of the replicas "
        f"answer from it, the others from {pointer.live.gallery}; end it with `promote` or `drop`"
    )


def promote(options: argparse.Namespace) -> None:
    """Make the gallery on trial the live one of all replicas."""
    pointer = existing_store(options).promote(expected=options.expected)
    before = pointer.previous.gallery if pointer.previous else "none"
    print_forced(pointer)
    out.print(f"gallery {pointer.live.gallery} is live in {options.store}; before it: {before}")


def drop(options: argparse.Namespace) -> None:
    """End the trial of a gallery: all replicas answer from the live one."""
    pointer = existing_store(options).drop()
    out.print(f"no gallery is on trial in {options.store} any more; live: {pointer.live.gallery}")


def verify(options: argparse.Namespace) -> None:
    """Read every file of a gallery (default: the live one) from the store, check it, and open the gallery."""
    store = existing_store(options)
    version = options.version
    if version is None:
        live = store.live()
        if live is None:
            raise NotFoundError(f"no gallery is live in {options.store}; name one with --version")
        version = live.live.gallery
    with tempfile.TemporaryDirectory() as empty:  # a copy that is here already would say nothing of the store
        gallery = open_gallery(store.fetch(version, Path(empty)))
        manifest = gallery.manifest
        gallery.close()
    print_manifest(manifest)
    if manifest.milvus is not None and (named := follow(store)) is not None:
        out.print(f"[yellow]the alias {manifest.milvus.alias} named {named or 'nothing'} and follows now[/yellow]")
    size = sum(record.size_bytes for record in manifest.files.values()) / 2**20
    out.print(f"gallery {version} is whole: {len(manifest.files)} files, {size:.1f} MiB, {store.where(version)}")


def publish(options: argparse.Namespace) -> None:
    """Copy a gallery of one store into another; stopped, run it again and it goes on."""
    source = existing_store(options)
    if (rows := source.manifest(options.version).milvus) is not None:
        raise ConflictError(
            f"the rows of gallery {options.version} are the collection {rows.collection} on Milvus, which cannot be in "
            f"two stores; publish the gallery it was made of and run to-milvus there"
        )
    target = open_store(options.to, endpoint_url=options.endpoint_url, cache=options.cache)
    target.publish(source.fetch(options.version), options.version)
    manifest = target.manifest(options.version)
    out.print(
        f"gallery {manifest.version} of {manifest.products:,} products is published, not live: "
        f"{target.where(manifest.version)}"
    )


def prune(options: argparse.Namespace) -> None:
    """Remove old galleries; the live one, the one before it, one on trial and the --keep newest others stay."""
    store = existing_store(options)
    removed = store.prune(keep=options.keep, dry_run=options.dry_run)
    for version in removed:
        out.print(f"{'would remove' if options.dry_run else 'removed'} {store.where(version)}")
    batches = prune_journal(store, without=removed if options.dry_run else (), dry_run=options.dry_run)
    if batches:
        out.print(f"{'would remove' if options.dry_run else 'removed'} {len(batches)} merged batches of the journal")
    verb = "would be removed from" if options.dry_run else "were removed from"
    out.print(f"{len(removed)} galleries {verb} {store.uri}; {len(set(store.versions()) - set(removed))} stay")


def gate_of(options: argparse.Namespace) -> QualityGate:
    """The gate that the options of `add_gate` describe."""
    return QualityGate(
        min_recall=options.min_recall,
        count_band=options.count_band,
        canaries=read_canaries(options.canaries) if options.canaries else (),
        canary_top=options.canary_top,
        force=options.force,
    )


def print_manifest(manifest: Manifest) -> None:
    """Show what a gallery's index finds."""
    table = Table("weight", "recall@10", title=f"{manifest.recipe.factory}, {manifest.count:,} rows")
    for row in manifest.recall:
        table.add_row(f"{row.weight:g}", f"{row.recall_at_10:.3f}")
    out.print(table)


def print_forced(pointer: LivePointer | None) -> None:
    """Say so where the live gallery, or the one on trial, did not pass the gate."""
    if pointer is None:
        return
    for pair, forced in ((pointer.live, pointer.forced), (pointer.canary, pointer.forced_canary)):
        if pair is not None and forced is not None:
            out.print(
                f"[yellow]gallery {pair.gallery} did not pass the gate ({'; '.join(forced.failed)}) and was forced "
                f"by {forced.by} at {forced.at:%Y-%m-%d %H:%M} UTC: {forced.reason}[/yellow]"
            )


def add_verbs(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add this module's verbs to a command line."""
    verb(verbs, "list", list_versions)
    one = verb(verbs, "swap", swap)
    one.add_argument("version")
    one.add_argument("--expected", help="refuse unless this version is live now")
    _add_whole_gate(one)
    verb(verbs, "rollback", rollback)
    one = verb(verbs, "canary", canary)
    one.add_argument("version")
    one.add_argument("--share", type=float, required=True, help="of the replicas, above 0 and up to 1")
    _add_whole_gate(one)
    verb(verbs, "promote", promote).add_argument("--expected", help="refuse unless this version is live now")
    verb(verbs, "drop", drop)
    verb(verbs, "verify", verify).add_argument("--version", help="default: the live one")
    one = verb(verbs, "publish", publish)
    one.add_argument("--version", required=True, help="the gallery to copy")
    one.add_argument("--to", required=True, help="store to copy it to: a folder or s3://bucket/prefix")
    one = verb(verbs, "prune", prune)
    one.add_argument(
        "--keep", type=int, default=3, help="newest galleries that stay beside live and previous (default 3)"
    )
    one.add_argument("--dry-run", action="store_true", help="only say what would be removed")


def add_gate(parser: argparse.ArgumentParser) -> None:
    """Add the options of the gate, but --min-recall, which `build` has for itself."""
    parser.add_argument(
        "--count-band",
        type=float,
        default=COUNT_BAND,
        help=f"least share of the live gallery's products, its inverse is the most (default {COUNT_BAND:g})",
    )
    parser.add_argument("--canaries", type=Path, help="CSV or JSON lines of queries: product_id, expected (product)")
    parser.add_argument(
        "--canary-top",
        type=int,
        default=CANARY_TOP,
        help=f"first hits that a canary's expected product must be among (default {CANARY_TOP})",
    )
    parser.add_argument("--force", metavar="REASON", help="make it live all the same; the reason is kept in live.json")


def verb(
    verbs: Verbs[argparse.ArgumentParser], name: str, run: Callable[[argparse.Namespace], None]
) -> argparse.ArgumentParser:
    """Add one verb with what all of them have: the store and how to reach it."""
    text = (run.__doc__ or "").splitlines()[0]
    parser = verbs.add_parser(name, help=text, description=text)
    parser.add_argument("--store", required=True, help="store of galleries: a folder or s3://bucket/prefix")
    parser.add_argument("--endpoint-url", help="address of an S3 that is not AWS; default: AWS_ENDPOINT_URL")
    parser.add_argument("--cache", type=Path, help="folder for copies of a store in S3; default: under ~/.cache")
    parser.set_defaults(run=run)
    return parser


def _add_whole_gate(parser: argparse.ArgumentParser) -> None:
    add_gate(parser)
    parser.add_argument(
        "--min-recall", type=float, default=MIN_RECALL, help=f"recall@10 it must have (default {MIN_RECALL:g})"
    )


def _state(live: LivePointer | None, version: str) -> str:
    if live is None:
        return ""
    if live.canary is not None and live.canary.gallery == version:
        return f"trial {live.canary_share:.0%}"
    if live.live.gallery == version:
        return "live"
    return "prev" if live.previous and live.previous.gallery == version else ""


def existing_store(options: argparse.Namespace) -> Store:
    """The store that the options name; `NotFoundError` when nothing is there."""
    store = open_store(options.store, endpoint_url=options.endpoint_url, cache=options.cache)
    if not store.exists():
        what = "nothing is there" if options.store.startswith("s3://") else "there is no such folder"
        raise NotFoundError(f"no store at {options.store}: {what}; make it with `index_builder build`")
    return store
