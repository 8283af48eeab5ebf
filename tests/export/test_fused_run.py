"""`python -m export fused` over a real run: what ONNX Runtime answers for it is what torch computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from catalog.errors import OutOfRangeError
from export.__main__ import main
from export.contract import read_repository
from export.onnx_runtime import OnnxRuntimeNetworks
from export.parity import sample_pictures
from training.backbones import named_backbone
from training.networks import Fused, Kind
from training.poolings import Pooling
from training.runs import RunRecord, stage_names, write_run

LABELS = ("bag", "mug", "watch")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Fused]:
    torch.manual_seed(0)
    network = Fused(
        named_backbone("small"),
        labels=3,
        dim=24,
        pooling=Pooling.SAM,
        power=0.5,
        unit_head=True,
        coarse_labels=2,
        temperature=2.5,
    ).eval()
    record = RunRecord(
        kind=Kind.FUSED,
        backbone=network.spec,
        size_px=network.spec.size_px,
        dim=network.spec.dim,
        head_dim=24,
        power=0.5,
        unit_head=True,
        labels=LABELS,
        temperature=2.5,
        pooling=Pooling.SAM,
        embedding_dim=24,
        stages=stage_names(network),
        coarse_labels=("worn", "used"),
    )
    folder = tmp_path_factory.mktemp("runs") / "fused"
    return write_run(folder, record=record, network=network, backbone_file=None), network


def test_a_run_becomes_photo(run: tuple[Path, Fused], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder, network = run
    repository = tmp_path / "repository"
    assert main(["fused", "--checkpoint", str(folder), "--repository", str(repository)]) == 0
    told = capsys.readouterr()
    assert "embedding 24, 3 labels" in told.out + told.err
    info = read_repository(repository)
    assert (info.labels, info.embedding_dim, info.pooled_dim) == (LABELS, 24, network.spec.dim)
    assert list(info.spaces) == ["photo"]
    pictures = sample_pictures(5, size_px=info.size_px, seed=1)
    got = OnnxRuntimeNetworks(repository, threads=1).infer(pictures)
    with torch.inference_mode():
        embedding, probabilities, pooled = (part.numpy() for part in network.answers(torch.from_numpy(pictures)))
        logits, _ = network(torch.from_numpy(pictures))
    np.testing.assert_allclose(got.embedding, embedding, atol=1e-4)
    np.testing.assert_allclose(got.probabilities, probabilities, atol=1e-4)
    np.testing.assert_allclose(got.pooled, pooled, atol=1e-4)
    np.testing.assert_allclose(got.probabilities, torch.softmax(logits / 2.5, dim=1).numpy(), atol=1e-4)


def test_a_fused_run_is_no_embedder(run: tuple[Path, Fused], tmp_path: Path):
    with pytest.raises(OutOfRangeError, match="holds a run of kind 'fused', expected 'embedder'"):
        main(["embedder", "--checkpoint", str(run[0]), "--repository", str(tmp_path / "repository")])
    assert not (tmp_path / "repository").exists()
