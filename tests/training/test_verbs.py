"""The verbs on a tiny catalog of three colors: they learn, repeat, refuse and leave nothing broken."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from catalog.errors import MalformedError, NotFoundError, OutOfRangeError
from training.__main__ import main
from training.answers import outputs, recall
from training.batches import cluster_batches
from training.data import load_pictures
from training.networks import Kind
from training.resume import training_folder
from training.runs import read_run

TINY = ("--epochs", "2", "--batch", "12", "--threads", "1", "--split", "train")


@pytest.fixture(scope="module")
def classifier_run(color_catalog, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "classifier"
    arguments = ("--catalog", str(color_catalog), "--out", str(out), "--val-split", "val", "--lr", "0.01")
    assert main(["classifier", *arguments, *TINY, "--epochs", "4"]) == 0
    return out


def test_a_classifier_learns_three_colors(classifier_run, color_catalog):
    run = read_run(classifier_run, kind=Kind.CLASSIFIER)
    assert run.record.labels == ("blue", "green", "red")
    held_out = load_pictures([color_catalog], splits=("val",), size_px=run.record.size_px)
    guessed = outputs(run.network, held_out.images)[0].argmax(dim=1)
    right = np.mean([run.record.labels[int(row)] == label for row, label in zip(guessed, held_out.labels, strict=True)])
    assert right > 0.9
    assert run.record.metrics[-1]["accuracy"] == pytest.approx(right)


def test_equal_seeds_give_equal_checkpoints(classifier_run, color_catalog, tmp_path):
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        arguments = ("--catalog", str(color_catalog), "--out", str(tmp_path / name), "--init", str(classifier_run))
        main(["embedder", *arguments, *TINY, "--dim", "8", "--seed", seed])
    first, again, other = ((tmp_path / name / "checkpoint.pt").read_bytes() for name in "abc")
    assert first == again
    assert first != other
    metrics = [json.loads((tmp_path / name / "run.json").read_text())["metrics"] for name in "ab"]
    assert metrics[0] == metrics[1]


def test_no_epochs_keep_the_backbone_of_the_other_run(classifier_run, tmp_path):
    main(["embedder", "--init", str(classifier_run), "--head", "none", "--epochs", "0", "--out", str(tmp_path / "e")])
    start, run = read_run(classifier_run), read_run(tmp_path / "e", kind=Kind.EMBEDDER)
    assert (run.record.dim, run.record.head_dim) == (256, 0)
    expected = start.network.backbone.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in run.network.backbone.state_dict().items())


def test_a_frozen_backbone_gets_the_best_linear_layer(classifier_run, color_catalog, tmp_path):
    arguments = ("--catalog", str(color_catalog), "--out", str(tmp_path / "probe"), "--init", str(classifier_run))
    main(["classifier", *arguments, *TINY, "--freeze", "backbone", "--views", "1", "--val-split", "val"])
    run = read_run(tmp_path / "probe")
    assert run.record.unit_head
    assert run.record.metrics[-1]["accuracy"] > 0.9
    expected = read_run(classifier_run).network.backbone.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in run.network.backbone.state_dict().items())


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        (["--backbone", "small", "--weights", "x.onnx"], MalformedError, "--backbone and --weights exclude each other"),
        (["--backbone", "lenet"], NotFoundError, "no backbone 'lenet'; known are small"),
        (["--weights", "none.onnx"], NotFoundError, "no weights file none.onnx"),
        (["--init", "nowhere"], NotFoundError, "no run at nowhere"),
        (["--epochs", "-1"], OutOfRangeError, "epochs -1"),
        (["--device", "abacus"], OutOfRangeError, "known are cpu and cuda"),
        (["--sample-views", "2"], MalformedError, "is not the sample shop"),
        (["--split", "holidays"], MalformedError, "has no rows in split holidays"),
        (["--label-smoothing", "5"], OutOfRangeError, "--label-smoothing is 5.0, expected 0 to below 1"),
        (["--freeze", "backbone", "--penalty", "nan"], OutOfRangeError, "--penalty is nan, expected a number of at"),
        (["--size-px", "0"], OutOfRangeError, "--size-px is 0, small needs at least 16"),
        (["--size-px", "-5"], OutOfRangeError, "--size-px is -5, small needs at least 16"),
        (["--seed", "-1"], OutOfRangeError, "--seed is -1, at least 0 is needed"),
        (
            ["--seed", "99999999999999999999"],
            OutOfRangeError,
            "--seed is 9{20}, at most 9223372036854775807",
        ),
        (["--epochs", "0"], OutOfRangeError, "--epochs is 0, labels need at least 1 epoch"),
        (["--val-split", "nope"], MalformedError, "has no rows in split nope$"),
        (["--cached-views", "2"], OutOfRangeError, "--cached-views needs --freeze or --steps two"),
        (["--freeze", "stage1", "--cached-views", "-2"], OutOfRangeError, "cached views -2"),
        (["--steps", "two", "--epochs", "1"], OutOfRangeError, "--first-epochs 0 of 1 epochs; both steps need"),
        (["--first-epochs", "1"], MalformedError, "--first-epochs and --second-lr need --steps two"),
        (["--steps", "two", "--second-lr", "nan"], OutOfRangeError, "--second-lr is nan"),
        (["--levels", "two"], MalformedError, "48 of 48 pictures have no second level"),
        (["--levels", "two", "--coarse-weight", "0"], OutOfRangeError, "--levels two needs one above 0"),
        (["--calibrate-share", "1"], OutOfRangeError, "--calibrate-share is 1.0, expected 0 to below 1"),
        (["--calibrate-share", "0.01"], OutOfRangeError, "--calibrate-share 0.01 holds out none of 48 pictures"),
        (["--calibrate-split", "val"], MalformedError, "--calibrate-split val is trained on too"),
        (
            ["--freeze", "stage1", "--cached-views", "1", "--half-size-epochs", "1"],
            OutOfRangeError,
            "--cached-views excludes --half-size-epochs",
        ),
    ],
)
def test_mistakes_are_sentences_and_leave_nothing(arguments, error, sentence, color_catalog, tmp_path):
    with pytest.raises(error, match=sentence) as caught:
        main(["classifier", "--catalog", str(color_catalog), "--out", str(tmp_path / "run"), *arguments])
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["classifier", "embedder", "fused"])
def test_a_split_without_rows_is_known_before_pictures_are_decoded(verb, tmp_path):
    catalog = tmp_path / "catalog.csv"
    catalog.write_text("product_id,image,label,split\n1,gone.png,a,train\n2,gone.png,b,train\n")
    with pytest.raises(MalformedError, match=r"has no rows in split nope$"):
        main([verb, "--catalog", str(catalog), "--out", str(tmp_path / "run"), "--val-split", "nope"])


@pytest.mark.parametrize("verb", ["classifier", "fused"])
def test_calibration_pictures_are_checked_before_training(verb, color_catalog, tmp_path):
    rows = color_catalog.read_text().splitlines()
    catalog = color_catalog.with_name("pink.csv")
    catalog.write_text("\n".join(row.replace(",red,", ",pink,") if row.endswith("val") else row for row in rows))
    out = tmp_path / "run"
    with pytest.raises(MalformedError, match="label 'pink' does not occur in the training split"):
        main([verb, "--catalog", str(catalog), "--out", str(out), *TINY, "--calibrate-split", "val"])
    assert not training_folder(out).exists()  # an epoch would have left its state


def test_a_folder_that_is_no_run_is_not_replaced(color_catalog, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(MalformedError, match="exists and is not a run folder"):
        main(["classifier", "--catalog", str(color_catalog), "--out", str(tmp_path)])
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        (["--metric-weight", "nan"], OutOfRangeError, "--metric-weight is nan"),
        (["--dim", "-1"], OutOfRangeError, "--dim is -1, at least 0 is needed"),
        (["--dim", "65537"], OutOfRangeError, "--dim is 65537, at most 65,536 is allowed"),
        (["--epochs", "0"], OutOfRangeError, "--epochs is 0, labels need at least 1 epoch"),
        (["--mixing", "mixup"], OutOfRangeError, "--mixing mixup needs --metric-weight 0"),
        (
            ["--freeze", "backbone", "--metric-weight", "0"],
            OutOfRangeError,
            "the embedding nothing; give --dim 0",
        ),
        (["--loss", "hinge", "--mining", "semi-hard"], OutOfRangeError, "the loss hinge knows all and hard"),
        (["--loss", "supcon", "--mining", "hard"], OutOfRangeError, "the loss supcon takes none"),
        (["--margin", "-1"], OutOfRangeError, "--margin is -1.0, expected a number above 0"),
        (["--views", "1"], OutOfRangeError, "views 1, labels a batch 0: needed are at least 2 and 0"),
        (["--batch", "6"], OutOfRangeError, "--batch is 6, two clusters of 4 views need 8"),
    ],
)
def test_mistakes_of_a_fused_network_are_sentences(arguments, error, sentence, color_catalog, tmp_path):
    with pytest.raises(error, match=sentence):
        main(["fused", "--catalog", str(color_catalog), "--out", str(tmp_path / "run"), *arguments])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["classifier", "embedder", "fused"])
def test_a_place_that_cannot_be_made_is_refused_before_training(verb, color_catalog, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(MalformedError, match=r"cannot be made, since .*file is not a folder that may be written to"):
        main([verb, "--catalog", str(color_catalog), "--out", str(tmp_path / "file" / "run")])


def test_an_interrupted_training_leaves_no_run(classifier_run, color_catalog, tmp_path, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", interrupt)
    with pytest.raises(KeyboardInterrupt):
        main(["embedder", "--init", str(classifier_run), "--epochs", "0", "--out", str(tmp_path / "run")])
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_run_is_a_sentence(classifier_run, tmp_path):
    for name, content in (("run.json", "{}"), ("run.json", "not json")):
        (tmp_path / name).write_text(content)
        with pytest.raises(MalformedError, match="is damaged"):
            read_run(tmp_path)
    (tmp_path / "run.json").write_bytes((classifier_run / "run.json").read_bytes())
    (tmp_path / "checkpoint.pt").write_bytes((classifier_run / "checkpoint.pt").read_bytes()[:5000])
    with pytest.raises(MalformedError, match="does not hold the network"):
        read_run(tmp_path)
    with pytest.raises(MalformedError, match="holds a run of kind 'classifier', expected 'embedder'"):
        read_run(classifier_run, kind=Kind.EMBEDDER)


def test_recall_by_hand():
    gallery = np.eye(7, dtype=np.float32)
    owners = list("abcdefg")
    queries = np.array([[9, 8, 7, 6, 5, 4, 3], [3, 4, 5, 6, 7, 8, 9]], np.float32)
    # The nearest of the first are a b c d e; of the second g f e d c.
    assert recall(gallery, owners, queries, ["a", "c"]) == {"recall@1": 0.5, "recall@5": 1.0}
    assert recall(gallery, owners, queries, ["f", "b"]) == {"recall@1": 0.0, "recall@5": 0.0}


def test_batches_hold_views_of_alike_clusters():
    clusters = np.repeat(np.arange(40), 3)
    labels = tuple(f"label {cluster % 5}" for cluster in clusters)
    steps = cluster_batches(clusters, labels, batch=24, views=3, labels_a_batch=2, seed=0)(0)
    assert len(steps) == 120 // 24
    for rows in steps:
        found, counts = np.unique(clusters[rows], return_counts=True)
        assert counts.tolist() == [3] * 8
        assert len({labels[row] for row in rows}) == 2
        assert len(found) == 8
        assert len(set(rows.tolist())) == 24
