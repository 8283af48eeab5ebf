"""An owner whose GPU is lost in the middle of a batch: everybody is answered all the same, by the CPU."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from prometheus_client import REGISTRY

from bento.owner import GalleryOwner, Query
from index_builder import gallery as gallery_module
from index_builder.gallery import Gallery
from index_builder.manifest import Device
from tests.bento.conftest import Two
from tests.bento.galleries import living, publish_as

LASTS = 3  # searches


class LosesItsDevice(faiss.IndexFlatIP):
    """A real index that fails like one whose GPU is gone, from the fourth search on."""

    searches = 0

    def search(self, *arguments: Any, **options: Any) -> Any:
        self.searches += 1
        if self.searches > LASTS:
            raise RuntimeError("Error in virtual void faiss::gpu::...: CUDA error 719 unspecified launch failure")
        return super().search(*arguments, **options)


def to_device(index: Any) -> Any:
    copy = LosesItsDevice(index.d)
    copy.add(index.reconstruct_n(0, index.ntotal))
    return copy


@pytest.fixture
def for_gpu(two: Two) -> Iterator[Path]:
    """A gallery that was built for a GPU."""
    if "for-gpu" not in two.store.versions():
        recipe = two.store.manifest("blue").recipe.model_copy(update={"device": Device.GPU})
        publish_as(two.store, "blue", "for-gpu", recipe=recipe)
    yield two.store.gallery("for-gpu")
    gallery_module._LOST.clear()


def ask(owner: GalleryOwner, images: np.ndarray) -> list[Any]:
    """The first rows and scores of queries that come at the same time, of two kinds."""

    async def together() -> list[Any]:
        queries = [Query(image, None, weight=float(number % 2), top_k=5) for number, image in enumerate(images)]
        return await asyncio.gather(*(owner.search(query) for query in queries))

    return [(hits.rows.tolist(), hits.scores.tolist()) for hits in asyncio.run(together())]


def test_where_there_is_no_gpu_the_cpu_answers(for_gpu: Path, caplog: pytest.LogCaptureFixture) -> None:
    live = living(for_gpu)
    owner, gallery = GalleryOwner(live), live.gallery
    assert (gallery.manifest.recipe.device, gallery.device) == (Device.GPU, Device.CPU)
    assert caplog.text.count("gallery for-gpu was built for a GPU; none is here") == 1
    owner.close()


def test_a_lost_gpu_costs_no_answer(for_gpu: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_cpu = Gallery.open(for_gpu)
    images = np.random.default_rng(3).normal(size=(8, with_cpu.manifest.image_dim)).astype(np.float32)
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    expected = GalleryOwner(living(for_gpu))
    monkeypatch.setattr(gallery_module, "gpu_count", lambda: 1)
    monkeypatch.setattr(gallery_module, "to_gpu", to_device)
    owner = GalleryOwner(living(for_gpu))
    assert owner.gallery.device is Device.GPU
    before = REGISTRY.get_sample_value("shopcam_device_fallbacks_total")
    for _ in range(4):
        assert ask(owner, images) == ask(expected, images)
    assert owner.gallery.device is Device.CPU
    assert REGISTRY.get_sample_value("shopcam_device_fallbacks_total") == before + 1
    assert REGISTRY.get_sample_value("shopcam_search_device", {"device": "cpu"}) == 1
    # The device stays lost for this process: the next gallery is not sent there.
    following = Gallery.open(for_gpu)
    assert following.device is Device.CPU
    following.close()
    owner.close()
    expected.close()


def test_a_cpu_that_fails_is_an_error_of_its_request(for_gpu: Path) -> None:
    owner = GalleryOwner(living(for_gpu))
    with pytest.raises(Exception, match="image vectors are"):
        ask(owner, np.zeros((1, 3), np.float32))
    owner.close()
