"""`python -m index_builder VERB`: build, update, publish, swap, roll back, verify and prune galleries of a store."""

from __future__ import annotations

import argparse
from pathlib import Path

from pydantic import ValidationError

from catalog.errors import OutOfRangeError
from catalog.terminal import run_main
from export.onnx_runtime import OnnxRuntimeNetworks
from export.words import WordModel
from index_builder.build import REJECTED_FILE, build_gallery
from index_builder.manifest import (
    Device,
    ImageVector,
    LabelMode,
    LabelSettings,
    LabelSource,
    TextVector,
    UnknownLabel,
)
from index_builder.milvus_verb import add_verb as add_to_milvus
from index_builder.recipes import Budget, parse_bytes
from index_builder.store import open_store
from index_builder.store_verbs import add_gate, add_verbs, gate_of, out, print_forced, print_manifest, verb
from index_builder.update_verb import add_update


def main(arguments: list[str]) -> int:
    """Run one verb; mistakes are raised as `ShopcamError`."""
    options = _parser().parse_args(arguments)
    code: int | None = options.run(options)
    return code or 0


def build(options: argparse.Namespace) -> None:
    """Build a gallery, publish it, and make it live unless --no-swap."""
    text = options.text or (TextVector.WORDVECTOR if options.words else TextVector.NONE)
    words = WordModel.load(options.words) if options.words and text == TextVector.WORDVECTOR else None
    gate = gate_of(options)
    store = open_store(options.store, endpoint_url=options.endpoint_url, cache=options.cache)
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
            budget=Budget(options.max_memory, options.target_recall, options.device),
            max_bad_rows=options.max_bad_rows,
            min_recall=options.min_recall,
        )
        if options.swap:
            print_forced(store.swap(manifest.version, spaces=networks.info.spaces, gate=gate))
    finally:
        networks.close()
    print_manifest(manifest)
    if manifest.recipe.shortfall:
        out.print(f"[yellow]{manifest.recipe.shortfall}[/yellow]")
    where = store.where(manifest.version)
    skipped = manifest.catalog["rows_skipped"]
    if skipped:
        out.print(f"[yellow]{skipped} bad rows were skipped; reasons in {where}/{REJECTED_FILE}[/yellow]")
    state = "live" if options.swap else "published, not live"
    out.print(f"gallery {manifest.version} of {manifest.products:,} products is {state}: {where}")


def _label_settings(options: argparse.Namespace) -> LabelSettings:
    try:
        return LabelSettings(mode=options.label_mode, min_confidence=options.min_confidence, top=options.label_top)
    except ValidationError as error:
        first = error.errors()[0]
        raise OutOfRangeError(f"label {first['loc'][0]} is {first['input']}: {first['msg'].lower()}") from None


def _splits(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m index_builder", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    one = verb(verbs, "build", build)
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
        "--recipe",
        default="auto",
        help="FAISS factory string, or OPQ256+128,... (image and text part apart); auto: by size and budget",
    )
    one.add_argument("--max-memory", type=parse_bytes, help="of the index, such as 4GB; default: no limit")
    one.add_argument(
        "--target-recall", type=float, default=0.95, help="search parameters are chosen for it (default 0.95)"
    )
    one.add_argument("--device", type=Device, choices=list(Device), default=Device.CPU, help="that will search it")
    one.add_argument(
        "--max-bad-rows", type=float, default=0.01, help="give up when a larger share is bad (default 0.01)"
    )
    one.add_argument("--min-recall", type=float, default=0.8, help="refuse an index that finds less (default 0.8)")
    one.add_argument("--version", help="name of the gallery; default: the time")
    one.add_argument("--threads", type=int, help="cores for the networks; default: all")
    one.add_argument("--swap", action=argparse.BooleanOptionalAction, default=True, help="make it live when built")
    add_gate(one)
    add_verbs(verbs)
    add_update(verbs)
    add_to_milvus(verbs)
    return parser


if __name__ == "__main__":
    run_main(main)
