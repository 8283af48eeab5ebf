"""Exported graphs against torch, and GoogLeNet against its own file fed by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from catalog.errors import OutOfRangeError
from export import contract, parity
from export.__main__ import main
from export.graphs import export_run, space_id, to_onnx
from training.backbones import BackboneSpec, file_backbone, named_backbone
from training.classifier import Kind
from training.networks import Classifier, Embedder, Network
from training.runs import RunRecord, read_run, write_run

SHARED = Path(__file__).parents[3] / "shared"
GOOGLENET = SHARED / "weights" / "googlenet-imagenet.onnx"
LABELS = ("bag", "mug", "watch")


def stir(network: Network, seed: int = 0) -> None:
    """Give BatchNorm statistics of its own, as training would: the fresh ones (0 and 1) hide mistakes in fusing."""
    generator = torch.Generator().manual_seed(seed)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.copy_(torch.randn(layer.num_features, generator=generator) * 0.1)
            layer.running_var.copy_(torch.rand(layer.num_features, generator=generator) + 0.5)
            with torch.no_grad():
                layer.weight.copy_(torch.rand(layer.num_features, generator=generator) + 0.5)


def save(folder: Path, network: Network, **values) -> Path:
    labels = LABELS if network.kind is Kind.CLASSIFIER else ()
    record = RunRecord(
        kind=network.kind,
        backbone=network.spec,
        size_px=network.spec.size_px,
        dim=network.spec.dim if labels else network.dim,
        power=network.power,
        labels=labels,
        **values,
    )
    return write_run(folder, record=record, network=network, backbone_file=None)


@pytest.fixture(scope="module")
def small_runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    torch.manual_seed(0)
    embedder = Embedder(named_backbone("small"), dim=128, power=1.0)
    classifier = Classifier(named_backbone("small"), labels=3, power=0.5, unit_head=True)
    for seed, network in enumerate((embedder, classifier)):
        stir(network, seed)
    return {
        "embedder": save(folder / "embedder", embedder, head_dim=128),
        "classifier": save(folder / "classifier", classifier, head_dim=3, unit_head=True),
    }


@pytest.fixture(scope="module")
def small_repository(small_runs, tmp_path_factory):
    repository = tmp_path_factory.mktemp("repository")
    for name, run in small_runs.items():
        assert main([name, "--checkpoint", str(run), "--repository", str(repository)]) == 0
    return repository


def test_the_repository_is_whole(small_repository, small_runs):
    info = contract.read_repository(small_repository)
    assert (info.size_px, info.embedding_dim, info.pooled_dim, info.labels) == (128, 128, 256, LABELS)
    assert info.spaces == {name: space_id(read_run(run)) for name, run in small_runs.items()}


@pytest.mark.parametrize("name", ["embedder", "classifier"])
@pytest.mark.parametrize("batch", [1, 3, 8])
def test_onnx_runtime_answers_as_torch(name, batch, small_repository, small_runs):
    pictures = np.random.default_rng(batch).integers(0, 256, (batch, 128, 128, 3), dtype=np.uint8)
    session = onnxruntime.InferenceSession(small_repository / name / "1" / "model.onnx")
    got = session.run(None, {"image": pictures})
    network = read_run(small_runs[name]).network
    with torch.no_grad():
        if name == "embedder":
            expected = [network(torch.from_numpy(pictures))]
        else:
            expected = [
                torch.softmax(network(torch.from_numpy(pictures)), dim=1),
                network.answers(torch.from_numpy(pictures))[1],
            ]
    assert [output.name for output in session.get_outputs()] == (
        ["embedding"] if name == "embedder" else ["probabilities", "pooled"]
    )
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=2e-5)
    np.testing.assert_allclose(np.linalg.norm(got[-1], axis=1), 1, atol=1e-5)


def test_the_file_is_fused_and_holds_no_path_of_this_machine(small_repository):
    data = (small_repository / "embedder" / "1" / "model.onnx").read_bytes()
    model = onnx.load_from_string(data)
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    assert str(Path(__file__).parents[2]).encode() not in data
    assert b".py" not in data
    assert len(data) < 6_000_000
    assert {entry.type.tensor_type.shape.dim[0].dim_param for entry in (*model.graph.input, *model.graph.output)} == {
        "batch"
    }


def test_space_id_tells_weights_and_preprocessing_apart(small_runs, tmp_path):
    run = read_run(small_runs["embedder"])
    base = space_id(run)
    assert space_id(read_run(small_runs["embedder"])) == base
    other = BackboneSpec.model_validate(
        {
            **run.record.backbone.model_dump(),
            "preprocessing": {"order": "bgr", "scale": 1, "mean": [0] * 3, "std": [1] * 3},
        }
    )
    changed = type(run)(run.folder, run.record.model_copy(update={"backbone": other}), run.network)
    assert space_id(changed) != base
    with torch.no_grad():
        run.network.head.bias[0] += 1e-3
    assert space_id(run) != base


def test_a_graph_that_differs_is_refused(small_runs, tmp_path):
    network = read_run(small_runs["embedder"]).network
    onnx_bytes = to_onnx(network, size_px=128, outputs=["embedding"])
    with torch.no_grad():
        network.head.weight.add_(
            0.1 * torch.randn(network.head.weight.shape, generator=torch.Generator().manual_seed(0))
        )
    with pytest.raises(parity.ParityError, match="ONNX Runtime and torch differ: cosine 0"):
        parity.check(network, onnx_bytes, size_px=128)


def test_mistakes_are_sentences_and_write_nothing(small_runs, tmp_path):
    with pytest.raises(OutOfRangeError, match="--precision is fp16, only fp32 is built so far"):
        export_run(small_runs["embedder"], tmp_path, model=contract.Model.EMBEDDER, precision="fp16")
    with pytest.raises(OutOfRangeError, match="holds a run of kind 'embedder', expected 'classifier'"):
        export_run(small_runs["embedder"], tmp_path, model=contract.Model.CLASSIFIER)
    with pytest.raises(OutOfRangeError, match="--target is tensorrt"):
        main(
            [
                "embedder",
                "--checkpoint",
                str(small_runs["embedder"]),
                "--target",
                "tensorrt",
                "--repository",
                str(tmp_path),
            ]
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.shared
@pytest.mark.skipif(not GOOGLENET.is_file(), reason="needs ../shared/weights/googlenet-imagenet.onnx")
def test_googlenet_embedder_equals_its_own_file_on_pictures_prepared_by_hand(tmp_path):
    network = Embedder(file_backbone(GOOGLENET), dim=0, power=0.5).eval()
    exported = to_onnx(network, size_px=224, outputs=["embedding"])
    pictures = parity.sample_pictures(3, size_px=224, seed=4)
    blue_green_red = pictures[..., ::-1].astype(np.float32) - np.array([104, 117, 123], np.float32)
    original = onnxruntime.InferenceSession(GOOGLENET)
    (pool,) = original.run(["pool5/7x7_s1"], {"data": np.ascontiguousarray(blue_green_red.transpose(0, 3, 1, 2))})
    expected = np.sqrt(pool.reshape(3, 1024))
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    (got,) = onnxruntime.InferenceSession(exported).run(None, {"image": pictures})
    assert parity.lowest_cosine(got, expected) >= 0.99999
    assert "LRN" not in {node.op_type for node in onnx.load_from_string(exported).graph.node}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "dim"), [("resnet18", 512), ("googlenet", 1024)])
def test_torchvision_networks_export(name, dim):
    torch.manual_seed(1)
    network = Embedder(named_backbone(name, pretrained=False), dim=0, power=1.0).eval()
    stir(network)
    exported = to_onnx(network, size_px=224, outputs=["embedding"])
    assert parity.check(network, exported, size_px=224, batches=(1, 3)) >= 0.9999
    (row,) = onnxruntime.InferenceSession(exported).run(None, {"image": parity.sample_pictures(1, size_px=224, seed=0)})
    assert row.shape == (1, dim)
