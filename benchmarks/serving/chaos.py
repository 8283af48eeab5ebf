"""A store with two galleries in; the load test's chaos run against a local Triton and service, and its rows, out.

All that `loadtests chaos` knows to judge is done: a swap, Triton slow, killed and started again, the store gone.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path

from benchmarks.results import Row, Target
from benchmarks.serving.disturbances import disturbed
from loadtests.answers import Answer, Outcome
from loadtests.results import Run
from loadtests.verdicts import Look, longest_lie_s

EVENTS = ("swap", "triton-kill", "triton-slow", "store-gone")

RECOVER_S = 5.0
READY_LAG_S = 5.0


def run_chaos(
    repository: Path, store: Path, photos: Path, *, swap_to: str, out: Path, events: Sequence[str] = EVENTS, users: int
) -> int:
    """The exit status of `python -m loadtests chaos`; its report is in `out`."""
    with (
        tempfile.TemporaryDirectory(prefix="shopcam-chaos-") as scratch,
        disturbed(repository, store, swap_to=swap_to, scratch=Path(scratch)) as service,
    ):
        commands = [
            part
            for name, command in service.commands.items()
            if name.split("-", maxsplit=1)[1] in events
            for part in (f"--{name}", command)
        ]
        load = ["--host", service.url, "--photos", str(photos), "--users", str(users), "--out", str(out)]
        process = subprocess.Popen([sys.executable, "-m", "loadtests", "chaos", *load, *commands])
        try:
            service.obey(lambda: process.poll() is not None)
        finally:
            process.terminate()
            status = process.wait()
    return status


def chaos_rows(run: Run) -> list[Row]:
    """What clients saw of a swap and of a killed Triton, in numbers; an event that the run did not have has no rows."""
    rows: list[Row] = []
    begin_s = 0.0
    for event in run.chaos["events"]:
        answers = [one for one in run.answers if begin_s <= one.at_s < event["watched_s"]]
        since = [one for one in answers if one.at_s + one.latency_ms / 1e3 >= event["begun_s"]]
        failed = [one for one in since if one.outcome is Outcome.FAILED]
        if event["name"] == "swap":
            rows.append(Row("swap under load: failed requests", len(failed), "", Target("<=", 0), f"of {len(since):,}"))
        elif event["name"] == "triton-kill":
            looks = [
                Look(at_s, bool(ready)) for at_s, ready in run.chaos["looks"] if begin_s <= at_s < event["watched_s"]
            ]
            rows += _kill_rows(failed, since, back_s=event["back_s"], lie_s=longest_lie_s(answers, looks))
        begin_s = event["watched_s"]
    broken = [verdict for verdict in run.chaos["verdicts"] if not verdict["holds"]]
    said = "; ".join(f"{verdict['event']}: {verdict['sentence']}" for verdict in broken)
    promises = f"of {len(run.chaos['verdicts'])} verdicts of `python -m loadtests chaos`"
    rows.append(Row("chaos: broken promises", len(broken), "", Target("<=", 0), said or promises))
    return rows


def _kill_rows(failed: Sequence[Answer], since: Sequence[Answer], *, back_s: float, lie_s: float) -> list[Row]:
    wrong = [one for one in failed if not (one.status == HTTPStatus.SERVICE_UNAVAILABLE and one.retry_after)]
    last_s = max((one.at_s for one in failed), default=back_s)
    again = any(one.outcome is Outcome.OK and one.at_s > max(last_s, back_s) for one in since)
    of = "Triton killed under load"
    counted = f"{len(failed):,} of {len(since):,} requests failed"
    return [
        Row(f"{of}: failures other than 503 with Retry-After", len(wrong), "", Target("<=", 0), counted),
        Row(
            f"{of}: from Triton's return to the last failure",
            max(0.0, last_s - back_s) if again else float("nan"),
            "s",
            Target("<=", RECOVER_S),
            "" if again else "no search was answered afterwards",
        ),
        Row(f"{of}: /readyz at odds with searches for at most", lie_s, "s", Target("<=", READY_LAG_S)),
    ]
