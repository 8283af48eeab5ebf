"""The report of a build, and the near-duplicates in it, by pictures that are the same on purpose."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from index_builder import near_duplicates as module
from index_builder.build import Built
from index_builder.gallery import Gallery
from index_builder.near_duplicates import near_duplicates
from index_builder.report import write_report
from index_builder.store import LocalStore
from tests.index_builder.conftest import CountingNetworks, make_catalog
from tests.index_builder.test_resume import build

ROOT = Path(__file__).parents[2]


@pytest.fixture
def built(networks, tmp_path: Path) -> tuple[Built, Path]:
    """60 products: 3, 14 and 15 show one photo, 20 and 21 another; 30 shows its own twice."""
    catalog = make_catalog(tmp_path / "shop", 60)
    rows = [json.loads(line) for line in catalog.read_text().splitlines()]
    for copy, source in ((14, 3), (15, 3), (21, 20)):
        shutil.copyfile(catalog.parent / f"{source}.png", catalog.parent / f"{copy}.png")
    shutil.copyfile(catalog.parent / "30.png", catalog.parent / "again.png")
    rows[30]["images"] = ["again.png"]
    for number, row in enumerate(rows):
        row["category_path"] = f"A|B > <i>{number % 7}</i>"
    catalog.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    made = build(catalog, CountingNetworks(networks), tmp_path / "s")
    return made, LocalStore(tmp_path / "s").gallery("v")


def products_of(gallery: Gallery, groups: list[list[int]]) -> set[frozenset[str]]:
    return {frozenset(gallery.product(row)["product_id"] for row in group) for group in groups}


TWINS = {frozenset({"p00003", "p00014", "p00015"}), frozenset({"p00020", "p00021"})}


@pytest.mark.parametrize("by_index", [False, True])
def test_near_duplicates_are_the_copies(built, monkeypatch, by_index):
    """Equal pictures have a cosine of 1; the tiny network sees some others nearly so."""
    if by_index:
        monkeypatch.setattr(module, "ALL_ROWS", 1)
        monkeypatch.setattr(module, "SAMPLE_ROWS", 61)
    gallery = Gallery.open(built[1])
    found = near_duplicates(gallery, threshold=0.99999)
    assert products_of(gallery, found.groups) == TWINS
    assert [len(group) for group in found.groups] == [3, 2]
    assert found.looked_at == 61


def test_the_report_says_what_was_built(built, tmp_path):
    path = write_report(tmp_path / "report", built[1], built[0])
    text = path.read_text()
    assert "# Gallery v" in text
    assert "| embedded now | 61 |" in text
    assert "there is nothing to tune" in text
    assert "| A\\|B > &lt;i>0&lt;/i> | 9 |" in text
    assert "p00003 (Thing 3), p00014 (Thing 14)" in text
    assert "![categories](categories.png)" in text
    with Image.open(tmp_path / "report" / "categories.png") as plot:
        assert plot.width > 600
    assert {file.name for file in path.parent.iterdir()} == {"report.md", "categories.png"}


def test_a_tuned_index_has_its_points_drawn(networks, tmp_path):
    catalog = make_catalog(tmp_path / "shop", 60)
    made = build(catalog, CountingNetworks(networks), tmp_path / "s")
    point = {"candidates": 64, "recall": [{"weight": 0, "recall_at_10": 0.9}], "ms_per_query": 0.5}
    points = [
        {**point, "search_parameters": {"nprobe": 1}},
        {**point, "search_parameters": {"nprobe": 2}, "ms_per_query": 0.7},
    ]
    recipe = made.manifest.recipe.model_validate(
        {"factory": "IVF4,Flat", "search_parameters": {"nprobe": 2}, "target_recall": 0.95, "points": points}
    )
    made = replace(made, manifest=made.manifest.model_copy(update={"recipe": recipe}))
    text = write_report(tmp_path / "report", LocalStore(tmp_path / "s").gallery("v"), made).read_text()
    assert "| nprobe 2 | 64 | 0.900 | 0.70 |" in text
    assert (tmp_path / "report" / "recall.png").stat().st_size > 5_000


def test_without_matplotlib_the_report_says_so(tmp_path):
    code = (
        "import sys; sys.modules['matplotlib'] = None; sys.modules['matplotlib.figure'] = None\n"
        "from pathlib import Path\n"
        "from index_builder.report import _plotted\n"
        "from index_builder.report_plots import plot_categories\n"
        "print(_plotted(Path('x.png'), lambda path: plot_categories(path, {'a': 1}, rest=0)))"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said == "(no plots: matplotlib is not installed; `make dev-env` installs it)\n"
