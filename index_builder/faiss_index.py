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
    "RowFinder",
    "Rows",
    "faiss",
    "filtered_parameters",
    "inner_products",
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


class RowFinder:
    """Lists candidate rows of one index. The caller makes sure that one thread at a time searches."""

    def __init__(self, index: Any, *, image_dim: int | None = None) -> None:
        """`image_dim` is where a matrix before the index may be split in two, since each part has its own."""
        self._index = index
        self._below, self._matrices = _without_matrix(index, index.d if image_dim is None else image_dim)
        self._prepared: dict[tuple[Any, ...], Any] = {}

    def find(
        self,
        queries: NDArray[np.float32],
        *,
        count: int,
        parameters: Parameters,
        threads: int,
        allowed: NDArray[np.bool_] | None = None,
    ) -> list[NDArray[np.int64]]:
        """Return up to `count` candidate rows for each query [B, D]; missing neighbors are left out.

        Only rows that are `allowed` [N] are listed (None: all). Raises `OutOfRangeError` for a wrong dimension, and for
        `allowed` on an index that cannot leave rows out.
        """
        if queries.dtype != np.float32 or queries.ndim != 2 or queries.shape[1] != self._index.d:
            raise OutOfRangeError(
                f"queries are {queries.dtype} {list(queries.shape)}, the gallery expects float32 [B, {self._index.d}]"
            )
        faiss.omp_set_num_threads(threads)  # counts for the calling thread only, so it is said before every search
        params = self._parameters(parameters, count, allowed)
        if self._matrices:
            queries = _mapped(queries, self._matrices)
        _, rows = self._below.search(np.ascontiguousarray(queries), count, params=params)
        if rows.size and rows.min() >= 0:
            return list(rows)
        return [found[found >= 0] for found in rows]

    def _parameters(self, parameters: Parameters, count: int, allowed: NDArray[np.bool_] | None) -> Any:
        if allowed is not None:
            selector = _selector(self._index, allowed)
            return search_parameters(self._below, parameters, count=count, selector=selector)
        key = (count, *parameters.items())  # making it anew takes longer than a small search
        if key not in self._prepared:
            self._prepared[key] = search_parameters(self._below, parameters, count=count)
        return self._prepared[key]


def inner_products(
    vectors: NDArray[np.float32], rows: NDArray[np.int64], queries: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the inner products [B, C] of queries [B, D] with rows [B, C] of vectors [N, D], an array or mapped file.

    Each is summed up by itself in one order: it is the same to the last digit whatever else is asked for. Rows must be
    of these (`IndexError`), since FAISS reads memory without a look.
    """
    if rows.size and not (rows.min() >= 0 and rows.max() < len(vectors)):
        raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(vectors)}")
    found = np.empty(rows.shape, np.float32)
    memory = np.ascontiguousarray(vectors)  # a copy only where it is not
    numbers, asked = np.ascontiguousarray(rows, np.int64), np.ascontiguousarray(queries, np.float32)
    if asked.shape != (len(rows), memory.shape[1]) or memory.dtype != np.float32:
        raise TypeError(f"queries {asked.shape}, rows {rows.shape}, vectors {memory.dtype} {memory.shape}")
    if rows.size:
        pointers = (faiss.swig_ptr(array) for array in (found, asked, memory, numbers))
        faiss.fvec_inner_products_by_idx(*pointers, memory.shape[1], *rows.shape)
    return found


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


def _without_matrix(index: Any, image_dim: int) -> tuple[Any, list[NDArray[np.float32]]]:
    """Return what an index without a bias multiplies queries with, and the index behind; nothing for any other.

    The matrix comes in its parts [D_I, D_I'] and [D_T, D_T'] where all else is zero, as `part_transforms` makes it.
    FAISS takes several times as long for the product, most of all for one query.
    """
    outer = faiss.downcast_index(index)
    if not isinstance(outer, faiss.IndexPreTransform) or outer.chain.size() != 1:
        return index, []
    transform = faiss.downcast_VectorTransform(outer.chain.at(0))
    if not isinstance(transform, faiss.LinearTransform) or transform.have_bias:
        return index, []
    matrix = faiss.vector_to_array(transform.A).reshape(transform.d_out, transform.d_in)
    border = int(np.count_nonzero(matrix[:, :image_dim].any(axis=1)))
    if matrix[:border, image_dim:].any() or matrix[border:, :image_dim].any():
        border, image_dim = transform.d_out, transform.d_in
    parts = [matrix[:border, :image_dim], matrix[border:, image_dim:]]
    return faiss.downcast_index(outer.index), [np.ascontiguousarray(part.T) for part in parts]


def _mapped(queries: NDArray[np.float32], matrices: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return queries [B, D] times each part's matrix, side by side."""
    mapped = np.empty((len(queries), sum(matrix.shape[1] for matrix in matrices)), np.float32)
    read = written = 0
    for matrix in matrices:
        np.matmul(queries[:, read : read + matrix.shape[0]], matrix, out=mapped[:, written : written + matrix.shape[1]])
        read, written = read + matrix.shape[0], written + matrix.shape[1]
    return mapped


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
