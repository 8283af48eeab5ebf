"""A backbone and a head in, a network from uint8 pictures to logits or unit embeddings out: as trained, so exported."""

from __future__ import annotations

from enum import StrEnum
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.backbones import Backbone
from training.preprocessing import Preprocess

# A smaller feature counts as this much under the power: the slope of the square root at 0 is infinite.
_TINY = 1e-12
_NORM_FLOOR = 1e-12


class Kind(StrEnum):
    """What a run folder holds."""

    CLASSIFIER = "classifier"
    EMBEDDER = "embedder"


class Network(nn.Module):
    """Preprocessing, backbone and the power of its features; the two kinds of network add their heads.

    `power` 0.5 is the square root that suits average-pooled features; 1 leaves them alone.
    """

    kind: Kind

    def __init__(self, backbone: Backbone, *, power: float) -> None:
        super().__init__()
        self.spec = backbone.spec
        self.power = power
        self.preprocess = Preprocess(backbone.spec.preprocessing)
        self.backbone = backbone.module
        self.frozen = False

    def features(self, images: Tensor) -> Tensor:
        """Return features [B, D] of uint8 [B, S, S, 3], or of float pixels 0..255 in [B, 3, S, S] (augmented ones)."""
        planes = self.preprocess(images) if images.dtype == torch.uint8 else self.preprocess.normalize(images)
        return powered(self.backbone(planes), self.power)

    def train(self, mode: bool = True) -> Network:
        """Switch to training or evaluation; a frozen backbone always stays in evaluation (BatchNorm, dropout)."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def freeze_backbone(self) -> None:
        """Leave the backbone as it is from now on."""
        self.frozen = True
        self.backbone.requires_grad_(False)
        self.backbone.eval()


class Classifier(Network):
    """Logits [B, V]; with `unit_head` the linear layer sees features of unit length, as a linear probe wants."""

    kind = Kind.CLASSIFIER

    def __init__(self, backbone: Backbone, *, labels: int, power: float, unit_head: bool) -> None:
        super().__init__(backbone, power=power)
        self.unit_head = unit_head
        self.head = nn.Linear(backbone.spec.dim, labels)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [B, V]."""
        features = self.features(images)
        return cast(Tensor, self.head(unit(features) if self.unit_head else features))

    def answers(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities [B, V] and the unit features [B, P] behind them."""
        features = self.features(images)
        pooled = unit(features)
        return functional.softmax(self.head(pooled if self.unit_head else features), dim=1), pooled


class Embedder(Network):
    """Unit embeddings [B, D]; `dim` 0 gives the backbone's features themselves."""

    kind = Kind.EMBEDDER

    def __init__(self, backbone: Backbone, *, dim: int, power: float) -> None:
        super().__init__(backbone, power=power)
        self.head = nn.Linear(backbone.spec.dim, dim) if dim else nn.Identity()
        self.dim = dim or backbone.spec.dim

    def forward(self, images: Tensor) -> Tensor:
        """Return unit embeddings [B, D]."""
        return unit(self.head(self.features(images)))


def powered(x: Tensor, power: float) -> Tensor:
    """Raise the absolute value of `x` to `power` and keep its sign."""
    if power == 1:
        return x
    size = x.abs().clamp(min=_TINY)
    return x.sign() * (size.sqrt() if power == 0.5 else size.pow(power))


def unit(x: Tensor) -> Tensor:
    """Scale the rows of [B, D] to length 1; a zero row stays zero."""
    return x / x.square().sum(dim=1, keepdim=True).clamp(min=_NORM_FLOOR**2).sqrt()
