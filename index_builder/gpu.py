"""Indexes on a GPU: needs faiss-gpu, which the tests' machines do not have.

A file always holds an index that a CPU can search: a GPU's copy is made when the gallery is opened.
"""

from __future__ import annotations

from typing import Any

import faiss as _faiss
import numpy as np

from catalog.errors import OutOfRangeError

faiss: Any = _faiss


def gpu_count() -> int:
    """Return the number of GPUs that FAISS can use; 0 with faiss-cpu."""
    count = getattr(faiss, "get_num_gpus", None)
    return 0 if count is None or not hasattr(faiss, "StandardGpuResources") else int(count())


def to_gpu(index: Any) -> Any:
    """Return a copy on the first GPU, vectors of a flat index in fp16. Raises `OutOfRangeError` without a GPU."""
    _check()
    options = faiss.GpuClonerOptions()
    options.useFloat16 = True
    return faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index, options)


def make_graph(vectors: Any, factory: str) -> Any:
    """Return a CPU's copy of a CAGRA graph ("CAGRA64": 64 links) of gallery vectors, which must fit into memory."""
    _check()
    if not factory.removeprefix("CAGRA").isdecimal():
        raise OutOfRangeError(f"the recipe '{factory}' is none; write CAGRA and the number of links, such as CAGRA64")
    count, dim = vectors.shape
    config = faiss.GpuIndexCagraConfig()
    config.graph_degree = int(factory.removeprefix("CAGRA"))
    config.intermediate_graph_degree = 2 * config.graph_degree
    index = faiss.GpuIndexCagra(faiss.StandardGpuResources(), dim, faiss.METRIC_INNER_PRODUCT, config)
    index.train(np.ascontiguousarray(vectors[0:count], np.float32))
    on_cpu = faiss.IndexHNSWCagra()
    on_cpu.base_level_only = True
    index.copyTo(on_cpu)
    return on_cpu


def _check() -> None:
    if not gpu_count():
        raise OutOfRangeError("the recipe needs a GPU and faiss-gpu, none is here; build with --device cpu")
