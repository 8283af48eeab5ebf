"""Pictures' addresses in, what became of each out, by Ray Data: tasks read and decode, a pool of actors embeds.

Workers need this package, the model repository and pictures' files under the same paths as here; what they answer
comes back to this process, which alone writes shards, so that a cluster needs no shared folder to write to.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa

from catalog.errors import OutOfRangeError, ShopcamError
from catalog.machine import usable_cores
from catalog.rows import Box
from export.networks import PhotoNetworks
from index_builder.engines import BATCH
from index_builder.local_engine import FETCHERS
from index_builder.pictures import Embedded, Job, Loaded, Outcome, Task, Unchanged, Unusable, infer, load

INSTALL = "the engine ray needs the package ray, which is not installed; `pip install 'shopcam[scale]'` installs it"
OBJECT_STORE_BYTES = 512 * 2**20  # of a cluster that is started here
JOBS = pa.schema([("image", pa.string()), ("box", pa.list_(pa.float64()))])
LOADED = pa.schema(
    [("reason", pa.string()), ("digest", pa.binary()), ("pixels", pa.binary()), ("thumbnail", pa.binary())]
)
OUTCOMES = pa.schema(
    [
        ("reason", pa.string()),
        ("digest", pa.binary()),
        ("vector", pa.binary()),
        ("plain", pa.binary()),
        ("label", pa.int32()),
        ("probability", pa.float32()),
        ("thumbnail", pa.binary()),
    ]
)


class RayEngine:
    """Runs on the cluster at `address`, or on one of this machine's cores that lives as long as the engine.

    `open_networks` is called once in each actor and must give networks of the same `spaces`. Raises `ShopcamError`
    when ray is not installed, or the cluster is not reached.
    """

    def __init__(
        self,
        open_networks: Callable[[], PhotoNetworks],
        *,
        spaces: Mapping[str, str],
        address: str | None = None,
        actors: int | None = None,
    ) -> None:
        try:
            import ray
        except ModuleNotFoundError as error:
            raise ShopcamError(INSTALL) from error
        self._ray = ray
        self._started = not ray.is_initialized()
        if self._started:
            _start(ray, address)
        self._open = open_networks
        self._spaces = dict(spaces)
        self._actors = actors or max(1, int(ray.cluster_resources().get("CPU", 2)) // 2)

    def run(self, jobs: Iterable[Job], task: Task) -> Iterator[Outcome]:
        """Yield the outcome of each job, in order; all jobs are taken before the first is answered."""
        rows = [{"image": job.image, "box": None if job.box is None else list(job.box)} for job in jobs]
        if not rows:
            return
        import ray.data

        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        shared = self._ray.put(task)
        blocks = max(1, -(-len(rows) // (4 * BATCH)))
        answers = (
            ray.data.from_arrow(pa.Table.from_pylist(rows, schema=JOBS), override_num_blocks=blocks)
            .map_batches(_load_all, batch_size=BATCH, batch_format="pyarrow", fn_kwargs={"shared": shared})
            .map_batches(
                _Embedder,
                batch_size=BATCH,
                batch_format="pyarrow",
                fn_constructor_args=(self._open, self._spaces, shared),
                compute=ray.data.ActorPoolStrategy(size=self._actors),
            )
        )
        for block in answers.iter_batches(batch_size=BATCH, batch_format="pyarrow"):
            yield from (_outcome(row) for row in block.to_pylist())

    def close(self) -> None:
        """Stop the cluster if it was started here."""
        if self._started:
            self._ray.shutdown()
            self._started = False


class _Embedder:
    """An actor with networks of its own."""

    def __init__(self, open_networks: Callable[[], PhotoNetworks], spaces: Mapping[str, str], shared: Any) -> None:
        import ray

        self._networks = open_networks()
        self._vision = ray.get(shared).vision
        got = dict(self._networks.info.spaces)
        if got != spaces:
            raise OutOfRangeError(f"a worker has other networks: {got}, expected {spaces}")

    def __call__(self, table: pa.Table) -> pa.Table:
        """Embed the pictures of a batch that were loaded, and pass the others on."""
        rows, size = table.to_pylist(), self._vision.size_px
        places = [place for place, row in enumerate(rows) if row["pixels"] is not None]
        loaded = [
            Loaded(
                rows[place]["digest"],
                np.frombuffer(rows[place]["pixels"], np.uint8).reshape(size, size, 3),
                rows[place]["thumbnail"],
            )
            for place in places
        ]
        answers: list[dict[str, Any]] = [{"reason": row["reason"], "digest": row["digest"]} for row in rows]
        for place, one in zip(places, infer(loaded, self._networks, self._vision) if loaded else (), strict=True):
            answers[place] = {
                "digest": one.digest,
                "vector": one.vector.tobytes(),
                "plain": None if one.plain is None else one.plain.tobytes(),
                "label": one.label,
                "probability": one.probability,
                "thumbnail": one.thumbnail,
            }
        return pa.Table.from_pylist(answers, schema=OUTCOMES)


def _load_all(table: pa.Table, shared: Any) -> pa.Table:
    import ray

    task: Task = ray.get(shared)
    jobs = [Job(row["image"], None if row["box"] is None else Box(*row["box"])) for row in table.to_pylist()]
    with ThreadPoolExecutor(FETCHERS) as pool:
        loaded = pool.map(lambda job: load(job, task), jobs)
        return pa.Table.from_pylist([_loaded(one) for one in loaded], schema=LOADED)


def _loaded(one: Loaded | Unchanged | Unusable) -> dict[str, Any]:
    if isinstance(one, Unusable):
        return {"reason": one.reason}
    if isinstance(one, Unchanged):
        return {"digest": one.digest}
    return {"digest": one.digest, "pixels": one.pixels.tobytes(), "thumbnail": one.thumbnail}


def _outcome(row: Mapping[str, Any]) -> Outcome:
    if row["reason"] is not None:
        return Unusable(row["reason"])
    if row["vector"] is None:
        return Unchanged(row["digest"])
    plain = None if row["plain"] is None else np.frombuffer(row["plain"], np.float32)
    vector = np.frombuffer(row["vector"], np.float32)
    return Embedded(row["digest"], vector, plain, row["label"], row["probability"], row["thumbnail"])


def _start(ray: Any, address: str | None) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    if address is None:
        os.environ.setdefault("RAY_worker_niceness", "0")  # its own 15 starves workers beside anything else
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        cores = max(2, usable_cores())  # one to read, one to embed
        options |= {"num_cpus": cores, "include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    try:
        ray.init(address=address, **options)
    except ConnectionError as error:
        raise ShopcamError(f"the Ray cluster at {address} is not reached: {error}") from error
