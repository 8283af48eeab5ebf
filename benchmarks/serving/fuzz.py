"""`python -m benchmarks.serving fuzz`: thousands of requests that nobody should send in, what they broke out.

Three kinds take turns: requests made from the service's own OpenAPI document, photos and fields that are broken in ways
that bytes can be, and bytes on bare connections. The same searches before and after must give the same hits.
"""

from __future__ import annotations

import argparse
import itertools
import random
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

from benchmarks.results import Row, Target, publish
from benchmarks.sample import prepare
from benchmarks.serving.fuzzing import photos, wire
from benchmarks.serving.fuzzing.outcomes import INTENDED, Outcome
from benchmarks.serving.fuzzing.processes import descriptors, is_running, memory_mb
from bento.server import serving
from bento.settings import Settings
from catalog.errors import MalformedError, NotReadyError
from catalog.terminal import console
from export.local_triton import LocalTriton

UPLOAD_S = 5.0  # the service's limit for an upload and a search: slow bodies last as long
SEARCHES = 50
SCORE_NOISE = 1e-4  # of two runs of a network in batches of other sizes
ROUND = 1_000
SAMPLE_EVERY = 50
WARM_UP_SHARE = 0.5  # query_ids are kept up to a number of them, and allocators settle late
MAX_GROWTH_MB = 0.5
SETTLED_REQUESTS = 5_000
CLOSE_S = 30.0
SHOWN = 10
LOGS = Path(".cache/benchmarks/fuzz-logs")


@dataclass
class Tally:
    """What became of the requests to the service whose process tree begins at `pid`.

    `seen` counts kinds and statuses, `memory` holds (requests, MB of the service's processes) now and then, `differing`
    is how many of the searches before and after differ, `left_open` the descriptors more than the `descriptors` before.
    """

    pid: int
    descriptors: int
    seen: Counter[tuple[str, int]] = field(default_factory=Counter)
    problems: list[Outcome] = field(default_factory=list)
    server_errors: int = 0
    memory: list[tuple[int, float]] = field(default_factory=list)
    differing: int = 0
    left_open: int = 0

    @property
    def requests(self) -> int:
        """Requests so far."""
        return self.seen.total()

    @property
    def statuses(self) -> Counter[int]:
        """Requests of all kinds by their status."""
        counted: Counter[int] = Counter()
        for (_, status), count in self.seen.items():
            counted[status] += count
        return counted

    def add(self, outcome: Outcome) -> None:
        """Count one request, and look at the memory now and then."""
        self.seen[outcome.kind, outcome.status] += 1
        self.server_errors += outcome.is_server_error
        if outcome.problem or outcome.is_server_error:
            self.problems.append(outcome)
            if len(self.problems) <= SHOWN:
                console.print(f"{outcome.kind}: {outcome.problem}\n  again: {outcome.again}", markup=False)
        if self.requests % SAMPLE_EVERY == 0:
            self.memory.append((self.requests, memory_mb(self.pid)))


def add_fuzz(verbs: Any) -> None:
    """The verb's arguments."""
    verb = verbs.add_parser("fuzz", help="requests that nobody should send, and whether the service stays whole")
    verb.add_argument("--requests", type=int, default=20_000, help="how many (default: %(default)s)")
    verb.add_argument("--seed", type=int, default=0, help="another one makes other requests (default: %(default)s)")
    verb.add_argument("--again", metavar="KIND:SEED", help="send one request to --url once more, and say what happens")
    verb.add_argument("--url", default="http://127.0.0.1:3000", help="of --again (default: %(default)s)")


def run_fuzz(given: argparse.Namespace) -> None:
    """Run the verb."""
    if given.again:
        console.print(_again(given.again, given.url), markup=False)
        return
    shop = prepare()
    examples = [path.read_bytes() for path in sorted(shop.photos.glob("*.jpg"))[:SEARCHES]]
    with _service(shop.repository, shop.store) as (url, pid):
        tally = fuzz(url, pid, examples, requests=given.requests, seed=given.seed, upload_s=UPLOAD_S)
    publish(
        "fuzz",
        fuzz_rows(tally, asked=given.requests),
        title=f"Requests that nobody should send, seed {given.seed}",
        command=f"python -m benchmarks.serving fuzz --requests {given.requests}",
    )


def fuzz(
    url: str,
    pid: int,
    examples: Sequence[bytes],
    *,
    requests: int,
    seed: int,
    upload_s: float,
    token: str | None = None,
) -> Tally:
    """Fuzz a service whose process tree begins at `pid`; `examples` are photos that it must search as before.

    `upload_s` is its limit for an upload, `token` that of its admin routes, whose store should be a copy. Raises
    NotReadyError when the service ends, or does not answer good requests.
    """
    try:
        with httpx.Client(base_url=url, timeout=60) as client:
            before = _searches(client, examples)
            tally = Tally(pid, descriptors=descriptors(pid))
            _send_all(client, tally, examples[0], requests=requests, seed=seed, upload_s=upload_s, token=token)
            after = _searches(client, examples)
            tally.differing = sum(not alike(*pair) for pair in zip(before, after, strict=True))
            tally.left_open = _left_open(pid, tally.descriptors)
    except httpx.HTTPError as error:
        raise NotReadyError(f"the service does not answer a good request: {error}") from error
    except psutil.NoSuchProcess as error:
        raise NotReadyError(f"a process of the service ended: {error}") from error
    return tally


def fuzz_rows(tally: Tally, *, asked: int) -> list[Row]:
    """The table, with what must hold."""
    statuses = ", ".join(f"{status or 'closed'} {count:,}" for status, count in sorted(tally.statuses.items()))
    given_up = sum(tally.statuses[status] for status in INTENDED)
    # Caches fill up and allocators settle for some thousand requests, whatever is asked.
    growth_target = Target("<=", MAX_GROWTH_MB) if asked >= SETTLED_REQUESTS else None
    last_mb = tally.memory[-1][1] if tally.memory else memory_mb(tally.pid)
    return [
        Row("requests", tally.requests, "", Target(">=", asked), note=statuses),
        Row("5xx other than 503 and 504", tally.server_errors, "", Target("<=", 0)),
        Row("answers that the contract does not allow", len(tally.problems), "", Target("<=", 0)),
        Row("share of 503 and 504", given_up / tally.requests, "", Target("<=", 0.01)),
        Row(
            "growth of the service's memory", growth_mb(tally.memory), "MB/1,000 requests", growth_target,
            note=f"{last_mb:.0f} MB at the end, mapped files left out",
        ),
        Row("descriptors left open", tally.left_open, "", Target("<=", 0), note=f"{tally.descriptors} before"),
        Row(f"of {SEARCHES} searches, other hits than before", tally.differing, "", Target("<=", 0)),
    ]  # fmt: skip


def growth_mb(memory: Sequence[tuple[int, float]]) -> float:
    """MB per 1,000 requests: the slope of the least squares line of the second half; NaN of fewer than 3 points."""
    settled = [one for one in memory if one[0] > WARM_UP_SHARE * memory[-1][0]] if memory else []
    if len(settled) < 3:
        return float("nan")
    at, held = np.array(settled, np.float64).T
    return float(np.polyfit(at / 1000, held, 1)[0])


def alike(before: list[tuple[str, float]], after: list[tuple[str, float]]) -> bool:
    """Whether the same products come in the same order, with scores alike but for the noise of two runs."""
    names = [name for name, _ in before] == [name for name, _ in after]
    return names and all(abs(a[1] - b[1]) <= SCORE_NOISE for a, b in zip(before, after, strict=True))


@contextmanager
def _service(repository: Path, store: Path) -> Iterator[tuple[str, int]]:
    with LocalTriton(repository, log_file=LOGS / "triton.log") as triton:
        settings = Settings(store=str(store), triton_url=triton.grpc_url, timeout_s=UPLOAD_S, port=_free_port())
        with serving(settings, log_folder=LOGS) as service:
            yield service.url, service.process.pid


def _send_all(
    client: httpx.Client, tally: Tally, photo: bytes, *, requests: int, seed: int, upload_s: float, token: str | None
) -> None:
    # Schemathesis comes with the extra `dev` and takes seconds to import, which the other verbs should not wait for.
    from benchmarks.serving.fuzzing.described import Described, real_things

    url = str(client.base_url)
    described = Described(url, real_things(client, photo), admin_token=token)
    console.print(f"sending {requests:,} requests to {url}")
    with ThreadPoolExecutor(4, thread_name_prefix="slow") as slow, _interrupt_noted() as interrupted:

        def told(outcome: Outcome) -> None:
            if not is_running(tally.pid):
                console.print(f"{outcome.kind}: {outcome.problem}\n  again: {outcome.again}", markup=False)
                raise NotReadyError(f"the service ended after {tally.requests:,} requests; the next was {outcome.kind}")
            tally.add(outcome)
            if interrupted.is_set():
                raise KeyboardInterrupt

        for turn in itertools.count():
            most = min(ROUND, requests - tally.requests)
            if most <= 0:
                break
            rng = random.Random(f"{seed} {turn}")
            trickling = [_wire(slow, url, kind, rng.getrandbits(32), upload_s) for kind in sorted(wire.SLOW)]
            described.send(most * 2 // 5, start=rng.getrandbits(32), told=told)
            quick = sorted(wire.KINDS.keys() - wire.SLOW)
            for _ in range(max(1, most // 5)):
                told(wire.send_bytes(url, rng.choice(quick), rng.getrandbits(32), upload_s=upload_s))
            for _ in range(max(1, most * 2 // 5)):
                told(photos.send_form(client, rng.choice(sorted(photos.KINDS)), rng.getrandbits(32)))
            for future in trickling:
                told(future.result())
            console.print(f"{tally.requests:,} of {requests:,} requests, {len(tally.problems)} problems")


@contextmanager
def _interrupt_noted() -> Iterator[threading.Event]:
    """Give what Ctrl-C sets; raised at once, it may fall into a finalizer, where Python drops it. The second raises."""
    noted = threading.Event()

    def note(_number: int, _frame: object) -> None:
        if noted.is_set():
            raise KeyboardInterrupt
        noted.set()

    before = signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)


def _wire(threads: ThreadPoolExecutor, url: str, kind: str, seed: int, upload_s: float) -> Future[Outcome]:
    return threads.submit(wire.send_bytes, url, kind, seed, upload_s=upload_s)


def _again(named: str, url: str) -> str:
    kind, _, seed = named.partition(":")
    if not seed.isdecimal() or kind not in photos.KINDS.keys() | wire.KINDS.keys():
        known = ", ".join(sorted([*photos.KINDS, *wire.KINDS]))
        raise MalformedError(f"--again takes KIND:SEED with a kind of {known}, got {named!r}")
    if kind in wire.KINDS:
        outcome = wire.send_bytes(url, kind, int(seed), upload_s=UPLOAD_S)
    else:
        with httpx.Client(base_url=url) as client:
            outcome = photos.send_form(client, kind, int(seed))
    return f"{kind}: status {outcome.status or 'none'}; {outcome.problem or 'as it should be'}"


def _searches(client: httpx.Client, examples: Sequence[bytes]) -> list[list[tuple[str, float]]]:
    """(product_id, score) of the hits of `SEARCHES` searches with photos and weights in turn."""
    found = []
    for number in range(SEARCHES):
        data = {"weight": str(number % 5), "top_k": "20"}
        answer = client.post("/search", files={"image": examples[number % len(examples)]}, data=data)
        found.append([(hit["product_id"], hit["score"]) for hit in answer.raise_for_status().json()["hits"]])
    return found


def _left_open(pid: int, before: int) -> int:
    """Descriptors more than before, once the service has had the time to close what clients left."""
    end = time.monotonic() + CLOSE_S
    while (left := descriptors(pid) - before) > 0 and time.monotonic() < end:
        time.sleep(0.2)
    return left


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
