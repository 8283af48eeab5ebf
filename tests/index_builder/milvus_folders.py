"""Drawn gallery folders whose FAISS Flat gallery is the oracle of the same gallery on Milvus."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image

from catalog.rows import Product
from export.words import LabelVectors
from index_builder.faiss_index import make_index, write_index
from index_builder.fusion import fuse_gallery, unit
from index_builder.gallery import INDEX_FILE, VECTORS_FILE
from index_builder.gallery_texts import LABELS_FILE
from index_builder.integrity import record_files, write_manifest
from index_builder.manifest import ImageVector, IndexRecipe, Manifest, RecallRow, TextVector
from index_builder.product_table import TableWriter

WEIGHT = 2.0


def draw_folder(
    folder: Path,
    *,
    count: int,
    image_dim: int = 8,
    text_dim: int = 5,
    rows_each: int = 1,
    textless: int = 7,
    seed: int = 0,
    version: str = "drawn",
) -> Path:
    """Write a whole gallery of `count` rows, `rows_each` rows a product; each `textless`-th row has no text."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    images = unit(rng.normal(size=(count, image_dim))).astype(np.float32)
    texts = np.eye(max(text_dim, 1), text_dim, dtype=np.float32)[rng.integers(0, max(text_dim, 1), count)]
    texts[::textless] = 0
    _write_table(folder, products=np.arange(count) // rows_each, has_text=texts.any(axis=1))
    parts = np.hstack([images, texts]).astype(np.float32)
    np.save(folder / VECTORS_FILE, parts)
    labels = tuple(f"label {k}" for k in range(text_dim))
    LabelVectors(labels, np.eye(text_dim, dtype=np.float32)).save(folder / LABELS_FILE)
    recipe, weight = IndexRecipe(factory="Flat"), WEIGHT if text_dim else 0.0
    write_index(make_index(fuse_gallery(images, texts, default_weight=weight), recipe), folder / INDEX_FILE)
    manifest = Manifest(
        version=version,
        created_at=datetime.now(UTC),
        count=count,
        products=-(-count // rows_each),
        image_vector=ImageVector.EMBEDDING,
        text_vector=TextVector.ONEHOT if text_dim else TextVector.NONE,
        image_dim=image_dim,
        text_dim=text_dim,
        default_weight=weight,
        labels=list(labels),
        recipe=recipe,
        recall=[RecallRow(weight=weight, recall_at_10=1.0)],
        spaces={"embedder": "drawn"},
        files=record_files(folder),
    )
    write_manifest(folder, manifest)
    return folder


def draw_queries(count: int, *, image_dim: int = 8, text_dim: int = 5, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return image vectors [B, D_I] and texts [B, D_T] as soft labels are, shorter than 1; the second has no text."""
    rng = np.random.default_rng(seed)
    texts = rng.dirichlet(np.ones(text_dim), size=count).astype(np.float32) if text_dim else np.zeros((count, 0))
    texts[1:2] = 0
    return rng.normal(size=(count, image_dim)).astype(np.float32), texts.astype(np.float32)


def _write_table(folder: Path, *, products: np.ndarray, has_text: np.ndarray) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), "teal").save(buffer, "JPEG")
    with TableWriter(folder) as table:
        for row, number in enumerate(products.tolist()):
            product = Product(
                product_id=f"p{number}",
                image=f"{row}.jpg",
                title=f'A "fine" thing {number % 4} \\ é',
                category_path=["Shop > Rings", "shop >  rings > Gold", "Home", ""][number % 4],
                price=None if number % 5 == 0 else number / 2,
                label=[None, "Ring", "Lamp"][number % 3],
                split=["a", None][number % 2],
                attributes={"material": ["wood", "Gold"] if number % 2 else "wood", "new": number % 3 == 0},
                extra={"size": str(number % 6), "widths": [number, number + 0.5], "title": "hidden"},
            )
            table.add(
                product, number=number, image=product.image, has_text=bool(has_text[row]), picture=buffer.getvalue()
            )
