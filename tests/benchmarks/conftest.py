"""A tiny shop of solid and noisy colors with real tiny networks and real word vectors: catalog, queries, gallery."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.serving.running import Running, free_port
from bento.server import serving
from bento.settings import Settings
from export.local_triton import LocalTriton
from export.onnx_runtime import OnnxRuntimeNetworks
from export.words import WordModel
from index_builder.build import build_gallery
from index_builder.store import LocalStore, open_store
from tests.tiny_repository import COLORS, LABELS, TinyNetworks
from training.words import train_words_from_catalogs

PER_LABEL = 7


@dataclass(frozen=True)
class ColorShop:
    """`catalog` holds 7 noisy pictures of each of 6 colors (five `train`, two `val`), titled by their color."""

    catalog: Path
    repository: Path
    words: WordModel
    networks: TinyNetworks


@pytest.fixture(scope="session")
def color_shop(tmp_path_factory: pytest.TempPathFactory) -> ColorShop:
    folder = tmp_path_factory.mktemp("color-shop")
    rng = np.random.default_rng(0)
    rows = []
    for label, color in COLORS.items():
        for number in range(PER_LABEL):
            pixels = (255 * (0.8 * np.array(color) + 0.2 * rng.random((32, 32, 3)))).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{label}-{number}.png")
            split = "train" if number < 5 else "val"
            rows.append(
                (f"{label}-{number}", f"{label}-{number}.png", f"A {label} tile", f"Tile > {label}", label, split)
            )
    catalog = folder / "catalog.csv"
    with catalog.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("product_id", "image", "title", "category_path", "label", "split"))
        writer.writerows(rows)
    networks = TinyNetworks(labels=LABELS)
    networks.write(folder / "models")
    train_words_from_catalogs([catalog], out=folder / "words", dim=8, bucket=200, min_count=1, epochs=20, seed=1)
    return ColorShop(catalog, folder / "models", WordModel.load(folder / "words"), networks)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three small JPEG photos, each of one color."""
    folder = tmp_path_factory.mktemp("photos")
    for number, color in enumerate(("red", "green", "blue")):
        Image.new("RGB", (64, 48), color).save(folder / f"{number}.jpg")
    return folder


@pytest.fixture(scope="session")
def color_store(color_shop: ColorShop, tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    """A store whose live gallery is the color shop's training split."""
    store = open_store(str(tmp_path_factory.mktemp("color-store")))
    networks = OnnxRuntimeNetworks(color_shop.repository, threads=1)
    manifest = build_gallery(color_shop.catalog, networks, color_shop.words, store=store, splits=["train"])
    store.swap(manifest.version, spaces=networks.info.spaces)
    networks.close()
    return store


@pytest.fixture(scope="session")
def color_service(
    color_shop: ColorShop, color_store: LocalStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """The real service over a real Triton; at most two searches are in progress."""
    logs = tmp_path_factory.mktemp("color-service")
    with LocalTriton(color_shop.repository, log_file=logs / "triton.log") as triton:
        settings = Settings(store=str(color_store.path), triton_url=triton.grpc_url, max_searches=2)
        with serving(settings, port=free_port(), log_folder=logs) as service:
            yield Running(triton.grpc_url, service.url, triton.pid, service.process.pid)


@pytest.fixture
def shared_folder(color_shop: ColorShop, tmp_path: Path) -> Path:
    """A folder of real photos and weights, as the benchmarks ask for one, with the color shop in it."""
    folder = tmp_path / "shared"
    for name in ("data/clothing/catalog.csv", "data/text/products.csv", "weights/googlenet-imagenet.onnx"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (folder / "data/grocery").symlink_to(color_shop.catalog.parent)
    return folder
