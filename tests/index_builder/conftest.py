"""A tiny shop on disk: real networks, real word vectors, and a catalog whose vectors an oracle knows."""

from __future__ import annotations

import csv
import itertools
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export.contract import Tensor
from export.networks import PhotoOutputs
from export.onnx_runtime import OnnxRuntimeNetworks
from export.words import WordModel
from index_builder.build import build_gallery
from index_builder.integrity import read_manifest, record_files, write_manifest
from index_builder.manifest import ImageVector, TextVector
from index_builder.settings import BuildSettings
from index_builder.store import LocalStore
from index_builder.texts import TextOptions
from tests.tiny_repository import LABELS, TinyNetworks, random_pictures
from training.words import train_words_from_catalogs

PRODUCTS = 24
COLUMNS = ("product_id", "image", "title", "category_path", "description", "price", "label", "images", "split", "shelf")
KINDS = ("ring", "watch", "bag", "shoe", "mug", "lamp")


@dataclass(frozen=True)
class Shop:
    """A catalog file and the pictures of its rows, uint8 [24, 32, 32, 3], PNG on disk."""

    catalog: Path
    pictures: np.ndarray

    def rows(self) -> list[dict[str, str]]:
        with self.catalog.open(newline="") as file:
            return list(csv.DictReader(file))

    def write(self, rows: list[dict[str, str]], name: str = "catalog.csv") -> Path:
        path = self.catalog.parent / name
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        return path


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TinyNetworks]:
    path = tmp_path_factory.mktemp("models") / "repository"
    networks = TinyNetworks()
    networks.write(path)
    return path, networks


@pytest.fixture(scope="session")
def networks(tiny: tuple[Path, TinyNetworks]) -> OnnxRuntimeNetworks:
    return OnnxRuntimeNetworks(tiny[0], threads=1)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """24 products: number i is a KINDS[i % 6] labeled with a color; 5 has no text; 7 has two more pictures."""
    return make_shop(tmp_path / "shop")


def make_shop(folder: Path) -> Shop:
    folder.mkdir()
    pictures = random_pictures(PRODUCTS + 2, seed=3)
    for number, pixels in enumerate(pictures):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    made = Shop(folder / "catalog.csv", pictures)
    rows = []
    for number in range(PRODUCTS):
        kind = KINDS[number % len(KINDS)]
        label = LABELS[number % len(LABELS)]
        row = dict.fromkeys(COLUMNS, "")
        row |= {"product_id": f"p{number:02}", "image": f"{number}.png", "label": label, "shelf": f"s{number}"}
        row |= {"split": "a" if number % 2 else "b", "price": str(number + 0.5)}
        if number != 5:
            row |= {"title": f"Shiny {kind} in {label}", "category_path": f"Shop > {kind}", "description": f"A {kind}."}
        rows.append(row)
    rows[7]["images"] = json.dumps([f"{PRODUCTS}.png", f"{PRODUCTS + 1}.png"])
    made.write(rows)
    return made


@pytest.fixture(scope="session")
def words(tmp_path_factory: pytest.TempPathFactory) -> WordModel:
    folder = tmp_path_factory.mktemp("words")
    table = folder / "texts.csv"
    lines = [f"Shiny {kind} in {label},Shop > {kind},A fine {kind}" for kind in KINDS for label in LABELS]
    table.write_text("\n".join(["title,category_path,description", *lines]) + "\n")
    train_words_from_catalogs([table], out=folder / "words", dim=14, bucket=500, min_count=1, epochs=50, seed=1)
    return WordModel.load(folder / "words")


@pytest.fixture
def folder(shop: Shop, networks: OnnxRuntimeNetworks, words: WordModel, tmp_path: Path) -> Path:
    """A published gallery that a test may damage."""
    store = LocalStore(tmp_path / "store")
    build_gallery(shop.catalog, networks, words, store=store, version="v1", default_weight=4)
    return store.gallery("v1")


@pytest.fixture(scope="session")
def finished(
    networks: OnnxRuntimeNetworks, words: WordModel, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """Give a maker of whole gallery folders: the shop's, built once, under any version and with other contents."""
    folder = tmp_path_factory.mktemp("finished")
    store = LocalStore(folder / "store")
    build_gallery(make_shop(folder / "shop").catalog, networks, words, store=store, version="built")
    built = store.gallery("built")
    numbers = itertools.count()

    def make(version: str, *, more: Mapping[str, bytes] | None = None, **changes: object) -> Path:
        """A folder of `version`, newer than all made before, with `more` files and changed fields of the manifest."""
        made = folder / f"{next(numbers):03}-{version}"
        shutil.copytree(built, made)
        for name, content in (more or {}).items():
            (made / name).write_bytes(content)
        manifest = read_manifest(built)
        changes = {
            "version": version,
            "created_at": datetime.now(UTC),
            "files": record_files(made) if more else manifest.files,
        } | changes
        write_manifest(made, manifest.model_copy(update=changes))
        return made

    return make


class CountingNetworks:
    """Real networks that count the pictures they are asked about."""

    def __init__(self, networks: OnnxRuntimeNetworks) -> None:
        self.info = networks.info
        self.pictures = 0
        self._networks = networks

    def infer(self, images: np.ndarray) -> PhotoOutputs:
        self.pictures += len(images)
        return self._networks.infer(images)

    def vectors(self, images: np.ndarray, tensor: Tensor) -> np.ndarray:
        self.pictures += len(images)
        return self._networks.vectors(images, tensor)

    def close(self) -> None:
        pass


def make_catalog(folder: Path, count: int, *, seed: int = 0, side_px: int = 32) -> Path:
    """Write a catalog of `count` products with a picture each, every picture another one."""
    folder.mkdir(exist_ok=True)
    for number, pixels in enumerate(random_pictures(count, seed=seed, size_px=side_px)):
        Image.fromarray(pixels).save(folder / f"{number}.png", compress_level=1)
    path = folder / "catalog.jsonl"
    rows = (
        {"product_id": f"p{number:05}", "image": f"{number}.png", "title": f"Thing {number}", "extra": number}
        for number in range(count)
    )
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def plain_settings(**changes: object) -> BuildSettings:
    """Settings of a gallery without text."""
    given = {
        "image_vector": ImageVector.EMBEDDING,
        "text": TextOptions(TextVector.NONE),
        "default_weight": 1.0,
        "recipe": "Flat",
        "max_bad_rows": 0.01,
        "min_recall": 0.0,
        "seed": 0,
    }
    return BuildSettings(**{**given, **changes})
