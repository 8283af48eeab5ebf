"""Measured constants and a number of products in, what a gallery of them takes on paper out (docs/scaling.md).

Every constant names where it was measured, or says that it is an assumption; the arithmetic is all here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from benchmarks.results import Row, publish
from index_builder.recipes import Budget, Facts, choose_factory, memory_bytes

NAME = "scaling"
IMAGE_DIM, TEXT_DIM = 1024, 110
HOUR_S = 3600
SIZES = {"1 M": 10**6, "15 M": 15 * 10**6, "100 M": 10**8, "1 B": 10**9}
MACHINE_BYTES = 192 * 10**9  # memory of one search replica, of which an index may take three quarters
INDEX_SHARE = 0.75
MACHINE_ROWS = 25_000_000  # of one replica: lists get longer with rows, and so do searches


@dataclass(frozen=True)
class Constants:
    """What the arithmetic rests on. Photos a second are of both networks; dollars are of one hour, on demand."""

    cpu_photos_per_s_core: float = 19.0  # measured: benchmarks/results/throughput.md, 37 photos/s on 2 cores
    gpu_photos_per_s: float = 2000.0  # assumption: GoogLeNet in fp16 on one A10G, fetching not the limit
    thumbnail_bytes: int = 18_000  # measured: grocery gallery
    row_bytes: int = 556  # measured: products.arrow of a million rows
    index_rows_per_s_core: float = 560.0  # measured: galleries.md, a million rows in 895 s on two busy cores
    cpu_dollars: float = 0.34  # assumption: 8 cores
    gpu_dollars: float = 1.01  # assumption: one A10G
    cores: int = 8


@dataclass(frozen=True)
class Estimate:
    """A gallery of `count` products: bytes, hours of one machine, dollars of a full build, machines that hold it."""

    count: int
    factory: str
    index_bytes: int
    disk_bytes: int
    cpu_embed_h: float
    gpu_embed_h: float
    index_h: float
    build_dollars: float
    machines: int


def estimate(count: int, constants: Constants | None = None) -> Estimate:
    """Work out one size. Each machine holds a shard of the rows with the recipe that `auto` takes for that many."""
    constants = constants or Constants()
    limit = int(INDEX_SHARE * MACHINE_BYTES)
    machines = math.ceil(count / MACHINE_ROWS)
    while True:  # the fewest machines whose shard has a recipe that should reach 0.95 within the memory
        rows = math.ceil(count / machines)
        facts = Facts(rows, IMAGE_DIM, TEXT_DIM, Budget(limit, 0.95))
        factory = choose_factory(facts)
        taken = memory_bytes(factory, count=rows, dim=IMAGE_DIM + TEXT_DIM) or 0
        if taken <= limit:
            break
        machines += 1
    disk = count * (4 * (IMAGE_DIM + TEXT_DIM) + constants.thumbnail_bytes + constants.row_bytes) + machines * taken
    cpu_s = count / (constants.cpu_photos_per_s_core * constants.cores)
    gpu_s = count / constants.gpu_photos_per_s
    index_s = rows / (constants.index_rows_per_s_core * constants.cores)
    dollars = (gpu_s * constants.gpu_dollars + machines * index_s * constants.cpu_dollars) / HOUR_S
    return Estimate(
        count, factory, machines * taken, disk, cpu_s / HOUR_S, gpu_s / HOUR_S, index_s / HOUR_S, dollars, machines
    )


def scaling_rows() -> list[Row]:
    """Return the table of docs/scaling.md."""
    rows = []
    for name, count in SIZES.items():
        one = estimate(count)
        rows += [
            Row(f"{name}: index", one.index_bytes / 1e9, "GB", note=f"{one.factory}, on {one.machines} machine(s)"),
            Row(f"{name}: store", one.disk_bytes / 1e9, "GB", note="exact vectors, index, table, thumbnails"),
            Row(f"{name}: embedding, one machine of 8 cores", one.cpu_embed_h, "h"),
            Row(f"{name}: embedding, one GPU", one.gpu_embed_h, "h", note="assumed 2,000 photos/s"),
            Row(f"{name}: index building", one.index_h, "h", note="each shard on its own machine"),
            Row(f"{name}: a full build", one.build_dollars, "$", note="one GPU and the machines that build shards"),
        ]
    return rows


def print_scaling() -> None:
    """Publish the table."""
    publish(
        NAME,
        scaling_rows(),
        title="Galleries of 1 M to 1 B products, on paper",
        command="python -m benchmarks.galleries scaling",
    )
