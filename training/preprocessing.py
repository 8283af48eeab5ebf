"""Uint8 pictures in [B, S, S, 3], RGB; the float [B, 3, S, S] that a backbone was trained on out.

The one place where channel order, scale, mean and standard deviation are applied, in training and in exported graphs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import cast

import torch
from torch import Tensor, nn

from catalog.errors import OutOfRangeError


class ChannelOrder(StrEnum):
    """Order of the color channels a backbone wants."""

    RGB = "rgb"
    BGR = "bgr"


@dataclass(frozen=True)
class Preprocessing:
    """`(pixel * scale - mean) / std` per channel, with mean and std in the order of the backbone's channels."""

    order: ChannelOrder
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        if self.scale <= 0 or min(self.std) <= 0:
            raise OutOfRangeError(
                f"preprocessing needs scale and std above 0, got scale {self.scale} and std {self.std}"
            )


PRESETS = {
    "caffe": Preprocessing(ChannelOrder.BGR, 1.0, (104.0, 117.0, 123.0), (1.0, 1.0, 1.0)),
    "torchvision": Preprocessing(ChannelOrder.RGB, 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "unit": Preprocessing(ChannelOrder.RGB, 1 / 255, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "centered": Preprocessing(ChannelOrder.RGB, 1 / 255, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
}


class Normalize(nn.Module):
    """Float RGB pixels 0..255 in [B, 3, S, S] to the backbone's input: a multiplication and an addition per channel."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.reverse = preprocessing.order is ChannelOrder.BGR
        mean = torch.tensor(preprocessing.mean, dtype=torch.float64)
        std = torch.tensor(preprocessing.std, dtype=torch.float64)
        # Not part of the checkpoint: run.json is the one record of the preprocessing.
        self.register_buffer("gain", (preprocessing.scale / std).float().view(1, 3, 1, 1), persistent=False)
        self.register_buffer("bias", (-mean / std).float().view(1, 3, 1, 1), persistent=False)

    def forward(self, planes: Tensor) -> Tensor:
        """Normalize [B, 3, S, S]."""
        if self.reverse:
            planes = torch.cat((planes[:, 2:3], planes[:, 1:2], planes[:, 0:1]), dim=1)
        return planes * cast(Tensor, self.gain) + cast(Tensor, self.bias)


class Preprocess(nn.Module):
    """The layer that applies a `Preprocessing` to pictures as they come."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.normalize = Normalize(preprocessing)

    def forward(self, images: Tensor) -> Tensor:
        """Turn uint8 [B, S, S, 3] into float [B, 3, S, S]."""
        return cast(Tensor, self.normalize(images.permute(0, 3, 1, 2).float()))
