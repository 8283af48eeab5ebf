"""`python -m benchmarks.quality VERB`: are the right products on top?"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from catalog.terminal import run_main


def main(argv: list[str]) -> None:
    """Parse and run one verb."""
    given = _parser().parse_args(argv)
    given.run(given)


def _sample(_: argparse.Namespace) -> None:
    from benchmarks.quality.first_tables import sample_table

    sample_table()


def _grocery(given: argparse.Namespace) -> None:
    from benchmarks.quality.first_tables import grocery_table

    grocery_table(given.shared)


def _weight(given: argparse.Namespace) -> None:
    from benchmarks.quality.first_tables import weight_table

    weight_table(given.shared)


def _main_table(given: argparse.Namespace) -> None:
    from benchmarks.quality.main_table import main_table

    main_table(given.shared, networks=given.networks)


def _all(given: argparse.Namespace) -> None:
    from benchmarks.quality.studies import run_all

    run_all(given.shared)


def _study(given: argparse.Namespace) -> None:
    from benchmarks.quality.studies import run_one

    run_one(given.verb, given.shared)


def _arms(given: argparse.Namespace) -> None:
    from benchmarks.quality.shop import evaluate_arms, print_arms

    rows = evaluate_arms(
        given.catalog,
        given.queries,
        given.repository,
        given.words,
        splits=given.split,
        query_splits=given.query_split,
        weight=given.weight,
        boxes=given.boxes,
        choose_by_folds=given.choose,
    )
    print_arms(rows, title=f"{given.queries.name} in {given.catalog.name}, networks of {given.repository.name}")


def _evaluate(given: argparse.Namespace) -> None:
    from benchmarks.quality.live import evaluate_live, print_live

    rows = evaluate_live(
        given.store, given.repository, given.queries, splits=given.split, weight=given.weight, boxes=given.boxes
    )
    print_live(rows, title=f"{given.queries.name} in the live gallery of {given.store}")


def _parser() -> argparse.ArgumentParser:
    from benchmarks.quality.hours import ALL, MAIN, STUDIES

    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        own = verbs.add_parser(name, help=text, description=text)
        own.set_defaults(run=run)
        return own

    one = verb("main", _main_table, f"the main table: every arm on real grocery photos, with plots ({MAIN})")
    _shared(one)
    one.add_argument("--networks", help="put every arm on the networks of one recipe, such as frozen (minutes)")
    one = verb("all", _all, f"the main table and the studies; goes on where it was stopped ({ALL})")
    _shared(one)
    for name, text in (
        ("two-step", "two-step against one-step fine-tuning (Kim et al., Table I), three seeds on two sets"),
        ("poolings", "heads over GA, SAP, SAM and no pooling on unseen clusters (Kim et al., Table II)"),
        ("losses", "the losses of metric learning on unseen clusters"),
        ("extras", "what else may be done at query and gallery side, on held-out looks of train"),
    ):
        one = verb(name, _study, f"{text} ({STUDIES[name]})")
        one.set_defaults(verb=name)
        _shared(one)
    verb("sample", _sample, "camera photo to its product, sample shop and shipped networks")
    one = verb("weight", _weight, "top-5 score against the weight, by folds of the grocery training split")
    _shared(one)
    one = verb("grocery", _grocery, "one-shot search on real grocery photos, GoogLeNet pool5")
    _shared(one)
    one = verb("arms", _arms, "every arm on your own catalog and query file")
    one.add_argument("--catalog", type=Path, required=True, help="what is searched")
    one.add_argument("--split", type=_splits, help="only these splits of the catalog, such as train")
    one.add_argument("--query-split", type=_splits, help="only these splits of the query file, such as val")
    one.add_argument("--words", type=Path, help="folder of word vectors; without it no arm with word vectors")
    one.add_argument(
        "--choose",
        action="store_true",
        help="choose each arm's weight and threshold by held-out looks of the catalog (10 rows a label; in place of "
        "--weight)",
    )
    _asked(one)
    one = verb("evaluate", _evaluate, "a live gallery on your own query file: image only, hard, soft label")
    one.add_argument("--store", type=Path, required=True, help="folder of galleries, one of them live")
    one.add_argument("--split", type=_splits, help="only these splits of the query file, such as val")
    _asked(one)
    return parser


def _shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--shared",
        type=Path,
        default=Path("../shared"),
        help="folder of the real photos and weights (default ../shared)",
    )


def _asked(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--queries", type=Path, required=True, help="query file: image, and label or product_id")
    parser.add_argument("--repository", type=Path, required=True, help="model repository with the exported networks")
    parser.add_argument("--weight", type=float, help="text against image (default: the gallery's own, or 1)")
    parser.add_argument("--boxes", action="store_true", help="crop each photo to its box")


def _splits(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


if __name__ == "__main__":
    run_main(main)
