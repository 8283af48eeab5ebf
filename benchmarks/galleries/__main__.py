"""`python -m benchmarks.galleries VERB`: what building, opening, searching and swapping large galleries takes.

Each verb measures some rows of `benchmarks/results/galleries`; rows of the other verbs stay as they were.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.galleries.table import merge
from benchmarks.results import Row, publish
from catalog.terminal import run_main

MILLION = 1_000_000
HUNDRED_THOUSAND = 100_000
MEMORY_BYTES = 4 * 10**9
STAGES = Path(".cache/benchmarks/stages")


def main(argv: list[str]) -> None:
    """Parse and run one verb."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.galleries", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for name, run, text in (
        ("build", _build, "an index of ready vectors within 4 GB: time, memory, recall"),
        ("embed", _embed, "the embedding stage beside plain ONNX Runtime: photos a second"),
        ("memory", _memory, "memory of the streaming stages over a small and a large catalog"),
        ("search", _search, "queries a second beside hnswlib and usearch at equal recall"),
        ("open", _open, "a gallery from nothing to its first answer"),
        ("swap", _swap, "a swap under 20 clients: failures, latency, memory"),
    ):
        one = verbs.add_parser(name, help=text, description=text)
        one.add_argument("--shared", type=Path, default=Path("../shared"), help="folder of the real photos and weights")
        one.add_argument(
            "--count", type=_counts, default=None, help="products, such as 100000,1000000 (default: the table's)"
        )
        one.set_defaults(run=run)
    one = verbs.add_parser("faults", help="the faults that galleries survive, each by the tests that cause it")
    one.set_defaults(publish=_faults)
    one = verbs.add_parser("scaling", help="galleries of 1 M to 1 B products, on paper")
    one.set_defaults(publish=_scaling)
    given = parser.parse_args(argv)
    if hasattr(given, "publish"):
        given.publish()
    else:
        merge(given.run(given))


def _scaling() -> None:
    from benchmarks.galleries.paper import print_scaling

    print_scaling()


def _faults() -> None:
    from benchmarks.galleries.faults import FAULTS, NAME
    from benchmarks.proofs import proof_rows

    publish(
        NAME,
        proof_rows(FAULTS),
        title="Faults that galleries survive: failed cases of the tests that cause each",
        command="python -m benchmarks.galleries faults",
    )


def _build(given: argparse.Namespace) -> list[Row]:
    from benchmarks.galleries.build_table import build_rows
    from benchmarks.galleries.source import grocery_source

    source = grocery_source(given.shared)
    return _each(given.count or [MILLION], lambda count: build_rows(source, count, max_memory_bytes=MEMORY_BYTES))


def _embed(given: argparse.Namespace) -> list[Row]:
    from benchmarks.galleries.embed_table import PHOTOS, embed_rows
    from benchmarks.grocery import prepare

    shop = prepare(given.shared)
    (count,) = given.count or [PHOTOS]
    return embed_rows(shop.repository, shop.photos, folder=STAGES, count=count)


def _memory(given: argparse.Namespace) -> list[Row]:
    from benchmarks.galleries.embed_table import memory_rows
    from benchmarks.sample import prepare

    shop = prepare()
    small, large = given.count or [50_000, 500_000]
    pictures = shop.catalog.parent / "images"
    return memory_rows(shop.repository, pictures, folder=STAGES, counts=(small, large))


def _search(given: argparse.Namespace) -> list[Row]:
    from benchmarks.galleries.search_table import search_rows
    from benchmarks.galleries.source import grocery_source

    source = grocery_source(given.shared)
    return _each(given.count or [HUNDRED_THOUSAND, MILLION], lambda count: search_rows(source, count))


def _open(given: argparse.Namespace) -> list[Row]:
    from benchmarks.galleries.opening import opening_rows
    from benchmarks.galleries.ready import ready_gallery

    return _each(
        given.count or [MILLION],
        lambda count: opening_rows(ready_gallery(given.shared, count, max_memory_bytes=MEMORY_BYTES).folder, count),
    )


def _swap(given: argparse.Namespace) -> list[Row]:
    from benchmarks.galleries.swap import measure_swap

    return _each(
        given.count or [MILLION], lambda count: measure_swap(given.shared, count, max_memory_bytes=MEMORY_BYTES)
    )


def _each(counts: Sequence[int], rows: Callable[[int], list[Row]]) -> list[Row]:
    return [row for count in counts for row in rows(count)]


def _counts(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


if __name__ == "__main__":
    run_main(main)
