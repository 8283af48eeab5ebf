"""`--temperature`: what ONNX Runtime answers is softmax(logits / T), and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from catalog.errors import OutOfRangeError
from export.__main__ import main
from export.contract import onnx_path, read_model, read_repository
from export.graphs import exported_temperature, space_id
from export.onnx_runtime import OnnxRuntimeNetworks
from export.parity import sample_pictures
from training.backbones import named_backbone
from training.networks import Classifier, Embedder, Fused, Kind, Network
from training.runs import RunRecord, read_run, write_run

LABELS = ("bag", "mug", "watch")
SIZE_PX = 32


def save(folder: Path, network: Network, **values: object) -> Path:
    record = RunRecord(
        kind=network.kind,
        backbone=network.spec,
        size_px=SIZE_PX,
        dim=network.spec.dim,
        power=0.5,
        **values,
    )
    return write_run(folder, record=record, network=network.eval(), backbone_file=None)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A fused network and a classifier whose own temperature is 2.5, and an embedder."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("runs")
    backbone = named_backbone("small", size_px=SIZE_PX)
    labels = {"labels": 3, "power": 0.5, "unit_head": True, "temperature": 2.5}
    told = {"labels": LABELS, "unit_head": True, "temperature": 2.5}
    fused = Fused(backbone, dim=0, pooling=None, **labels)
    classifier = Classifier(backbone, **labels)
    for network in (fused, classifier):  # far from even probabilities
        network.head.weight.data *= 20
    return {
        "fused": save(folder / "fused", fused, head_dim=0, embedding_dim=fused.dim, **told),
        "classifier": save(folder / "classifier", classifier, head_dim=3, **told),
        "embedder": save(folder / "embedder", Embedder(backbone, dim=0, power=0.5), head_dim=0),
    }


def export(runs: dict[str, Path], kind: str, repository: Path, *arguments: str) -> int:
    return main([kind, "--checkpoint", str(runs[kind]), "--repository", str(repository), *arguments])


def softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def test_a_fused_network_answers_with_the_temperature_asked_for(runs, tmp_path: Path):
    assert export(runs, "fused", tmp_path, "--temperature", "0.5") == 0
    pictures = sample_pictures(5, size_px=SIZE_PX, seed=1)
    got = OnnxRuntimeNetworks(tmp_path, threads=1).infer(pictures)
    run = read_run(runs["fused"], kind=Kind.FUSED)
    with torch.inference_mode():
        embedding, _, pooled = run.network.answers(torch.from_numpy(pictures))
        logits = run.network(torch.from_numpy(pictures))[0].double().numpy()
    assert np.abs(softmax(logits / 0.5) - softmax(logits / 2.5)).max() > 0.1
    np.testing.assert_allclose(got.probabilities, softmax(logits / 0.5), atol=1e-5)
    np.testing.assert_allclose(got.embedding, embedding.numpy(), atol=1e-5)
    np.testing.assert_allclose(got.pooled, pooled.numpy(), atol=1e-5)
    # Vectors stay comparable with those of the run's own temperature: a gallery of the one serves the other.
    assert read_repository(tmp_path).spaces == {"photo": space_id(run)}
    assert exported_temperature(tmp_path / "photo/1/model.onnx") == 0.5


def test_versions_of_a_classifier_keep_their_temperatures(runs, tmp_path: Path):
    assert export(runs, "classifier", tmp_path) == 0
    assert export(runs, "classifier", tmp_path, "--temperature", "0.75", "--version", "2") == 0
    files = [tmp_path / f"classifier/{version}/model.onnx" for version in (1, 2)]
    assert [exported_temperature(file) for file in files] == [2.5, 0.75]
    description = read_model(tmp_path, "classifier")
    assert onnx_path(tmp_path, description) == files[1]
    assert description.spaces[1] == description.spaces[2]
    pictures = sample_pictures(3, size_px=SIZE_PX, seed=2)
    with torch.inference_mode():
        logits = read_run(runs["classifier"]).network(torch.from_numpy(pictures)).double().numpy()
    for file, temperature in zip(files, (2.5, 0.75), strict=True):
        (got,) = onnxruntime.InferenceSession(file).run(["probabilities"], {"image": pictures})
        np.testing.assert_allclose(got, softmax(logits / temperature), atol=1e-5)


@pytest.mark.parametrize("temperature", ["0", "-1", "nan", "inf"])
def test_a_temperature_that_is_none_is_one_sentence(runs, temperature, tmp_path: Path):
    with pytest.raises(OutOfRangeError, match=f"^--temperature is {temperature}, a number above 0 is needed$"):
        export(runs, "classifier", tmp_path, "--temperature", temperature)
    assert not list(tmp_path.iterdir())


def test_an_embedder_has_no_temperature(runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        export(runs, "embedder", tmp_path, "--temperature", "2")
    assert "unrecognized arguments: --temperature 2" in capsys.readouterr().err
