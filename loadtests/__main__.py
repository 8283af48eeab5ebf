"""Load tests over HTTP: a running service and a folder of photos in; a report, and whether limits hold, out.

Exit status: 0 within the limits, 1 above a limit, 2 after a mistake (one sentence), 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.text import Text

from loadtests.mistakes import LoadTestError
from loadtests.options import chaos_events, load_steps, parse
from loadtests.photos import load_photos

PROBE_S = 10
console = Console(stderr=True, highlight=False)


def main(arguments: list[str]) -> int:
    """Run one verb; returns the exit status, raises LoadTestError."""
    given = parse(arguments, __doc__ or "")
    given.command = f"python -m loadtests {shlex.join(arguments)}"
    try:
        return _run(given)
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("loadtests"):
            raise
        raise LoadTestError(f"{error.name} is missing; install it with: pip install 'shopcam[load]'") from error


def _run(given: argparse.Namespace) -> int:
    if given.verb == "report":
        from loadtests import report, results

        run = results.read(given.folder)
        report.print_report(run, Console())
        _say(f"wrote {report.write_report(run, given.folder)}")
        return _status(run.broken)
    hosts = given.host if isinstance(given.host, list) else [given.host]
    hosts = [host.rstrip("/") for host in hosts]
    if given.verb == "compare" and len(hosts) != 2:
        raise LoadTestError(f"compare needs --host twice, got {len(hosts)}")
    for host in hosts:
        _probe(host)
    _check_out(given.out)

    given.uploads = load_photos(given.photos, seed=given.seed)
    if given.verb == "run":
        given.load_steps = load_steps(given)
    elif given.verb == "chaos":
        given.events = chaos_events(given)

    # Late: Locust patches sockets and threads of the whole process.
    from loadtests import verbs

    if given.verb == "compare":
        return _status(verbs.compare(given, hosts))
    run = verbs.run(given, hosts[0]) if given.verb == "run" else verbs.chaos(given, hosts[0])
    return _status(run.broken)


def _status(broken: tuple[str, ...]) -> int:
    if broken:
        console.print("[red]failed:[/red]", Text("; ".join(broken)), soft_wrap=True)
    return 1 if broken else 0


def _say(sentence: str) -> None:
    console.print(sentence, soft_wrap=True)


def _check_out(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LoadTestError(f"cannot write to --out {folder}: {error.strerror}") from error


def _probe(host: str) -> None:
    """Raise LoadTestError unless the service answers and says that it is ready."""
    if urlsplit(host).scheme not in {"http", "https"} or not urlsplit(host).hostname:
        raise LoadTestError(f"--host must look like http://host:port, got {host!r}")
    try:
        with urllib.request.urlopen(f"{host}/readyz", timeout=PROBE_S):  # noqa: S310  # scheme checked above
            return
    except urllib.error.HTTPError as error:
        if error.code == 503:
            raise LoadTestError(
                f"the service at {host} is not ready (503 at /readyz); start again when it is"
            ) from error
        raise LoadTestError(f"{host} answers {error.code} at /readyz, so it is not this service") from error
    except OSError as error:  # URLError and timeouts are OSErrors
        reason = getattr(error, "reason", error)
        raise LoadTestError(f"no service answers at {host} ({reason}); start one with: make serve") from error


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LoadTestError as error:
        console.print("[red]error:[/red]", Text(str(error)), soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        console.print("stopped; run the same command again to go on")
        sys.exit(130)
