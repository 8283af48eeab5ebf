"""The sample shop's own backbone: float [B, 3, 128, 128] in, features [B, 256] out; 0.74 M parameters, from scratch.

Two strided convolutions reach 32 x 32 at once, where the cost is; residual bottleneck blocks do the rest.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

SIZE_PX = 128
DIM = 256
_STAGES = ((48, 2), (96, 3), (192, 3))


def _conv(inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, relu: bool = True) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    if relu:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class Block(nn.Module):
    """A residual block that halves the channels for its 3 x 3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        middle = channels // 2
        self.body = nn.Sequential(
            _conv(channels, middle, kernel=1),
            _conv(middle, middle),
            _conv(middle, channels, kernel=1, relu=False),
        )
        # Starting as the identity lets a fresh network train at full speed.
        nn.init.zeros_(cast(nn.BatchNorm2d, cast(nn.Sequential, self.body[2])[1]).weight)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape [B, C, H, W]."""
        return cast(Tensor, self.relu(x + self.body(x)))


class SmallNet(nn.Sequential):
    """Features [B, 256], none below 0, of pictures [B, 3, S, S]; S is 128 px unless asked otherwise."""

    def __init__(self) -> None:
        layers: list[nn.Module] = [_conv(3, 24, kernel=5, stride=2)]
        channels = 24
        for width, blocks in _STAGES:
            layers.append(_conv(channels, width, stride=2))
            layers += [Block(width) for _ in range(blocks)]
            channels = width
        layers += [_conv(channels, DIM, kernel=1), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        super().__init__(*layers)
