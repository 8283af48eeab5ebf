"""The README's commands, run as they stand, in order, by a shell."""

import csv
import os
import re
import socket
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MADE = {"runs", "store", ".cache", "build"}
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall((ROOT / "README.md").read_text())


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository as a newcomer has it: nothing made yet but the environments, `shared` beside it.

    One for all blocks: a reader's second block finds what the first one made.
    """
    folder = tmp_path_factory.mktemp("newcomer") / "shopcam"
    folder.mkdir()
    for entry in ROOT.iterdir():
        if entry.name not in MADE:
            (folder / entry.name).symlink_to(entry)
    (folder.parent / "shared").symlink_to(ROOT.parent / "shared")
    return folder


def shell(block: str, checkout: Path, *, timeout_s: float) -> str:
    """Run a block as a newcomer would; `make test` is left out, since it is what runs this test."""
    lines = [line for line in block.splitlines() if not line.startswith("make test")]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(lines)],
        cwd=checkout,
        env={**os.environ, "DEMO_ONCE": "1", "SHOPCAM_PORT": port},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    printed = done.stdout + done.stderr
    assert done.returncode == 0, f"{block}\nexit code {done.returncode}\n{printed[-3000:]}"
    assert f"http://127.0.0.1:{port}" in printed  # the page's address
    return printed


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_make_demo_prints_the_hits_of_a_camera_photo_and_the_page(checkout: Path):
    (block,) = [block for block in BLOCKS if "make demo" in block]
    printed = shell(block, checkout, timeout_s=600)
    assert len(re.findall(r"\b[a-z-]+-\d{4}\b", printed)) >= 5  # product ids of the sample shop


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_make_demo_without_triton(checkout: Path):
    """As on a machine for which PyPI has no Triton; `IN_PROCESS=1` is what the Makefile says there."""
    (block,) = [block for block in BLOCKS if "make demo" in block]
    demo = next(line for line in block.splitlines() if line.startswith("make demo"))
    printed = shell(demo.replace("make demo", "make demo IN_PROCESS=1", 1), checkout, timeout_s=600)
    assert len(re.findall(r"\b[a-z-]+-\d{4}\b", printed)) >= 5
    assert "Triton" not in printed


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_keep_it_fresh(checkout: Path):
    (block,) = [block for block in BLOCKS if "rollback" in block]
    printed = shell(block, checkout, timeout_s=600)
    assert "gallery autumn is live in store" in printed
    assert re.search(r"gallery \d{8}-\d{6} is live again in store; before it: autumn", printed)
    assert re.search(r"2 products with 2 pictures added or changed, 1 deleted, 0 rows skipped", printed)
    assert re.search(r"1,200 reused|reused", printed)


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.timeout(900)
@pytest.mark.skipif(not (ROOT.parent / "shared").exists(), reason="the real photos and weights are not in ../shared")
def test_your_own_catalog_your_own_weights(checkout: Path):
    """With an eighth of the photos: the networks need seven minutes of CPU time for all of them."""
    (block,) = [block for block in BLOCKS if "googlenet-imagenet.onnx" in block]
    whole = "photos=../shared/data/grocery/catalog.csv"
    assert block.count(whole) == 1
    fewer = thinned(ROOT.parent / "shared/data/grocery/catalog.csv", checkout / "grocery.csv")
    printed = shell(block.replace(whole, f"photos={fewer}"), checkout, timeout_s=900)
    assert len(re.findall(r"\btrain-\d{4}\b", printed)) >= 5  # hits come from the gallery's split


def thinned(catalog: Path, out: Path) -> Path:
    """Every eighth row of each label, the first one always."""
    with catalog.open(newline="") as file:
        rows = list(csv.DictReader(file))
    seen: dict[tuple[str, str], int] = {}
    kept = []
    for row in rows:
        key = row["split"], row["label"]
        seen[key] = seen.get(key, -1) + 1
        if seen[key] % 8 == 0:
            kept.append({**row, "image": str(catalog.parent / row["image"])})
    with out.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(kept)
    return out


def test_every_picture_and_document_the_readme_links_to_exists():
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / "README.md").read_text())
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
