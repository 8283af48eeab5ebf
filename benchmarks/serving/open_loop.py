"""A load that arrives at a rate of its own, whatever becomes of the answers, in a process of its own.

`python -m benchmarks.serving.open_loop SPEC` reads a JSON `OpenLoop` and prints a JSON `OpenReport`. `offer` runs it.
Time counts from the moment a request was due, so that a slow answer is never hidden by a client that waits for it.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path

import aiohttp
import numpy as np

from benchmarks.serving.uploads import CONTENT_TYPE, commented, comments, multipart, read_photos
from loadtests.shapes import Step, arrivals

NO_ANSWER = 0
TIMEOUT_S = 60.0
KEEP_ALIVE_S = 2.0  # less than the server's, which closes what is idle for longer


@dataclass(frozen=True)
class OpenLoop:
    """`rate` photos a second for so long; answers of the first `warm_s` are not judged."""

    url: str
    photos: str
    rate: float
    seconds: float
    warm_s: float = 0.0


@dataclass(frozen=True)
class Offered:
    """One request: when it was due and when its answer was there, in seconds since the begin; 0 is no answer."""

    due_s: float
    end_s: float
    status: int


@dataclass(frozen=True)
class OpenReport:
    """What came of an open loop after its warm-up. `statuses` counts answers; `late_s`: sent so much after it was due.

    `goodput` is 200s a second, of those whose answer came after the warm-up and before the last request was due. Times
    are nan where nothing was accepted.
    """

    sent: int
    goodput: float
    accepted_p50_ms: float
    accepted_p99_ms: float
    statuses: dict[str, int]
    client_cpu: float
    late_s: float

    def count(self, *but: HTTPStatus) -> int:
        """Return the number of requests that were not answered with one of these."""
        names = {str(int(status)) for status in but}
        return sum(number for status, number in self.statuses.items() if status not in names)


def offer(spec: OpenLoop) -> OpenReport:
    """Run `spec` in a fresh process; raises RuntimeError with its last words when it fails."""
    command = [sys.executable, "-m", "benchmarks.serving.open_loop", json.dumps(asdict(spec))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"open loop at {spec.rate:g}/s failed: {done.stderr.strip().splitlines()[-1:]}")
    return OpenReport(**json.loads(done.stdout))


def report_of(found: Sequence[Offered], spec: OpenLoop, *, client_cpu: float, late_s: float) -> OpenReport:
    """Judge what was due after the warm-up."""
    judged = [one for one in found if one.due_s >= spec.warm_s]
    good = [one for one in found if one.status == HTTPStatus.OK and spec.warm_s <= one.end_s < spec.seconds]
    waited_ms = [1e3 * (one.end_s - one.due_s) for one in judged if one.status == HTTPStatus.OK]
    p50_ms, p99_ms = (float(q) for q in np.quantile(waited_ms, [0.5, 0.99])) if waited_ms else (np.nan, np.nan)
    statuses = Counter(str(one.status) for one in judged)
    goodput = len(good) / (spec.seconds - spec.warm_s)
    return OpenReport(len(judged), goodput, p50_ms, p99_ms, dict(statuses), client_cpu, late_s)


async def _run(spec: OpenLoop) -> OpenReport:
    photos, own = read_photos(Path(spec.photos)), comments()
    found: list[Offered] = []
    late_s = 0.0
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(spec.url, connector=connector, timeout=timeout) as session:
        begun_s, cpu_s = time.perf_counter(), time.process_time()

        async def ask(photo: bytes, due_s: float) -> None:
            status = NO_ANSWER
            try:
                async with session.post("/search", data=photo, headers={"Content-Type": CONTENT_TYPE}) as answer:
                    await answer.read()
                    status = answer.status
            except (aiohttp.ClientError, TimeoutError):
                status = NO_ANSWER
            found.append(Offered(due_s, time.perf_counter() - begun_s, status))

        async with asyncio.TaskGroup() as asked:
            for number, due_s in enumerate(arrivals((Step(0, spec.seconds, spec.rate),))):
                await asyncio.sleep(max(0.0, due_s - (time.perf_counter() - begun_s)))
                late_s = max(late_s, time.perf_counter() - begun_s - due_s)
                asked.create_task(ask(multipart(commented(photos[number % len(photos)], next(own))), due_s))
        wall_s = time.perf_counter() - begun_s
        client_cpu = (time.process_time() - cpu_s) / wall_s
    return report_of(found, spec, client_cpu=client_cpu, late_s=late_s)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(asyncio.run(_run(OpenLoop(**json.loads(sys.argv[1])))))))
