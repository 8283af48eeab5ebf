"""Names in, what Milvus is told out: collections, fields, indexes, and the limits that it has.

One collection is one version of a gallery. Its one vector is the fused gallery vector under metric IP, from which both
unit parts are computed again (docs/adr/0017-milvus.md).
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any

from catalog.errors import OutOfRangeError
from index_builder.manifest import IndexRecipe, MilvusRows
from index_builder.milvus_server import MilvusAddress

MOST_LISTED = 16_384  # rows that one search or query may return
MOST_TEXT_BYTES = 65_535  # of one VarChar value
MOST_NAME = 255
MOST_FACTS = 4096  # values of one array
LIVE = "live"

TEXTS = ("product_id", "image", "title", "category_path", "description", "url", "label", "cluster", "split")
JSON_TEXTS = ("attributes", "extra")
SHOWN = (*TEXTS[:5], "price", *TEXTS[5:], *JSON_TEXTS)  # in the order of the product table
NULLABLE = ("url", "label", "split")


class MilvusIndex(StrEnum):
    """Kinds of index on the vector. DISKANN needs a cluster; FLAT compares with every row."""

    FLAT = "FLAT"
    HNSW = "HNSW"
    IVF_FLAT = "IVF_FLAT"
    IVF_SQ8 = "IVF_SQ8"
    DISKANN = "DISKANN"


_BUILD: dict[MilvusIndex, dict[str, int]] = {
    MilvusIndex.HNSW: {"M": 32, "efConstruction": 200},
    MilvusIndex.IVF_FLAT: {"nlist": 1024},
    MilvusIndex.IVF_SQ8: {"nlist": 1024},
}
_SEARCH: dict[MilvusIndex, dict[str, int | float]] = {
    MilvusIndex.HNSW: {"ef": 128},
    MilvusIndex.IVF_FLAT: {"nprobe": 128},
    MilvusIndex.IVF_SQ8: {"nprobe": 128},
    MilvusIndex.DISKANN: {"search_list": 128},
}
# Milvus refuses a search that looks at fewer rows than it shall return.
_AT_LEAST_COUNT = ("ef", "search_list")


def check_prefix(prefix: str) -> str:
    """Return the prefix if it can begin a collection's name: letters and digits, so that no two prefixes meet."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]{0,31}", prefix):
        raise OutOfRangeError(f"prefix '{prefix}' is not usable: a letter, then letters and digits, at most 32")
    return prefix


def collection_name(prefix: str, version: str) -> str:
    """Return PREFIX_<version>; what Milvus does not allow in a name, and "_" itself, becomes _ and two hex digits."""
    if version == LIVE:
        raise OutOfRangeError(f"a gallery on Milvus cannot have the version '{LIVE}', which is the alias' name")
    name = f"{check_prefix(prefix)}_{re.sub('[^A-Za-z0-9]', lambda found: f'_{ord(found[0]):02x}', version)}"
    if len(name) > MOST_NAME:
        raise OutOfRangeError(f"version '{version}' makes a name of {len(name)} characters, Milvus takes {MOST_NAME}")
    return name


def alias_name(prefix: str) -> str:
    """Return the alias that names the live collection."""
    return f"{check_prefix(prefix)}_{LIVE}"


def check_index(index: MilvusIndex, address: MilvusAddress) -> MilvusIndex:
    """Return the kind of index if the server has it; milvus-lite takes DISKANN and then compares with every row."""
    if index is MilvusIndex.DISKANN and address.embedded:
        raise OutOfRangeError(f"milvus-lite has no {index} index; choose FLAT, HNSW, IVF_FLAT or IVF_SQ8")
    return index


def recipe_of(index: MilvusIndex, *, candidates: int = 64) -> IndexRecipe:
    """Return how a collection with such an index is asked, as manifests have it."""
    return IndexRecipe(factory=f"Milvus {index}", search_parameters=_SEARCH.get(index, {}), candidates=candidates)


def search_parameters(recipe: IndexRecipe, *, count: int) -> dict[str, int | float]:
    """Return the parameters of one search for `count` rows."""
    return {
        name: max(value, count) if name in _AT_LEAST_COUNT else value
        for name, value in recipe.search_parameters.items()
    }


def rows_of(prefix: str, version: str, index: MilvusIndex) -> MilvusRows:
    """Return what the manifest of a gallery on Milvus says of its rows."""
    return MilvusRows(collection=collection_name(prefix, version), alias=alias_name(prefix), index=index.value)


def schema_of(dim: int) -> Any:
    """Return pymilvus' schema of a collection of vectors [N, dim]."""
    from pymilvus import DataType, MilvusClient

    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("row", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
    schema.add_field("product", DataType.INT64)
    schema.add_field("has_text", DataType.BOOL)
    for name in (*TEXTS, *JSON_TEXTS):
        schema.add_field(name, DataType.VARCHAR, max_length=MOST_TEXT_BYTES, nullable=name in NULLABLE)
    schema.add_field("price", DataType.DOUBLE, nullable=True)
    schema.add_field(
        "facts", DataType.ARRAY, element_type=DataType.VARCHAR, max_capacity=MOST_FACTS, max_length=MOST_TEXT_BYTES
    )
    schema.add_field("numbers", DataType.JSON)
    # Pictures stay on the query nodes' disks: they are the larger part of a row and asked for one at a time.
    schema.add_field("thumbnail", DataType.VARCHAR, max_length=MOST_TEXT_BYTES, mmap_enabled=True)
    return schema


def index_of(index: MilvusIndex, *, count: int, embedded: bool) -> Any:
    """Return pymilvus' index parameters: of the vector, and of what rows are looked up by.

    milvus-lite (`embedded`) has no index on arrays and looks at all of them.
    """
    from pymilvus import MilvusClient

    built = dict(_BUILD.get(index, {}))
    if "nlist" in built:
        built["nlist"] = max(1, min(built["nlist"], count // 39))  # fewer rows teach no list its center
    parameters = MilvusClient.prepare_index_params()
    parameters.add_index("vector", index_name="vector", index_type=index.value, metric_type="IP", params=built)
    for name in ("product_id", "product", *(() if embedded else ("facts",))):
        parameters.add_index(name, index_type="INVERTED")
    return parameters
