"""The sample shop in, fresh pictures of its products out: as many camera photos and studio views as one asks for.

They are drawn with seeds of their own, so that none is one of the shop's photos, and kept in a cache file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from catalog.errors import MalformedError
from catalog.machine import usable_cores
from catalog.pictures import Picture, to_input
from catalog.reader import load_catalog
from catalog.rows import Box
from catalog.terminal import progress
from training.data import PictureSet

if TYPE_CHECKING:
    from catalog.sample.shop import ProductSpec

CACHE = Path(".cache/training")
PICTURES_A_VIEW = 2  # the whole photo, and what a box around the product holds
STUDIO_EVERY = 4  # one more studio view for so many photos
_FORMAT = 2
_STREAM = 77_001  # keeps these seeds apart from the shop's own
_CLUTTER = 4
_PORTRAIT_SHARE = 0.35
_MARGIN = 0.2  # of a box's side: people draw boxes too large rather than too small


@dataclass(frozen=True)
class _Task:
    spec: ProductSpec
    others: tuple[ProductSpec, ...]
    entropy: tuple[int, ...]
    views: int
    size_px: int


def sample_views(catalog: Path, *, views: int, size_px: int, cache: Path = CACHE) -> PictureSet:
    """Draw `views` camera photos of every product of the sample shop at `catalog`.

    Each gives the whole photo and the product's part; every fourth brings a studio view too. Raises `MalformedError`
    for a catalog that is not the sample shop, since only its products can be drawn.
    """
    shop = _shop(catalog)
    rows = load_catalog(catalog).products
    key = json.dumps([_FORMAT, views, size_px, shop], sort_keys=True)
    file = cache / f"views-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npy"
    if not file.is_file():
        _draw_all(file, seed=int(shop["seed"]), products=int(shop["products"]), views=views, size_px=size_px)
    images = np.load(file, mmap_mode="r")
    if len(images) != len(rows):
        raise MalformedError(
            f"{catalog} has {len(rows)} rows, its shop.json says {len(images)} products; draw the shop again"
        )
    each = images.shape[1]
    return PictureSet(
        images.reshape(-1, size_px, size_px, 3),
        tuple(row.label for row in rows for _ in range(each)),
        tuple(row.cluster or row.product_id for row in rows for _ in range(each)),
    )


def _shop(catalog: Path) -> dict[str, Any]:
    file = catalog.parent / "shop.json"
    try:
        shop = json.loads(file.read_text(encoding="utf-8"))
        return {"seed": shop["seed"], "products": shop["products"], **shop}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MalformedError(
            f"{catalog} is not the sample shop (no readable {file.name} beside it); --sample-views draws no other"
        ) from error


def _draw_all(file: Path, *, seed: int, products: int, views: int, size_px: int) -> None:
    """Draw into `file`, uint8 [products, pictures of each, size_px, size_px, 3]."""
    from catalog.sample.processes import Drawers
    from catalog.sample.shop import shop_specs

    specs = shop_specs(seed=seed, products=products)
    rng = np.random.default_rng((_STREAM, seed))
    tasks = [
        _Task(
            spec=spec,
            others=tuple(specs[int(other)] for other in rng.integers(len(specs), size=_CLUTTER)),
            entropy=(_STREAM, seed, row),
            views=views,
            size_px=size_px,
        )
        for row, spec in enumerate(specs)
    ]
    each = PICTURES_A_VIEW * views + -(-views // STUDIO_EVERY)
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
    try:
        images = np.lib.format.open_memmap(
            partial, mode="w+", dtype=np.uint8, shape=(products, each, size_px, size_px, 3)
        )
        with Drawers(usable_cores()) as drawers:
            drawn = drawers.map(_draw, tasks)
            for row, pictures in enumerate(progress(drawn, description=f"{views} photos a product", total=products)):
                images[row] = pictures
        images.flush()
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def _draw(task: _Task) -> NDArray[np.uint8]:
    rng = np.random.default_rng(task.entropy)
    return np.stack([_fitted(picture, task.size_px) for picture in _pictures(task, rng)])


def _pictures(task: _Task, rng: np.random.Generator) -> Iterator[Image.Image]:
    from catalog.sample.camera import take_photo
    from catalog.sample.studio import render_product

    for view in range(task.views):
        if view % STUDIO_EVERY == 0:
            yield render_product(task.spec, rng, size_px=2 * task.size_px)
        size = (480, 640) if rng.random() < _PORTRAIT_SHARE else (640, 480)
        photo, box = take_photo(task.spec, rng, others=task.others, size=size, size_px=2 * task.size_px)
        yield photo
        yield photo.crop(_widened(box, rng, photo.size))


def _widened(box: Box, rng: np.random.Generator, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Move each edge outward by up to a share of the box's side, within the photo."""
    wide, tall = box.x_max - box.x_min, box.y_max - box.y_min
    left, top, right, bottom = rng.uniform(0, _MARGIN, 4) * (wide, tall, wide, tall)
    return (
        max(0, int(box.x_min - left)),
        max(0, int(box.y_min - top)),
        min(size[0], int(np.ceil(box.x_max + right))),
        min(size[1], int(np.ceil(box.y_max + bottom))),
    )


def _fitted(picture: Image.Image, size_px: int) -> NDArray[np.uint8]:
    return to_input(Picture(picture, picture.width, picture.height, 1.0), size_px=size_px)
