"""Networks in the service's process: numpy's answers for many who ask at once, and no work for those who left."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from catalog.errors import DeadlineError, MalformedError, NotReadyError, OutOfRangeError
from catalog.machine import usable_cores
from export.contract import ModelRepositoryError
from export.networks import PhotoOutputs
from export.onnx_runtime import OnnxRuntimeNetworks
from export.onnx_threads import AsyncOnnxRuntimeNetworks
from tests.tiny_repository import TinyNetworks, make_tiny_repository, random_pictures

WAIT_S = 20.0


def assert_same(got: PhotoOutputs, expected: PhotoOutputs) -> None:
    for name in ("embedding", "probabilities", "pooled"):
        assert getattr(got, name).dtype == np.float32
        np.testing.assert_allclose(getattr(got, name), getattr(expected, name), atol=1e-4)


@pytest.fixture(scope="module", params=["pair", "fused"])
def repository(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    if request.param == "pair":
        make_tiny_repository(folder)
    else:
        TinyNetworks().write_fused(folder)
    return folder


@pytest.mark.parametrize("batch", [0, 1, 8, 9, 20])
def test_any_batch_equals_numpy(repository: Path, batch: int):
    images = random_pictures(batch, seed=batch)

    async def ask() -> PhotoOutputs:
        networks = AsyncOnnxRuntimeNetworks(repository)
        try:
            return await networks.infer(images)
        finally:
            await networks.close()

    assert_same(asyncio.run(ask()), TinyNetworks().outputs(images))


def test_each_of_many_gets_its_own_answer(repository: Path):
    pictures = [random_pictures(1 + number % 3, seed=number) for number in range(64)]

    async def ask_all() -> list[PhotoOutputs]:
        networks = AsyncOnnxRuntimeNetworks(repository)
        answers = await asyncio.gather(*(networks.infer(images) for images in pictures))
        await networks.close()
        return answers

    for answer, images in zip(asyncio.run(ask_all()), pictures, strict=True):
        assert_same(answer, TinyNetworks().outputs(images))


class Gate:
    """Holds every call of a network until it is opened, and counts those that began."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = threading.Event()
        self.began = 0
        answer = OnnxRuntimeNetworks.answer

        def held(networks, network, batch):
            self.began += 1
            assert self.open.wait(WAIT_S)
            return answer(networks, network, batch)

        monkeypatch.setattr(OnnxRuntimeNetworks, "answer", held)


async def until(condition) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("end", ["deadline", "cancel"])
def test_what_nobody_waits_for_any_more_never_begins(tiny_repository: Path, monkeypatch: pytest.MonkeyPatch, end: str):
    gate = Gate(monkeypatch)
    images = random_pictures(1)

    async def ask() -> PhotoOutputs:
        networks = AsyncOnnxRuntimeNetworks(tiny_repository, timeout_s=WAIT_S)
        busy = [asyncio.create_task(networks.infer(images)) for _ in range(usable_cores())]
        await until(lambda: gate.began == usable_cores())  # no thread is free
        if end == "deadline":
            with pytest.raises(DeadlineError, match=r"did not answer within 0\.05 s"):
                await networks.infer(images, timeout_s=0.05)
        else:
            left = asyncio.create_task(networks.infer(images))
            await asyncio.sleep(0)
            left.cancel()
            with pytest.raises(asyncio.CancelledError):
                await left
        gate.open.set()
        await asyncio.gather(*busy)
        answer = await networks.infer(images)
        await networks.close()
        return answer

    assert_same(asyncio.run(ask()), TinyNetworks().outputs(images))
    assert gate.began == 2 * (usable_cores() + 1)  # both networks of the pair, of those who stayed


def test_closing_answers_what_was_asked_and_refuses_what_comes_later(tiny_repository: Path):
    images = random_pictures(3)

    async def ask() -> list[PhotoOutputs]:
        networks = AsyncOnnxRuntimeNetworks(tiny_repository)
        asked = [asyncio.create_task(networks.infer(images)) for _ in range(16)]
        await asyncio.sleep(0)  # they have asked
        await networks.close()
        await networks.close()
        with pytest.raises(NotReadyError, match="the networks were closed"):
            await networks.infer(images)
        return await asyncio.gather(*asked)

    for answer in asyncio.run(ask()):
        assert_same(answer, TinyNetworks().outputs(images))


@pytest.mark.parametrize(
    ("images", "error"),
    [(np.zeros((1, 32, 32, 3), np.float32), MalformedError), (np.zeros((1, 16, 16, 3), np.uint8), OutOfRangeError)],
)
def test_other_arrays_are_refused(tiny_repository: Path, images, error):
    async def ask() -> None:
        networks = AsyncOnnxRuntimeNetworks(tiny_repository)
        try:
            await networks.infer(images)
        finally:
            await networks.close()

    with pytest.raises(error):
        asyncio.run(ask())


def test_a_failure_of_onnx_runtime_is_one_sentence(tiny_repository: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*_):
        raise RuntimeError("allocation failed\nat some line of C++")

    monkeypatch.setattr(OnnxRuntimeNetworks, "answer", fail)

    async def ask() -> None:
        networks = AsyncOnnxRuntimeNetworks(tiny_repository)
        try:
            await networks.infer(random_pictures(2))
        finally:
            await networks.close()

    with pytest.raises(NotReadyError, match=r"^the networks failed: allocation failed$"):
        asyncio.run(ask())


def test_no_repository_and_no_onnx_runtime_are_sentences(
    tiny_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(ModelRepositoryError):
        AsyncOnnxRuntimeNetworks(tmp_path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(NotReadyError, match="need ONNX Runtime"):
        AsyncOnnxRuntimeNetworks(tiny_repository)
