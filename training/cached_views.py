"""Pictures and the frozen lower part of a network in, its answers to K augmented views of each on disk out.

Float16 in memory-mapped files, one for each view and tensor, under a name that hashes all they depend on: the second
training reads what the first computed, a larger K adds to a smaller one, and a stopped one goes on with its next view.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from catalog.errors import OutOfRangeError
from catalog.terminal import progress
from training.views import PictureViews

_FORMAT = 2
_BATCH = 32
_PROBE = 4  # pictures whose views and answers stand for the code and the settings that make them
_SPARE_SHARE = 0.02  # of the disk space needed, for the file system's own
_LARGEST = float(np.finfo(np.float16).max)

Arrays = tuple[NDArray[np.float16], ...]


@dataclass(frozen=True)
class CachedViews:
    """K views of N pictures below a border: `views[k][t]` is tensor t of view k, float16 [N, ...], mapped from disk."""

    views: tuple[Arrays, ...]
    size_px: int
    key: str = ""  # a hash of what the views are made of

    def batch(
        self,
        rows: NDArray[np.int64],
        *,
        epoch: int,  # noqa: ARG002 - which view is drawn comes from the generator
        size_px: int,
        generator: torch.Generator,
    ) -> tuple[Tensor, ...]:
        """Return a random view of each picture as float32; `OutOfRangeError` for another size than was cached."""
        if size_px != self.size_px:
            raise OutOfRangeError(
                f"views of {self.size_px} px are cached, {size_px} px are asked for; --cached-views excludes "
                "--half-size-epochs"
            )
        drawn = torch.randint(len(self.views), (len(rows),), generator=generator).numpy()
        found = []
        for tensor, first in enumerate(self.views[0]):
            out = np.empty((len(rows), *first.shape[1:]), np.float32)
            for view in np.unique(drawn):
                out[drawn == view] = self.views[view][tensor][rows[drawn == view]]
            found.append(torch.from_numpy(out))
        return tuple(found)

    def digest(self) -> str:
        """Return a hash of what the views are made of and of how many there are."""
        return f"{self.key} {len(self.views)}"


def cache_views(
    lower: nn.Module, pictures: PictureViews, *, views: int, size_px: int, seed: int, cache: Path
) -> CachedViews:
    """Compute what is not on disk yet, under a progress line, and map it; `lower` is in evaluation mode from now on.

    Raises `OutOfRangeError` for fewer than 1 view, or where the disk has not enough room.
    """
    if views < 1:
        raise OutOfRangeError(f"--cached-views is {views}, at least 1 is needed to cache any")
    lower.eval()
    probe = _probe(lower, pictures, size_px=size_px)
    shapes = [tuple(one.shape[1:]) for one in probe]
    key = _key(lower, pictures, probe, size_px=size_px, seed=seed)
    folder = cache / f"border-{key}"
    files = [[folder / f"view{view}-{tensor}.npy" for tensor in range(len(shapes))] for view in range(views)]
    missing = [view for view in range(views) if not all(file.is_file() for file in files[view])]
    count = len(pictures.images)
    _check_space(
        cache, needed_bytes=2 * len(missing) * count * sum(map(_size, shapes)), views=len(missing), count=count
    )
    parts = -(-count // _BATCH)
    steps = progress(iter(range(len(missing) * parts)), description="views", total=len(missing) * parts)
    for view in missing:
        _write_view(lower, pictures, files[view], shapes, size_px=size_px, seed=(seed, view), bar=steps)
    for _ in steps:  # closes the progress line
        pass
    return CachedViews(tuple(tuple(np.load(file, mmap_mode="r") for file in own) for own in files), size_px, key)


def crossing_shapes(lower: nn.Module, pictures: PictureViews, *, size_px: int) -> list[tuple[int, ...]]:
    """Return the shape of each tensor that crosses the border, for one picture."""
    lower.eval()
    return [tuple(one.shape[1:]) for one in _probe(lower, pictures, size_px=size_px)]


def _write_view(
    lower: nn.Module,
    pictures: PictureViews,
    files: list[Path],
    shapes: list[tuple[int, ...]],
    *,
    size_px: int,
    seed: tuple[int, int],
    bar: Iterator[int],
) -> None:
    count = len(pictures.images)
    files[0].parent.mkdir(parents=True, exist_ok=True)
    partials = [file.with_name(f"{file.name}.{os.getpid()}.partial") for file in files]
    try:
        arrays = [open_array(partial, shape=(count, *shape)) for partial, shape in zip(partials, shapes, strict=True)]
        for part, start in enumerate(range(0, count, _BATCH)):
            next(bar)
            rows = np.arange(start, min(count, start + _BATCH))
            drawn = int(np.random.SeedSequence((*seed, part)).generate_state(1, np.uint64)[0] >> np.uint64(1))
            for array, answer in zip(arrays, _answers(lower, pictures, rows, size_px=size_px, seed=drawn), strict=True):
                array[rows] = answer.clamp(-_LARGEST, _LARGEST).half().numpy()
        for array, partial, file in zip(arrays, partials, files, strict=True):
            cast(np.memmap, array).flush()
            partial.replace(file)
    finally:
        for partial in partials:
            partial.unlink(missing_ok=True)


def open_array(file: Path, *, shape: tuple[int, ...]) -> NDArray[np.float16]:
    """Make a file of zeros and map it."""
    return np.lib.format.open_memmap(file, mode="w+", dtype=np.float16, shape=shape)


@torch.no_grad()
def _answers(
    lower: nn.Module, pictures: PictureViews, rows: NDArray[np.int64], *, size_px: int, seed: int
) -> tuple[Tensor, ...]:
    device = next((weight.device for weight in lower.parameters()), torch.device("cpu"))
    generator = torch.Generator().manual_seed(seed)
    planes = pictures.batch(rows, epoch=0, size_px=size_px, generator=generator)
    return tuple(one.float().cpu() for one in lower(*(one.to(device) for one in planes)))


def _probe(lower: nn.Module, pictures: PictureViews, *, size_px: int) -> tuple[Tensor, ...]:
    return _answers(lower, pictures, np.arange(min(_PROBE, len(pictures.images))), size_px=size_px, seed=0)


def _key(lower: nn.Module, pictures: PictureViews, probe: tuple[Tensor, ...], *, size_px: int, seed: int) -> str:
    """Hash everything that the answers depend on but the number of views.

    Of the `probe` the mean size of each picture's answers counts, to the three digits that threads and devices agree
    on: it tells apart layers whose settings are no weights, such as the order of channels or the width of a pooling.
    """
    found = hashlib.sha256(repr((_FORMAT, torch.__version__, size_px, seed, pictures.digest())).encode())
    found.update(str(getattr(lower, "code", lower)).encode())
    for name, value in (*lower.named_parameters(), *lower.named_buffers()):
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().numpy().tobytes())
    rows = np.arange(min(_PROBE, len(pictures.images)))
    for one in pictures.batch(rows, epoch=0, size_px=size_px, generator=torch.Generator().manual_seed(0)):
        found.update(one.contiguous().numpy().tobytes())
    for one in probe:
        sizes = one.double().flatten(1).abs().mean(dim=1).tolist()
        found.update(" ".join(f"{size:.2e}" for size in sizes).encode())
    return found.hexdigest()[:16]


def _check_space(cache: Path, *, needed_bytes: int, views: int, count: int) -> None:
    place = cache.absolute()
    while not place.exists():
        place = place.parent
    free_bytes = shutil.disk_usage(place).free
    if needed_bytes * (1 + _SPARE_SHARE) > free_bytes:
        raise OutOfRangeError(
            f"{views} views of {count:,} pictures take {needed_bytes / 1e9:.1f} GB in {cache}, where "
            f"{free_bytes / 1e9:.1f} GB are free; lower --cached-views, freeze more or give another --cache"
        )


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))
