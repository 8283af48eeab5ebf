"""Unit embeddings of a batch and the cluster of each in, a loss out that draws clusters together and apart.

All are written in the cosine distance d = 1 - cos, 0 to 2, or in the cosine itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor
from torch.nn import functional

from catalog.errors import OutOfRangeError

_FAR = 4.0  # farther than any cosine distance, which ends at 2
# Multi-similarity: how steeply positives and negatives count, the cosine they count from, how far mining reaches.
_MS_ALPHA, _MS_BETA, _MS_BASE, _MS_REACH = 2.0, 50.0, 0.5, 0.1


class Mining(StrEnum):
    """Which negatives of a batch count.

    SEMI_HARD (triplet): for each anchor and positive the nearest negative that is still farther than the positive (the
    farthest one where there is none). HARD: with `triplet`, for each anchor its farthest positive and its nearest
    negative; with `hinge`, as many of the nearest negative pairs as there are positive pairs. ALL (hinge): every pair.
    """

    ALL = "all"
    SEMI_HARD = "semi-hard"
    HARD = "hard"


class LossName(StrEnum):
    """The losses that `--loss` names."""

    HINGE = "hinge"
    TRIPLET = "triplet"
    MULTI_SIMILARITY = "multi-similarity"
    SUPCON = "supcon"
    PROXY = "proxy"


# What each loss can mine, its own choice first, and its margin and temperature where it has one.
_MINING = {LossName.TRIPLET: (Mining.SEMI_HARD, Mining.HARD), LossName.HINGE: (Mining.ALL, Mining.HARD)}
_MARGINS = {LossName.HINGE: 0.5, LossName.TRIPLET: 0.2, LossName.PROXY: 0.1}
_TEMPERATURES = {LossName.SUPCON: 0.1, LossName.PROXY: 0.05}


@dataclass(frozen=True)
class MetricLoss:
    """One loss with its settings; what is None takes the loss's own. `OutOfRangeError` for what does not fit."""

    name: LossName
    margin: float | None = None
    mining: Mining | None = None
    temperature: float | None = None

    def __post_init__(self) -> None:
        for option, value in (("--margin", self.margin), ("--metric-temperature", self.temperature)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise OutOfRangeError(f"{option} is {value}, expected a number above 0")
        allowed = _MINING.get(self.name, ())
        if self.mining is not None and self.mining not in allowed:
            known = f"knows {' and '.join(allowed)}" if allowed else "takes none"
            raise OutOfRangeError(f"--mining is {self.mining}, the loss {self.name} {known}")

    @property
    def has_proxies(self) -> bool:
        """Whether the loss learns a vector for each cluster."""
        return self.name is LossName.PROXY

    def __call__(self, embeddings: Tensor, clusters: Tensor, proxies: Tensor | None = None) -> Tensor:
        """Return the loss of unit rows [B, D] of clusters int64 [B]; `proxies` [C, D] need not have unit length."""
        margin = self.margin or _MARGINS.get(self.name, 0.0)
        temperature = self.temperature or _TEMPERATURES.get(self.name, 1.0)
        mining = self.mining or _MINING.get(self.name, (Mining.ALL,))[0]
        if self.name is LossName.HINGE:
            return hinge_loss(embeddings, clusters, margin=margin, mining=mining)
        if self.name is LossName.TRIPLET:
            return triplet_loss(embeddings, clusters, margin=margin, mining=mining)
        if self.name is LossName.MULTI_SIMILARITY:
            return multi_similarity_loss(embeddings, clusters)
        if self.name is LossName.SUPCON:
            return supcon_loss(embeddings, clusters, temperature=temperature)
        if proxies is None:
            raise OutOfRangeError("the loss proxy needs the vectors of the clusters, got none")
        return proxy_loss(embeddings, clusters, proxies, margin=margin, temperature=temperature)


def hinge_loss(embeddings: Tensor, clusters: Tensor, *, margin: float = 0.5, mining: Mining = Mining.ALL) -> Tensor:
    """Mean of `max(0, d - margin)` over pairs of one cluster plus mean of `max(0, margin - d)` over other pairs.

    The cluster paper's two hinge losses, where both margins are 0.5 (Kim et al., "Improving Similarity Search Using
    Clustered Data").
    """
    distance, same, positive = _pairs(embeddings, clusters)
    upper = torch.ones_like(same).triu(diagonal=1)
    near = (distance[positive & upper] - margin).clamp(min=0)
    apart = distance[~same & upper]
    if mining is Mining.HARD and len(apart):
        apart = apart.topk(min(len(apart), max(1, len(near))), largest=False).values
    far = (margin - apart).clamp(min=0)
    return sum((costs.mean() for costs in (near, far) if len(costs)), start=embeddings.sum() * 0)


def triplet_loss(embeddings: Tensor, clusters: Tensor, *, margin: float, mining: Mining = Mining.SEMI_HARD) -> Tensor:
    """Mean of `max(0, d(anchor, positive) - d(anchor, negative) + margin)` over mined triplets.

    A batch without any triplet costs 0.
    """
    distance, same, positive = _pairs(embeddings, clusters)
    if mining is Mining.HARD:
        farthest = distance.masked_fill(~positive, -1).amax(dim=1)
        nearest = distance.masked_fill(same, _FAR).amin(dim=1)
        usable = positive.any(dim=1) & (~same).any(dim=1)
        costs = (farthest - nearest + margin).clamp(min=0)[usable]
    else:
        costs = _semi_hard(distance, same=same, positive=positive, margin=margin)
    return costs.mean() if costs.numel() else embeddings.sum() * 0


def multi_similarity_loss(embeddings: Tensor, clusters: Tensor) -> Tensor:
    """Mean over anchors of log(1 + sum exp(-2 (p - 1/2))) / 2 + log(1 + sum exp(50 (n - 1/2))) / 50.

    p and n are cosines to mined positives and negatives: negatives less than 0.1 below the least positive, positives
    less than 0.1 above the greatest negative (Wang et al., "Multi-Similarity Loss with General Pair Weighting", 2019).
    """
    distance, same, positive = _pairs(embeddings, clusters)
    cosine = 1 - distance
    least = cosine.masked_fill(~positive, _FAR).amin(dim=1, keepdim=True)
    greatest = cosine.masked_fill(same, -_FAR).amax(dim=1, keepdim=True)
    near = positive & (cosine < greatest + _MS_REACH)
    far = ~same & (cosine > least - _MS_REACH)
    pulled = _soft_sum(-_MS_ALPHA * (cosine - _MS_BASE), near) / _MS_ALPHA
    pushed = _soft_sum(_MS_BETA * (cosine - _MS_BASE), far) / _MS_BETA
    return (pulled + pushed).mean()


def supcon_loss(embeddings: Tensor, clusters: Tensor, *, temperature: float) -> Tensor:
    """Mean over anchors of the mean over positives of -log(exp(p / t) / sum over all others of exp(s / t)).

    The form with the sum outside of the logarithm (Khosla et al., "Supervised Contrastive Learning", 2020, equation 2).
    Anchors without a positive are left out.
    """
    distance, _, positive = _pairs(embeddings, clusters)
    itself = torch.eye(len(clusters), dtype=torch.bool, device=distance.device)
    scores = ((1 - distance) / temperature).masked_fill(itself, -torch.inf)
    shares = scores - scores.logsumexp(dim=1, keepdim=True)
    counts = positive.sum(dim=1)
    usable = counts > 0
    if not bool(usable.any()):
        return embeddings.sum() * 0
    return -(shares.masked_fill(~positive, 0).sum(dim=1)[usable] / counts[usable]).mean()


def proxy_loss(embeddings: Tensor, clusters: Tensor, proxies: Tensor, *, margin: float, temperature: float) -> Tensor:
    """Cross entropy of the cosines to all proxies over the temperature, the right one lowered by the margin.

    (Wang et al., "CosFace", 2018, equation 4, with 1 / temperature for the scale s.)
    """
    cosine = embeddings @ functional.normalize(proxies, dim=1).T
    lowered = cosine - margin * functional.one_hot(clusters, len(proxies)).to(cosine.dtype)
    return functional.cross_entropy(lowered / temperature, clusters)


def _pairs(embeddings: Tensor, clusters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return d of all pairs, which pairs are of one cluster, and which of those are two different rows; all [B, B]."""
    distance = 1 - embeddings @ embeddings.T
    same = clusters[:, None] == clusters[None, :]
    return distance, same, same & ~torch.eye(len(clusters), dtype=torch.bool, device=same.device)


def _soft_sum(values: Tensor, chosen: Tensor) -> Tensor:
    """Return log(1 + sum of exp of the chosen values) for each row [B, B] -> [B]."""
    zero = values.new_zeros(len(values), 1)
    return torch.cat((zero, values.masked_fill(~chosen, -torch.inf)), dim=1).logsumexp(dim=1)


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
