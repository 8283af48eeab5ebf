"""Pictures in (uint8 [B, S, S, 3]), the answers of `photo` out; what every runner of its networks promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from catalog.errors import MalformedError, OutOfRangeError
from export.contract import Model, RepositoryInfo, Tensor


@dataclass(frozen=True)
class PhotoOutputs:
    """What `photo` answers for B pictures, float32."""

    embedding: NDArray[np.float32]  # [B, D], unit length
    probabilities: NDArray[np.float32]  # [B, V], rows sum to 1
    pooled: NDArray[np.float32]  # [B, P], unit length

    @classmethod
    def empty(cls, info: RepositoryInfo) -> PhotoOutputs:
        """Return the answer for no pictures."""
        dims = (info.embedding_dim, len(info.labels), info.pooled_dim)
        return cls(*(np.zeros((0, dim), np.float32) for dim in dims))

    @classmethod
    def concatenate(cls, parts: Sequence[PhotoOutputs]) -> PhotoOutputs:
        """Return the answers of several batches (at least one) as one."""
        return cls(
            np.concatenate([part.embedding for part in parts]),
            np.concatenate([part.probabilities for part in parts]),
            np.concatenate([part.pooled for part in parts]),
        )


class PhotoNetworks(Protocol):
    """A runner of the pair of networks or of the fused one: ONNX Runtime in this process, or Triton over gRPC."""

    @property
    def info(self) -> RepositoryInfo:
        """What the networks are."""

    def infer(self, images: NDArray[np.uint8]) -> PhotoOutputs:
        """Answer for B >= 0 pictures, uint8 [B, S, S, 3], RGB."""

    def vectors(self, images: NDArray[np.uint8], tensor: Tensor) -> NDArray[np.float32]:
        """Answer one tensor, [B, D], and run only the network behind it: half the work of a pair for one vector."""

    def close(self) -> None:
        """Give back sessions or connections; calling it twice is fine."""


class AsyncPhotoNetworks(Protocol):
    """What the service asks, in one event loop: a Triton, or ONNX Runtime in this process."""

    @property
    def info(self) -> RepositoryInfo:
        """What the networks are."""

    async def infer(self, images: NDArray[np.uint8], *, timeout_s: float | None = None) -> PhotoOutputs:
        """Answer for B >= 0 pictures, uint8 [B, S, S, 3], RGB, within the time."""

    async def close(self) -> None:
        """Give back sessions or connections; calling it twice is fine."""


def check_images(images: NDArray[np.uint8], *, size_px: int) -> None:
    """Refuse anything but uint8 [B, S, S, 3]: `MalformedError` for the type, `OutOfRangeError` for the shape."""
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
        got = images.dtype if isinstance(images, np.ndarray) else type(images).__name__
        raise MalformedError(f"pictures are {got}, expected uint8")
    if images.ndim != 4 or images.shape[1:] != (size_px, size_px, 3):
        raise OutOfRangeError(f"pictures have shape {list(images.shape)}, expected [B, {size_px}, {size_px}, 3]")


def batches(images: NDArray[np.uint8], *, max_batch: int) -> list[NDArray[np.uint8]]:
    """Return the pictures in consecutive views of at most `max_batch`."""
    return [images[start : start + max_batch] for start in range(0, len(images), max_batch)]


def network_of(tensor: Tensor, info: RepositoryInfo) -> Model:
    """Return the network that answers a tensor; `OutOfRangeError` for one that none answers."""
    for model, outputs in info.networks.items():
        if tensor in outputs:
            return model
    raise OutOfRangeError(f"no network answers {tensor}, expected one of {', '.join(Tensor)}")


def dim_of(tensor: Tensor, info: RepositoryInfo) -> int:
    """Return D of a tensor [B, D]."""
    dims = {
        Tensor.EMBEDDING: info.embedding_dim,
        Tensor.PROBABILITIES: len(info.labels),
        Tensor.POOLED: info.pooled_dim,
    }
    return dims[tensor]
