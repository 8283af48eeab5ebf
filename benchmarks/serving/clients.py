"""A load of N closed-loop clients against one target, in its own process, so that its CPU seconds can be told apart.

`python -m benchmarks.serving.clients SPEC` reads a JSON `LoadSpec` and prints a JSON `LoadReport`. `measure` runs it.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from benchmarks.serving.uploads import CONTENT_TYPE, commented, comments, multipart, read_photos
from catalog.pictures import decode, to_input
from export.contract import read_repository
from export.onnx_runtime import OnnxRuntimeNetworks
from export.triton_client import TritonNetworks


class Target(StrEnum):
    """What is under load."""

    NETWORKS = "onnx runtime, pictures ready"
    DECODE_AND_NETWORKS = "decode + onnx runtime"
    TRITON = "triton, pictures ready"
    SERVICE = "POST /search"


@dataclass(frozen=True)
class LoadSpec:
    """`url` is host:port for Triton and http://host:port for the service; `photos` is a folder of JPEG files.

    Photos that are sent differ in their bytes, whatever the number of photos is. `top_k` None is the service's default.
    With `log` each answer is written there, a .npy file float64 [n, 2]: when it was asked (monotonic clock), seconds.
    """

    target: Target
    repository: str
    photos: str
    clients: int
    seconds: float
    url: str = ""
    log: str = ""
    top_k: int | None = None


@dataclass(frozen=True)
class LoadReport:
    """What the clients saw. `client_cpu_s` is the CPU time of the loading process itself."""

    answered: int
    failed: int
    wall_s: float
    client_cpu_s: float
    p50_ms: float
    p99_ms: float

    @property
    def photos_per_s(self) -> float:
        """Answered photos a second of wall time."""
        return self.answered / self.wall_s

    @property
    def client_cpu(self) -> float:
        """CPU seconds of the loading process a second of wall time."""
        return self.client_cpu_s / self.wall_s


def measure(spec: LoadSpec) -> LoadReport:
    """Run `spec` in a fresh process; raises RuntimeError with its last words when it fails."""
    command = [sys.executable, "-m", "benchmarks.serving.clients", json.dumps(asdict(spec))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"load of {spec.target} failed: {done.stderr.strip().splitlines()[-1:]}")
    return LoadReport(**json.loads(done.stdout))


def _run(spec: LoadSpec) -> LoadReport:
    photos = read_photos(Path(spec.photos))
    with _workers(spec, photos) as workers:
        for work in workers:
            work(0)  # connections and graphs are warm before the clock starts
        answers: list[list[tuple[float, float]]] = [[] for _ in workers]
        failures = [0] * len(workers)
        start = time.perf_counter()
        cpu_before = time.process_time()
        end = start + spec.seconds

        def client(number: int) -> None:
            turn = number * 7
            while (begun := time.perf_counter()) < end:
                if workers[number](turn % len(photos)):
                    answers[number].append((begun, time.perf_counter() - begun))
                else:
                    failures[number] += 1
                turn += 1

        threads = [threading.Thread(target=client, args=(number,)) for number in range(len(workers))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wall_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu_before
    every = np.concatenate([np.array(one).reshape(-1, 2) for one in answers])
    if spec.log:
        np.save(spec.log, every)
    all_ms = every[:, 1] * 1e3
    p50_ms, p99_ms = (float(value) for value in np.quantile(all_ms, [0.5, 0.99])) if len(all_ms) else (0.0, 0.0)
    return LoadReport(
        answered=len(all_ms), failed=sum(failures), wall_s=wall_s, client_cpu_s=cpu_s, p50_ms=p50_ms, p99_ms=p99_ms
    )


Work = Callable[[int], bool]


@contextmanager
def _workers(spec: LoadSpec, photos: list[bytes]) -> Iterator[list[Work]]:
    """One callable a client: takes the number of a photo, says whether it was answered."""
    if spec.target is Target.SERVICE:
        yield [_poster(spec, photos) for _ in range(spec.clients)]
        return
    info = read_repository(Path(spec.repository))
    inputs = [to_input(decode(photo, min_side_px=info.size_px), size_px=info.size_px)[None] for photo in photos]
    if spec.target is Target.TRITON:
        remote = TritonNetworks(spec.url, info=info)
        yield [lambda turn: bool(len(remote.infer(inputs[turn]).embedding)) for _ in range(spec.clients)]
        remote.close()
        return
    local = [OnnxRuntimeNetworks(Path(spec.repository), threads=1) for _ in range(spec.clients)]
    decoding = spec.target is Target.DECODE_AND_NETWORKS

    def worker(networks: OnnxRuntimeNetworks) -> Work:
        def work(turn: int) -> bool:
            picture = inputs[turn]
            if decoding:
                picture = to_input(decode(photos[turn], min_side_px=info.size_px), size_px=info.size_px)[None]
            return bool(len(networks.infer(picture).embedding))

        return work

    yield [worker(networks) for networks in local]
    for networks in local:
        networks.close()


def _poster(spec: LoadSpec, photos: list[bytes]) -> Work:
    connection = http.client.HTTPConnection(urlsplit(spec.url).netloc, timeout=60)
    headers = {"Content-Type": CONTENT_TYPE}
    own = comments()

    def post(turn: int) -> bool:
        body = multipart(commented(photos[turn], next(own)), top_k=spec.top_k)
        try:
            connection.request("POST", "/search", body=body, headers=headers)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            connection.close()  # the next request opens another
            return False
        return response.status == http.HTTPStatus.OK

    return post


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    given = json.loads(sys.argv[1])
    report = _run(LoadSpec(**{**given, "target": Target(given["target"])}))
    sys.stdout.write(json.dumps(asdict(report)))
