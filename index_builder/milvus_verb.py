"""The verb `to-milvus`, and what `build --backend milvus` needs: options in, a gallery with its rows on Milvus out."""

from __future__ import annotations

import argparse
from enum import StrEnum
from pathlib import Path

from index_builder.manifest import Manifest
from index_builder.milvus_publish import MilvusTarget, to_milvus
from index_builder.milvus_schema import MilvusIndex
from index_builder.milvus_server import TOKEN_VARIABLE, URI_VARIABLE, MilvusAddress
from index_builder.store import Store
from index_builder.store_verbs import Verbs, existing_store, out, print_manifest, verb

Arguments = argparse.ArgumentParser | argparse._ArgumentGroup


class Backend(StrEnum):
    """Where the rows of a gallery lie and are searched."""

    FAISS = "faiss"
    MILVUS = "milvus"


def publish_to_milvus(folder: Path, store: Store, *, version: str, target: MilvusTarget) -> Manifest:
    """Send the rows of a finished gallery folder to Milvus and publish what is left of it as `version`; not live yet.

    Raises `ConflictError` when the version is taken, and what `to_milvus` raises. Stopped, run it again: it goes on.
    """
    with store.staging(version) as made:
        manifest = to_milvus(folder, made, version=version, target=target)
        store.publish(made, version)
    return manifest


def send(options: argparse.Namespace) -> None:
    """Publish a gallery of the store again with its rows on Milvus; stopped, run it again and it goes on."""
    target = target_of(options)
    store = existing_store(options)
    manifest = send_version(store, options.version, version=options.name, target=target)
    _tell(manifest, store, target)


def send_version(store: Store, name: str, *, version: str | None, target: MilvusTarget) -> Manifest:
    """Publish the gallery `name` of a store again as `version` (None: NAME-milvus), with its rows on Milvus."""
    version = version or f"{name}-milvus"
    return publish_to_milvus(store.fetch(name), store, version=version, target=target)


def _tell(manifest: Manifest, store: Store, target: MilvusTarget) -> None:
    print_manifest(manifest)
    collection = manifest.milvus.collection if manifest.milvus else ""
    out.print(
        f"gallery {manifest.version} of {manifest.products:,} products is published, not live: its "
        f"{manifest.count:,} rows are the collection {collection} on {target.address.shown}, the rest is "
        f"{store.where(manifest.version)}"
    )


def target_of(options: argparse.Namespace) -> MilvusTarget:
    """The target that the options of `add_target` describe; `MalformedError` without an address."""
    address = MilvusAddress.given(options.uri, token_variable=options.token_env)
    return MilvusTarget(address, prefix=options.milvus_prefix, index=options.milvus_index)


def add_backend(parser: Arguments) -> None:
    """Add --backend and what goes with milvus, for `build`."""
    parser.add_argument(
        "--backend",
        type=Backend,
        choices=list(Backend),
        default=Backend.FAISS,
        help="milvus: the rows go to a Milvus server (default faiss: files of the gallery, searched in process)",
    )
    add_target(parser)


def add_target(parser: Arguments) -> None:
    """Add the options that say which Milvus and how."""
    parser.add_argument(
        "--uri", help=f"of Milvus, such as http://host:19530, or a folder NAME.db (default: {URI_VARIABLE})"
    )
    parser.add_argument(
        "--token-env",
        metavar="NAME",
        default=TOKEN_VARIABLE,
        help=f"variable that holds user:password or an API key (default {TOKEN_VARIABLE})",
    )
    parser.add_argument(
        "--milvus-prefix", default="shopcam", help="collections are PREFIX_<version>, the alias is PREFIX_live"
    )
    parser.add_argument(
        "--milvus-index",
        type=MilvusIndex,
        choices=list(MilvusIndex),
        default=MilvusIndex.HNSW,
        help="FLAT up to about 100,000 rows, HNSW while all vectors fit the memory of the query nodes, IVF_SQ8 in a "
        "quarter of that, DISKANN on their disks (default HNSW)",
    )


def add_verb(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add `to-milvus` to a command line."""
    one = verb(verbs, "to-milvus", send)
    one.add_argument("version", help="a published gallery")
    one.add_argument("--as", dest="name", help="version of the new gallery (default: VERSION-milvus)")
    add_target(one)
