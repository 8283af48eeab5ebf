"""Unit embeddings of a batch and the cluster of each in, the triplet loss out."""

from __future__ import annotations

from enum import StrEnum

import torch
from torch import Tensor

_FAR = 4.0  # farther than any cosine distance, which ends at 2


class Mining(StrEnum):
    """Which negatives of a batch make triplets.

    SEMI_HARD: for each anchor and positive the nearest negative that is still farther than the positive (the farthest
    one where there is none). HARD: for each anchor its farthest positive and its nearest negative.
    """

    SEMI_HARD = "semi-hard"
    HARD = "hard"


def triplet_loss(embeddings: Tensor, clusters: Tensor, *, margin: float, mining: Mining = Mining.SEMI_HARD) -> Tensor:
    """Mean of `max(0, d(anchor, positive) - d(anchor, negative) + margin)` over mined triplets; d is 1 - cosine.

    `embeddings` are unit rows [B, D], `clusters` int64 [B]. A batch without any triplet costs 0.
    """
    distance = 1 - embeddings @ embeddings.T
    same = clusters[:, None] == clusters[None, :]
    positive = same & ~torch.eye(len(clusters), dtype=torch.bool, device=same.device)
    if mining is Mining.HARD:
        farthest = distance.masked_fill(~positive, -1).amax(dim=1)
        nearest = distance.masked_fill(same, _FAR).amin(dim=1)
        usable = positive.any(dim=1) & (~same).any(dim=1)
        costs = (farthest - nearest + margin).clamp(min=0)[usable]
    else:
        costs = _semi_hard(distance, same=same, positive=positive, margin=margin)
    return costs.mean() if costs.numel() else embeddings.sum() * 0


def _semi_hard(distance: Tensor, *, same: Tensor, positive: Tensor, margin: float) -> Tensor:
    """Return the cost of every pair of anchor and positive, flat."""
    anchors, positives = positive.nonzero(as_tuple=True)
    to_positive = distance[anchors, positives]
    to_others = distance[anchors]
    negative = ~same[anchors]
    farther = negative & (to_others > to_positive[:, None])
    nearest = to_others.masked_fill(~farther, _FAR).amin(dim=1)
    farthest = to_others.masked_fill(~negative, -1).amax(dim=1)
    chosen = torch.where(farther.any(dim=1), nearest, farthest)
    return (to_positive - chosen + margin).clamp(min=0)[negative.any(dim=1)]
