"""`python -m benchmarks.serving service | peers | chaos | fuzz`: what it carries, beside others, and how it fails."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.sample import prepare as prepare_sample
from benchmarks.serving.fuzz import add_fuzz, run_fuzz
from catalog.terminal import run_main

CACHE = Path(".cache/benchmarks")
PARTS = ("throughput", "core", "added", "overload", "chaos", "soak")
NETWORKS = ("grocery", "sample")


def main(argv: list[str]) -> None:
    """Parse and run one verb."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser(
        "service", help="throughput, cost, overload, faults and a soak of the service (half an hour)"
    )
    _add_lengths(verb)
    verb.add_argument("--only", type=_some_of(PARTS), default=PARTS, help=f"parts to measure: {','.join(PARTS)}")
    verb.add_argument("--open-seconds", type=_positive, default=60.0, help="length of an open loop")
    verb.add_argument("--minutes", type=_positive, default=10.0, help="length of the soak")
    verb = verbs.add_parser("peers", help="beside FastAPI, LitServe and Ray Serve with the same networks (25 minutes)")
    _add_lengths(verb)
    verb.add_argument("--networks", type=_some_of(NETWORKS), default=NETWORKS, help="which shops' networks")
    verb = verbs.add_parser("chaos", help="the load test's chaos run against a local Triton and service")
    verb.add_argument("--out", type=Path, default=CACHE / "chaos", help="folder of the report (default: %(default)s)")
    verb.add_argument("--users", type=int, default=8, help="people at the same time (default: %(default)s)")
    verb.add_argument("--events", default=None, help="what is done (default: all but worker-kill)")
    add_fuzz(verbs)
    given = parser.parse_args(argv)
    {"service": _service, "peers": _peers, "chaos": _chaos, "fuzz": run_fuzz}[given.verb](given)


def _add_lengths(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--shared", type=Path, default=Path("../shared"), help="folder of the real photos and weights")
    verb.add_argument("--rounds", type=_count, default=3, help="times each cell is measured; the median is reported")
    verb.add_argument("--seconds", type=_positive, default=10.0, help="length of one measurement")


def _service(given: argparse.Namespace) -> None:
    from benchmarks.serving.service_table import Lengths, ServiceTable

    lengths = Lengths(given.rounds, given.seconds, given.open_seconds, given.minutes)
    ServiceTable(given.shared, lengths).run(given.only)


def _peers(given: argparse.Namespace) -> None:
    from benchmarks.serving.peers_table import measure_peers

    for networks in given.networks:
        measure_peers(networks, given.shared, rounds=given.rounds, seconds=given.seconds)


def _chaos(given: argparse.Namespace) -> None:
    from benchmarks.serving.chaos import EVENTS
    from benchmarks.serving.service_table import chaos

    events = given.events.split(",") if given.events else EVENTS
    sys.exit(chaos(prepare_sample(), out=given.out, events=events, users=given.users))


def _some_of(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def some(text: str) -> tuple[str, ...]:
        names = tuple(text.split(","))
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
        return names

    return some


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text}")
    return number


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {text}")
    return int(text)


if __name__ == "__main__":
    run_main(main)
