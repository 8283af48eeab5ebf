"""The networks that ship in `model_repository/`: small, whole, and good at what they were trained for."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from catalog.pictures import Picture, to_input
from catalog.sample.camera import take_photo
from catalog.sample.shop import ProductSpec, shop_specs
from catalog.sample.studio import render_product
from export.contract import Tensor, read_repository
from export.local_triton import LocalTriton
from export.networks import PhotoOutputs
from export.onnx_runtime import OnnxRuntimeNetworks
from export.triton_client import TritonNetworks

REPOSITORY = Path(__file__).parents[2] / "model_repository"
SHIPPED_BYTES = 12 * 2**20
PHOTO_SEED = 20_261  # neither the shop's photos nor the training views were drawn with it


@pytest.fixture(scope="module")
def specs() -> list[ProductSpec]:
    return shop_specs(seed=0, products=1200)[::10]


@pytest.fixture(scope="module")
def networks() -> Iterator[OnnxRuntimeNetworks]:
    networks = OnnxRuntimeNetworks(REPOSITORY, threads=2)
    yield networks
    networks.close()


def pixels(picture, size_px: int, box=None) -> NDArray[np.uint8]:
    upright = picture.convert("RGB")
    return to_input(Picture(upright, upright.width, upright.height, 1.0), size_px=size_px, box=box)


@pytest.fixture(scope="module")
def photos(specs, networks) -> NDArray[np.uint8]:
    """One fresh camera photo of each product, cropped to the product as a shopper's box does."""
    shots = []
    for number, spec in enumerate(specs):
        photo, box = take_photo(spec, np.random.default_rng([PHOTO_SEED, number]), size_px=256)
        shots.append(pixels(photo, networks.info.size_px, box))
    return np.stack(shots)


def test_they_are_small_and_whole():
    info = read_repository(REPOSITORY)  # checks every file's sha256
    assert len(info.labels) >= 24
    assert sum(file.stat().st_size for file in REPOSITORY.rglob("*") if file.is_file()) <= SHIPPED_BYTES


@pytest.mark.slow
def test_they_recognize_fresh_photos_of_the_sample_shop(specs, networks, photos):
    outputs: PhotoOutputs = networks.infer(photos)
    guessed = [networks.info.labels[k] for k in outputs.probabilities.argmax(axis=1)]
    accuracy = np.mean([label == spec.label for label, spec in zip(guessed, specs, strict=True)])
    assert accuracy > 0.75  # chance: 1 in 30

    gallery = networks.vectors(
        np.stack([pixels(render_product(spec), networks.info.size_px) for spec in specs]), Tensor.EMBEDDING
    )
    ranks = np.argsort(-(outputs.embedding @ gallery.T), axis=1)
    recall_at_5 = np.mean([row in ranks[row, :5] for row in range(len(specs))])
    assert recall_at_5 > 0.6  # chance: 5 in 120


@pytest.mark.slow
def test_triton_answers_as_onnx_runtime_does(networks, photos, tmp_path):
    expected = networks.infer(photos[:48])
    with LocalTriton(REPOSITORY, log_file=tmp_path / "triton.log") as triton:
        client = TritonNetworks(triton.grpc_url, info=networks.info)
        client.check_spaces()
        got = client.infer(photos[:48])
        client.close()
    for name in ("embedding", "pooled"):
        cosines = (getattr(got, name) * getattr(expected, name)).sum(axis=1)
        assert cosines.min() >= 0.9999
    np.testing.assert_allclose(got.probabilities, expected.probabilities, atol=1e-4)
    gallery = expected.embedding
    top_10 = [np.argsort(-(vectors @ gallery.T), axis=1, kind="stable")[:, :10] for vectors in (got.embedding, gallery)]
    np.testing.assert_array_equal(*top_10)
