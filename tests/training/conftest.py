"""A little catalog of three color classes on disk, drawn for the tests of training and export."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

BASE_COLORS = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (50, 60, 200)}


def draw_color_shop(folder: Path, *, per_label: int = 16, size_px: int = 48) -> Path:
    """Write `folder/catalog.csv` and its pictures: noise around one of three colors; four pictures make a cluster."""
    rng = np.random.default_rng(5)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for label, color in BASE_COLORS.items():
        for number in range(per_label):
            pixels = rng.normal(color, 25, (size_px, size_px, 3)).clip(0, 255).astype(np.uint8)
            name = f"{label}-{number}.png"
            Image.fromarray(pixels).save(folder / name)
            split = "val" if number % 4 == 3 else "train"
            rows.append((f"{label}-{number}", name, label, f"{label}-{number // 8}", split))
    catalog = folder / "catalog.csv"
    with catalog.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("product_id", "image", "label", "cluster", "split"))
        writer.writerows(rows)
    return catalog


@pytest.fixture(scope="session")
def color_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_color_shop(tmp_path_factory.mktemp("colors"))
