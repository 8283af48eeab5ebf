"""Arms on arrays against brute force, and the same answers as a gallery that `index_builder` builds."""

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.quality.arms import ARMS, BEST, Arm
from benchmarks.quality.choose import choose, probe_scenes
from benchmarks.quality.folds import shifted_folds
from benchmarks.quality.live import evaluate_live
from benchmarks.quality.outputs import Outputs, View, load_view, outputs_of
from benchmarks.quality.search import Choice, Scene, figures, query_text, relevance, search, searcher, vectors_of
from benchmarks.quality.sequential import Merge
from benchmarks.quality.shop import evaluate_arms
from catalog.errors import MalformedError, NotFoundError
from catalog.rows import Product
from export.onnx_runtime import OnnxRuntimeNetworks
from index_builder.build import build_gallery
from index_builder.manifest import LabelMode, TextVector
from index_builder.store import open_store
from index_builder.views import views_of
from tests.tiny_repository import COLORS

PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.1, 0.4, 0.5]], np.float32)
TABLE = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)


@pytest.fixture(scope="module")
def scene(color_shop, tmp_path_factory) -> Scene:
    cache = tmp_path_factory.mktemp("outputs")
    sides = [outputs_of(color_shop.repository, color_shop.catalog, [split], cache=cache) for split in ("train", "val")]
    return Scene(*sides, color_shop.words)


@pytest.fixture
def served_folder(color_shop) -> Iterator[str]:
    """The shop's pictures over HTTP; its address."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(color_shop.catalog.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_hard_soft_and_abstaining_text_by_hand():
    assert np.array_equal(query_text(PROBABILITIES, TABLE, mode=LabelMode.HARD), TABLE[[0, 2]])
    soft = [[0.7 + 0.1 * 0.6, 0.2 + 0.1 * 0.8], [0.1 + 0.5 * 0.6, 0.4 + 0.5 * 0.8]]
    assert query_text(PROBABILITIES, TABLE, mode=LabelMode.SOFT) == pytest.approx(np.array(soft))
    unsure = query_text(PROBABILITIES, TABLE, mode=LabelMode.SOFT, confidence=0.6)
    assert unsure == pytest.approx(np.array([soft[0], [0, 0]]))


def two_photos() -> Outputs:
    rows = tuple(Product(product_id=str(number), image="x", label="a") for number in range(2))
    return Outputs(rows, ("a", "b", "c"), np.eye(2, dtype=np.float32), PROBABILITIES, np.eye(2, dtype=np.float32))


def test_temperature_is_softmax_of_scaled_logits():
    logits = np.log(PROBABILITIES.astype(np.float64)) + 3.0
    want = np.exp(logits / 2) / np.exp(logits / 2).sum(axis=1, keepdims=True)
    rows = tuple(Product(product_id=str(number), image="x") for number in range(2))
    empty = np.zeros((2, 1), np.float32)
    got = Outputs(rows, ("a", "b", "c"), empty, PROBABILITIES, empty).at_temperature(2.0)
    assert got.probabilities == pytest.approx(want, abs=1e-6)


def test_outputs_are_those_of_the_networks_and_come_from_disk_the_second_time(color_shop, tmp_path, monkeypatch):
    first = outputs_of(color_shop.repository, color_shop.catalog, ["val"], cache=tmp_path)
    folder = color_shop.catalog.parent
    pixels = np.stack([load_view(row, folder, size_px=32, view=View.PLAIN) for row in first.rows])
    want = color_shop.networks.outputs(pixels)
    assert first.embedding == pytest.approx(want.embedding, abs=1e-5)
    assert first.probabilities == pytest.approx(want.probabilities, abs=1e-5)
    assert first.pooled == pytest.approx(want.pooled, abs=1e-5)
    monkeypatch.setattr(OnnxRuntimeNetworks, "infer", None)
    again = outputs_of(color_shop.repository, color_shop.catalog, ["val"], cache=tmp_path)
    assert np.array_equal(first.embedding, again.embedding)


def test_views_mirror_and_crop(color_shop):
    row, folder = Product(product_id="red-0", image="red-0.png"), color_shop.catalog.parent
    plain = load_view(row, folder, size_px=32, view=View.PLAIN)
    assert np.array_equal(load_view(row, folder, size_px=32, view=View.MIRRORED), plain[:, ::-1])
    assert np.array_equal(load_view(row, folder, size_px=32, view=View.CENTER), views_of(plain, 3)[2])


def test_a_picture_by_url_is_seen_as_the_file_is(color_shop, served_folder, tmp_path):
    catalog = tmp_path / "urls.csv"
    catalog.write_text(f"image,label\n{served_folder}/red-0.png,red\n{served_folder}/blue-1.png,blue\n")
    got = outputs_of(color_shop.repository, catalog, None, cache=tmp_path)
    local = tmp_path / "files.csv"
    local.write_text(
        "image,label\n" + "".join(f"{color_shop.catalog.parent}/{name}.png,red\n" for name in ("red-0", "blue-1"))
    )
    assert np.array_equal(got.embedding, outputs_of(color_shop.repository, local, None, cache=tmp_path).embedding)


@pytest.mark.parametrize(
    ("content", "reason"), [(b"no picture", "cannot be used: "), (None, "does not exist or is not a file")]
)
def test_a_picture_that_cannot_be_used_is_named(color_shop, tmp_path, content: bytes | None, reason: str):
    if content is not None:
        (tmp_path / "broken.jpg").write_bytes(content)
    catalog = tmp_path / "catalog.csv"
    catalog.write_text("image,label\nbroken.jpg,red\n")
    with pytest.raises(MalformedError, match=rf"^image 'broken\.jpg' .*{reason}"):
        outputs_of(color_shop.repository, catalog, None, cache=tmp_path)


def test_a_picture_replaced_by_one_of_the_same_size_is_seen_anew(color_shop, tmp_path):
    catalog, photo = tmp_path / "catalog.csv", tmp_path / "photo.bmp"
    catalog.write_text("image,label\nphoto.bmp,red\n")
    embeddings = []
    for place, color in enumerate(("red", "blue")):
        Image.new("RGB", (32, 32), color).save(photo)
        os.utime(photo, ns=(place * 10**9, place * 10**9))
        embeddings.append(outputs_of(color_shop.repository, catalog, None, cache=tmp_path).embedding)
    assert not np.allclose(*embeddings)


def test_query_expansion_needs_one_search():
    scene = Scene(*(two_photos() for _ in range(2)))
    with pytest.raises(ValueError, match="arm sequential-rrf merges two searches, which are not expanded"):
        searcher(ARMS["sequential-rrf"], vectors_of(ARMS["ours1"], scene, Choice()), Choice(), expand=1)


@pytest.mark.parametrize("name", ["frozen", "ours1", "ours1-classifier", "ours2", "soft"])
def test_one_shot_arms_are_the_weighted_sum_of_both_cosines(scene: Scene, name: str):
    arm, choice = ARMS[name], Choice(weight=2.0, confidence=0.3)
    parts = vectors_of(arm, scene, choice)
    weight = 2.0 if arm.with_text else 0.0
    score = parts.query_image.astype(np.float64) @ parts.image.T + weight * (parts.query_text @ parts.text.T)
    got = search(arm, scene, choice, top_k=6).rows
    found = np.take_along_axis(score, got, axis=1)
    assert found == pytest.approx(-np.sort(-score, axis=1)[:, :6], abs=1e-5)


def test_gallery_labels_of_the_classifier_are_what_it_says(scene: Scene):
    arm = ARMS["ours1-classifier"]
    said = [scene.gallery.labels.index(label) for label in scene.gallery.said]
    assert vectors_of(arm, scene, Choice()).text.argmax(axis=1).tolist() == said


def test_figures_by_hand(scene: Scene):
    rows = np.zeros((len(scene.queries), 10), np.int64)
    ranked = replace(
        search(ARMS["frozen"], scene, Choice()), rows=rows
    )  # every hit is the first gallery row, a red one
    reds = sum(label == "red" for label in scene.queries.truth)
    got = figures(ranked, scene)
    assert got.top5 == pytest.approx(5 * reds / len(rows))
    assert got.recall_1 == got.recall_5 == pytest.approx(reds / len(rows))
    assert got.second_level == got.top5  # "Tile > red" and so on


def test_an_empty_label_is_never_relevant():
    assert relevance(np.array([[0, 1]]), gallery=["", "a"], queries=[""]).tolist() == [[False, False]]


def test_arms_that_contradict_themselves_are_refused():
    with pytest.raises(ValueError, match="text vectors are none, label mode is hard"):
        Arm("odd", "frozen", label_mode=LabelMode.HARD)
    with pytest.raises(ValueError, match="needs text"):
        Arm("odd", "frozen", merge=Merge.IMAGE_FIRST)


def test_a_live_gallery_scores_as_the_arms_do(color_shop, scene: Scene, tmp_path):
    store = open_store(tmp_path / "store")
    networks = OnnxRuntimeNetworks(color_shop.repository, threads=1)
    manifest = build_gallery(
        color_shop.catalog, networks, color_shop.words, store=store, splits=["train"], default_weight=2.0
    )
    with pytest.raises(NotFoundError, match="no gallery is live"):
        evaluate_live(store.path, color_shop.repository, color_shop.catalog, splits=["val"])
    store.swap(manifest.version, spaces=networks.info.spaces)
    networks.close()
    live = evaluate_live(store.path, color_shop.repository, color_shop.catalog, splits=["val"])
    assert [row.name for row in live] == ["image only", "hard label (weight 2)", "soft label (weight 2)"]
    for row, arm in zip(live, ("frozen", "ours2", BEST), strict=True):
        want = figures(search(replace(ARMS[arm], abstain=False), scene, Choice(weight=2.0)), scene)
        assert row.top5 == pytest.approx(want.top5)
        assert row.recall[5] == pytest.approx(want.recall_5)
        assert row.map_10 == pytest.approx(want.map_10)


def test_every_arm_runs_on_any_catalog_and_query_file(color_shop, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = {"splits": ["train"], "query_splits": ["val"]}
    catalog = color_shop.catalog
    rows = evaluate_arms(catalog, catalog, color_shop.repository, color_shop.words.folder, **asked)
    assert set(rows) == set(ARMS) - {"frozen", "metric", "soft-two-networks"}
    without = evaluate_arms(catalog, catalog, color_shop.repository, None, **asked)
    assert {ARMS[name].text_vector for name in without} == {TextVector.NONE, TextVector.ONEHOT}
    # A solid color is told without mistake, so its label brings all five of its kind to the top.
    assert without["ours1"].top5 == 5.0
    other = tmp_path / "other.csv"
    other.write_text(f"image,label\n{catalog.parent / 'red-0.png'},plaid\n")
    with pytest.raises(MalformedError, match=r"no label of other\.csv stands in catalog\.csv"):
        evaluate_arms(catalog, other, color_shop.repository, None)


def many_tiles(folder: Path, *, per_label: int) -> Path:
    """Write a catalog of so many noisy tiles of each color as `train`, and two of each as `val`."""
    rng = np.random.default_rng(1)
    lines = ["product_id,image,title,category_path,label,split"]
    for label, color in COLORS.items():
        for number in range(per_label + 2):
            pixels = (255 * (0.8 * np.array(color) + 0.2 * rng.random((32, 32, 3)))).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{label}-{number}.png")
            split = "train" if number < per_label else "val"
            lines.append(f"{label}-{number},{label}-{number}.png,A {label} tile,Tile > {label},{label},{split}")
    (folder / "catalog.csv").write_text("\n".join(lines) + "\n")
    return folder / "catalog.csv"


def test_arms_of_a_shop_are_chosen_by_held_out_looks_of_its_catalog(color_shop, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    catalog = many_tiles(tmp_path, per_label=10)
    asked = {"splits": ["train"], "query_splits": ["val"], "choose_by_folds": True}
    rows = evaluate_arms(catalog, catalog, color_shop.repository, color_shop.words.folder, **asked)
    assert set(rows) == set(ARMS) - {"frozen", "metric", "soft-two-networks"}
    gallery = outputs_of(color_shop.repository, catalog, ["train"])
    queries = outputs_of(color_shop.repository, catalog, ["val"])
    scenes = probe_scenes(gallery, shifted_folds(gallery.embedding, gallery.truth), color_shop.words)
    told = capsys.readouterr().err
    for name in ("ours1", "soft"):
        # The probe's temperature is not that of the network, so weight and threshold are chosen without one.
        choice = choose(ARMS[name], scenes, temperature=1.0).choice
        scene = Scene(gallery, queries, color_shop.words)
        assert rows[name].counts.tolist() == figures(search(ARMS[name], scene, choice), scene).counts.tolist()
        assert f"{name}: weight {choice.weight:g}" in told


def test_too_few_rows_or_unknown_labels_are_not_chosen_from(color_shop, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    catalog = color_shop.catalog
    with pytest.raises(MalformedError, match=r"label '\w+' has 5 rows, at least 10 are needed to choose by folds"):
        evaluate_arms(catalog, catalog, color_shop.repository, None, splits=["train"], choose_by_folds=True)
    other = tmp_path / "other.csv"
    image = catalog.parent / "red-0.png"
    other.write_text(
        "product_id,image,label\n" + "".join(f"{n},{image},{'plaid' if n else 'red'}\n" for n in range(20))
    )
    with pytest.raises(MalformedError, match="label 'plaid' of the catalog is none of the network's"):
        evaluate_arms(other, catalog, color_shop.repository, None, choose_by_folds=True)
