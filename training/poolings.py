"""The maps of four stages in, one vector a picture out: the three poolings of the cluster paper.

GA is the mean of each map; SAP keeps where things are, as means over a 6 x 6 grid of overlapping windows; SAM takes the
largest value of each window on the two middle stages instead (Kim et al., "Improving Similarity Search Using Clustered
Data"). The paper's window of 32 px and stride of 16 on a map of 112 px are 2/7 and 1/7 of a side, which fit every map.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum

import torch
from torch import Tensor, nn
from torch.nn import functional

GRID = 6  # windows along a side
_CELLS = GRID + 1  # a window is two neighboring cells of a 7 x 7 division


class Pooling(StrEnum):
    """How the maps of the four stages become one vector."""

    GA = "ga"
    SAP = "sap"
    SAM = "sam"


class StagePool(nn.Module):
    """One stage's maps [B, C, H, W] to [B, C] (`GA`) or [B, 36 C]; a layer, so that no tracer looks inside."""

    def __init__(self, pooling: Pooling, *, stage: int) -> None:
        super().__init__()
        self.pooling = pooling
        self.takes_largest = pooling is Pooling.SAM and stage in (2, 3)

    def forward(self, maps: Tensor) -> Tensor:
        """Pool one stage."""
        if self.pooling is Pooling.GA:
            return maps.mean(dim=(2, 3))
        return torch.flatten(spatial_max(maps) if self.takes_largest else spatial_average(maps), 1)


def stage_pools(pooling: Pooling) -> nn.ModuleList:
    """Make the four layers of a pooling, for stages 1 to 4."""
    return nn.ModuleList(StagePool(pooling, stage=stage) for stage in (1, 2, 3, 4))


def pooled_dims(channels: Sequence[int], pooling: Pooling) -> tuple[int, ...]:
    """Return how many numbers each stage gives; their sum is P."""
    return tuple(count if pooling is Pooling.GA else count * GRID * GRID for count in channels)


def spatial_average(maps: Tensor) -> Tensor:
    """Return means over the windows, [B, C, 6, 6]."""
    return _windows(maps, pool=functional.avg_pool2d, reduce=lambda part, dim: part.mean(dim=dim, keepdim=True))


def spatial_max(maps: Tensor) -> Tensor:
    """Return the largest values of the windows, [B, C, 6, 6]."""
    return _windows(maps, pool=functional.max_pool2d, reduce=lambda part, dim: part.amax(dim=dim, keepdim=True))


def _windows(maps: Tensor, *, pool: Callable[..., Tensor], reduce: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Reduce each window; where sides are multiples of 7, cells first and pairs of cells then: a third of the work."""
    height, width = int(maps.shape[2]), int(maps.shape[3])
    if height == width and height % _CELLS == 0:
        cell = height // _CELLS
        cells = pool(maps, cell, stride=cell) if cell > 1 else maps
        return pool(cells, 2, stride=1)
    rows = torch.cat([reduce(maps[:, :, first:last], 2) for first, last in _edges(height)], dim=2)
    return torch.cat([reduce(rows[:, :, :, first:last], 3) for first, last in _edges(width)], dim=3)


def _edges(side: int) -> list[tuple[int, int]]:
    """Return first and last + 1 of each window: rounded outward, as adaptive pooling does, so that none is empty."""
    return [(window * side // _CELLS, -(-(window + 2) * side // _CELLS)) for window in range(GRID)]
