"""Poolings against means and largest values of windows written out by hand, and as ONNX."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from training.poolings import Pooling, StagePool, pooled_dims, spatial_average, spatial_max, stage_pools


def test_a_14_px_map_of_known_numbers():
    # Value 14 r + c at row r, column c. Windows are 4 px (2/7) wide and start every 2 px (1/7).
    maps = torch.arange(14 * 14, dtype=torch.float32).view(1, 1, 14, 14)
    average, largest = spatial_average(maps)[0, 0], spatial_max(maps)[0, 0]
    assert average.shape == largest.shape == (6, 6)
    # Rows 0-3 and columns 0-3: the mean is that of 14 * 1.5 + 1.5, the largest is at row 3, column 3.
    assert average[0, 0].item() == pytest.approx(14 * 1.5 + 1.5)
    assert largest[0, 0].item() == 14 * 3 + 3
    # The second window to the right starts at column 2, the last one at 10, of rows too.
    assert average[0, 1].item() == pytest.approx(14 * 1.5 + 3.5)
    assert average[5, 5].item() == pytest.approx(14 * 11.5 + 11.5)
    assert largest[5, 5].item() == 14 * 13 + 13
    assert largest[2, 4].item() == 14 * 7 + 11  # rows 4-7, columns 8-11


def test_the_paper_s_window_is_32_px_every_16_on_112():
    maps = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(spatial_average(maps), nn.functional.avg_pool2d(maps, 32, stride=16))
    assert torch.equal(spatial_max(maps), nn.functional.max_pool2d(maps, 32, stride=16))


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 30), width=st.integers(1, 30), seed=st.integers(0, 1000))
def test_windows_of_any_map_are_those_of_the_definition(height, width, seed):
    maps = np.random.default_rng(seed).normal(size=(2, 2, height, width)).astype(np.float32)
    average, largest = np.zeros((2, 2, 6, 6), np.float32), np.zeros((2, 2, 6, 6), np.float32)
    for i in range(6):
        for j in range(6):
            rows = slice(int(np.floor(i * height / 7)), int(np.ceil((i + 2) * height / 7)))
            columns = slice(int(np.floor(j * width / 7)), int(np.ceil((j + 2) * width / 7)))
            average[:, :, i, j] = maps[:, :, rows, columns].mean(axis=(2, 3))
            largest[:, :, i, j] = maps[:, :, rows, columns].max(axis=(2, 3))
    np.testing.assert_allclose(spatial_average(torch.from_numpy(maps)).numpy(), average, atol=1e-5)
    np.testing.assert_array_equal(spatial_max(torch.from_numpy(maps)).numpy(), largest)


def pooled(maps: list[torch.Tensor], pooling: Pooling) -> torch.Tensor:
    return torch.cat([pool(stage) for pool, stage in zip(stage_pools(pooling), maps, strict=True)], dim=1)


def test_sam_takes_the_largest_on_the_middle_stages_only():
    maps = [torch.rand(2, 2, 14, 14, generator=torch.Generator().manual_seed(stage)) for stage in range(4)]
    parts = [spatial_average(maps[0]), spatial_max(maps[1]), spatial_max(maps[2]), spatial_average(maps[3])]
    expected = torch.cat([part.reshape(2, 72) for part in parts], dim=1)
    assert torch.equal(pooled(maps, Pooling.SAM), expected)
    assert torch.equal(pooled(maps, Pooling.SAP)[:, 72:144], spatial_average(maps[1]).reshape(2, 72))
    torch.testing.assert_close(pooled(maps, Pooling.GA), torch.cat([stage.mean(dim=(2, 3)) for stage in maps], 1))


def test_dims_of_googlenet_by_hand():
    channels = (192, 480, 832, 1024)
    assert sum(pooled_dims(channels, Pooling.GA)) == 2528
    assert pooled_dims(channels, Pooling.SAM) == (192 * 36, 480 * 36, 832 * 36, 1024 * 36)


@pytest.mark.parametrize("side", [7, 14, 13, 4])
@pytest.mark.parametrize("stage", [1, 2])
def test_onnx_runtime_pools_as_torch_for_any_batch(side, stage, tmp_path):
    pool = StagePool(Pooling.SAM, stage=stage)
    file = tmp_path / "pool.onnx"
    torch.onnx.export(
        pool,
        (torch.zeros(2, 5, side, side),),
        file,
        dynamo=True,
        verbose=False,
        dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=64)},),
        input_names=["maps"],
    )
    session = onnxruntime.InferenceSession(file)
    for batch in (1, 3):
        maps = torch.randn(batch, 5, side, side, generator=torch.Generator().manual_seed(batch))
        np.testing.assert_allclose(session.run(None, {"maps": maps.numpy()})[0], pool(maps).numpy(), atol=1e-6)
