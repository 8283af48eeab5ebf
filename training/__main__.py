"""Verbs of training: `classifier`, `embedder` and `words` read catalogs and write a run folder each."""

from __future__ import annotations

import argparse
from pathlib import Path

from catalog.terminal import console, run_main


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
    from training.options import add_backbone_options, add_data_options, add_loop_options

    add_data_options(parser, required=True)
    add_backbone_options(parser)
    add_loop_options(parser, epochs=12, batch=64, rate=3e-3)
    parser.add_argument(
        "--freeze", choices=("backbone",), help="train only the linear layer, on features computed once"
    )
    parser.add_argument(
        "--views", type=int, default=0, help="with --freeze: augmented views more of each picture (default 0)"
    )
    parser.add_argument(
        "--penalty", type=float, default=1e-5, help="with --freeze: penalty on squared weights (default 1e-5)"
    )
    parser.add_argument("--label-smoothing", type=float, default=0.1, help="default 0.1")


def _classifier(options: argparse.Namespace) -> int:
    from training.classifier import ClassifierSettings, train_classifier
    from training.loop import prepare_torch
    from training.options import choose_backbone, held_out, loop_settings, notes_of, training_pictures
    from training.runs import check_out

    check_out(options.out)
    prepare_torch(seed=options.seed, threads=options.threads)
    settings = ClassifierSettings(
        loop=loop_settings(options),
        power=options.power,
        freeze_backbone=options.freeze == "backbone",
        label_smoothing=options.label_smoothing,
        views=options.views,
        penalty=options.penalty,
    )
    backbone = choose_backbone(options)
    record = train_classifier(
        training_pictures(options, size_px=backbone.spec.size_px, spare=options.freeze is None),
        validation=held_out(options, size_px=backbone.spec.size_px),
        backbone=backbone,
        settings=settings,
        out=options.out,
        notes=notes_of(options),
    )
    _done(options.out, f"a classifier of {len(record.labels)} labels", record.metrics)
    return 0


def _add_embedder(parser: argparse.ArgumentParser) -> None:
    from training.losses import Mining
    from training.options import add_backbone_options, add_data_options, add_loop_options

    add_data_options(parser, required=False)
    add_backbone_options(parser)
    add_loop_options(parser, epochs=12, batch=96, rate=2e-3)
    parser.add_argument(
        "--dim", type=int, default=128, help="length of the embedding; 0: the backbone's features (default 128)"
    )
    parser.add_argument("--head", choices=("linear", "none"), default="linear", help="none is the same as --dim 0")
    parser.add_argument(
        "--margin", type=float, default=0.2, help="of the triplet loss, in cosine distance (default 0.2)"
    )
    parser.add_argument("--mining", choices=[mining.value for mining in Mining], default=Mining.SEMI_HARD.value)
    parser.add_argument("--views", type=int, default=4, help="pictures of each cluster in a step (default 4)")
    parser.add_argument("--labels-a-batch", type=int, default=4, help="kinds of product in a step (default 4)")
    parser.add_argument(
        "--gallery-split", default="gallery", help="rows that --val-split is searched among (default gallery)"
    )


def _embedder(options: argparse.Namespace) -> int:
    from training.data import load_pictures
    from training.embedder import EmbedderSettings, train_embedder
    from training.loop import prepare_torch
    from training.losses import Mining
    from training.options import choose_backbone, held_out, loop_settings, notes_of, training_pictures
    from training.runs import check_out

    check_out(options.out)
    prepare_torch(seed=options.seed, threads=options.threads)
    settings = EmbedderSettings(
        loop=loop_settings(options),
        dim=0 if options.head == "none" else options.dim,
        power=options.power,
        margin=options.margin,
        mining=Mining(options.mining),
        views=options.views,
        labels_a_batch=options.labels_a_batch,
    )
    backbone = choose_backbone(options)
    size_px = backbone.spec.size_px
    learns = options.catalog is not None and options.epochs > 0
    measures = learns and options.val_split is not None
    splits = tuple(options.gallery_split.split(","))
    record = train_embedder(
        training_pictures(options, size_px=size_px, spare=True) if learns else None,
        gallery=load_pictures(options.catalog, splits=splits, size_px=size_px) if measures else None,
        validation=held_out(options, size_px=size_px) if measures else None,
        backbone=backbone,
        settings=settings,
        out=options.out,
        notes=notes_of(options),
    )
    _done(options.out, f"an embedder of {record.dim} dimensions", record.metrics)
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
    parser.add_argument("--epochs", type=int, help="default: as many as make about 3 M words")
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
        f"made {summary.dim}-d vectors of {summary.vocabulary:,} words from {summary.texts:,} texts: {summary.out}",
        soft_wrap=True,
    )
    return 0


def _done(out: Path, what: str, metrics: list[dict[str, float]]) -> None:
    last = ", ".join(
        f"{name} {value:.4f}" for name, value in (metrics[-1] if metrics else {}).items() if name != "epoch"
    )
    console.print(f"made {what}{f' ({last})' if last else ''}: {out}", soft_wrap=True)


VERBS = {
    "classifier": ("labels of pictures: cross entropy on the column `label`", _add_classifier, _classifier),
    "embedder": ("vectors of pictures: triplets from the column `cluster`, or product_id", _add_embedder, _embedder),
    "words": ("vectors of words: fastText on the catalog's texts", _add_words, _words),
}

if __name__ == "__main__":
    run_main(main)
