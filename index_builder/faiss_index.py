"""The one module that talks to FAISS: vectors and a recipe in, an index file out; queries in, candidate rows out.

It guards what FAISS lets through: a wrong dimension, a missing neighbor (-1), float64, and search parameters assigned
to a shared index (here they go with each call).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import faiss as _faiss
import numpy as np
from numpy.typing import NDArray

from catalog.errors import OutOfRangeError
from index_builder.errors import GalleryError
from index_builder.manifest import IndexRecipe

faiss: Any = _faiss  # its bundled types do not know what its Python layer adds

FLAT_ROWS = 50_000  # up to here an exact scan is as quick as anything else on a request's scale
HNSW = "HNSW32"
ADD_BLOCK = 65_536
TRAINING_ROWS = 200_000


def choose_recipe(recipe: str, *, count: int) -> IndexRecipe:
    """Return the recipe for a factory string of FAISS, or for "auto": exact up to 50,000 rows, then a graph."""
    factory = recipe
    if recipe == "auto":
        factory = "Flat" if count <= FLAT_ROWS else HNSW
    parameters: dict[str, int | float] = {}
    if "HNSW" in factory:
        parameters["efSearch"] = 128
    elif lists := re.search(r"IVF(\d+)", factory):
        parameters["nprobe"] = max(8, int(lists[1]) // 8)  # FAISS' own default of 1 finds a quarter of the neighbors
    return IndexRecipe(factory=factory, search_parameters=parameters)


def make_index(vectors: NDArray[np.float32], recipe: IndexRecipe, *, seed: int = 0) -> Any:
    """Train and fill an inner-product index with gallery vectors [N, D].

    Raises `OutOfRangeError` when FAISS does not know the recipe, or it does not fit so many rows.
    """
    rows = np.ascontiguousarray(vectors, np.float32)
    try:
        index = faiss.index_factory(rows.shape[1], recipe.factory, faiss.METRIC_INNER_PRODUCT)
        if not index.is_trained:
            chosen = np.random.default_rng(seed).permutation(len(rows))[:TRAINING_ROWS]
            index.train(rows[np.sort(chosen)])
        for start in range(0, len(rows), ADD_BLOCK):
            index.add(rows[start : start + ADD_BLOCK])
    except RuntimeError as error:
        raise OutOfRangeError(
            f"FAISS cannot build the recipe '{recipe.factory}' for {len(rows)} vectors of dim {rows.shape[1]}: "
            f"{_reason(error)}"
        ) from error
    return index


def write_index(index: Any, path: Path) -> None:
    """Write an index file."""
    faiss.write_index(index, str(path))


def read_index(path: Path, *, dim: int, count: int) -> Any:
    """Map an index file whose checksum is known to be right; `GalleryError` when it is not the index described."""
    try:
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC | faiss.IO_FLAG_READ_ONLY)
    except RuntimeError as error:
        raise GalleryError(f"{path} cannot be read by FAISS: {_reason(error)}") from error
    if (index.d, index.ntotal) != (dim, count):
        raise GalleryError(
            f"{path} holds {index.ntotal} vectors of dim {index.d}, the manifest says {count} of dim {dim}"
        )
    if index.metric_type != faiss.METRIC_INNER_PRODUCT:
        raise GalleryError(f"{path} was not built for inner products; build the gallery again")
    return index


def is_exact(index: Any) -> bool:
    """Tell whether the index itself compares a query with every row, uncompressed."""
    return isinstance(faiss.downcast_index(index), faiss.IndexFlat)


def find_rows(
    index: Any, queries: NDArray[np.float32], *, count: int, parameters: Mapping[str, int | float], threads: int
) -> list[NDArray[np.int64]]:
    """Return up to `count` candidate rows for each query [B, D]; missing neighbors are left out.

    The caller makes sure that one thread at a time searches. Raises `OutOfRangeError` for a wrong dimension.
    """
    if queries.dtype != np.float32 or queries.ndim != 2 or queries.shape[1] != index.d:
        raise OutOfRangeError(
            f"queries are {queries.dtype} {list(queries.shape)}, the gallery expects float32 [B, {index.d}]"
        )
    faiss.omp_set_num_threads(threads)  # counts for the calling thread only, so it is said before every search
    params = _search_parameters(index, parameters, count=count)
    _, rows = index.search(np.ascontiguousarray(queries), count, params=params)
    return [found[found >= 0] for found in rows]


def version() -> str:
    """Return the version of FAISS."""
    return str(faiss.__version__)


def _search_parameters(index: Any, parameters: Mapping[str, int | float], *, count: int) -> Any:
    """Return FAISS' parameter object for one call, None where the index takes none."""
    inner = faiss.downcast_index(index)
    if isinstance(inner, faiss.IndexPreTransform):
        below = _search_parameters(inner.index, parameters, count=count)
        return None if below is None else faiss.SearchParametersPreTransform(index_params=below)
    if isinstance(inner, faiss.IndexRefine):
        below = _search_parameters(inner.base_index, parameters, count=count)
        return None if below is None else faiss.IndexRefineSearchParameters(base_index_params=below)
    if isinstance(inner, faiss.IndexIVF):
        return faiss.SearchParametersIVF(nprobe=min(inner.nlist, int(parameters.get("nprobe", 8))))
    if isinstance(inner, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(efSearch=max(count, int(parameters.get("efSearch", 128))))
    return None


def _reason(error: RuntimeError) -> str:
    """Return the last part of a C++ message, which is where FAISS says why."""
    return str(error).strip().splitlines()[0].rsplit(": ", 1)[-1]
