"""A gallery that would become live and the one that is in, the reasons against it out: recall, size, canary queries.

The checks of files, dimensions and space ids come before, when the gallery is opened, and nobody can force those.
"""

from __future__ import annotations

import csv
import getpass
import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from catalog.errors import MalformedError, NotFoundError, OutOfRangeError
from index_builder.errors import GateError
from index_builder.gallery_reader import GalleryReader
from index_builder.manifest import Forced, Manifest

MIN_RECALL = 0.8
COUNT_BAND = 0.5
CANARY_TOP = 10
LOOK_AT = 200  # hits searched to say where a missed one is


@dataclass(frozen=True)
class Canary:
    """A query by a product's own stored vectors, and a product that must be among its first hits."""

    product_id: str
    expected: str


@dataclass(frozen=True)
class QualityGate:
    """What a gallery must fulfill before it becomes live; a `Gate` for `Store.swap`.

    `min_recall`: the recall@10 measured at its default weight. `count_band`: it has at least this share of the live
    gallery's products and at most 1 / `count_band` times as many. `canary_top`: how many first hits a canary's expected
    product may be among. `force`: why it becomes live all the same (None: it does not).
    """

    min_recall: float = MIN_RECALL
    count_band: float = COUNT_BAND
    canaries: Sequence[Canary] = ()
    canary_top: int = CANARY_TOP
    force: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.min_recall <= 1:
            raise OutOfRangeError(f"min_recall is {self.min_recall:g}, expected 0 to 1")
        if not 0 < self.count_band <= 1:
            raise OutOfRangeError(f"count_band is {self.count_band:g}, expected above 0, up to 1")
        if not 1 <= self.canary_top <= LOOK_AT:
            raise OutOfRangeError(f"canary_top is {self.canary_top}, expected 1 to {LOOK_AT}")
        if self.force is not None and not self.force.strip():
            raise OutOfRangeError("force needs a reason, which is kept in the store; give one in a few words")

    def __call__(self, gallery: GalleryReader, live: Manifest | None) -> Forced | None:
        """Return None when the gallery passes, and who forced it when it does not; `GateError` without `force`."""
        failed = list(self.failures(gallery, live))
        if not failed:
            return None
        if self.force is None:
            raise GateError(
                f"gallery {gallery.manifest.version} does not pass the gate and was not made live: "
                f"{'; '.join(failed)} (--force REASON swaps all the same)"
            )
        return Forced(reason=self.force.strip(), by=_user(), at=datetime.now(UTC), failed=failed)

    def failures(self, gallery: GalleryReader, live: Manifest | None) -> Iterator[str]:
        """Yield what is wrong with a gallery, each with what was got and what was expected."""
        yield from self.recall_failures(gallery.manifest)
        if live is not None:
            yield from self._count(gallery.manifest, live)
        yield from self._canaries(gallery)

    def recall_failures(self, manifest: Manifest) -> Iterator[str]:
        """Yield what is wrong with the recall that a manifest tells of; no file of the gallery is needed."""
        weight = manifest.default_weight
        measured = [row.recall_at_10 for row in manifest.recall if math.isclose(row.weight, weight, abs_tol=1e-9)]
        if not measured:
            yield f"no recall@10 was measured at its default weight {weight:g}, at least {self.min_recall:g} is asked"
        elif measured[0] < self.min_recall:
            yield f"its recall@10 at weight {weight:g} is {measured[0]:.3f}, at least {self.min_recall:g} is asked"

    def _count(self, manifest: Manifest, live: Manifest) -> Iterator[str]:
        least, most = live.products * self.count_band, live.products / self.count_band
        if not least <= manifest.products <= most:
            yield (
                f"it has {manifest.products:,} products and the live gallery {live.version} has {live.products:,}, "
                f"{math.ceil(least):,} to {math.floor(most):,} are allowed"
            )

    def _canaries(self, gallery: GalleryReader) -> Iterator[str]:
        misses = [miss for canary in self.canaries if (miss := self._miss(gallery, canary))]
        if misses:
            yield f"{len(misses)} of {len(self.canaries)} canary queries fail, the first: {misses[0]}"

    def _miss(self, gallery: GalleryReader, canary: Canary) -> str | None:
        """Why a canary fails, None when it does not."""
        try:
            row = gallery.row_of(canary.product_id)
        except NotFoundError:
            return f"product {canary.product_id}, whose vectors are searched with, is not in the gallery"
        text = gallery.text_vector(row)
        hits = gallery.search(gallery.image_vector(row)[None], None if text is None else text[None], top_k=LOOK_AT)
        found = [product["product_id"] for product in gallery.rows([row for row in hits.rows[0].tolist() if row >= 0])]
        if canary.expected in found[: self.canary_top]:
            return None
        where = (
            f"is hit {found.index(canary.expected) + 1}"
            if canary.expected in found
            else f"is not among the first {len(found)}"
        )
        return f"for {canary.product_id} product {canary.expected} {where}, expected among the first {self.canary_top}"


def read_canaries(path: Path) -> list[Canary]:
    """Read canary queries from CSV or JSON lines with the columns `product_id` and `expected`.

    Raises `NotFoundError` without the file, `MalformedError` for a row without both, or no row at all.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows: list[Any] = list(csv.DictReader(file)) if path.suffix == ".csv" else [json.loads(one) for one in file]
    except FileNotFoundError:
        raise NotFoundError(f"no canary queries at {path}: there is no such file") from None
    except ValueError as error:
        raise MalformedError(f"{path} is neither CSV (*.csv) nor JSON lines: {error}") from None
    canaries = []
    for number, row in enumerate(rows, start=1):
        given = [row.get(name) for name in ("product_id", "expected")] if isinstance(row, dict) else []
        texts = [str(value) for value in given if value not in (None, "")]
        if len(texts) != 2:
            raise MalformedError(f"{path}: row {number} needs product_id and expected, got {row}")
        canaries.append(Canary(*texts))
    if not canaries:
        raise MalformedError(f"{path} has no canary query")
    return canaries


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a user data base
        return f"user {os.getuid()}"
