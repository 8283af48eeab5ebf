"""Cached views against the frozen layers themselves; what is computed again, and what never."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from catalog.errors import OutOfRangeError
from training import cached_views
from training.augment import LIGHT, NONE
from training.backbones import named_backbone
from training.cached_views import cache_views
from training.frozen import Border, split
from training.networks import Fused, OnPixels
from training.poolings import Pooling
from training.preprocessing import Normalize
from training.stages import with_stages
from training.views import PictureViews

ROWS = np.array([3, 0, 39, 17])


@pytest.fixture(scope="module")
def lower() -> nn.Module:
    torch.manual_seed(0)
    backbone = with_stages(named_backbone("small", size_px=32))
    network = Fused(backbone, labels=3, dim=4, pooling=Pooling.GA, power=0.5, unit_head=False)
    return split(OnPixels(network), Border.STAGE2)[0].eval()


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 40, 40, 3), dtype=np.uint8)


def files(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def batch(views, rows=ROWS, seed=0, size_px=32):
    return views.batch(rows, epoch=0, size_px=size_px, generator=torch.Generator().manual_seed(seed))


def test_a_view_is_what_the_frozen_layers_answer(lower, images, tmp_path):
    # Without augmentation all views are the same, so that the answers are known.
    pictures = PictureViews(images, NONE)
    views = cache_views(lower, pictures, views=2, size_px=32, seed=0, cache=tmp_path)
    with torch.no_grad():
        expected = lower(*batch(pictures))
    got = batch(views)
    assert len(got) == len(expected) == 3
    for ours, theirs in zip(got, expected, strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, theirs, atol=2e-3 * float(theirs.abs().max()), rtol=2e-3)


def test_views_differ_are_drawn_by_the_generator_and_repeat(lower, images, tmp_path):
    pictures = PictureViews(images, LIGHT)
    views = cache_views(lower, pictures, views=3, size_px=32, seed=0, cache=tmp_path / "a")
    again = cache_views(lower, pictures, views=3, size_px=32, seed=0, cache=tmp_path / "b")
    assert not np.array_equal(views.views[0][0], views.views[1][0])
    for one, other in zip(batch(views, seed=5), batch(again, seed=5), strict=True):
        assert torch.equal(one, other)
    drawn = torch.randint(3, (4,), generator=torch.Generator().manual_seed(5)).tolist()
    expected = np.stack([views.views[view][0][row] for view, row in zip(drawn, ROWS, strict=True)])
    assert len(set(drawn)) > 1
    assert np.array_equal(batch(views, seed=5)[0].numpy(), expected.astype(np.float32))


def test_what_is_there_is_read_and_only_the_rest_computed(lower, images, tmp_path, monkeypatch):
    pictures = PictureViews(images, LIGHT)
    two = cache_views(lower, pictures, views=2, size_px=32, seed=0, cache=tmp_path)
    before = files(tmp_path)
    assert len(before) == 2 * 3

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cached_views, "open_array", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cache_views(lower, pictures, views=3, size_px=32, seed=0, cache=tmp_path)
    assert files(tmp_path) == before
    three = cache_views(lower, pictures, views=3, size_px=32, seed=0, cache=tmp_path)
    after = files(tmp_path)
    assert {name: after[name] for name in before} == before
    assert len(after) == 3 * 3
    assert np.array_equal(three.views[1][2], two.views[1][2])


@pytest.mark.parametrize("what", ["weights", "pictures", "augmentation", "size", "seed", "preprocessing"])
def test_whatever_the_answers_depend_on_is_in_the_name(what, lower, images, tmp_path):
    cache_views(lower, PictureViews(images, LIGHT), views=1, size_px=32, seed=0, cache=tmp_path)
    changed = images.copy()
    changed[39, 0, 0, 0] ^= 1
    pictures = PictureViews(changed if what == "pictures" else images, NONE if what == "augmentation" else LIGHT)
    weight = next(lower.parameters())
    kept = weight.detach().clone()
    normalize = next(layer for layer in lower.modules() if isinstance(layer, Normalize))
    try:
        normalize.reverse = what == "preprocessing"
        if what == "weights":
            with torch.no_grad():
                weight[0, 0, 0, 0] += 1e-3
        cache_views(
            lower,
            pictures,
            views=1,
            size_px=40 if what == "size" else 32,
            seed=1 if what == "seed" else 0,
            cache=tmp_path,
        )
    finally:
        with torch.no_grad():
            weight.copy_(kept)
        normalize.reverse = False
    assert len(list(tmp_path.iterdir())) == 2


class Opaque(nn.Module):
    """A layer with a setting that is neither a weight nor told by its name."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = 1.0

    def forward(self, planes: torch.Tensor) -> tuple[torch.Tensor]:
        return (planes * self.factor,)


@pytest.mark.parametrize(("factor", "folders"), [(1 + 3e-7, 1), (1.01, 2)])
def test_answers_count_up_to_the_rounding_of_other_threads(factor, folders, images, tmp_path):
    layer, pictures = Opaque(), PictureViews(images, LIGHT)
    cache_views(layer, pictures, views=1, size_px=32, seed=0, cache=tmp_path)
    layer.factor = factor
    cache_views(layer, pictures, views=1, size_px=32, seed=0, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == folders


def test_mistakes_are_sentences(lower, images, tmp_path, monkeypatch):
    pictures = PictureViews(images, NONE)
    with pytest.raises(OutOfRangeError, match="--cached-views is 0"):
        cache_views(lower, pictures, views=0, size_px=32, seed=0, cache=tmp_path)
    views = cache_views(lower, pictures, views=1, size_px=32, seed=0, cache=tmp_path)
    with pytest.raises(OutOfRangeError, match="views of 32 px are cached, 16 px are asked for"):
        batch(views, size_px=16)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(cached_views.shutil, "disk_usage", lambda _: usage(10**12, 10**12 - 10**6, 10**6))
    # Stage 2 of `small` is 48 maps of 8 x 8, and two stages of 24 and 48 means: 3,144 numbers of 2 bytes.
    with pytest.raises(OutOfRangeError, match=r"200 views of 40 pictures take 0\.1 GB in .*, where 0\.0 GB are free"):
        cache_views(lower, pictures, views=201, size_px=32, seed=0, cache=tmp_path)
