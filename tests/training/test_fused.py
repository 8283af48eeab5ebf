"""Fused networks and fine-tuning in steps, on the little catalog of three colors: heads, borders, caches, seeds."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from catalog.errors import MalformedError, OutOfRangeError
from training.__main__ import main
from training.answers import outputs
from training.backbones import named_backbone
from training.calibration import fit_temperature
from training.data import label_ids, load_pictures
from training.embedder import ClusterSettings
from training.frozen import Border
from training.fused import FusedSettings, joint_loss
from training.losses import LossName, MetricLoss, hinge_loss
from training.networks import Classifier, Embedder, Fused, Kind, head_sentence, powered, unit
from training.poolings import Pooling, stage_pools
from training.runs import read_run
from training.settings import LoopSettings
from training.stages import with_stages
from training.tuning import Tuning

TINY = ("--epochs", "2", "--batch", "12", "--threads", "1", "--split", "train", "--size-px", "32", "--augment", "light")


def run(verb: str, catalog: Path, out: Path, *arguments: str) -> Path:
    places = ("--catalog", str(catalog), "--out", str(out), "--cache", str(out.parent / "cache"))
    assert main([verb, *places, *TINY, *arguments]) == 0
    return out


@pytest.fixture(scope="module")
def fused_run(color_catalog, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "fused"
    arguments = ("--val-split", "val", "--gallery-split", "train", "--dim", "8", "--epochs", "6", "--lr", "0.01")
    return run("fused", color_catalog, out, *arguments, "--clusters", "label", "--calibrate-share", "0.5")


def test_a_fused_network_learns_both_and_is_read_back(fused_run, color_catalog, capsys):
    record = read_run(fused_run, kind=Kind.FUSED).record
    assert record.metrics[-1]["accuracy"] > 0.9
    assert record.metrics[-1]["recall@1"] > 0.9
    assert (record.pooling, record.embedding_dim, record.dim, record.stages) == (
        Pooling.SAM,
        8,
        256,
        ("0", "3", "7", "12"),
    )
    assert record.settings["pictures"] == 18  # of 36, the second of each label's two clusters is held out
    assert record.temperature != 1


def test_the_temperature_is_that_of_the_rows_held_out(fused_run, color_catalog):
    found = read_run(fused_run)
    pictures = load_pictures([color_catalog], splits=("train",), size_px=40)
    _, targets = label_ids(pictures)
    held = np.concatenate([np.flatnonzero(targets == label)[-6:] for label in range(3)])
    logits, _ = outputs(found.network, pictures.images[held])
    assert found.record.temperature == pytest.approx(fit_temperature(logits, torch.from_numpy(targets[held])), rel=1e-4)
    assert found.network.temperature == found.record.temperature


def test_answers_are_worked_out_from_stages_and_heads():
    torch.manual_seed(0)
    backbone = with_stages(named_backbone("small", size_px=32))
    network = Fused(backbone, labels=3, dim=5, pooling=Pooling.SAP, power=0.5, unit_head=True, temperature=2.5).eval()
    images = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        embedding, probabilities, pooled = network.answers(images)
        *maps, features = backbone.module(network.preprocess(images))
        vector = unit(powered(features, 0.5))
        torch.testing.assert_close(pooled, vector)
        torch.testing.assert_close(probabilities, functional.softmax(network.head(vector) / 2.5, dim=1))
        pooled_maps = [pool(stage) for pool, stage in zip(stage_pools(Pooling.SAP), maps, strict=True)]
        assert [one.shape[1] for one in pooled_maps] == [36 * count for count in (24, 48, 96, 256)]
        stages = [functional.normalize(one.sqrt(), dim=1) for one in pooled_maps]
        expected = functional.normalize(network.embedding_head(torch.cat(stages, dim=1)), dim=1)
        torch.testing.assert_close(embedding, expected, atol=1e-5, rtol=1e-4)
        logits, again = network(images)
        torch.testing.assert_close(again, embedding)
        torch.testing.assert_close(functional.softmax(logits / 2.5, dim=1), probabilities)


def test_without_pooling_it_embeds_as_an_embedder_does():
    torch.manual_seed(0)
    backbone = named_backbone("small", size_px=32)
    fused = Fused(backbone, labels=3, dim=5, pooling=None, power=0.5, unit_head=False).eval()
    embedder = Embedder(backbone, dim=5, power=0.5).eval()
    embedder.head.load_state_dict(fused.embedding_head.state_dict())
    images = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(fused.answers(images)[0], embedder(images))


@pytest.mark.parametrize("pooling", [None, Pooling.GA])
def test_dim_0_embeds_what_lies_below(pooling):
    network = Fused(
        named_backbone("small", size_px=32), labels=3, dim=0, pooling=pooling, power=1.0, unit_head=False
    ).eval()
    images = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        embedding, _, pooled = network.answers(images)
    assert network.dim == embedding.shape[1] == (256 if pooling is None else 24 + 48 + 96 + 256)
    if pooling is None:
        assert torch.equal(embedding, pooled)


def test_the_head_of_googlenet_has_the_published_size():
    backbone = named_backbone("googlenet", pretrained=False, size_px=64)
    network = Fused(backbone, labels=3, dim=128, pooling=Pooling.GA, power=1.0, unit_head=False)
    # (192 + 480 + 832 + 1024) x 128 weights and 128 biases.
    assert head_sentence(network) == "128-d head of 323,712 parameters"


def settings(**values) -> FusedSettings:
    return FusedSettings(loop=LoopSettings(epochs=1, batch=8, learning_rate=0.1), **values)


def test_the_joint_loss_is_the_sum_of_its_parts():
    generator = torch.Generator().manual_seed(0)
    logits, coarse = torch.randn(4, 3, generator=generator), torch.randn(4, 2, generator=generator)
    embedding = functional.normalize(torch.randn(4, 5, generator=generator), dim=1)
    wanted = torch.tensor([[0, 7, 1], [1, 7, 0], [2, 5, 0], [0, 5, 1]])
    both = settings(metric_weight=0.3)
    value = joint_loss((logits, embedding), wanted[:, :2], both)
    smoothed = functional.cross_entropy(logits, wanted[:, 0], label_smoothing=0.1)
    torch.testing.assert_close(value, smoothed + 0.3 * hinge_loss(embedding, wanted[:, 1]))
    two = settings(metric_weight=0.3, labels=type(both.labels)(coarse_weight=0.7))
    expected = value + 0.7 * functional.cross_entropy(coarse, wanted[:, 2], label_smoothing=0.1)
    torch.testing.assert_close(joint_loss((logits, embedding, coarse), wanted, two), expected)
    proxies = torch.randn(8, 5, generator=generator)
    metric = MetricLoss(LossName.PROXY)
    own = settings(clusters=ClusterSettings(loss=metric))
    expected = smoothed + metric(embedding, wanted[:, 1], proxies)
    torch.testing.assert_close(joint_loss(((logits, embedding), proxies), wanted[:, :2], own), expected)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--freeze", "stage2", "--cached-views", "2"),
        ("--freeze", "stage1"),
        ("--steps", "two", "--cached-views", "1"),
        ("--loss", "proxy", "--freeze", "backbone", "--cached-views", "2"),
        ("--pooling", "none", "--loss", "supcon", "--average", "ema"),
        ("--metric-weight", "0", "--mixing", "mixup"),
    ],
)
def test_equal_seeds_give_equal_checkpoints(arguments, color_catalog, tmp_path):
    for name in "ab":
        run("fused", color_catalog, tmp_path / name, "--dim", "4", "--seed", "3", *arguments)
    first, again = ((tmp_path / name / "checkpoint.pt").read_bytes() for name in "ab")
    assert first == again
    run("fused", color_catalog, tmp_path / "c", "--dim", "4", "--seed", "4", *arguments)
    assert (tmp_path / "c" / "checkpoint.pt").read_bytes() != first


def unchanged(before: Path, after: Path) -> set[str]:
    old, new = (torch.load(path / "checkpoint.pt", weights_only=True) for path in (before, after))
    return {name for name in old if name in new and torch.equal(old[name], new[name])}


@pytest.mark.parametrize("verb", ["classifier", "embedder", "fused"])
@pytest.mark.parametrize("cached", ["0", "2"])
def test_what_lies_below_the_border_stays_as_it_was(verb, cached, fused_run, color_catalog, tmp_path):
    extra = ("--dim", "4", "--loss", "supcon") if verb != "classifier" else ()
    arguments = ("--init", str(fused_run), "--freeze", "stage2", "--cached-views", cached, *extra)
    after = run(verb, color_catalog, tmp_path / "run", *arguments)
    kept = unchanged(fused_run, after)
    names = list(torch.load(after / "checkpoint.pt", weights_only=True))
    # `small` has its stage 2 at layer 3.
    below = {name for name in names if name.startswith("backbone.") and int(name.split(".")[1]) <= 3}
    assert below <= kept
    assert not {name for name in kept - below if name.endswith("weight") and name.startswith("backbone.")}


def test_two_steps_end_with_all_layers(fused_run, color_catalog, tmp_path):
    arguments = (
        "--init",
        str(fused_run),
        "--steps",
        "two",
        "--first-epochs",
        "1",
        "--epochs",
        "3",
        "--second-lr",
        "1e-3",
    )
    after = run("classifier", color_catalog, tmp_path / "run", *arguments)
    assert [entry["epoch"] for entry in read_run(after).record.metrics] == [1, 2, 3]
    assert "backbone.0.0.weight" not in unchanged(fused_run, after)


def test_only_heads_learn_above_the_backbone(fused_run, color_catalog, tmp_path):
    arguments = (
        "--init",
        str(fused_run),
        "--freeze",
        "backbone",
        "--dim",
        "4",
        "--val-split",
        "val",
        "--head-views",
        "1",
    )
    after = run("fused", color_catalog, tmp_path / "run", *arguments)
    names = {name for name in torch.load(after / "checkpoint.pt", weights_only=True) if name.startswith("backbone.")}
    assert names <= unchanged(fused_run, after)
    record = read_run(after).record
    assert record.unit_head
    assert record.metrics[-1]["accuracy"] > 0.9


def test_two_levels_add_a_head_that_answers_nothing(color_catalog, tmp_path):
    with color_catalog.open() as file:
        rows = list(csv.DictReader(file))
    catalog = color_catalog.with_name("levels.csv")
    with catalog.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], "category_path", "warmth"])
        writer.writeheader()
        for row in rows:
            warm = "warm" if row["label"] == "red" else "cold"
            writer.writerow({**row, "category_path": f"Colors > {warm} > {row['label']}", "warmth": warm[::-1]})
    for verb, column, names in (
        ("classifier", (), ("cold", "warm")),
        ("fused", ("--coarse-column", "warmth"), ("dloc", "mraw")),
    ):
        found = read_run(run(verb, catalog, tmp_path / verb, "--levels", "two", *column))
        assert found.record.coarse_labels == names
        assert found.network.coarse_head.out_features == 2
        assert found.record.labels == ("blue", "green", "red")
        images = torch.zeros(1, 32, 32, 3, dtype=torch.uint8)
        assert [one.shape[1] for one in found.network.answers(images)][-2:] == [3, 256]


def test_an_embedder_pools_stages_and_reports_its_head(color_catalog, tmp_path, capsys):
    out = run(
        "embedder", color_catalog, tmp_path / "run", "--pooling", "ga", "--dim", "6", "--loss", "multi-similarity"
    )
    found = read_run(out, kind=Kind.EMBEDDER)
    assert (found.record.pooling, found.record.dim) == (Pooling.GA, 6)
    assert found.network.head.in_features == 24 + 48 + 96 + 256
    assert "6-d head of 2,550 parameters" in capsys.readouterr().err  # 424 x 6 + 6


def test_settings_that_leave_nothing_to_learn_are_refused(color_catalog, tmp_path):
    with pytest.raises(OutOfRangeError, match="leaves nothing to learn"):
        run("embedder", color_catalog, tmp_path / "a", "--freeze", "backbone", "--dim", "0")
    with pytest.raises(OutOfRangeError, match="two levels need layers that learn"):
        run("classifier", color_catalog, tmp_path / "b", "--freeze", "backbone", "--levels", "two")
    with color_catalog.open() as file:
        rows = list(csv.DictReader(file))
    catalog = color_catalog.with_name("singles.csv")
    with catalog.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "cluster": ""} for row in rows)
    with pytest.raises(MalformedError, match=r"clusters with at most 1 pictures each .*--clusters label"):
        run("fused", catalog, tmp_path / "c")
    # Clusters without weight need no pairs, and no vectors of their own.
    run("fused", catalog, tmp_path / "d", "--metric-weight", "0", "--loss", "proxy")
    with pytest.raises(OutOfRangeError, match="--second-lr is nan"):
        Tuning(border=Border.STAGE1, first_epochs=1, second_rate=math.nan)


def test_cutmix_needs_a_single_tensor_at_the_border(color_catalog, tmp_path):
    arguments = ("--freeze", "stage2", "--cached-views", "1", "--mixing", "cutmix")
    with pytest.raises(OutOfRangeError, match=r"cutmix needs .* got \[48, 8, 8\], \[864\], \[1728\]; use mixup"):
        run("fused", color_catalog, tmp_path / "a", *arguments, "--metric-weight", "0")
    assert not (tmp_path / "cache").exists()
    run("classifier", color_catalog, tmp_path / "b", *arguments)
    assert (tmp_path / "cache").exists()


def test_a_coarse_head_is_learned_beside_the_fine_one():
    network = Classifier(named_backbone("small"), labels=3, power=1.0, unit_head=False, coarse_labels=2).eval()
    planes = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        fine, coarse = network.learn(planes)
        assert torch.equal(fine, network(planes))
        assert torch.equal(coarse, network.coarse_head(network.features(planes)))
