"""A fused network under the ensemble's name: one answer from ONNX Runtime, Triton and numpy, and no idle neighbors."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient import grpc as triton_grpc
from tritonclient.grpc import model_config_pb2

from catalog.errors import OutOfRangeError
from export.__main__ import main
from export.contract import (
    Model,
    ModelDescription,
    ModelRepositoryError,
    RepositoryInfo,
    Tensor,
    read_model,
    read_repository,
    write_model,
)
from export.local_triton import LocalTriton
from export.networks import PhotoOutputs
from export.onnx_runtime import OnnxRuntimeNetworks
from export.triton_client import AsyncTritonNetworks, ModelServerError, TritonNetworks, remote_info
from tests.tiny_repository import LABELS, TinyNetworks, random_pictures

ROOT = Path(__file__).parents[2]
NAMES = ("embedding", "probabilities", "pooled")


def assert_same(got: PhotoOutputs, expected: PhotoOutputs, *, atol: float = 1e-4) -> None:
    for name in NAMES:
        assert getattr(got, name).dtype == np.float32
        np.testing.assert_allclose(getattr(got, name), getattr(expected, name), atol=atol)


@pytest.fixture(scope="module")
def fused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fused") / "repository"
    TinyNetworks().write_fused(path)
    return path


@pytest.fixture(scope="module")
def info(fused: Path) -> RepositoryInfo:
    return read_repository(fused)


@pytest.fixture(scope="module")
def triton(fused: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTriton]:
    with LocalTriton(fused, log_file=tmp_path_factory.mktemp("triton") / "log", instances=1, threads=1) as triton:
        yield triton


def test_a_fused_repository_says_what_it_serves(fused: Path, info: RepositoryInfo):
    assert info == RepositoryInfo(
        size_px=32, embedding_dim=16, pooled_dim=12, labels=LABELS, spaces={"photo": "tiny-fused-0-32"}, max_batch=8
    )
    assert info.networks == {Model.PHOTO: (Tensor.EMBEDDING, Tensor.PROBABILITIES, Tensor.POOLED)}
    assert sorted(path.relative_to(fused).as_posix() for path in fused.rglob("*") if path.is_file()) == [
        "photo/1/model.onnx",
        "photo/config.pbtxt",
        "photo/labels.txt",
    ]
    config = text_format.Parse((fused / "photo/config.pbtxt").read_text(), model_config_pb2.ModelConfig())
    assert (config.backend, config.platform, config.max_batch_size) == ("onnxruntime", "", 8)
    assert [(o.name, list(o.dims), o.label_filename) for o in config.output] == [
        ("embedding", [16], ""),
        ("probabilities", [6], "labels.txt"),
        ("pooled", [12], ""),
    ]
    assert config.HasField("dynamic_batching")
    assert config.model_warmup[0].inputs["image"].zero_data
    sha256 = hashlib.sha256((fused / "photo/1/model.onnx").read_bytes()).hexdigest()
    assert config.parameters["onnx_sha256.1"].string_value == sha256


@pytest.mark.parametrize("batch", [0, 1, 8, 19])  # 8 is max_batch
def test_onnx_runtime_triton_and_numpy_agree(fused: Path, triton: LocalTriton, info: RepositoryInfo, batch: int):
    images = random_pictures(batch, seed=40 + batch)
    local, remote = OnnxRuntimeNetworks(fused, threads=1), TritonNetworks(triton.grpc_url, info=info)
    remote.check_spaces()
    expected = TinyNetworks().outputs(images)
    assert_same(local.infer(images), expected)
    assert_same(remote.infer(images), local.infer(images), atol=1e-5)
    for tensor in (Tensor.EMBEDDING, Tensor.PROBABILITIES, Tensor.POOLED):
        np.testing.assert_allclose(local.vectors(images, tensor), getattr(expected, tensor), atol=1e-4)
        np.testing.assert_allclose(remote.vectors(images, tensor), local.vectors(images, tensor), atol=1e-5)


def test_the_asynchronous_client_agrees(triton: LocalTriton, info: RepositoryInfo):
    images = random_pictures(20, seed=3)

    async def ask() -> PhotoOutputs:
        networks = AsyncTritonNetworks(triton.grpc_url, info=info)
        await networks.check_spaces()
        outputs = await networks.infer(images)
        await networks.close()
        return outputs

    assert_same(asyncio.run(ask()), TinyNetworks().outputs(images))


def test_one_request_runs_one_network_once(triton: LocalTriton, info: RepositoryInfo):
    client = triton_grpc.InferenceServerClient(triton.grpc_url)

    def executions() -> dict[str, int]:
        stats = client.get_inference_statistics().model_stats
        return {one.name: one.execution_count for one in stats}

    before = executions()
    TritonNetworks(triton.grpc_url, info=info).infer(random_pictures(3))
    end_s = time.monotonic() + 10
    while (after := executions()) == before and time.monotonic() < end_s:
        time.sleep(0.02)  # Triton counts after it has answered
    assert after == {"photo": before["photo"] + 1}


def test_a_server_describes_its_fused_network(triton: LocalTriton, info: RepositoryInfo):
    assert remote_info(triton.grpc_url) == info
    other = replace(info, spaces={"photo": "another"})
    with pytest.raises(ModelServerError, match=r"serves spaces .*tiny-fused-0-32.*, expected .*'another'"):
        TritonNetworks(triton.grpc_url, info=other).check_spaces()
    pair = replace(info, spaces={"embedder": "a", "classifier": "b"})
    with pytest.raises(ModelServerError, match=r"serves spaces .*photo.*, expected .*classifier"):
        TritonNetworks(triton.grpc_url, info=pair).check_spaces()


def test_versions_of_a_fused_network_stay_side_by_side(tmp_path: Path):
    TinyNetworks(seed=1).write_fused(tmp_path, version=1)
    info = TinyNetworks(seed=2).write_fused(tmp_path, version=3)
    assert info.spaces == {"photo": "tiny-fused-2-32"}
    assert read_model(tmp_path, "photo").spaces == {1: "tiny-fused-1-32", 3: "tiny-fused-2-32"}
    images = random_pictures(2)
    assert_same(OnnxRuntimeNetworks(tmp_path, threads=1).infer(images), TinyNetworks(seed=2).outputs(images))


def test_a_fused_network_beside_a_pair_is_refused(tmp_path: Path):
    tiny = TinyNetworks()
    tiny.write(tmp_path / "pair")
    before = read_repository(tmp_path / "pair")
    with pytest.raises(OutOfRangeError, match="holds embedder and classifier, which nobody would ask beside a fused"):
        tiny.write_fused(tmp_path / "pair")
    assert read_repository(tmp_path / "pair") == before
    tiny.write_fused(tmp_path / "fused")
    embedder = ModelDescription(name="embedder", size_px=32, outputs={Tensor.EMBEDDING: 16}, space_id="a")
    with pytest.raises(OutOfRangeError, match="holds a fused 'photo', beside which nobody would ask 'embedder'"):
        write_model(tmp_path / "fused", embedder, tiny.embedder_onnx())
    assert not (tmp_path / "fused" / "embedder").exists()


@pytest.mark.parametrize(("verb", "other"), [("fused", "pair"), ("embedder", "fused"), ("classifier", "fused")])
def test_the_command_line_refuses_it_before_the_run_is_read(tmp_path: Path, verb: str, other: str):
    tiny = TinyNetworks()
    tiny.write(tmp_path / "pair")
    tiny.write_fused(tmp_path / "fused")
    with pytest.raises(OutOfRangeError, match="export it to another repository"):
        main([verb, "--checkpoint", str(tmp_path / "no-run"), "--repository", str(tmp_path / other)])


def test_a_fused_network_takes_the_place_of_an_ensemble_without_networks(tmp_path: Path):
    tiny = TinyNetworks()
    tiny.write(tmp_path)
    for name in ("embedder", "classifier"):
        for path in sorted((tmp_path / name).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (tmp_path / name).rmdir()
    assert tiny.write_fused(tmp_path).spaces == {"photo": "tiny-fused-0-32"}


def damaged(repository: Path, damage: str) -> None:
    config = repository / "photo/config.pbtxt"
    if damage == "torn":
        (repository / "photo/1/model.onnx").write_bytes(b"torn")
    elif damage == "labels":
        (repository / "photo/labels.txt").unlink()
    elif damage == "neighbor":
        TinyNetworks().write(repository.parent / "pair")
        (repository.parent / "pair/embedder").rename(repository / "embedder")
    elif damage == "space":
        old = 'key: "space_id"\n  value {\n    string_value: "tiny-fused-0-32"'
        assert old in config.read_text()
        config.write_text(config.read_text().replace(old, old.replace("tiny-fused-0-32", "other")))
    else:
        config.write_text(config.read_text().replace('"onnxruntime"', '"python"'))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ("torn", r"photo/1/model\.onnx is damaged or was replaced"),
        ("labels", "photo: 0 labels for 6 probabilities"),
        ("neighbor", "holds embedder beside a fused 'photo', which nobody asks"),
        ("space", "the fused network 'photo' says spaces .*other.*its networks say .*tiny-fused-0-32"),
        (
            "backend",
            r"photo/config\.pbtxt has platform '' and backend 'python', expected platform 'ensemble' or backend",
        ),
    ],
)
def test_what_does_not_fit_is_one_sentence(tmp_path: Path, damage: str, sentence: str):
    TinyNetworks().write_fused(tmp_path / "repository")
    damaged(tmp_path / "repository", damage)
    with pytest.raises(ModelRepositoryError, match=sentence) as caught:
        read_repository(tmp_path / "repository")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("threads", [0, -1])
def test_fewer_than_one_thread_is_refused(fused: Path, threads: int):
    with pytest.raises(OutOfRangeError, match=f"threads is {threads}, at least 1 is needed"):
        OnnxRuntimeNetworks(fused, threads=threads)


@pytest.mark.parametrize("option", [("--precision", "fp16"), ("--target", "tensorrt")])
def test_what_is_not_built_yet_is_one_sentence(tmp_path: Path, option: tuple[str, str]):
    command = [sys.executable, "-m", "export", "fused", "--checkpoint", str(tmp_path), *option]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {option[0]} is {option[1]}, only ")
    assert len(done.stderr.strip().splitlines()) == 1
