"""The arguments of `index_builder build`, and the settings that they mean."""

from __future__ import annotations

import argparse
from pathlib import Path

from pydantic import ValidationError

from catalog.errors import OutOfRangeError
from index_builder.build import RunOptions
from index_builder.engines import EngineKind
from index_builder.fetching import FetchPolicy
from index_builder.manifest import Device, ImageVector, LabelMode, LabelSettings, LabelSource, TextVector, UnknownLabel
from index_builder.merge import JournalUse
from index_builder.milvus_verb import add_backend
from index_builder.recipes import Budget, parse_bytes
from index_builder.settings import BuildSettings
from index_builder.texts import TextOptions


def add_arguments(one: argparse.ArgumentParser) -> None:
    """Add all arguments of `build` but those of its store and its gate."""
    one.add_argument("--catalog", type=Path, required=True, help="CSV, JSON lines or Parquet file")
    one.add_argument("--split", type=_splits, help="use only the rows of these splits, such as a,b")
    one.add_argument("--repository", type=Path, required=True, help="model repository with the exported networks")
    one.add_argument("--words", type=Path, help="folder of word vectors, from `training words`")
    one.add_argument(
        "--journal",
        type=JournalUse,
        choices=list(JournalUse),
        default=JournalUse.NEWER,
        help="changes by `update` that are merged over the catalog: those newer than its file (default), all or none",
    )
    one.add_argument("--version", help="name of the gallery; default: the time")
    one.add_argument("--swap", action=argparse.BooleanOptionalAction, default=True, help="make it live when built")
    _add_vectors(one.add_argument_group("vectors"))
    _add_labels(one.add_argument_group("labels"))
    _add_index(one.add_argument_group("index"))
    _add_run(one.add_argument_group("how it runs (none of this changes the gallery)"))
    add_backend(one.add_argument_group("where its rows lie"))


def settings_of(options: argparse.Namespace) -> BuildSettings:
    """Return the kind of gallery that the arguments ask for; raises `OutOfRangeError`."""
    text = TextOptions(
        kind=options.text or (TextVector.WORDVECTOR if options.words else TextVector.NONE),
        label_source=options.label_source,
        unknown=options.unknown_label,
        centered=options.center_text,
    )
    return BuildSettings(
        image_vector=options.image_vector,
        text=text,
        default_weight=options.default_weight,
        recipe=options.recipe,
        budget=Budget(options.max_memory, options.target_recall, options.device),
        max_bad_rows=options.max_bad_rows,
        min_recall=options.min_recall,
        seed=0,
        label=_label_settings(options),
        views=options.gallery_views,
    )


def run_options_of(options: argparse.Namespace) -> RunOptions:
    """Return how the arguments ask a build to run; raises `OutOfRangeError`."""
    return RunOptions(
        work=options.work,
        resume=options.resume,
        reuse=options.reuse,
        trust_urls=options.trust_urls,
        fetching=FetchPolicy(timeout_s=options.fetch_timeout, tries=options.fetch_tries),
    )


def _add_vectors(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--image-vector", type=ImageVector, choices=list(ImageVector), default=ImageVector.EMBEDDING)
    group.add_argument(
        "--text",
        type=TextVector,
        choices=list(TextVector),
        help="text part; default: wordvector with --words, else none",
    )
    group.add_argument("--center-text", action="store_true", help="subtract the gallery's mean text from every text")
    group.add_argument(
        "--gallery-views",
        type=int,
        default=1,
        help="average each picture's vector over 2: its mirror image, 3 and 4: a center crop too (default 1)",
    )
    group.add_argument("--default-weight", type=float, default=1.0, help="text against image, up to 25 (default 1)")


def _add_labels(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--label-source",
        type=LabelSource,
        choices=list(LabelSource),
        default=LabelSource.CATALOG,
        help="classifier: text parts are made of what it says of each picture (default: the catalog's texts or labels)",
    )
    group.add_argument(
        "--unknown-label",
        type=UnknownLabel,
        choices=list(UnknownLabel),
        default=UnknownLabel.NOTHING,
        help="delta0: with --text onehot an unknown label is a component of its own (default: no text)",
    )
    group.add_argument(
        "--label-mode",
        type=LabelMode,
        choices=list(LabelMode),
        default=LabelMode.HARD,
        help="how predicted labels enter a query that does not say (default hard)",
    )
    group.add_argument(
        "--min-confidence",
        type=float,
        default=0.0,
        help="below this probability of the best label a query is searched by picture only (default 0: never)",
    )
    group.add_argument("--label-top", type=int, help="labels that a soft text part is made of; default: all")


def _add_index(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--recipe",
        default="auto",
        help="FAISS factory string, or OPQ256+128,... (image and text part apart); auto: by size and budget",
    )
    group.add_argument("--max-memory", type=parse_bytes, help="of the index, such as 4GB; default: no limit")
    group.add_argument(
        "--target-recall", type=float, default=0.95, help="search parameters are chosen for it (default 0.95)"
    )
    group.add_argument("--device", type=Device, choices=list(Device), default=Device.CPU, help="that will search it")
    group.add_argument("--min-recall", type=float, default=0.8, help="refuse an index that finds less (default 0.8)")
    group.add_argument(
        "--max-bad-rows", type=float, default=0.01, help="give up when a larger share is bad (default 0.01)"
    )


def _add_run(group: argparse._ArgumentGroup) -> None:
    flag = argparse.BooleanOptionalAction
    group.add_argument(
        "--engine",
        type=EngineKind,
        choices=list(EngineKind),
        default=EngineKind.LOCAL,
        help="what embeds (default local)",
    )
    group.add_argument("--ray-address", help="of a Ray cluster; default: one on this machine, for this build")
    group.add_argument("--triton-url", help="host:port of a Triton that serves the repository; default: ONNX Runtime")
    group.add_argument("--threads", type=int, help="cores for the networks; default: all")
    group.add_argument("--work", type=Path, help="folder for unfinished work; default: beside the store, or its cache")
    group.add_argument("--resume", action=flag, default=True, help="go on where a stopped build was")
    group.add_argument(
        "--reuse", action=flag, default=True, help="embed only pictures that changed since the last build"
    )
    group.add_argument(
        "--trust-urls", action=flag, default=False, help="take pictures behind known URLs for unchanged, unseen"
    )
    group.add_argument("--fetch-timeout", type=float, default=FetchPolicy.timeout_s, help="s for one try of a URL")
    group.add_argument("--fetch-tries", type=int, default=FetchPolicy.tries, help="of a URL that may answer later")
    group.add_argument(
        "--report", type=Path, help="folder for the report; default: <store>/reports/<version>, S3: none"
    )


def _label_settings(options: argparse.Namespace) -> LabelSettings:
    try:
        return LabelSettings(mode=options.label_mode, min_confidence=options.min_confidence, top=options.label_top)
    except ValidationError as error:
        first = error.errors()[0]
        raise OutOfRangeError(f"label {first['loc'][0]} is {first['input']}: {first['msg'].lower()}") from None


def _splits(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
