"""Verbs of training: `classifier`, `embedder`, `fused` and `words` read catalogs and write a run folder each."""

from __future__ import annotations

import argparse
from pathlib import Path

from catalog.terminal import console, run_main

# Learning rates for a backbone from scratch.
_RATES = {"classifier": 3e-3, "embedder": 2e-3, "fused": 2e-3}


def main(arguments: list[str]) -> int:
    """Run one verb; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = arguments[0] if arguments else ""
    # A verb's options are added only where it is asked for, since its imports (torch) take seconds.
    for name, (summary, add, run) in VERBS.items():
        own = verbs.add_parser(name, help=summary)
        if name == verb:
            add(own)
            own.set_defaults(run=run)
    options = parser.parse_args(arguments)
    return int(options.run(options))


def _add_classifier(parser: argparse.ArgumentParser) -> None:
    from training import loop_options, options

    options.add_data_options(parser, required=True)
    options.add_backbone_options(parser)
    loop_options.add_loop_options(parser, epochs=12, batch=64, rate=_RATES["classifier"])
    loop_options.add_tuning_options(parser)
    options.add_label_options(parser, views_option="--views")


def _classifier(arguments: argparse.Namespace) -> int:
    from training import inputs, loop_options, options
    from training.classifier import ClassifierSettings, train_classifier

    _prepare(arguments)
    settings = ClassifierSettings(
        loop=loop_options.loop_settings(arguments),
        power=arguments.power,
        labels=options.label_settings(arguments),
        tuning=loop_options.tuning(arguments),
    )
    backbone = inputs.choose_backbone(arguments)
    size_px = backbone.spec.size_px
    held_out = inputs.held_out_pictures(arguments, size_px=size_px)
    record = train_classifier(
        inputs.training_pictures(arguments, size_px=size_px, spare=not settings.tuning.heads_only),
        validation=held_out.validation,
        backbone=backbone,
        settings=settings,
        out=arguments.out,
        calibration=held_out.calibration,
        notes=inputs.notes_of(arguments),
    )
    _done(arguments.out, f"a classifier of {len(record.labels)} labels", record.metrics)
    return 0


def _add_embedder(parser: argparse.ArgumentParser) -> None:
    from training import loop_options, options
    from training.losses import LossName

    options.add_data_options(parser, required=False)
    options.add_backbone_options(parser)
    loop_options.add_loop_options(parser, epochs=12, batch=96, rate=_RATES["embedder"])
    loop_options.add_tuning_options(parser)
    clusters = options.add_cluster_options(parser, loss=LossName.TRIPLET, labels_a_batch=4, pooling="none")
    clusters.add_argument("--head", choices=("linear", "none"), default="linear", help="none is the same as --dim 0")
    clusters.add_argument(
        "--gallery-split", default="gallery", help="rows that --val-split is searched among (default gallery)"
    )


def _embedder(arguments: argparse.Namespace) -> int:
    from training import inputs, loop_options, options
    from training.embedder import EmbedderSettings, train_embedder

    _prepare(arguments)
    settings = EmbedderSettings(
        loop=loop_options.loop_settings(arguments),
        dim=0 if arguments.head == "none" else arguments.dim,
        power=arguments.power,
        pooling=options.pooling(arguments),
        clusters=options.cluster_settings(arguments),
        tuning=loop_options.tuning(arguments),
    )
    backbone = inputs.choose_backbone(arguments)
    size_px = backbone.spec.size_px
    learns = arguments.catalog is not None and arguments.epochs > 0
    measures = learns and arguments.val_split is not None
    held_out = inputs.held_out_pictures(arguments, size_px=size_px) if measures else inputs.HeldOut()
    record = train_embedder(
        inputs.training_pictures(arguments, size_px=size_px, spare=True) if learns else None,
        gallery=held_out.gallery,
        validation=held_out.validation,
        backbone=backbone,
        settings=settings,
        out=arguments.out,
        notes=inputs.notes_of(arguments),
    )
    _done(arguments.out, f"an embedder of {record.dim} dimensions", record.metrics)
    return 0


def _add_fused(parser: argparse.ArgumentParser) -> None:
    from training import loop_options, options
    from training.losses import LossName
    from training.poolings import Pooling

    options.add_data_options(parser, required=True)
    options.add_backbone_options(parser)
    loop_options.add_loop_options(parser, epochs=12, batch=64, rate=_RATES["fused"])
    loop_options.add_tuning_options(parser)
    options.add_label_options(parser, views_option="--head-views")
    clusters = options.add_cluster_options(parser, loss=LossName.HINGE, labels_a_batch=0, pooling=Pooling.SAM.value)
    clusters.add_argument(
        "--metric-weight", type=float, default=1.0, help="of the loss on clusters, beside that on labels (default 1)"
    )
    clusters.add_argument("--unit-head", action="store_true", help="labels are told from features of unit length")
    clusters.add_argument("--gallery-split", help="rows that --val-split is searched among (default: none)")


def _fused(arguments: argparse.Namespace) -> int:
    from training import inputs, loop_options, options
    from training.fused import FusedSettings, train_fused

    _prepare(arguments)
    settings = FusedSettings(
        loop=loop_options.loop_settings(arguments),
        dim=arguments.dim,
        power=arguments.power,
        pooling=options.pooling(arguments),
        unit_head=arguments.unit_head,
        metric_weight=arguments.metric_weight,
        labels=options.label_settings(arguments),
        clusters=options.cluster_settings(arguments),
        tuning=loop_options.tuning(arguments),
    )
    backbone = inputs.choose_backbone(arguments)
    size_px = backbone.spec.size_px
    held_out = inputs.held_out_pictures(arguments, size_px=size_px)
    record = train_fused(
        inputs.training_pictures(arguments, size_px=size_px, spare=True),
        validation=held_out.validation,
        gallery=held_out.gallery,
        backbone=backbone,
        settings=settings,
        out=arguments.out,
        calibration=held_out.calibration,
        notes=inputs.notes_of(arguments),
    )
    what = f"a fused network of {len(record.labels)} labels and {record.embedding_dim} dimensions"
    _done(arguments.out, what, record.metrics)
    return 0


def _add_words(parser: argparse.ArgumentParser) -> None:
    from training import words

    parser.add_argument("--catalog", type=Path, action="append", required=True, help="may be given several times")
    parser.add_argument("--split", help="only rows of these splits (default: all rows)")
    parser.add_argument("--out", type=Path, required=True, help="folder to make, for example runs/words")
    parser.add_argument("--dim", type=int, default=110, help="length of a word vector (default 110)")
    parser.add_argument("--min-count", type=int, help="leave out rarer words (default: 6, fewer for small shops)")
    parser.add_argument(
        "--bucket", type=int, default=words.MAX_BUCKET, help=f"for subwords (default {words.MAX_BUCKET})"
    )
    parser.add_argument("--epochs", type=int, help="default: as many as make about 2 M words")
    parser.add_argument("--threads", type=int, default=1, help="only 1, the default, gives the same vectors again")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", choices=words.MODELS, default=words.MODELS[0])
    parser.add_argument(
        "--sentence", choices=words.SENTENCES, default=words.SENTENCES[0], help="how word vectors add up"
    )
    parser.add_argument(
        "--ascii", action="store_true", help="leave out words with letters outside a-z, as the paper does"
    )


def _words(options: argparse.Namespace) -> int:
    from training.words import train_words_from_catalogs

    summary = train_words_from_catalogs(
        options.catalog,
        out=options.out,
        splits=options.split.split(",") if options.split else None,
        dim=options.dim,
        min_count=options.min_count,
        bucket=options.bucket,
        epochs=options.epochs,
        threads=options.threads,
        seed=options.seed,
        model=options.model,
        sentence=options.sentence,
        ascii_only=options.ascii,
    )
    console.print(
        f"made {summary.dim}-d vectors of {summary.vocabulary:,} words from {summary.texts:,} texts"
        f"{f', {summary.bad_rows:,} bad rows skipped' if summary.bad_rows else ''}: {summary.out}",
        soft_wrap=True,
    )
    return 0


def _prepare(arguments: argparse.Namespace) -> None:
    """Refuse an --out that cannot be used, settle the learning rates and seed torch."""
    from training.loop import prepare_torch
    from training.loop_options import settle_rates
    from training.runs import check_out

    check_out(arguments.out)
    settle_rates(arguments, rate=_RATES[arguments.verb])
    prepare_torch(seed=arguments.seed, threads=arguments.threads)


def _done(out: Path, what: str, metrics: list[dict[str, float]]) -> None:
    last = ", ".join(
        f"{name} {value:.4f}" for name, value in (metrics[-1] if metrics else {}).items() if name != "epoch"
    )
    console.print(f"made {what}{f' ({last})' if last else ''}: {out}", soft_wrap=True)


VERBS = {
    "classifier": ("labels of pictures: cross entropy on the column `label`", _add_classifier, _classifier),
    "embedder": ("vectors of pictures: clusters from the column `cluster`, or product_id", _add_embedder, _embedder),
    "fused": ("both in one network: labels and clusters, one pass over the layers", _add_fused, _fused),
    "words": ("vectors of words: fastText on the catalog's texts", _add_words, _words),
}

if __name__ == "__main__":
    run_main(main)
