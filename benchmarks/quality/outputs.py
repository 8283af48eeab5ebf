"""Photos of a catalog or query file and a model repository in, what the networks answer out; kept on disk.

The networks run in this process (ONNX Runtime); the service's own tests show that Triton answers the same. Answers lie
under `.cache/benchmarks/outputs`, named by the networks' checksums, the pictures and the view, so that no figure is
made from another network's vectors. Labels and texts are not kept: they are read anew each time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from catalog.pictures import decode, to_input
from catalog.reader import read_queries
from catalog.rows import Box, Product
from catalog.terminal import console, progress
from export.networks import PhotoNetworks
from export.onnx_runtime import OnnxRuntimeNetworks

CACHE = Path(".cache/benchmarks/outputs")
BATCH = 16
DECODERS = 2


class View(StrEnum):
    """What of a photo the networks see. CENTER is the middle square of 0.8 of each side."""

    PLAIN = "plain"
    MIRRORED = "mirrored"
    CENTER = "center"


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

    `boxes` crops each photo to its box, as a shopper who draws one does.
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
    """Return one photo as the networks take it, uint8 [S, S, 3]."""
    box = Box(*row.box) if boxes and row.box is not None else None
    data = (folder / row.image).read_bytes()
    opened = decode(data, min_side_px=size_px, box=box)
    if view is View.CENTER and box is None:
        width, height = opened.width_px, opened.height_px
        box = Box(0.1 * width, 0.1 * height, 0.9 * width, 0.9 * height)
    if view is View.MIRRORED:
        pixels = np.asarray(Image.fromarray(to_input(opened, size_px=size_px, box=box)))[:, ::-1]
        return np.ascontiguousarray(pixels)
    return to_input(opened, size_px=size_px, box=box)


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
        size_bytes = (catalog.parent / row.image).stat().st_size
        hasher.update(f"{row.image} {size_bytes} {row.box if boxes else None}\n".encode())
    hasher.update(f"{view} {boxes}".encode())
    return hasher.hexdigest()[:24]


def _keep(
    file: Path, embedding: NDArray[np.float32], probabilities: NDArray[np.float32], pooled: NDArray[np.float32]
) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".tmp")
    with temporary.open("wb") as opened:
        np.savez(opened, embedding=embedding, probabilities=probabilities, pooled=pooled)
    temporary.replace(file)
