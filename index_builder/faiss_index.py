"""The one module that talks to FAISS: vectors and a recipe in, an index file out; queries in, candidate rows out.

It guards what FAISS lets through: a wrong dimension, a missing neighbor (-1), float64, and search parameters assigned
to a shared index (here they go with each call).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import faiss as _faiss
import numpy as np
from numpy.typing import NDArray

from catalog.errors import OutOfRangeError
from index_builder.errors import GalleryError
from index_builder.gpu import make_graph
from index_builder.manifest import IndexRecipe
from index_builder.part_transforms import fit, split_factory
from index_builder.recipes import EF_SEARCH, TRAINING_ROWS

__all__ = [
    "Parameters",
    "Rows",
    "faiss",
    "filtered_parameters",
    "find_rows",
    "is_exact",
    "make_index",
    "read_index",
    "search_parameters",
    "version",
    "write_index",
]

faiss: Any = _faiss  # its bundled types do not know what its Python layer adds

ADD_BLOCK = 65_536
TRAINING_BYTES = 2**30
NPROBE = 8
# FAISS' own 40 leaves parts of a large graph that no search reaches: of a million clustered rows a fifth.
EF_CONSTRUCTION = 200
# Distances that a graph of 32 links computes for each entry of efSearch, about.
DISTANCES_PER_STEP = 20

Parameters = Mapping[str, int | float]


class Rows(Protocol):
    """Gallery vectors [N, D] that may be larger than memory: an array, a mapped file, or `fusion.FusedRows`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """N, D."""

    def __getitem__(self, rows: slice | NDArray[np.int64], /) -> NDArray[np.float32]:
        """Return some rows [n, D]; numbers come sorted."""


def make_index(vectors: Rows, recipe: IndexRecipe, *, image_dim: int | None = None, seed: int = 0) -> Any:
    """Train and fill an inner-product index with gallery vectors [N, D], of which the first `image_dim` are the image.

    It learns from a sample of at most 200,000 rows and 1 GiB, and reads the vectors block by block. Raises
    `OutOfRangeError` when FAISS does not know the recipe, or it does not fit so many rows.
    """
    count, dim = vectors.shape
    try:
        if recipe.factory.startswith("CAGRA"):
            return make_graph(vectors, recipe.factory)
        sample: NDArray[np.float32] | None = None
        if split_factory(recipe.factory) is not None:
            sample = _sample(vectors, seed=seed)
        index = _empty_index(recipe.factory, dim=dim, sample=sample, image_dim=image_dim)
        inner = _innermost(index)
        if isinstance(inner, faiss.IndexHNSW):
            inner.hnsw.efConstruction = EF_CONSTRUCTION
        if not index.is_trained:
            index.train(_sample(vectors, seed=seed) if sample is None else sample)
        del sample
        for start in range(0, count, ADD_BLOCK):
            index.add(_block(vectors, slice(start, min(start + ADD_BLOCK, count))))
    except RuntimeError as error:
        raise OutOfRangeError(
            f"FAISS cannot build the recipe '{recipe.factory}' for {count} vectors of dim {dim}: {_reason(error)}"
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
    index: Any,
    queries: NDArray[np.float32],
    *,
    count: int,
    parameters: Parameters,
    threads: int,
    allowed: NDArray[np.bool_] | None = None,
    prepared: Any = None,
) -> list[NDArray[np.int64]]:
    """Return up to `count` candidate rows for each query [B, D]; missing neighbors are left out.

    Only rows that are `allowed` [N] are listed (None: all). The caller makes sure that one thread at a time searches,
    and may keep `prepared`, which is `search_parameters` of the same count without `allowed`: making it takes longer
    than a small search. Raises `OutOfRangeError` for a wrong dimension, and for `allowed` on an index that cannot leave
    rows out.
    """
    if queries.dtype != np.float32 or queries.ndim != 2 or queries.shape[1] != index.d:
        raise OutOfRangeError(
            f"queries are {queries.dtype} {list(queries.shape)}, the gallery expects float32 [B, {index.d}]"
        )
    faiss.omp_set_num_threads(threads)  # counts for the calling thread only, so it is said before every search
    selector = None if allowed is None else _selector(index, allowed)
    params = prepared or search_parameters(index, parameters, count=count, selector=selector)
    _, rows = index.search(np.ascontiguousarray(queries), count, params=params)
    if rows.size and rows.min() >= 0:
        return list(rows)
    return [found[found >= 0] for found in rows]


def filtered_parameters(index: Any, parameters: Parameters, *, allowed: int) -> Parameters | None:
    """Return the parameters to find the best of `allowed` rows with, None where looking at each of them costs less.

    The ten nearest of a share s of the rows are about the 10 / s nearest of all, so the search goes 1 / s as far:

    - lists: nprobe / s of nlist lists are read, which is all of them once s <= nprobe / nlist. An exact scan of the
      selection compares no more rows than that, so below it wins.
    - graph: efSearch / s steps of about 20 distances against s N distances of a scan, which wins below
      s N = sqrt(20 efSearch N): 51,000 rows of a million at efSearch 128.
    - flat: the index itself compares with the selection only.
    - anything else takes no selection.
    """
    inner = _innermost(index)
    if not _takes_selector(inner):
        return None
    share = allowed / inner.ntotal
    if isinstance(inner, faiss.IndexIVF):
        nprobe = int(parameters.get("nprobe", NPROBE))
        return None if share * inner.nlist <= nprobe else {**parameters, "nprobe": math.ceil(nprobe / share)}
    if isinstance(inner, faiss.IndexHNSW):
        steps = parameters.get("efSearch", EF_SEARCH)
        if allowed**2 <= DISTANCES_PER_STEP * steps * inner.ntotal:
            return None
        return {**parameters, "efSearch": math.ceil(steps / share)}
    return parameters


def version() -> str:
    """Return the version of FAISS."""
    return str(faiss.__version__)


def _empty_index(factory: str, *, dim: int, sample: NDArray[np.float32] | None, image_dim: int | None) -> Any:
    parts = split_factory(factory)
    if parts is None or sample is None:
        return faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
    matrix = fit(sample, parts, image_dim=dim if image_dim is None else image_dim)
    transform = faiss.LinearTransform(dim, parts.dim, False)
    faiss.copy_array_to_vector(matrix.ravel(), transform.A)
    transform.is_trained = True
    index = faiss.IndexPreTransform(transform, faiss.index_factory(parts.dim, parts.inner, faiss.METRIC_INNER_PRODUCT))
    index.is_trained = index.index.is_trained
    return index


def _sample(vectors: Rows, *, seed: int) -> NDArray[np.float32]:
    count, dim = vectors.shape
    most = min(TRAINING_ROWS, max(1, TRAINING_BYTES // (4 * dim)))
    chosen = np.random.default_rng(seed).permutation(count)[:most]
    return _block(vectors, np.sort(chosen))


def _block(vectors: Rows, rows: slice | NDArray[np.int64]) -> NDArray[np.float32]:
    return np.ascontiguousarray(vectors[rows], np.float32)


def _selector(index: Any, allowed: NDArray[np.bool_]) -> Any:
    if allowed.dtype != np.bool_ or allowed.shape != (index.ntotal,):
        raise OutOfRangeError(f"allowed is {allowed.dtype} {list(allowed.shape)}, expected bool [{index.ntotal}]")
    if not _takes_selector(_innermost(index)):
        raise OutOfRangeError(f"an index of kind {type(_innermost(index)).__name__} cannot leave rows out")
    return faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))


def _innermost(index: Any) -> Any:
    """Return the index that lists candidates, below transforms and refinements."""
    inner = faiss.downcast_index(index)
    if isinstance(inner, faiss.IndexPreTransform):
        return _innermost(inner.index)
    return _innermost(inner.base_index) if isinstance(inner, faiss.IndexRefine) else inner


def _takes_selector(inner: Any) -> bool:
    """Tell whether an index leaves rows out; product quantizers without lists and GPU indexes without cuVS do not."""
    kinds = (
        faiss.IndexFlat,
        faiss.IndexScalarQuantizer,
        faiss.IndexHNSW,
        faiss.IndexIVFFlat,
        faiss.IndexIVFScalarQuantizer,
        faiss.IndexIVFPQ,
    )
    return isinstance(inner, kinds) and type(inner).__name__ != "IndexIVFPQR"


def search_parameters(index: Any, parameters: Parameters, *, count: int, selector: Any = None) -> Any:
    """Return FAISS' parameter object for one call, None where the index takes none."""
    inner = faiss.downcast_index(index)
    selected = {} if selector is None else {"sel": selector}
    if isinstance(inner, faiss.IndexPreTransform):
        below = search_parameters(inner.index, parameters, count=count, selector=selector)
        return None if below is None else faiss.SearchParametersPreTransform(index_params=below)
    if isinstance(inner, faiss.IndexRefine):
        factor = max(1.0, float(parameters.get("k_factor_rf", 1)))
        below = search_parameters(inner.base_index, parameters, count=int(factor * count), selector=selector)
        given = {} if below is None else {"base_index_params": below}
        return faiss.IndexRefineSearchParameters(k_factor=factor, **given)
    if isinstance(inner, faiss.IndexIVF):
        nprobe = min(inner.nlist, int(parameters.get("nprobe", NPROBE)))
        if isinstance(faiss.downcast_index(inner.quantizer), faiss.IndexHNSW):
            steps = max(nprobe, int(parameters.get("quantizer_efSearch", 2 * nprobe)))
            selected["quantizer_params"] = faiss.SearchParametersHNSW(efSearch=steps)
        return faiss.SearchParametersIVF(nprobe=nprobe, **selected)
    if isinstance(inner, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(efSearch=max(count, int(parameters.get("efSearch", EF_SEARCH))), **selected)
    return faiss.SearchParameters(**selected) if selected else None


def _reason(error: RuntimeError) -> str:
    """Return the last part of a C++ message, which is where FAISS says why."""
    return str(error).strip().splitlines()[0].rsplit(": ", 1)[-1]
