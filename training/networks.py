"""A backbone and heads in, a network from uint8 pictures to logits or unit embeddings out: as trained, so exported."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from catalog.errors import MalformedError, OutOfRangeError
from training.backbones import Backbone
from training.poolings import Pooling, pooled_dims, stage_pools
from training.preprocessing import Preprocess
from training.stages import StagedBackbone, with_stages

# A smaller feature counts as this much under the power: the slope of the square root at 0 is infinite.
_TINY = 1e-12
_NORM_FLOOR = 1e-12
_GREATEST_DIM = 65_536  # an index of longer vectors is of no use


class Kind(StrEnum):
    """What a run folder holds."""

    CLASSIFIER = "classifier"
    EMBEDDER = "embedder"
    FUSED = "fused"


class Network(nn.Module):
    """Preprocessing, backbone and the power of its features; the kinds of network add their heads.

    `power` 0.5 is the square root that suits average-pooled features; 1 leaves them alone.
    """

    kind: Kind

    def __init__(self, backbone: Backbone, *, power: float) -> None:
        super().__init__()
        self.spec = backbone.spec
        self.power = power
        self.preprocess = Preprocess(backbone.spec.preprocessing)
        self.backbone = backbone.module

    def features(self, images: Tensor) -> Tensor:
        """Return features [B, D] of uint8 [B, S, S, 3], or of float pixels 0..255 in [B, 3, S, S] (augmented ones)."""
        return self.maps_and_features(self.pixels(images))[1]

    def pixels(self, images: Tensor) -> Tensor:
        """Return float pixels 0..255 in [B, 3, S, S] of uint8 [B, S, S, 3]; float ones come back as they are."""
        return images.permute(0, 3, 1, 2).float() if images.dtype == torch.uint8 else images

    def maps_and_features(self, pixels: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """Return the maps of the four stages (none of a plain backbone) and the features [B, D] under the power."""
        out = self.backbone(self.preprocess.normalize(pixels))
        if isinstance(self.backbone, StagedBackbone):
            return tuple(out[:-1]), powered(out[-1], self.power)
        return (), powered(out, self.power)

    def learn(self, pixels: Tensor) -> Any:
        """Return what a loss looks at, from float pixels 0..255 [B, 3, S, S]; without branches, so it can be traced."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Any:
        """Return what the network is trained for."""
        raise NotImplementedError


class OnPixels(nn.Module):
    """A network as the loop calls it: `learn` as its forward pass."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Any:
        """Return what a loss looks at."""
        return self.network.learn(pixels)


class Classifier(Network):
    """Logits [B, V]; with `unit_head` the linear layer sees features of unit length, as a linear probe wants.

    `temperature` divides the logits before they become probabilities. `coarse_labels` adds a second head for training
    on two levels; nothing that is exported depends on it.
    """

    kind = Kind.CLASSIFIER

    def __init__(
        self,
        backbone: Backbone,
        *,
        labels: int,
        power: float,
        unit_head: bool,
        coarse_labels: int = 0,
        temperature: float = 1.0,
    ) -> None:
        super().__init__(backbone, power=power)
        self.unit_head = unit_head
        self.temperature = temperature
        self.head = nn.Linear(backbone.spec.dim, labels)
        self.coarse_head = nn.Linear(backbone.spec.dim, coarse_labels) if coarse_labels else None

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [B, V]."""
        return cast(Tensor, self.head(self._seen(self.features(images))))

    def learn(self, pixels: Tensor) -> Any:
        """Return logits [B, V], or those of both levels, [B, V] and [B, W]."""
        seen = self._seen(self.maps_and_features(pixels)[1])
        return self.head(seen) if self.coarse_head is None else (self.head(seen), self.coarse_head(seen))

    def answers(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities [B, V] and the unit features [B, P] behind them."""
        features = self.features(images)
        return functional.softmax(self.head(self._seen(features)) / self.temperature, dim=1), unit(features)

    def _seen(self, features: Tensor) -> Tensor:
        return unit(features) if self.unit_head else features


class Embedder(Network):
    """Unit embeddings [B, D] of the features or, with `pooling`, of the pooled stages; `dim` 0 gives those themselves.

    Each pooled stage is brought to unit length, so that none drowns the others.
    """

    kind = Kind.EMBEDDER

    def __init__(self, backbone: Backbone, *, dim: int, power: float, pooling: Pooling | None = None) -> None:
        super().__init__(with_stages(backbone) if pooling else backbone, power=power)
        self.pooling = pooling
        self.pools = stage_pools(pooling) if pooling else None
        source_dim = embedding_source_dim(self.backbone, pooling, feature_dim=backbone.spec.dim)
        self.head = nn.Linear(source_dim, dim) if dim else nn.Identity()
        self.dim = dim or source_dim

    def forward(self, images: Tensor) -> Tensor:
        """Return unit embeddings [B, D]."""
        return self.learn(self.pixels(images))

    def learn(self, pixels: Tensor) -> Tensor:
        """Return unit embeddings [B, D]."""
        maps, features = self.maps_and_features(pixels)
        return unit(self.head(embedding_source(maps, features, self.pools, power=self.power)))


class Fused(Network):
    """A classifier and an embedder on one backbone: logits [B, V] and unit embeddings [B, D] in one pass.

    `pooling` None embeds the features, as a plain `Embedder` does.
    """

    kind = Kind.FUSED

    def __init__(
        self,
        backbone: Backbone,
        *,
        labels: int,
        dim: int,
        pooling: Pooling | None,
        power: float,
        unit_head: bool,
        coarse_labels: int = 0,
        temperature: float = 1.0,
    ) -> None:
        super().__init__(with_stages(backbone) if pooling else backbone, power=power)
        self.pooling = pooling
        self.unit_head = unit_head
        self.temperature = temperature
        self.pools = stage_pools(pooling) if pooling else None
        feature_dim = backbone.spec.dim
        source_dim = embedding_source_dim(self.backbone, pooling, feature_dim=feature_dim)
        self.head = nn.Linear(feature_dim, labels)
        self.coarse_head = nn.Linear(feature_dim, coarse_labels) if coarse_labels else None
        self.embedding_head = nn.Linear(source_dim, dim) if dim else nn.Identity()
        self.dim = dim or source_dim

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits [B, V] and unit embeddings [B, D]."""
        logits, embedding, *_ = self.learn(self.pixels(images))
        return logits, embedding

    def learn(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return logits [B, V], unit embeddings [B, D] and, with a second level, its logits [B, W]."""
        maps, features = self.maps_and_features(pixels)
        seen = unit(features) if self.unit_head else features
        source = embedding_source(maps, features, self.pools, power=self.power)
        answers = (cast(Tensor, self.head(seen)), unit(self.embedding_head(source)))
        return answers if self.coarse_head is None else (*answers, self.coarse_head(seen))

    def answers(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return unit embeddings [B, D], probabilities [B, V] and unit features [B, P]."""
        maps, features = self.maps_and_features(self.pixels(images))
        pooled = unit(features)
        logits = self.head(pooled if self.unit_head else features)
        source = embedding_source(maps, features, self.pools, power=self.power)
        return unit(self.embedding_head(source)), functional.softmax(logits / self.temperature, dim=1), pooled


def embedding_source(
    maps: tuple[Tensor, ...], features: Tensor, pools: nn.ModuleList | None, *, power: float
) -> Tensor:
    """Return what an embedding head sees: the features, or the pooled stages at unit length, side by side."""
    if pools is None:
        return features
    return torch.cat([unit(powered(pool(stage), power)) for pool, stage in zip(pools, maps, strict=True)], dim=1)


def embedding_source_dim(backbone: nn.Module, pooling: Pooling | None, *, feature_dim: int) -> int:
    """Return the length of `embedding_source`."""
    if pooling is None:
        return feature_dim
    if not isinstance(backbone, StagedBackbone):
        raise MalformedError("the stages of a plain backbone cannot be pooled")
    return sum(pooled_dims(backbone.channels, pooling))


def check_dim(dim: int) -> None:
    """Raise `OutOfRangeError` for a length that no embedding can have; 0 stands for what lies below its layer."""
    if not 0 <= dim <= _GREATEST_DIM:
        wanted = "at least 0 is needed" if dim < 0 else f"at most {_GREATEST_DIM:,} is allowed"
        raise OutOfRangeError(f"--dim is {dim}, {wanted}")


def head_sentence(network: Embedder | Fused) -> str:
    """Say how large the embedding is and how many weights it costs."""
    head = network.head if isinstance(network, Embedder) else network.embedding_head
    count = sum(weight.numel() for weight in head.parameters())
    return f"{network.dim}-d head of {count:,} parameters"


def powered(x: Tensor, power: float) -> Tensor:
    """Raise the absolute value of `x` to `power` and keep its sign."""
    if power == 1:
        return x
    size = x.abs().clamp(min=_TINY)
    return x.sign() * (size.sqrt() if power == 0.5 else size.pow(power))


def unit(x: Tensor) -> Tensor:
    """Scale the rows of [B, D] to length 1; a zero row stays zero."""
    return x / x.square().sum(dim=1, keepdim=True).clamp(min=_NORM_FLOOR**2).sqrt()
