"""`python -m benchmarks.serving throughput | chaos | fuzz`: how much the service carries; if it keeps its promises."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.artifacts import make
from benchmarks.grocery import prepare
from benchmarks.results import publish
from benchmarks.sample import prepare as prepare_sample
from benchmarks.serving.chaos import EVENTS, run_chaos
from benchmarks.serving.fuzz import add_fuzz, run_fuzz
from benchmarks.serving.throughput import CELLS, core_ms_rows, interleaved, running, throughput_rows
from catalog.terminal import run_main

CACHE = Path(".cache/benchmarks")
OTHER = "other"  # a second gallery of the same products, to be swapped in


def main(argv: list[str]) -> None:
    """Parse and run one verb."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("throughput", help="ceiling, Triton alone and POST /search, interleaved")
    verb.add_argument("--shared", type=Path, default=Path("../shared"), help="folder of the real photos and weights")
    verb.add_argument("--rounds", type=int, default=3, help="times each cell is measured; the median is reported")
    verb.add_argument("--seconds", type=float, default=10.0, help="length of one measurement")
    verb = verbs.add_parser("chaos", help="the load test's chaos run against a local Triton and service")
    verb.add_argument("--out", type=Path, default=CACHE / "chaos", help="folder of the report (default: %(default)s)")
    verb.add_argument("--users", type=int, default=8, help="people at the same time (default: %(default)s)")
    verb.add_argument("--events", default=",".join(EVENTS), help="what is done (default: %(default)s)")
    add_fuzz(verbs)
    given = parser.parse_args(argv)
    if given.verb == "fuzz":
        run_fuzz(given)
    elif given.verb == "chaos":
        _chaos(given)
    else:
        _throughput(given)


def _chaos(given: argparse.Namespace) -> None:
    shop = prepare_sample()
    make(
        shop.store / "galleries" / OTHER,
        *("index_builder", "build", "--catalog", str(shop.catalog), "--repository", str(shop.repository)),
        *("--words", str(shop.words), "--store", str(shop.store), "--version", OTHER, "--no-swap"),
    )
    events = given.events.split(",")
    status = run_chaos(
        shop.repository, shop.store, shop.photos, swap_to=OTHER, out=given.out, events=events, users=given.users
    )
    sys.exit(status)


def _throughput(given: argparse.Namespace) -> None:
    shop = prepare_sample()
    grocery = prepare(given.shared)
    with running(grocery.repository, grocery.store, log_folder=CACHE / "grocery-logs") as run:
        reports = interleaved(
            run,
            repository=grocery.repository,
            photos=shop.photos,
            cells=CELLS,
            rounds=given.rounds,
            seconds=given.seconds,
        )
    rows = throughput_rows(reports)
    with running(shop.repository, shop.store, log_folder=CACHE / "sample-logs") as run:
        rows += core_ms_rows(run, repository=shop.repository, photos=shop.photos, seconds=given.seconds)
    publish(
        "throughput",
        rows,
        title="Photos per second, GoogLeNet embedder + GoogLeNet classifier, 640 x 480 photos",
        command="python -m benchmarks.serving throughput",
    )


if __name__ == "__main__":
    run_main(main)
