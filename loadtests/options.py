"""The command line of `python -m loadtests`. A load's flags are variables, too: --users is LOADTEST_USERS."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loadtests.chaos_plan import BUILTIN, Event, read_plan, with_commands
from loadtests.limits import Limits
from loadtests.mistakes import LoadTestError
from loadtests.shapes import Shape, Step, steps_of

HOST = "http://127.0.0.1:3000"
OUT = Path(".cache/loadtest")
UNITS_S = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
MIN_STEP_S = 1.0


def parse(arguments: Sequence[str], description: str) -> argparse.Namespace:
    """The verb and its options; argparse ends the program with status 2 for what it cannot read."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests", description=description, epilog="--users is also LOADTEST_USERS, and so on"
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", help="a load against a running service; a report, and an exit status by limits")
    _add(run, "host", default=HOST, help="the service")
    _add_load(run)
    _add(run, "shape", type=Shape, default=Shape.STEADY, choices=list(Shape), help="how the load goes over time")
    _add(run, "steps", type=int, default=8, help="steps of a ramp")
    _add(run, "rate", type=float, help="open loop: requests a second at full load, sent when due; instead of --users")
    _add_limits(run)

    compare = verbs.add_parser("compare", help="two services side by side: ratios with intervals")
    compare.add_argument("--host", action="append", required=True, help="a service; give two, A and B")
    _add_load(compare)
    _add(compare, "pairs", type=int, default=6, help="times that A and B get a slice each; --duration is of all slices")
    _add(compare, "max_error_rate", type=_share, default=0.01, help="exit 1 when either has more errors")
    _add(compare, "max_p95_ratio", type=_positive, help="exit 1 when B's p95 over A's is surely above it")

    chaos = verbs.add_parser("chaos", help="things are done to a service under load; does it keep its promises?")
    _add(chaos, "host", default=HOST, help="the service")
    _add_load(chaos, duration=False)
    chaos.add_argument("--plan", default="builtin", help="a YAML file of events, or builtin (the default)")
    for event in read_plan(BUILTIN):
        chaos.add_argument(f"--on-{event.name}", metavar="CMD", help=f"shell command: {event.what}")
        chaos.add_argument(f"--undo-{event.name}", metavar="CMD", help="shell command that ends it")
    report = verbs.add_parser("report", help="tables, plots and HTML page of an earlier run, once more")
    report.add_argument("folder", nargs="?", type=Path, default=OUT, help="what --out was (default: %(default)s)")
    return parser.parse_args(arguments)


def load_steps(given: argparse.Namespace) -> tuple[Step, ...]:
    """The steps of `run`; raises LoadTestError for a shape that cannot be."""
    if given.rate is not None and given.rate <= 0:
        raise LoadTestError(f"--rate must be above 0, got {given.rate:g}")
    if given.shape is Shape.RAMP and given.steps < 3:
        raise LoadTestError(f"a ramp needs --steps of 3 or more to show a knee, got {given.steps}")
    if given.shape is Shape.RAMP and given.rate is None and given.users < given.steps:
        raise LoadTestError(f"a ramp of {given.steps} steps needs at least so many users, got --users {given.users}")
    level = given.users if given.rate is None else given.rate
    whole = given.rate is None
    steps = steps_of(given.shape, level=level, duration_s=given.duration, steps=given.steps, whole=whole)
    shortest_s = min(step.end_s - step.begin_s for step in steps)
    if len(steps) > 1 and shortest_s < MIN_STEP_S:
        raise LoadTestError(
            f"a step would last {shortest_s:.2f} s, at least {MIN_STEP_S:g} s is needed; raise --duration"
        )
    return steps


def chaos_events(given: argparse.Namespace) -> tuple[Event, ...]:
    """The events of `chaos` with their commands; raises LoadTestError for a plan that cannot be."""
    planned = read_plan(BUILTIN if given.plan == "builtin" else Path(given.plan))
    flags = {name.replace("_", "-"): value for name, value in vars(given).items() if isinstance(value, str)}
    return with_commands(planned, flags)


def limits(given: argparse.Namespace) -> Limits:
    """The limits of `run`."""
    return Limits(given.max_error_rate, given.max_shed_rate, given.p95_ms, given.p99_ms)


def duration_s(text: str) -> float:
    """Seconds of `90`, `90s`, `1.5m` or `1h`; raises ArgumentTypeError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if found is None or float(found[1]) == 0:
        raise argparse.ArgumentTypeError(f"a duration looks like 90s, 10m or 1h, got {text!r}")
    return float(found[1]) * UNITS_S[found[2]]


def _add_load(verb: argparse.ArgumentParser, *, duration: bool = True) -> None:
    photos = os.environ.get("SHOPCAM_PHOTOS")
    verb.add_argument(
        "--photos", type=Path, default=photos, required=photos is None, help="folder of photos (or SHOPCAM_PHOTOS)"
    )
    _add(verb, "users", type=_count, default=8, help="people at the same time")
    _add(
        verb, "user", default="phone", choices=["phone", "script"], help="phones pause between requests, scripts do not"
    )
    _add(verb, "think_s", type=_seconds, default=1.0, help="mean pause of a phone; log-normal")
    _add(verb, "garbage", type=_share, default=0.01, help="share of uploads that are broken and must be refused")
    _add(verb, "seed", type=int, default=0, help="of every choice")
    verb.add_argument("--out", type=Path, default=OUT, help="folder of the report (default: %(default)s)")
    if duration:
        _add(verb, "duration", type=duration_s, default="60s", help="how long")


def _add_limits(verb: argparse.ArgumentParser) -> None:
    _add(verb, "max_error_rate", type=_share, default=0.01, help="exit 1 above this share of failures")
    _add(verb, "max_shed_rate", type=_share, help="exit 1 above this share of 429 with Retry-After (no limit)")
    _add(verb, "p95_ms", type=_positive, help="exit 1 when p95 is above it, of clients or service (no limit)")
    _add(verb, "p99_ms", type=_positive, help="the same of p99 (no limit)")


def _add(verb: argparse.ArgumentParser, name: str, *, default: Any = None, **settings: Any) -> None:
    if default is not None:
        settings["help"] += " (default: %(default)s)"
    default = os.environ.get(f"LOADTEST_{name.upper()}", default)
    verb.add_argument(f"--{name.replace('_', '-')}", default=default, **settings)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}") from None


def _share(text: str) -> float:
    number = _number(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"a share is between 0 and 1, got {text}")
    return number


def _positive(text: str) -> float:
    number = _number(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text}")
    return number


def _seconds(text: str) -> float:
    number = _number(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected seconds, 0 or more, got {text}")
    return number


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {text}")
    return int(text)
