"""Photos of a catalog or query file and a model repository in, what the networks answer out; kept on disk.

The networks run in this process (ONNX Runtime); the service's own tests show that Triton answers the same. Answers lie
under `.cache/benchmarks/outputs`, named by the networks' checksums, the pictures (where they lie, size and time) and
the view, so that no figure is made from another network's vectors or another picture. A picture by URL is taken for the
same as long as its address is. Labels and texts are not kept: they are read anew each time.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catalog.errors import MalformedError, ShopcamError
from catalog.pictures import load_input
from catalog.reader import read_queries
from catalog.rows import Box, Product
from catalog.sources import fetch
from catalog.terminal import console, progress
from export.networks import PhotoNetworks
from export.onnx_runtime import OnnxRuntimeNetworks
from index_builder.views import views_of

CACHE = Path(".cache/benchmarks/outputs")
BATCH = 16
DECODERS = 2


class View(StrEnum):
    """What of a photo the networks see: one of the views that galleries and the service average over, in order."""

    PLAIN = "plain"
    MIRRORED = "mirrored"
    CENTER = "center"

    @property
    def place(self) -> int:
        """Its number among the product's views, from 0."""
        return list(View).index(self)


@dataclass(frozen=True)
class Outputs:
    """N photos and their answers: `embedding` [N, D] and `pooled` [N, P] unit rows, `probabilities` [N, V]."""

    rows: tuple[Product, ...]
    labels: tuple[str, ...]
    embedding: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    pooled: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def said(self) -> list[str]:
        """The most probable label of each photo."""
        return [self.labels[number] for number in self.probabilities.argmax(axis=1)]

    @property
    def truth(self) -> list[str]:
        """The label each row carries, "" where it has none."""
        return [row.label or "" for row in self.rows]

    @property
    def accuracy(self) -> float:
        """Share of photos whose most probable label is their own."""
        return float(np.mean(np.array(self.said) == np.array(self.truth)))

    def take(self, chosen: NDArray[np.int64]) -> Outputs:
        """Return the chosen rows only."""
        return Outputs(
            tuple(self.rows[row] for row in chosen),
            self.labels,
            self.embedding[chosen],
            self.probabilities[chosen],
            self.pooled[chosen],
        )

    def at_temperature(self, temperature: float) -> Outputs:
        """Return the same photos with softmax(logits / temperature): p^(1 / temperature), normalized."""
        if temperature == 1.0:
            return self
        logits = np.log(np.maximum(self.probabilities.astype(np.float64), 1e-30)) / temperature
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return replace(self, probabilities=(odds / odds.sum(axis=1, keepdims=True)).astype(np.float32))


def outputs_of(
    repository: Path,
    catalog: Path,
    splits: Sequence[str] | None,
    *,
    view: View = View.PLAIN,
    boxes: bool = False,
    threads: int | None = None,
    cache: Path = CACHE,
) -> Outputs:
    """Return what a repository's networks answer for the main picture of each row of `splits`, from disk where kept.

    `boxes` crops each photo to its box, as a shopper who draws one does. Raises `MalformedError` for a picture that
    cannot be used.
    """
    networks = OnnxRuntimeNetworks(repository, threads=threads)
    try:
        rows = read_queries(catalog, splits=splits).products
        key = _key(repository, catalog, rows, view=view, boxes=boxes)
        file = cache / f"{key}.npz"
        if file.is_file():
            with np.load(file, allow_pickle=False) as kept:
                arrays = [kept[name] for name in ("embedding", "probabilities", "pooled")]
        else:
            what = f"{repository.name}: photos of {', '.join(splits or ['all splits'])}"
            console.print(f"[dim]{what} ({len(rows):,})[/dim]", highlight=False)
            arrays = list(_run(networks, rows, catalog.parent, view=view, boxes=boxes, description=what))
            _keep(file, *arrays)
    finally:
        networks.close()
    return Outputs(rows, networks.info.labels, *arrays)


def _run(
    networks: PhotoNetworks, rows: Sequence[Product], folder: Path, *, view: View, boxes: bool, description: str
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    size_px = networks.info.size_px

    def picture(row: Product) -> NDArray[np.uint8]:
        return load_view(row, folder, size_px=size_px, view=view, boxes=boxes)

    answers = []
    with ThreadPoolExecutor(DECODERS) as pool:
        for batch in _batched(progress(_ahead(pool, picture, rows), description=description, total=len(rows))):
            answers.append(networks.infer(np.stack(batch)))
    return (
        np.concatenate([answer.embedding for answer in answers]),
        np.concatenate([answer.probabilities for answer in answers]),
        np.concatenate([answer.pooled for answer in answers]),
    )


def load_view(row: Product, folder: Path, *, size_px: int, view: View, boxes: bool = False) -> NDArray[np.uint8]:
    """Return one photo (a path or a URL) as the networks take it, uint8 [S, S, 3]; `MalformedError` names a bad one."""
    box = Box(*row.box) if boxes and row.box is not None else None
    try:
        pixels, _ = load_input(fetch(row.image, base=folder), size_px=size_px, box=box)
    except ShopcamError as error:
        raise MalformedError(f"image '{row.image}' cannot be used: {error}") from error
    seen: NDArray[np.uint8] = views_of(pixels, view.place + 1)[view.place]
    return seen


def _ahead(
    pool: ThreadPoolExecutor, picture: Callable[[Product], NDArray[np.uint8]], rows: Sequence[Product]
) -> Iterator[NDArray[np.uint8]]:
    """Decode a block ahead of the networks, not the whole catalog."""
    for start in range(0, len(rows), 4 * BATCH):
        yield from pool.map(picture, rows[start : start + 4 * BATCH])


def _batched(pictures: Iterator[NDArray[np.uint8]]) -> Iterator[list[NDArray[np.uint8]]]:
    while batch := list(islice(pictures, BATCH)):
        yield batch


def _key(repository: Path, catalog: Path, rows: Sequence[Product], *, view: View, boxes: bool) -> str:
    """Name what was asked of which networks: their configurations hold the checksum of every ONNX file."""
    hasher = hashlib.sha256()
    for config in sorted(repository.glob("*/config.pbtxt")):
        hasher.update(config.read_bytes())
    for row in rows:
        hasher.update(f"{_identity(row.image, catalog.parent)} {row.box if boxes else None}\n".encode())
    hasher.update(f"{view} {boxes}".encode())
    return hasher.hexdigest()[:24]


def _identity(image: str, folder: Path) -> str:
    """Return what tells a picture from another one that lay, or lies, under the same name."""
    path = folder / image
    if "://" in image or not path.is_file():
        return image
    about = path.stat()
    return f"{path.resolve()} {about.st_size} {about.st_mtime_ns}"


def _keep(
    file: Path, embedding: NDArray[np.float32], probabilities: NDArray[np.float32], pooled: NDArray[np.float32]
) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("wb") as opened:
        np.savez(opened, embedding=embedding, probabilities=probabilities, pooled=pooled)
    temporary.replace(file)
