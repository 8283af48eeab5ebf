"""`python -m loadtests report`: a running service and a folder of photos in, a report of latency and errors out.

Exit status: 0 within the limits, 1 above a limit, 2 after a mistake (one sentence), 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.text import Text

PROBE_S = 10
console = Console(stderr=True, highlight=False)


class LoadTestError(Exception):
    """A mistake of a person; `str` is the sentence to show."""


def main(arguments: list[str]) -> int:
    """Run the verb `report`; returns the exit status, raises LoadTestError."""
    options = _parser().parse_args(arguments)
    if options.users < 1 or options.seconds <= 0:
        raise LoadTestError(f"--users and --seconds must be above 0, got {options.users} and {options.seconds:g}")
    _probe(options.url)

    # Late: Locust patches sockets and threads of the whole process.
    try:
        from loadtests import bounded
    except ModuleNotFoundError as error:
        raise LoadTestError(f"{error.name} is missing; install it with: pip install 'shopcam[load]'") from error
    from loadtests.locustfile import PhotoFolderError
    from loadtests.report import Limits, print_report, write_report

    load = bounded.Load(
        url=options.url,
        photos=options.photos,
        users=options.users,
        seconds=options.seconds,
        think_s=options.think_s,
        garbage=options.garbage,
        seed=options.seed,
    )
    try:
        measured = bounded.run(load)
    except PhotoFolderError as error:
        raise LoadTestError(str(error)) from error
    limits = Limits(error_rate=options.max_error_rate, p95_ms=options.max_p95_ms)
    title = f"{options.users} shoppers for {options.seconds:g} s, think time {options.think_s:g} s"
    command = f"python -m loadtests {shlex.join(arguments)}"
    path = write_report(measured, limits=limits, title=title, command=command, out=options.out)
    print_report(measured, title=title, console=Console())
    broken = limits.broken_by(measured)
    if broken:
        console.print("[red]above the limits:[/red]", Text("; ".join(broken)), soft_wrap=True)
    console.print(f"wrote the report of {measured.total.requests:,} requests to {path}", soft_wrap=True)
    return 1 if broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtests", description=__doc__)
    report = parser.add_subparsers(dest="verb", required=True).add_parser(
        "report", help="shoppers with phones against a running service, for a bounded time"
    )
    photos = os.environ.get("SHOPCAM_PHOTOS")
    add = report.add_argument
    add("--url", default="http://127.0.0.1:3000", help="the service (default: %(default)s)")
    add("--photos", type=Path, default=photos, required=photos is None, help="folder of photos (or SHOPCAM_PHOTOS)")
    add("--users", type=int, default=8, help="shoppers at the same time (default: %(default)s)")
    add("--seconds", type=float, default=30.0, help="how long (default: %(default)s)")
    add("--think-s", type=float, default=1.0, help="mean think time; 0 asks without a pause (default: %(default)s)")
    add("--garbage", type=_share, default=0.01, help="share of uploads that are no picture (default: %(default)s)")
    add("--seed", type=int, default=0, help="seed of the shoppers' choices (default: %(default)s)")
    add("--max-error-rate", type=_share, default=0.01, help="exit 1 above this share of errors (default: %(default)s)")
    add("--max-p95-ms", type=float, default=None, help="exit 1 when p95 is above it (default: no limit)")
    add("--out", type=Path, default=Path(".cache/loadtest"), help="folder for the report (default: %(default)s)")
    return parser


def _share(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"a share is between 0 and 1, got {text}")
    return number


def _probe(url: str) -> None:
    """Raise LoadTestError unless the service answers and says that it is ready."""
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        raise LoadTestError(f"--url must look like http://host:port, got {url!r}")
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/readyz", timeout=PROBE_S):  # noqa: S310  # scheme checked above
            return
    except urllib.error.HTTPError as error:
        if error.code == 503:
            raise LoadTestError(
                f"the service at {url} is not ready (503 at /readyz); start again when it is"
            ) from error
        raise LoadTestError(f"{url} answers {error.code} at /readyz, so it is not this service") from error
    except OSError as error:  # URLError and timeouts are OSErrors
        reason = getattr(error, "reason", error)
        raise LoadTestError(f"no service answers at {url} ({reason}); start one with: make serve") from error


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LoadTestError as error:
        console.print("[red]error:[/red]", Text(str(error)), soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        console.print("stopped; run the same command again to go on")
        sys.exit(130)
