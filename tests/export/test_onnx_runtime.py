"""ONNX Runtime answers what numpy computes, for batches of any size, and says what is wrong with the rest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from catalog.errors import MalformedError, OutOfRangeError
from export.contract import ModelRepositoryError, Tensor, read_model, write_model
from export.onnx_runtime import OnnxRuntimeNetworks
from tests.tiny_repository import LABELS, TinyNetworks, make_tiny_repository, random_pictures, solid


@pytest.fixture(scope="module")
def networks(tiny_repository: Path) -> Iterator[OnnxRuntimeNetworks]:
    networks = OnnxRuntimeNetworks(tiny_repository, threads=1)
    yield networks
    networks.close()


@pytest.mark.parametrize("batch", [0, 1, 3, 8, 9, 20])
def test_any_batch_equals_numpy(networks: OnnxRuntimeNetworks, batch: int):
    images = random_pictures(batch, seed=batch)
    got, expected = networks.infer(images), TinyNetworks().outputs(images)
    for name in ("embedding", "probabilities", "pooled"):
        assert getattr(got, name).dtype == np.float32
        np.testing.assert_allclose(getattr(got, name), getattr(expected, name), atol=1e-4)


@pytest.mark.parametrize("tensor", [Tensor.EMBEDDING, Tensor.PROBABILITIES, Tensor.POOLED])
@pytest.mark.parametrize("batch", [0, 1, 9])
def test_one_tensor_alone_is_the_one_of_both_networks(networks: OnnxRuntimeNetworks, batch: int, tensor: Tensor):
    images = random_pictures(batch, seed=batch)
    np.testing.assert_array_equal(networks.vectors(images, tensor), getattr(networks.infer(images), tensor.value))


@pytest.mark.parametrize("color", LABELS)
def test_a_color_gets_its_label(networks: OnnxRuntimeNetworks, color: str):
    probabilities = networks.infer(solid(color)[np.newaxis]).probabilities[0]
    assert networks.info.labels[int(probabilities.argmax())] == color
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("images", "error", "sentence"),
    [
        (np.zeros((1, 32, 32, 3), np.float32), MalformedError, "pictures are float32, expected uint8"),
        ([[1]], MalformedError, "pictures are list, expected uint8"),
        (np.zeros((32, 32, 3), np.uint8), OutOfRangeError, r"shape \[32, 32, 3\], expected \[B, 32, 32, 3\]"),
        (np.zeros((2, 64, 32, 3), np.uint8), OutOfRangeError, r"shape \[2, 64, 32, 3\], expected \[B, 32, 32, 3\]"),
    ],
)
def test_other_arrays_are_refused(networks: OnnxRuntimeNetworks, images, error, sentence: str):
    with pytest.raises(error, match=sentence):
        networks.infer(images)


def test_the_newest_version_answers(tmp_path: Path):
    TinyNetworks(seed=1).write(tmp_path, version=1)
    TinyNetworks(seed=2).write(tmp_path, version=10)
    images = random_pictures(2)
    embedding = OnnxRuntimeNetworks(tmp_path, threads=1).infer(images).embedding
    np.testing.assert_allclose(embedding, TinyNetworks(seed=2).outputs(images).embedding, atol=1e-5)


def test_a_file_that_is_no_network_is_one_sentence(tmp_path: Path):
    make_tiny_repository(tmp_path)
    write_model(tmp_path, read_model(tmp_path, "embedder"), b"not a network")  # with a matching checksum
    with pytest.raises(ModelRepositoryError, match=r"embedder/1/model\.onnx cannot be loaded by ONNX Runtime"):
        OnnxRuntimeNetworks(tmp_path)


def test_a_network_with_other_tensors_than_described_is_refused(tmp_path: Path):
    make_tiny_repository(tmp_path, dim=16)
    write_model(tmp_path, read_model(tmp_path, "embedder"), TinyNetworks(dim=17).embedder_onnx())
    with pytest.raises(ModelRepositoryError, match=rf"{Tensor.EMBEDDING}.*17.*its configuration says .*16"):
        OnnxRuntimeNetworks(tmp_path)


def test_closed_networks_say_so(tiny_repository: Path):
    networks = OnnxRuntimeNetworks(tiny_repository, threads=1)
    networks.close()
    networks.close()
    with pytest.raises(ModelRepositoryError, match="closed"):
        networks.infer(random_pictures(1))
