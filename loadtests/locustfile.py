"""For Locust's own page: `SHOPCAM_PHOTOS=DIR locust -f loadtests/locustfile.py --host URL`.

The same shoppers as `python -m loadtests run`, which adds shapes, limits and the report.
"""

from __future__ import annotations

import logging
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from locust import events

from loadtests.mistakes import LoadTestError
from loadtests.photos import load_photos
from loadtests.users import PhoneUser, Plan

__all__ = ["PhoneUser"]


def share(text: str) -> float:
    """A number in [0, 1]."""
    number = float(text)
    if not 0 <= number <= 1:
        raise ArgumentTypeError(f"a share is between 0 and 1, got {text}")
    return number


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]  # Locust is untyped here
def add_options(parser: Any) -> None:
    """Options of Locust's command line; each is an environment variable too."""
    parser.add_argument("--photos", env_var="SHOPCAM_PHOTOS", default="", help="folder of photos")
    parser.add_argument("--think-s", env_var="LOADTEST_THINK_S", type=float, default=2.0, help="mean think time")
    parser.add_argument(
        "--garbage", env_var="LOADTEST_GARBAGE", type=share, default=0.01, help="share of broken uploads"
    )
    parser.add_argument("--seed", env_var="LOADTEST_SEED", type=int, default=0, help="seed of the users' choices")


@events.init.add_listener  # type: ignore[untyped-decorator]  # Locust is untyped here
def prepare(environment: Any, **_: Any) -> None:
    """Read the photos once, before the first user; without photos Locust ends with status 2."""
    options = environment.parsed_options
    try:
        photos = load_photos(options.photos and Path(options.photos), seed=options.seed)
    except LoadTestError as error:
        logging.getLogger(__name__).error("%s", error)
        raise SystemExit(2) from error
    environment.shopcam_plan = Plan(photos, (), seed=options.seed, think_s=options.think_s, garbage=options.garbage)
