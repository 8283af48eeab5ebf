"""The real Triton answers what ONNX Runtime and numpy answer, never mixes requests, and fails with a sentence."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from tritonclient import grpc as triton_grpc
from tritonclient.utils import InferenceServerException

from catalog.errors import DeadlineError, OutOfRangeError
from export.contract import (
    ModelDescription,
    RepositoryInfo,
    Tensor,
    read_repository,
    write_model,
)
from export.local_triton import LocalTriton, LocalTritonError
from export.networks import PhotoOutputs
from export.onnx_runtime import OnnxRuntimeNetworks
from export.triton_client import AsyncTritonNetworks, ModelServerError, TritonNetworks, remote_info
from tests.tiny_repository import LABELS, TinyNetworks, make_tiny_repository, random_pictures
from tests.triton_tap import tapped

NAMES = ("embedding", "probabilities", "pooled")
COSINE = 0.9999


def assert_same(got: PhotoOutputs, expected: PhotoOutputs) -> None:
    for name in NAMES:
        a, b = getattr(got, name), getattr(expected, name)
        assert a.shape == b.shape
        cosine = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        assert cosine.min(initial=1) >= COSINE
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.fixture(scope="module")
def info(tiny_repository: Path) -> RepositoryInfo:
    return read_repository(tiny_repository)


@pytest.fixture(scope="module")
def networks(tiny_triton: LocalTriton, info: RepositoryInfo) -> Iterator[TritonNetworks]:
    networks = TritonNetworks(tiny_triton.grpc_url, info=info)
    yield networks
    networks.close()


@pytest.fixture(scope="module")
def batching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTriton]:
    """A Triton with dynamic batching, two versions of each network, and one network that fails for bright pictures."""
    folder = tmp_path_factory.mktemp("batching")
    TinyNetworks(seed=1).write(folder / "repository", version=1, queue_delay_us=30_000)
    TinyNetworks(seed=2).write(folder / "repository", version=2, queue_delay_us=30_000)
    fragile = ModelDescription(
        name="fragile", size_px=32, outputs={Tensor.EMBEDDING: 1}, space_id="none", queue_delay_us=30_000
    )
    write_model(folder / "repository", fragile, fragile_onnx())
    with LocalTriton(
        folder / "repository", log_file=folder / "log", instances=1, threads=1, dynamic_batching=True
    ) as triton:
        yield triton


def fragile_onnx(*, first: int = 0) -> bytes:
    """Look up the picture's brightest value among `first` + 0 ... 199; ONNX Runtime fails for others."""
    nodes = [
        helper.make_node("Cast", [Tensor.IMAGE], ["values"], to=TensorProto.INT32),
        helper.make_node("ReduceMax", ["values"], ["brightest"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Sub", ["brightest", "first"], ["index"]),
        helper.make_node("Gather", ["table", "index"], ["found"]),
        helper.make_node("Unsqueeze", ["found", "axis"], [Tensor.EMBEDDING]),
    ]
    weights = [
        numpy_helper.from_array(first + np.arange(200, dtype=np.float32), "table"),
        numpy_helper.from_array(np.array(first, np.int32), "first"),
        numpy_helper.from_array(np.array([1], np.int64), "axis"),
    ]
    image = helper.make_tensor_value_info(Tensor.IMAGE, TensorProto.UINT8, ["batch", 32, 32, 3])
    output = helper.make_tensor_value_info(Tensor.EMBEDDING, TensorProto.FLOAT, ["batch", 1])
    graph = helper.make_graph(nodes, "fragile", [image], [output], initializer=weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()


def ask(client, model: str, images, *, tensor: str = "embedding", version: str = ""):
    image = triton_grpc.InferInput("image", list(images.shape), "UINT8")
    image.set_data_from_numpy(images)
    return client.infer(model, [image], model_version=version, client_timeout=20).as_numpy(tensor)


@pytest.mark.parametrize("batch", [0, 1, 3, 8, 19])  # 8 is max_batch
def test_triton_equals_onnx_runtime_and_numpy(networks: TritonNetworks, tiny_repository: Path, batch: int):
    images = random_pictures(batch, seed=100 + batch)
    got = networks.infer(images)
    assert_same(got, OnnxRuntimeNetworks(tiny_repository, threads=1).infer(images))
    assert_same(got, TinyNetworks().outputs(images))


@pytest.mark.parametrize("tensor", [Tensor.EMBEDDING, Tensor.PROBABILITIES, Tensor.POOLED])
@pytest.mark.parametrize("batch", [0, 9])
def test_one_tensor_alone_equals_onnx_runtime(networks: TritonNetworks, tiny_repository: Path, batch: int, tensor):
    images = random_pictures(batch, seed=7)
    expected = OnnxRuntimeNetworks(tiny_repository, threads=1).vectors(images, tensor)
    np.testing.assert_allclose(networks.vectors(images, tensor), expected, atol=1e-5)


def test_the_ensemble_is_both_networks(tiny_triton: LocalTriton, networks: TritonNetworks):
    images = random_pictures(2, seed=5)
    client = triton_grpc.InferenceServerClient(tiny_triton.grpc_url)
    got = networks.infer(images)
    np.testing.assert_array_equal(got.embedding, ask(client, "embedder", images))
    np.testing.assert_array_equal(got.pooled, ask(client, "classifier", images, tensor="pooled"))
    np.testing.assert_array_equal(got.probabilities, ask(client, "classifier", images, tensor="probabilities"))


def test_many_threads_get_their_own_answers(networks: TritonNetworks):
    pictures = random_pictures(200, seed=6)
    expected = TinyNetworks().outputs(pictures)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: networks.infer(pictures[i : i + 1 + i % 3]), range(0, 198)))
    for i, answer in enumerate(answers):
        part = slice(i, i + 1 + i % 3)
        assert_same(answer, PhotoOutputs(*(getattr(expected, name)[part] for name in NAMES)))


def test_many_tasks_get_their_own_answers_from_shared_batches(batching: LocalTriton):
    """Eight clients at once, under dynamic batching: fewer runs than requests, and every answer its own."""
    pictures = random_pictures(64, seed=7)
    expected = TinyNetworks(seed=2).outputs(pictures)
    info = read_repository(batching.repository)

    async def ask_all() -> list[PhotoOutputs]:
        networks = AsyncTritonNetworks(batching.grpc_url, info=info)
        gate = asyncio.Semaphore(8)

        async def one(i: int) -> PhotoOutputs:
            async with gate:
                return await networks.infer(pictures[i : i + 1])

        await networks.check_spaces()
        answers = await asyncio.gather(*(one(i) for i in range(64)))
        answers.append(await networks.infer(pictures[:0]))
        answers.append(await networks.infer(pictures[:20]))
        await networks.close()
        return list(answers)

    *answers, none, twenty = asyncio.run(ask_all())
    for i, answer in enumerate(answers):
        assert_same(answer, PhotoOutputs(*(getattr(expected, name)[i : i + 1] for name in NAMES)))
    assert none.embedding.shape == (0, 16)
    assert_same(twenty, PhotoOutputs(*(getattr(expected, name)[:20] for name in NAMES)))
    client = triton_grpc.InferenceServerClient(batching.grpc_url)
    counts = client.get_inference_statistics("embedder", "2").model_stats[0]
    assert counts.execution_count < counts.inference_count / 2


def test_a_failing_request_fails_alone(batching: LocalTriton):
    """Seven dark pictures and a bright one in one batch: seven answers, one error."""

    def one(brightest: int) -> float | str:
        client = triton_grpc.InferenceServerClient(batching.grpc_url)
        try:
            return float(ask(client, "fragile", np.full((1, 32, 32, 3), brightest, np.uint8))[0, 0])
        except InferenceServerException as error:
            return str(error.message())

    values = [10, 20, 30, 250, 40, 50, 60, 70]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, values))
    assert [answer for answer in answers if isinstance(answer, float)] == [10, 20, 30, 40, 50, 60, 70]
    assert "onnxruntime:" in str(answers[3])


def test_versions_answer_side_by_side(batching: LocalTriton):
    images = random_pictures(3, seed=8)
    client = triton_grpc.InferenceServerClient(batching.grpc_url)
    for version in (1, 2):
        got = ask(client, "embedder", images, version=str(version))
        np.testing.assert_allclose(got, TinyNetworks(seed=version).outputs(images).embedding, atol=1e-5)
    np.testing.assert_array_equal(ask(client, "photo", images), ask(client, "embedder", images, version="2"))


def test_the_warm_up_runs_a_black_picture_before_the_first_request(tmp_path: Path):
    """A network that fails for black pictures (index -255 of 200) never becomes ready."""
    make_tiny_repository(tmp_path / "repository")
    fragile = ModelDescription(name="fragile", size_px=32, outputs={Tensor.EMBEDDING: 1}, space_id="none")
    write_model(tmp_path / "repository", fragile, fragile_onnx(first=255))
    triton = LocalTriton(tmp_path / "repository", log_file=tmp_path / "log", instances=1)
    warm_up = r"'fragile' version 1: .*failed to run warmup sample 'a black picture'"
    crash = "Triton ended while starting: Non-zero status code returned while running Gather node"  # seen now and then
    with pytest.raises(LocalTritonError, match=f"{warm_up}|{crash}"):
        triton.start()


def test_a_server_describes_itself(tiny_triton: LocalTriton, info: RepositoryInfo):
    assert remote_info(tiny_triton.grpc_url) == info
    assert info.labels == LABELS


def test_another_repository_is_refused(tiny_triton: LocalTriton, networks: TritonNetworks, info: RepositoryInfo):
    networks.check_spaces()
    other = replace(info, spaces={**info.spaces, "embedder": "another"})
    with pytest.raises(ModelServerError, match=r"serves spaces .*tiny-embedder-0-32.*, expected .*'another'"):
        TritonNetworks(tiny_triton.grpc_url, info=other).check_spaces()
    with pytest.raises(ModelServerError, match=r"answered embedding \[1, 16\], expected \[1, 17\]"):
        TritonNetworks(tiny_triton.grpc_url, info=replace(info, embedding_dim=17)).infer(random_pictures(1))
    with pytest.raises(OutOfRangeError, match=r"expected \[B, 32, 32, 3\]"):
        networks.infer(random_pictures(1, size_px=64))
    bigger = TritonNetworks(tiny_triton.grpc_url, info=replace(info, size_px=64))
    with pytest.raises(ModelServerError, match=r"failed \(INVALID_ARGUMENT\)"):
        bigger.infer(random_pictures(1, size_px=64))


def test_nobody_there_is_503(info: RepositoryInfo):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))  # bound, but not listening
        url = f"127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(ModelServerError, match=f"{url} cannot be reached") as caught:
            TritonNetworks(url, info=info, timeout_s=5).infer(random_pictures(1))
        with pytest.raises(ModelServerError, match=f"{url} cannot be reached"):
            asyncio.run(AsyncTritonNetworks(url, info=info, timeout_s=5).infer(random_pictures(1)))
        with pytest.raises(ModelServerError, match=f"{url} cannot be reached"):
            remote_info(url, timeout_s=5)
    assert caught.value.status == 503
    assert caught.value.retry_after_s is not None


def test_a_stopped_server_is_504(tiny_triton: LocalTriton, networks: TritonNetworks):
    os.kill(tiny_triton.pid, signal.SIGSTOP)
    try:
        with pytest.raises(DeadlineError, match=r"did not answer within 0\.3 s"):
            networks.infer(random_pictures(1), timeout_s=0.3)
        with pytest.raises(DeadlineError, match=r"did not answer within 0\.3 s"):
            asyncio.run(AsyncTritonNetworks(tiny_triton.grpc_url, info=networks.info, timeout_s=0.3).check_spaces())
        with pytest.raises(DeadlineError, match=r"did not answer within 0\.2 s"):
            asyncio.run(
                AsyncTritonNetworks(tiny_triton.grpc_url, info=networks.info).infer(random_pictures(9), timeout_s=0.2)
            )
    finally:
        os.kill(tiny_triton.pid, signal.SIGCONT)
    assert networks.infer(random_pictures(1)).embedding.shape == (1, 16)
    with pytest.raises(DeadlineError):
        networks.infer(random_pictures(1), timeout_s=0)


@pytest.mark.parametrize(
    ("refusals", "calls", "error"),
    [
        (["UNAVAILABLE"], 2, None),
        (["UNAVAILABLE", "UNAVAILABLE"], 2, "cannot be reached or is not ready: refused by the test"),
        (["UNAVAILABLE", "INTERNAL"], 2, "INTERNAL"),
        (["INVALID_ARGUMENT"], 1, "INVALID_ARGUMENT"),
        (["RESOURCE_EXHAUSTED"], 1, "RESOURCE_EXHAUSTED"),
        (["INTERNAL"], 1, "INTERNAL"),
        (["DEADLINE_EXCEEDED"], 1, "did not answer within 20 s"),
    ],
)
def test_only_what_triton_could_not_take_is_asked_once_more(
    tiny_triton: LocalTriton, info: RepositoryInfo, refusals: list[str], calls: int, error: str | None
):
    images = random_pictures(2)

    async def ask(url: str) -> PhotoOutputs:
        networks = AsyncTritonNetworks(url, info=info, timeout_s=20)
        try:
            return await networks.infer(images)
        finally:
            await networks.close()

    with tapped(tiny_triton.grpc_url) as tap:
        tap.refusals = [grpc.StatusCode[name] for name in refusals]
        if error is None:
            assert_same(asyncio.run(ask(tap.url)), TinyNetworks().outputs(images))
        else:
            with pytest.raises((ModelServerError, DeadlineError), match=error):
                asyncio.run(ask(tap.url))
        assert [method for method, _ in tap.calls] == ["ModelInfer"] * calls
        assert tap.refusals == []
