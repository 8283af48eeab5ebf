"""One shop of known pictures, its gallery, and the real service over a real Triton; the oracle knows every vector."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from catalog.pictures import load_input
from export.local_triton import LocalTriton
from export.networks import PhotoOutputs
from export.onnx_runtime import OnnxRuntimeNetworks
from export.words import WordModel
from index_builder.build import build_gallery
from index_builder.gallery import Gallery
from index_builder.manifest import LabelMode, LabelSettings, TextVector
from index_builder.store import LocalStore
from tests.bento.browsing import Tab, draw_watch, launched_browser, open_tab
from tests.tiny_repository import COLORS, LABELS, TinyNetworks
from training.words import train_words_from_catalogs

ROOT = Path(__file__).parents[2]
PRODUCTS = 36
SIDE_PX = 64
DEFAULT_WEIGHT = 2.0
NO_TEXT = 11
KINDS = ("ring", "watch", "bag", "shoe", "mug", "lamp")
ODD_IDS = {3: "p/03 blue & gold", 4: "größe-04 ñ", 5: "p05?a=1#b%41"}
# `shelf` is unknown to us, `score` has a meaning in a hit that a catalog must not change.
COLUMNS = ("product_id", "image", "title", "category_path", "description", "price", "url", "label", "shelf", "score")
MAX_PIXELS = 4_000_000
MAX_BYTES = 2_000_000


@dataclass(frozen=True)
class Shop:
    """A catalog file and the pictures of its rows as PNG on disk; `ids[i]` is the product of gallery row i."""

    catalog: Path
    rows: list[dict[str, str]]

    @property
    def ids(self) -> list[str]:
        return [row["product_id"] for row in self.rows]

    def picture(self, row: int) -> bytes:
        return (self.catalog.parent / self.rows[row]["image"]).read_bytes()


@dataclass(frozen=True)
class Oracle:
    """Exact ranking in float64 by vectors that never went through the service, FAISS or Triton."""

    networks: OnnxRuntimeNetworks
    gallery: Gallery
    ids: list[str]

    @cached_property
    def parts(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Image parts [N, D_I], and text parts [N, D_T] with rows of nan where there is no text."""
        rows = range(len(self.ids))
        image = np.array([self.gallery.image_vector(row) for row in rows], np.float64)
        texts = [self.gallery.text_vector(row) for row in rows]
        dim = self.gallery.manifest.text_dim
        return image, np.array([np.full(dim, np.nan) if vector is None else vector for vector in texts], np.float64)

    def outputs(self, photo: bytes) -> PhotoOutputs:
        pixels, _ = load_input(photo, size_px=self.networks.info.size_px)
        return self.networks.infer(pixels[None])

    def text_part(self, probabilities: NDArray[np.float32], mode: str) -> NDArray[np.float64] | None:
        """DESIGN section 1: the unit vector of the first label, or the sum of p_l n(v_l) over the labels."""
        vectors = np.array([self.gallery.labels.vectors[k] for k in range(len(LABELS))], np.float64)
        if mode == "none":
            return None
        if mode == "hard":
            return vectors[max(range(len(LABELS)), key=lambda k: probabilities[k])]
        weighted = [float(p) * vector for p, vector in zip(probabilities, vectors, strict=True)]
        return sum(weighted, np.zeros(len(vectors[0])))

    def rank(
        self, image: NDArray[Any], text: NDArray[Any] | None, *, weight: float
    ) -> list[tuple[str, float, float, float | None]]:
        """(product_id, score, image_score, text_score) of all products, best first."""
        images, texts = self.parts
        image_scores = images @ (image.astype(np.float64) / np.linalg.norm(image.astype(np.float64)))
        text_scores = np.full(len(images), np.nan) if text is None else texts @ text.astype(np.float64)
        scores = (image_scores + weight * np.nan_to_num(text_scores)) / (1 + weight)
        return [
            (
                self.ids[row],
                float(scores[row]),
                float(image_scores[row]),
                None if np.isnan(text_scores[row]) else float(text_scores[row]),
            )
            for row in np.argsort(-scores, kind="stable")
        ]


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """36 products of a color each, on a grid of noise; one has no usable text, three have odd ids."""
    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(5)
    rows = []
    for number in range(PRODUCTS):
        color, kind = LABELS[number % len(LABELS)], KINDS[number // len(LABELS) % len(KINDS)]
        grid_picture(color, rng).save(folder / f"{number}.png")
        row = dict.fromkeys(COLUMNS, "")
        row |= {"product_id": ODD_IDS.get(number, f"p{number:02}"), "image": f"{number}.png", "label": color}
        row |= {"price": str(number + 0.5), "shelf": f"s{number}", "score": "best", "title": f"№ {number} !!!"}
        if number != NO_TEXT:
            row |= {"title": f"Shiny {kind} in {color}", "category_path": f"Shop > {kind}", "description": f"A {kind}."}
        rows.append(row)
    write_catalog(folder / "catalog.csv", rows)
    return Shop(folder / "catalog.csv", rows)


@pytest.fixture(scope="session")
def words(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> WordModel:
    folder = tmp_path_factory.mktemp("words") / "words"
    train_words_from_catalogs([shop.catalog], out=folder, dim=14, bucket=500, min_count=1, epochs=30, seed=1)
    return WordModel.load(folder)


@pytest.fixture(scope="session")
def networks(tiny_repository: Path) -> Iterator[OnnxRuntimeNetworks]:
    networks = OnnxRuntimeNetworks(tiny_repository, threads=1)
    yield networks
    networks.close()


@pytest.fixture(scope="session")
def store(
    shop: Shop, words: WordModel, networks: OnnxRuntimeNetworks, tmp_path_factory: pytest.TempPathFactory
) -> LocalStore:
    """A store whose live gallery is the whole shop; not to be changed."""
    store = LocalStore(tmp_path_factory.mktemp("store"))
    build_gallery(shop.catalog, networks, words, store=store, version="v1", default_weight=DEFAULT_WEIGHT)
    store.swap("v1", spaces=networks.info.spaces)
    return store


@pytest.fixture(scope="session")
def oracle(store: LocalStore, shop: Shop, networks: OnnxRuntimeNetworks) -> Oracle:
    return Oracle(networks, Gallery.open(store.gallery("v1")), shop.ids)


@pytest.fixture(scope="session")
def service_url(
    store: LocalStore, tiny_triton: LocalTriton, samples: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The real service, shared by all tests that leave it as it is: small limits, and urls of public addresses only."""
    settings = {"max_pixels": MAX_PIXELS, "max_bytes": MAX_BYTES, "samples": samples[0].parent / "*"}
    settings |= {"triton_metrics_url": tiny_triton.metrics_url}
    logs = tmp_path_factory.mktemp("service")
    with serve(logs, store=store.path, triton_url=tiny_triton.grpc_url, **settings) as service:
        wait_until_ready(service)
        yield service.url


@pytest.fixture(scope="session")
def client(service_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service_url, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def samples(photos: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Photos to try, in the order of their names, beside a file that is none."""
    folder = tmp_path_factory.mktemp("samples")
    (folder / "b.txt").write_text("no photo")
    paths = [folder / name for name in ("a.jpg", "c.jpg")]
    for path, photo in zip(paths, photos, strict=False):
        path.write_bytes(photo)
    return paths


@dataclass(frozen=True)
class Two:
    """A store with the galleries blue (live) and green of the same pictures, whose product ids tell them apart."""

    store: LocalStore
    oracles: dict[str, Oracle]


@pytest.fixture(scope="session")
def both_galleries(
    shop: Shop, words: WordModel, networks: OnnxRuntimeNetworks, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Path, list[str]]]:
    """Blue and green, built once: their folders, and the product of each row."""
    store = LocalStore(tmp_path_factory.mktemp("both"))
    rows = [{**row, "product_id": f"g-{row['product_id']}"} for row in reversed(shop.rows)]
    green = shop.catalog.with_name("green.csv")
    write_catalog(green, rows)
    shops = {"blue": shop, "green": Shop(green, rows)}
    for version, one in shops.items():
        build_gallery(one.catalog, networks, words, store=store, version=version, default_weight=DEFAULT_WEIGHT)
    return {version: (store.gallery(version), one.ids) for version, one in shops.items()}


@pytest.fixture(scope="module")
def two(
    both_galleries: dict[str, tuple[Path, list[str]]],
    networks: OnnxRuntimeNetworks,
    tmp_path_factory: pytest.TempPathFactory,
) -> Two:
    """A store of the module's own."""
    store = LocalStore(tmp_path_factory.mktemp("two") / "store")
    for version, (folder, _) in both_galleries.items():
        store.publish(folder, version)
    store.swap("blue")
    oracles = {v: Oracle(networks, Gallery.open(folder), ids) for v, (folder, ids) in both_galleries.items()}
    return Two(store, oracles)


@dataclass(frozen=True)
class FusedShop:
    """The shop behind a fused network: its store, what ranks it, and the confidence below which a photo is unknown.

    Gallery `soft` has centered word vectors; `onehot` has the classifier's labels, delta_0 and pictures of two views.
    """

    store: LocalStore
    networks: OnnxRuntimeNetworks
    ids: list[str]
    min_confidence: float

    def oracle(self, version: str) -> Oracle:
        return Oracle(self.networks, Gallery.open(self.store.gallery(version)), self.ids)


@pytest.fixture(scope="session")
def fused_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fused") / "repository"
    TinyNetworks().write_fused(path)
    return path


@pytest.fixture(scope="session")
def fused_shop(
    shop: Shop,
    words: WordModel,
    fused_repository: Path,
    photos: list[bytes],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[FusedShop]:
    """Both galleries are published, `soft` is live; half of `photos` are below the confidence asked."""
    networks = OnnxRuntimeNetworks(fused_repository, threads=1)
    store = LocalStore(tmp_path_factory.mktemp("fused-store"))
    inputs = np.stack([load_input(photo, size_px=32)[0] for photo in photos])
    sure = np.sort(networks.infer(inputs).probabilities.max(axis=1))
    min_confidence = float(sure[len(sure) // 2 - 1] + sure[len(sure) // 2]) / 2
    label = LabelSettings(mode=LabelMode.SOFT, min_confidence=min_confidence)
    options: dict[str, Any] = {"store": store, "default_weight": DEFAULT_WEIGHT}
    build_gallery(shop.catalog, networks, words, version="soft", label=label, center_text=True, **options)
    onehot = {"text_vector": TextVector.ONEHOT, "label_source": "classifier", "unknown_label": "delta0", "views": 2}
    label = LabelSettings(mode=LabelMode.SOFT, min_confidence=min_confidence, top=2)
    build_gallery(shop.catalog, networks, None, version="onehot", label=label, **onehot, **options)
    store.swap("soft", spaces=networks.info.spaces)
    yield FusedShop(store, networks, shop.ids, min_confidence)
    networks.close()


@pytest.fixture(scope="session")
def fused_triton(fused_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTriton]:
    log_file = tmp_path_factory.mktemp("fused-triton") / "triton.log"
    with LocalTriton(fused_repository, log_file=log_file, instances=1, threads=1) as triton:
        yield triton


@pytest.fixture(scope="session")
def fused_url(
    fused_shop: FusedShop, fused_triton: LocalTriton, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The real service over the fused network and the gallery `soft`."""
    logs = tmp_path_factory.mktemp("fused-service")
    with serve(logs, store=fused_shop.store.path, triton_url=fused_triton.grpc_url) as service:
        wait_until_ready(service)
        yield service.url


@pytest.fixture(scope="session")
def photos() -> list[bytes]:
    """Eight photos of a shopper: JPEG, larger than the networks' input, of no product's exact picture."""
    rng = np.random.default_rng(17)
    return [jpeg(grid_picture(LABELS[number % len(LABELS)], rng, side_px=160)) for number in range(8)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, gone with the module: while Playwright is there, its event loop is in the way of all others."""
    yield from launched_browser()


@pytest.fixture
def tab(browser: Any, service_url: str) -> Iterator[Tab]:
    """The shop's page on a desktop."""
    tab = open_tab(browser, service_url, viewport={"width": 1280, "height": 900})
    yield tab
    tab.page.context.close()


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_watch(tmp_path_factory.mktemp("page") / "watch.jpg")


@dataclass(frozen=True)
class Serve:
    """A running `python -m bento serve`: its address, its process, and what it says."""

    url: str
    process: subprocess.Popen[bytes]
    output: Path

    def status(self, path: str = "/readyz") -> int:
        """The status of a GET, 0 while nobody answers."""
        try:
            return httpx.get(f"{self.url}{path}", timeout=10).status_code
        except httpx.TransportError:
            return 0


@contextlib.contextmanager
def serve(logs: Path, *flags: str, port: int | None = None, **settings: Any) -> Iterator[Serve]:
    """`python -m bento serve` with settings as variables; ended at the end, by force if need be."""
    port = port or free_port()
    variables = {f"SHOPCAM_{name.upper()}": str(value) for name, value in settings.items()}
    output = logs / "serve.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "bento", "serve", "--port", str(port), "--logs", str(logs), *flags],
            env={**os.environ, **variables},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Serve(f"http://127.0.0.1:{port}", process, output)
    finally:
        process.terminate()
        try:
            process.wait(25)
        except subprocess.TimeoutExpired:
            process.kill()  # all it started ends with it
            process.wait()


def wait_until_ready(service: Serve) -> None:
    def ready() -> bool:
        assert service.process.poll() is None, service.output.read_text()
        return service.status() == 200

    wait_until(ready, deadline_s=240)


def write_catalog(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def grid_picture(color: str, rng: np.random.Generator, *, side_px: int = SIDE_PX) -> Image.Image:
    """A 4 x 4 grid of random cells drawn halfway to `color`."""
    cells = 0.5 * rng.integers(0, 256, (4, 4, 3)) + 0.5 * 255 * np.array(COLORS[color])
    return Image.fromarray(cells.astype(np.uint8)).resize((side_px, side_px), Image.Resampling.NEAREST)


def jpeg(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=92, **options)
    return buffer.getvalue()


def png(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def post(client: httpx.Client, photo: bytes | None = None, **fields: Any) -> httpx.Response:
    """POST /search as a browser does."""
    form: list[tuple[str, Any]] = [(name, (None, str(value))) for name, value in fields.items()]
    if photo is not None:
        form.append(("image", ("photo.jpg", photo, "image/jpeg")))
    return client.post("/search", files=form)


def search(client: httpx.Client, photo: bytes | None = None, **fields: Any) -> dict[str, Any]:
    """The answer of a search that must succeed."""
    answer = post(client, photo, **fields)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def refused(answer: httpx.Response, status: int, code: str) -> str:
    """The sentence of an answer that must be refused in the contract's form."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json"), answer.text
    body = json.loads(answer.content)
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message"}
    assert body["error"]["code"] == code
    sentence = body["error"]["message"]
    assert sentence
    assert "Traceback" not in sentence
    assert "\n" not in sentence
    return str(sentence)


def wait_until(condition: Callable[[], bool], *, deadline_s: float = 20.0) -> None:
    """Poll until `condition` holds; fails at the deadline."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"not within {deadline_s} s"
        time.sleep(0.05)
