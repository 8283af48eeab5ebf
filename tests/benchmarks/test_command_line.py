"""The verbs as a user types them: help, one sentence for a mistake, a table for a live gallery."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.quality.clusters import draw_pairs, unseen_labels
from catalog.reader import load_catalog
from export.onnx_runtime import OnnxRuntimeNetworks
from index_builder.build import build_gallery
from index_builder.store import open_store

ROOT = Path(__file__).resolve().parents[2]
GROCERY = ROOT.parent / "shared/data/grocery/catalog.csv"


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "160", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.quality", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("verb", ["all", "two-step", "grocery"])
def test_a_wrong_folder_is_one_sentence(verb: str, tmp_path):
    done = run(verb, "--shared", str(tmp_path / "nowhere"), folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("error:") == 1
    assert "say where the real photos and weights lie with --shared" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_says_how_long_the_long_verbs_take(tmp_path):
    assert "hours" in run("all", "--help", folder=tmp_path).stdout
    assert "minutes" in run("main", "--help", folder=tmp_path).stdout


def test_a_live_gallery_is_evaluated_from_the_command_line(color_shop, tmp_path):
    networks = OnnxRuntimeNetworks(color_shop.repository, threads=1)
    store = open_store(tmp_path / "store")
    manifest = build_gallery(color_shop.catalog, networks, color_shop.words, store=store, splits=["train"])
    store.swap(manifest.version, spaces=networks.info.spaces)
    networks.close()
    asked = ["--queries", str(color_shop.catalog), "--repository", str(color_shop.repository)]
    done = run("evaluate", "--store", str(store.path), *asked, "--split", "val", "--weight", "2", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    for shown in ("image only", "hard label (weight 2)", "soft label (weight 2)", "top-5 score", "recall@1", "mAP@10"):
        assert shown in done.stdout


@pytest.mark.shared
@pytest.mark.skipif(not GROCERY.is_file(), reason="the real photos are not at ../shared")
def test_the_protocol_of_unseen_clusters_fits_the_real_photos():
    labels = [str(row.label) for row in load_catalog(GROCERY, splits=["train", "val"]).products]
    wanted = unseen_labels(labels)
    assert len(wanted) == 40
    assert len(set(draw_pairs(labels, wanted, seed=0).tolist())) == 80
