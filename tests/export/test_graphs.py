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
from export.graphs import ClassifierGraph, EmbedderGraph, FusedGraph, export_run, space_id, to_onnx
from training.backbones import BackboneSpec, file_backbone, named_backbone
from training.networks import Classifier, Embedder, Fused, Kind, Network
from training.poolings import Pooling
from training.preprocessing import PRESETS
from training.runs import RunRecord, read_run, stage_names, write_run

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
    assert not model.metadata_props  # no temperature without probabilities
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


def fused_of(backbone, *, pooling=Pooling.SAM, dim=16) -> Fused:
    torch.manual_seed(2)
    network = Fused(
        backbone, labels=3, dim=dim, pooling=pooling, power=0.5, unit_head=True, coarse_labels=2, temperature=1.7
    ).eval()
    stir(network)
    return network


def save_fused(folder: Path, network: Fused, **values) -> Path:
    record = RunRecord(
        kind=Kind.FUSED,
        backbone=network.spec,
        size_px=network.spec.size_px,
        dim=network.spec.dim,
        head_dim=16,
        power=network.power,
        unit_head=True,
        labels=LABELS,
        **{
            "temperature": 1.7,
            "pooling": network.pooling,
            "embedding_dim": network.dim,
            "stages": stage_names(network),
            "coarse_labels": ("cold", "warm"),
            **values,
        },
    )
    return write_run(folder, record=record, network=network, backbone_file=None)


def test_a_fused_run_takes_the_place_of_the_ensemble(tmp_path):
    run = save_fused(tmp_path / "run", fused_of(named_backbone("small", size_px=32)))
    repository = tmp_path / "repository"
    assert main(["fused", "--checkpoint", str(run), "--repository", str(repository)]) == 0
    info = contract.read_repository(repository)
    assert (info.size_px, info.embedding_dim, info.pooled_dim, info.labels) == (32, 16, 256, LABELS)
    network = read_run(run)
    assert info.spaces == {"photo": space_id(network)}
    pictures = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    session = onnxruntime.InferenceSession(repository / "photo" / "1" / "model.onnx")
    assert [output.name for output in session.get_outputs()] == ["embedding", "probabilities", "pooled"]
    with torch.no_grad():
        expected = network.network.answers(torch.from_numpy(pictures))
    for got, want in zip(session.run(None, {"image": pictures}), expected, strict=True):
        np.testing.assert_allclose(got, want.numpy(), atol=2e-5)
    # The second level helped training only.
    model = onnx.load(repository / "photo" / "1" / "model.onnx")
    assert not [tensor.name for tensor in model.graph.initializer if "coarse" in tensor.name]


def test_space_id_sees_pooling_but_neither_temperature_nor_the_second_level(tmp_path):
    network = fused_of(named_backbone("small", size_px=32))
    base = space_id(read_run(save_fused(tmp_path / "a", network)))
    assert space_id(read_run(save_fused(tmp_path / "b", network, temperature=1.0))) == base
    with torch.no_grad():
        network.coarse_head.bias[0] += 1
    assert space_id(read_run(save_fused(tmp_path / "c", network))) == base
    network.pooling = None  # of the record only; the weights are the same
    assert space_id(read_run(save_fused(tmp_path / "d", network, pooling=Pooling.SAP))) != base


# The networks that the papers use, at sizes where their last maps still have a few pixels.
SIZES_PX = {"alexnet": 96, "googlenet": 64, "inception_v3": 107, "resnet50": 64, "vgg16": 64}


# A fused graph gives what the other two give; one network is exported as each kind.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind"),
    [*((name, Kind.FUSED) for name in SIZES_PX), ("alexnet", Kind.EMBEDDER), ("alexnet", Kind.CLASSIFIER)],
)
def test_torchvision_networks_export(name, kind):
    size_px = SIZES_PX[name]
    backbone = named_backbone(name, pretrained=False, size_px=size_px)
    graph: torch.nn.Module
    if kind is Kind.FUSED:
        graph, outputs = FusedGraph(fused_of(backbone)), ["embedding", "probabilities", "pooled"]
    elif kind is Kind.EMBEDDER:
        network = Embedder(backbone, dim=8, power=0.5, pooling=Pooling.SAM).eval()
        stir(network)
        graph, outputs = EmbedderGraph(network), ["embedding"]
    else:
        network = Classifier(backbone, labels=3, power=1.0, unit_head=False, temperature=0.5).eval()
        stir(network)
        graph, outputs = ClassifierGraph(network), ["probabilities", "pooled"]
    exported = to_onnx(graph.eval(), size_px=size_px, outputs=outputs)
    assert parity.check(graph, exported, size_px=size_px, batches=(1, 3)) >= 0.9999


def test_any_onnx_file_is_trained_exported_and_in_parity(tmp_path):
    import torchvision

    torch.manual_seed(0)
    torch.onnx.export(
        torchvision.models.resnet18(weights=None).eval(),
        (torch.zeros(1, 3, 64, 64),),
        tmp_path / "net.onnx",
        dynamo=True,
        verbose=False,
        external_data=False,
    )
    backbone = file_backbone(tmp_path / "net.onnx", preprocessing=PRESETS["torchvision"])
    graph = FusedGraph(fused_of(backbone, pooling=Pooling.SAP)).eval()
    exported = to_onnx(graph, size_px=64, outputs=["embedding", "probabilities", "pooled"])
    assert parity.check(graph, exported, size_px=64, batches=(1, 3)) >= 0.9999


@pytest.mark.shared
@pytest.mark.skipif(not GOOGLENET.is_file(), reason="needs ../shared/weights/googlenet-imagenet.onnx")
def test_the_caffe_googlenet_exports_fused_at_half_its_size():
    graph = FusedGraph(fused_of(file_backbone(GOOGLENET, size_px=112))).eval()
    exported = to_onnx(graph, size_px=112, outputs=["embedding", "probabilities", "pooled"])
    assert parity.check(graph, exported, size_px=112, batches=(1, 3)) >= 0.9999
