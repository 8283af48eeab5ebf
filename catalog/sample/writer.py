"""Settings in, a whole shop on disk out: catalog.csv and images/, queries.csv and photos/, shop.json; never half.

The shop is drawn into a folder beside its place and renamed at the end. Every file depends on the seed and its own
number alone, so that any number of worker processes writes the same bytes.
"""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from catalog.errors import MalformedError, OutOfRangeError
from catalog.machine import usable_cores
from catalog.rows import Box
from catalog.sample.camera import take_photo
from catalog.sample.processes import Drawers
from catalog.sample.shop import ProductSpec, shop_specs
from catalog.sample.studio import render_product
from catalog.terminal import progress

FORMAT = 1  # of the drawn shop; a higher one means that equal settings draw other pictures
VAL_SHARE = 0.5
PORTRAIT_SHARE = 0.35
CLUTTER_PRODUCTS = 4
CLUTTER_POOL = 120  # products that lie around in photos; few, so that their drawings are reused

_SMALL_SHOP = 80  # pictures; starting processes costs more than drawing so few
_CHUNK = 10

CATALOG_COLUMNS = (
    "product_id",
    "image",
    "title",
    "category_path",
    "description",
    "price",
    "url",
    "label",
    "attributes",
    "split",
)
QUERY_COLUMNS = ("image", "product_id", "label", "box", "split")

Item = TypeVar("Item")


@dataclass(frozen=True)
class ShopSettings:
    """What a drawn shop depends on; sizes in pixels, `photo_size` of a landscape photo."""

    seed: int = 0
    products: int = 1200
    photos: int = 600
    size_px: int = 256
    photo_size: tuple[int, int] = (640, 480)
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.seed < 0 or self.products < 1 or self.photos < 0:
            raise OutOfRangeError(
                f"seed {self.seed}, products {self.products}, photos {self.photos}: a shop needs a seed of 0 or more, "
                "at least one product and no negative number of photos."
            )
        if not all(32 <= side <= 4096 for side in (self.size_px, *self.photo_size)):
            raise OutOfRangeError(
                f"size_px {self.size_px} and photo_size {self.photo_size} must be between 32 and 4096 pixels a side."
            )


@dataclass(frozen=True)
class ShopSummary:
    """What `draw_shop` made, or found already made (`redrawn` is False)."""

    folder: Path
    products: int
    photos: int
    categories: int
    redrawn: bool

    @property
    def catalog(self) -> Path:
        """The catalog file."""
        return self.folder / "catalog.csv"

    @property
    def queries(self) -> Path:
        """The file of camera photos with their true products and boxes."""
        return self.folder / "queries.csv"


@dataclass(frozen=True)
class _PhotoTask:
    name: str
    spec: ProductSpec
    others: tuple[ProductSpec, ...]
    split: str
    size: tuple[int, int]
    entropy: tuple[int, ...]


def draw_shop(
    out: Path,
    *,
    seed: int = 0,
    products: int = 1200,
    photos: int = 600,
    size_px: int = 256,
    photo_size: tuple[int, int] = (640, 480),
    workers: int | None = None,
) -> ShopSummary:
    """Draw the shop into the folder `out`, or find it there as asked for and leave it.

    `workers` is the number of processes (default: one a core; 0 draws in this process) and does not change a byte.
    Raises MalformedError where `out` holds anything else, OutOfRangeError for impossible settings.
    """
    settings = ShopSettings(seed=seed, products=products, photos=photos, size_px=size_px, photo_size=photo_size)
    out = Path(out)
    specs = shop_specs(seed=seed, products=products)
    redrawn = not _already_drawn(out, settings)
    if redrawn:
        partial = out.parent / f".{out.name}.{os.getpid()}.partial"
        try:
            (partial / "images").mkdir(parents=True)
            (partial / "photos").mkdir()
            _fill(partial, specs, settings, workers=_worker_count(settings, workers))
            partial.rename(out)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return ShopSummary(
        folder=out, products=products, photos=photos, categories=len({spec.label for spec in specs}), redrawn=redrawn
    )


def _already_drawn(out: Path, settings: ShopSettings) -> bool:
    """True if the shop asked for is there, False if nothing is; raises where something else is."""
    if out.is_dir() and not any(out.iterdir()):
        return False
    if not out.exists():
        return False
    found = _settings_of(out)
    wanted = json.loads(json.dumps(asdict(settings)))
    if found == wanted:
        return True
    if found is None:
        raise MalformedError(
            f"{out} exists and is not a sample shop: choose a new folder for --out, or empty this one."
        )
    differing = ", ".join(
        f"{key} {found.get(key)} (asked: {wanted[key]})" for key in wanted if found.get(key) != wanted[key]
    )
    raise MalformedError(
        f"{out} holds a sample shop with {differing}: choose another --out, or delete that folder first."
    )


def _settings_of(out: Path) -> dict[str, Any] | None:
    try:
        settings = json.loads((out / "shop.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return settings if isinstance(settings, dict) else None


def _worker_count(settings: ShopSettings, workers: int | None) -> int:
    if workers is not None:
        return workers
    return 0 if settings.products + settings.photos < _SMALL_SHOP else usable_cores()


def _fill(folder: Path, specs: Sequence[ProductSpec], settings: ShopSettings, *, workers: int) -> None:
    pictures = [(str(folder), chunk, settings.size_px) for chunk in _chunks(list(specs))]
    shots = [(str(folder), chunk) for chunk in _chunks(_photo_tasks(specs, settings))]
    with Drawers(workers) as drawers:
        drawn = chain.from_iterable(drawers.map(_draw_pictures, pictures))
        for _ in progress(drawn, description="catalog pictures", total=len(specs)):
            pass
        taken = chain.from_iterable(drawers.map(_draw_photos, shots))
        boxes = list(progress(taken, description="camera photos", total=settings.photos))
    _write_csv(folder / "catalog.csv", CATALOG_COLUMNS, map(_catalog_row, specs))
    _write_csv(
        folder / "queries.csv",
        QUERY_COLUMNS,
        (_query_row(task, box) for task, box in zip(_photo_tasks(specs, settings), boxes, strict=True)),
    )
    (folder / "shop.json").write_text(json.dumps(asdict(settings), indent=2) + "\n", encoding="utf-8")


def _photo_tasks(specs: Sequence[ProductSpec], settings: ShopSettings) -> list[_PhotoTask]:
    """Each photo's product, neighbors, split and size, drawn from the seed and the photo's own number."""
    tasks = []
    for number in range(settings.photos):
        rng = np.random.default_rng((settings.seed, 1, number))
        width, height = settings.photo_size
        tasks.append(
            _PhotoTask(
                name=f"photos/photo-{number:05d}.jpg",
                spec=specs[int(rng.integers(len(specs)))],
                others=tuple(
                    specs[int(row)] for row in rng.integers(min(CLUTTER_POOL, len(specs)), size=CLUTTER_PRODUCTS)
                ),
                split="val" if math.floor((number + 1) * VAL_SHARE) > math.floor(number * VAL_SHARE) else "train",
                size=(height, width) if rng.random() < PORTRAIT_SHARE else (width, height),
                entropy=(settings.seed, 2, number),
            )
        )
    return tasks


def _chunks(items: list[Item]) -> list[list[Item]]:
    return [items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK)]


def _draw_pictures(task: tuple[str, list[ProductSpec], int]) -> list[str]:
    folder, specs, size_px = task
    for spec in specs:
        path = Path(folder, _image_name(spec))
        render_product(spec, size_px=size_px).save(path, format="JPEG", quality=90, subsampling=0)
    return [spec.product_id for spec in specs]


def _draw_photos(task: tuple[str, list[_PhotoTask]]) -> list[Box]:
    folder, shots = task
    boxes = []
    for shot in shots:
        rng = np.random.default_rng(shot.entropy)
        photo, box = take_photo(shot.spec, rng, others=shot.others, size=shot.size)
        photo.save(Path(folder, shot.name), format="JPEG", quality=88)
        boxes.append(box)
    return boxes


def _image_name(spec: ProductSpec) -> str:
    return f"images/{spec.product_id}.jpg"


def _catalog_row(spec: ProductSpec) -> dict[str, str]:
    look = spec.look
    attributes = {"shape": look.shape, "color": look.color, "material": look.material, "pattern": look.pattern}
    return {
        "product_id": spec.product_id,
        "image": _image_name(spec),
        "title": spec.title,
        "category_path": spec.category_path,
        "description": spec.description,
        "price": f"{spec.price:.2f}",
        "url": spec.url,
        "label": spec.label,
        "attributes": json.dumps(attributes),
        "split": "gallery",
    }


def _query_row(task: _PhotoTask, box: Box) -> dict[str, str]:
    return {
        "image": task.name,
        "product_id": task.spec.product_id,
        "label": task.spec.label,
        "box": ",".join(f"{edge:.0f}" for edge in box),
        "split": task.split,
    }


def _write_csv(path: Path, columns: tuple[str, ...], rows: Iterable[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
