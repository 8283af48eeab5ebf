"""The address of a Milvus server (or a `.db` folder, which milvus-lite serves from this process) in, its answers out.

Every call has a time limit, and whatever goes wrong is one sentence: `NotReadyError` for a server that is away, slow or
refuses the token, `GalleryError` for what it does not have. No address is shown with the password it may hold.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from catalog.errors import MalformedError, NotReadyError
from index_builder.errors import GalleryError

URI_VARIABLE = "SHOPCAM_MILVUS_URI"
TOKEN_VARIABLE = "SHOPCAM_MILVUS_TOKEN"  # noqa: S105 - the name of a variable, not a token
TIMEOUT_S = 10.0
BUILD_TIMEOUT_S = 3600.0  # of what the server does with a whole collection: write it out, index it, load it
EMBEDDED = ".db"  # how pymilvus tells milvus-lite from a server
NO_COLLECTION = 100
STRONG = "Strong"  # wait until everything that was written before can be read

# milvus-lite lets one server of a process hold a folder; the last of our connections to it gives the folder back.
_embedded: Counter[str] = Counter()
_lock = threading.Lock()


@dataclass(frozen=True)
class MilvusAddress:
    """Where a Milvus is and how to be let in; `timeout_s` is the limit of one call."""

    uri: str = field(repr=False)
    token: str = field(default="", repr=False)
    timeout_s: float = TIMEOUT_S

    @classmethod
    def given(cls, uri: str | None = None, *, token_variable: str = TOKEN_VARIABLE) -> Self:
        """Return the address `uri` or, without one, that of SHOPCAM_MILVUS_URI; the token comes from a variable only.

        Raises `MalformedError` when there is none.
        """
        uri = uri or os.environ.get(URI_VARIABLE)
        if not uri:
            raise MalformedError(f"no address of Milvus: give --uri or set {URI_VARIABLE}")
        return cls(uri, os.environ.get(token_variable, ""))

    @property
    def embedded(self) -> bool:
        """Whether milvus-lite answers, in this process."""
        return self.uri.endswith(EMBEDDED)

    @property
    def shown(self) -> str:
        """The address without user, password and query."""
        if self.embedded:
            return self.uri
        parts = urlsplit(self.uri)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


class MilvusServer:
    """A connection; methods may be called from several threads. Use it as a context manager or `close` it."""

    def __init__(self, address: MilvusAddress) -> None:
        """Connect. Raises `NotReadyError` when nothing answers in time or the token is refused."""
        self.address = address
        self._open = False
        milvus_client = _pymilvus(embedded=address.embedded)
        if address.embedded:
            Path(address.uri).absolute().parent.mkdir(parents=True, exist_ok=True)
        self._client = self._ask(
            "connect", lambda **limit: milvus_client(address.uri, token=address.token, **limit), timeout_s=None
        )
        self._open = True
        if address.embedded:
            with _lock:
                _embedded[_folder(address.uri)] += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection and, with the last one to it, of milvus-lite's folder; twice is fine."""
        if not self._open:
            return
        self._open = False
        self._client.close()
        if self.address.embedded:
            _release(_folder(self.address.uri))

    def has(self, collection: str) -> bool:
        """Tell whether there is such a collection."""
        return bool(self._ask("look up a collection", self._client.has_collection, collection))

    def describe(self, collection: str) -> dict[str, Any]:
        """Return pymilvus' description of a collection; `GalleryError` when there is none."""
        found: dict[str, Any] = self._ask("describe a collection", self._client.describe_collection, collection)
        return found

    def create(self, collection: str, schema: Any, index: Any, *, source: str) -> None:
        """Create a loaded collection; `source` says what it is filled from (`source_of`)."""
        self._ask(
            "create a collection",
            self._client.create_collection,
            collection,
            schema=schema,
            index_params=index,
            properties={"shopcam.source": source},
            timeout_s=BUILD_TIMEOUT_S,
        )

    def source_of(self, collection: str) -> str:
        """Return what a collection was made to be filled from, "" when it was not made here."""
        told = self.describe(collection)
        return str(dict(told.get("properties") or {}).get("shopcam.source") or "")

    def drop(self, collection: str) -> None:
        """Remove a collection and the aliases that name it; nothing to do where there is none."""
        if not self.has(collection):
            return
        for alias in self._ask("list aliases", self._client.list_aliases, collection).get("aliases", []):
            self._ask("drop an alias", self._client.drop_alias, alias)
        self._ask("drop a collection", self._client.drop_collection, collection)

    def write(self, collection: str, rows: Sequence[Mapping[str, Any]], *, replace: bool = False) -> None:
        """Add rows; with `replace` those that may be there already are written over, which is slower."""
        call = self._client.upsert if replace else self._client.insert
        self._ask("write rows", call, collection, list(rows), timeout_s=6 * self.address.timeout_s)

    def finish(self, collection: str) -> None:
        """Write out and index what was added, and load it; returns when the server says that it is done."""
        self._ask("write out a collection", self._client.flush, collection, timeout_s=BUILD_TIMEOUT_S)
        self._ask("load a collection", self._client.load_collection, collection, timeout_s=BUILD_TIMEOUT_S)

    def waiting_for_index(self, collection: str) -> int:
        """Return how many rows of the vector's index are not built yet."""
        told = self._ask("look at an index", self._client.describe_index, collection, index_name="vector")
        return int((told or {}).get("pending_index_rows") or 0)

    def load(self, collection: str) -> None:
        """Have the collection in the server's memory; quick where it is."""
        self._ask("load a collection", self._client.load_collection, collection, timeout_s=BUILD_TIMEOUT_S)

    def count(self, collection: str, *, below: int | None = None) -> int:
        """Return the number of rows, all that were written counted (None) or those with a number `below`."""
        condition = "" if below is None else f"row < {below}"
        found = self._ask(
            "count rows",
            self._client.query,
            collection,
            filter=condition,
            output_fields=["count(*)"],
            consistency_level=STRONG,
            timeout_s=6 * self.address.timeout_s,
        )
        return int(found[0]["count(*)"])

    def search(
        self,
        collection: str,
        queries: NDArray[np.float32],
        *,
        count: int,
        fields: Sequence[str],
        parameters: Mapping[str, Any],
        condition: str = "",
    ) -> Any:
        """Return pymilvus' hits, `count` rows for each of the queries [B, D] that fulfill the condition."""
        return self._ask(
            "search",
            self._client.search,
            collection,
            data=list(queries),
            anns_field="vector",
            limit=count,
            filter=condition,
            output_fields=list(fields),
            search_params={"metric_type": "IP", "params": dict(parameters)},
        )

    def rows(
        self, collection: str, fields: Sequence[str], *, condition: str, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Return the fields of rows that fulfill the condition, in no order."""
        more = {} if limit is None else {"limit": limit}
        found = self._ask(
            "read rows", self._client.query, collection, filter=condition, output_fields=list(fields), **more
        )
        return [dict(row) for row in found]

    def alias(self, name: str) -> str | None:
        """Return the collection that an alias names, None when there is no such alias."""
        try:
            told = self._ask("look up an alias", self._client.describe_alias, name)
        except _MissingError:
            return None
        return str(told["collection_name"]) if told.get("collection_name") else None

    def point(self, alias: str, collection: str) -> None:
        """Make an alias name a collection, in one step on the server; nothing to do where it does."""
        now = self.alias(alias)
        if now == collection:
            return
        move = self._client.create_alias if now is None else self._client.alter_alias
        self._ask("move an alias", move, collection, alias)

    def _ask(
        self, what: str, call: Callable[..., Any], *arguments: Any, timeout_s: float | None = None, **named: Any
    ) -> Any:
        import grpc
        from pymilvus.exceptions import MilvusException

        limit_s = self.address.timeout_s if timeout_s is None else timeout_s
        try:
            return call(*arguments, timeout=limit_s, **named)
        except (MilvusException, grpc.RpcError, grpc.FutureTimeoutError, ValueError) as error:  # the last: no address
            raise self._sentence(what, error, limit_s=limit_s) from None

    def _sentence(self, what: str, error: Exception, *, limit_s: float) -> NotReadyError:
        """What went wrong as one of our errors. Servers differ in codes, so their words are looked at too."""
        where = f"Milvus at {self.address.shown}"
        said = " ".join(str(getattr(error, "message", "") or error).split())
        words = f"{said} {error.__cause__}".casefold()  # pymilvus says of a refused token only in the cause what it is
        if getattr(error, "code", None) == NO_COLLECTION or "not found" in words or "does not exist" in words:
            return _MissingError(f"{where} could not {what}: {said}")
        if "unauthenticated" in words or "auth check failure" in words or "permission deny" in words:
            return NotReadyError(f"{where} refuses the token; set {TOKEN_VARIABLE} to user:password or an API key")
        if self.address.embedded and what == "connect":
            return NotReadyError(f"{where} cannot be opened: milvus-lite lets one process at a time use a folder")
        if (
            what == "connect"
            or "connect" in words
            or "unavailable" in words
            or "deadline" in words
            or "timeout" in words
        ):
            return NotReadyError(f"{where} did not {what} within {limit_s:g} s; is the server running?")
        return GalleryError(f"{where} could not {what}: {said}")


class _MissingError(GalleryError):
    """The server does not have the collection or alias asked for."""


def _pymilvus(*, embedded: bool) -> Any:
    try:
        import pymilvus

        if embedded:
            import milvus_lite  # noqa: F401 - pymilvus starts it by name
    except ModuleNotFoundError as error:
        raise NotReadyError(
            f"galleries on Milvus need the package {error.name}; pip install 'shopcam[scale]' installs it"
        ) from None
    for name in (
        "pymilvus",
        "milvus_lite",
        *(("grpc._server",) if embedded else ()),
    ):  # they log the traceback of what becomes a sentence here
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return pymilvus.MilvusClient


def _folder(uri: str) -> str:
    return str(Path(uri).absolute())


def _release(folder: str) -> None:
    with _lock:
        _embedded[folder] -= 1
        if _embedded[folder] > 0:
            return
        del _embedded[folder]
    from milvus_lite.server_manager import server_manager_instance

    server_manager_instance.release_server(folder)
