"""`python -m benchmarks.serving throughput`: how much of the machine's ceiling the service carries."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.grocery import prepare
from benchmarks.results import publish
from benchmarks.sample import prepare as prepare_sample
from benchmarks.serving.throughput import CELLS, core_ms_rows, interleaved, running, throughput_rows
from catalog.terminal import run_main

CACHE = Path(".cache/benchmarks")


def main(argv: list[str]) -> None:
    """Parse and run one verb."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("throughput", help="ceiling, Triton alone and POST /search, interleaved")
    verb.add_argument("--shared", type=Path, default=Path("../shared"), help="folder of the real photos and weights")
    verb.add_argument("--rounds", type=int, default=3, help="times each cell is measured; the median is reported")
    verb.add_argument("--seconds", type=float, default=10.0, help="length of one measurement")
    given = parser.parse_args(argv)

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
