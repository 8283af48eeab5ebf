"""Catalogs to pictures, labels and clusters."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from catalog.errors import MalformedError
from training.calibration import hold_out
from training.data import (
    PictureSet,
    cluster_ids,
    clustered_by_label,
    concatenate,
    label_ids,
    load_pictures,
    subset,
)


def write_rows(path, header, rows):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def pictures(labels, clusters=None):
    clusters = clusters or [f"c{row}" for row in range(len(labels))]
    return PictureSet(np.zeros((len(labels), 4, 4, 3), np.uint8), tuple(labels), tuple(clusters))


def test_a_box_gives_the_whole_picture_and_its_part(tmp_path):
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, 40:] = (10, 200, 30)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    queries = write_rows(
        tmp_path / "queries.csv",
        ("image", "product_id", "label", "box", "split"),
        [("photo.png", "p1", "mug", "40,0,80,40", "train"), ("photo.png", "p2", "mug", "", "val")],
    )
    found = load_pictures([queries], splits=("train",), size_px=16)
    assert found.clusters == ("p1", "p1")
    assert found.labels == ("mug", "mug")
    np.testing.assert_array_equal(found.images[0][8, [2, 13]], [(0, 0, 0), (10, 200, 30)])
    np.testing.assert_array_equal(found.images[1], np.broadcast_to(np.uint8((10, 200, 30)), (16, 16, 3)))


def test_several_files_need_not_all_hold_a_split(tmp_path, color_catalog):
    found = load_pictures([color_catalog, color_catalog], splits=("val",), size_px=8)
    assert len(found) == 2 * 12
    with pytest.raises(MalformedError, match=r"has no rows in split test$"):
        load_pictures([color_catalog], splits=("test",), size_px=8)


def test_too_many_missing_pictures_are_a_sentence(tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    catalog = write_rows(tmp_path / "c.csv", ("product_id", "image"), [("1", "a.png"), ("2", "gone.png")])
    with pytest.raises(MalformedError, match=r"1 of 2 pictures cannot be read \(limit 1 %\); first: gone.png"):
        load_pictures([catalog], splits=None, size_px=8)


def test_labels_are_sorted_and_numbered():
    names, numbers = label_ids(pictures(["mug", "bag", "mug"]))
    assert names == ("bag", "mug")
    assert numbers.tolist() == [1, 0, 1]
    assert label_ids(pictures(["mug"]), labels=names)[1].tolist() == [1]


@pytest.mark.parametrize(
    ("labels", "known", "sentence"),
    [
        (["mug", None], None, "1 of 2 pictures have no label; a classifier needs the column 'label'"),
        (["mug", "mug"], None, "the only label is 'mug'; a classifier needs at least two"),
        (["cup"], ("bag", "mug"), "label 'cup' does not occur in the training split"),
    ],
)
def test_bad_labels_are_sentences(labels, known, sentence):
    with pytest.raises(MalformedError, match=sentence):
        label_ids(pictures(labels), labels=known)


def test_clusters_need_pairs():
    assert cluster_ids(pictures(["a"] * 3, ["y", "x", "y"])).tolist() == [1, 0, 1]
    with pytest.raises(MalformedError, match="3 clusters with at most 1 pictures each cannot be learned"):
        cluster_ids(pictures(["a"] * 3))
    assert cluster_ids(pictures(["a"] * 3), for_loss=False).tolist() == [0, 1, 2]


def test_all_pictures_of_a_product_are_held_out_together(tmp_path):
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    catalog = write_rows(
        tmp_path / "c.csv",
        ("product_id", "image", "images", "label", "box"),
        [
            ("p1", "a.png", '["a.png", "a.png"]', "mug", ""),
            ("p2", "a.png", "", "mug", "0,0,9,9"),
            ("p3", "a.png", '["a.png"]', "mug", "0,0,9,9"),
            ("p4", "a.png", "", "bag", ""),
        ],
    )
    found = load_pictures([catalog], splits=None, size_px=8)
    assert found.clusters == ("p1",) * 3 + ("p2",) * 2 + ("p3",) * 3 + ("p4",)
    # A quarter of 8 mugs is 2, in the middle of p3: its 3 go whole, also where the clusters are the labels.
    labeled = clustered_by_label(found)
    for one in (found, labeled, subset(labeled, np.arange(8)), clustered_by_label(concatenate([found, labeled]))):
        units = one.units or one.clusters
        assert units[:8] == found.clusters[:8]
        assert hold_out(one.labels[:8], units[:8], 0.25)[1].tolist() == [5, 6, 7]
