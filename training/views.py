"""Row numbers of pictures in, the tensors that a network is called with out: augmented views, made anew each time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.augment import FULL, Augmentation, augment


class Views(Protocol):
    """Where the loop gets its batches; whatever is random comes from `generator`, so that a seed repeats it."""

    def batch(
        self, rows: NDArray[np.int64], *, epoch: int, size_px: int, generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        """Return the arguments of the network for the pictures `rows`, on the CPU, each with `len(rows)` rows."""
        ...

    def digest(self) -> str:
        """Return a hash of everything that batches are made of."""
        ...


_HASHED_AT_ONCE = 256


@dataclass(frozen=True)
class PictureViews:
    """A fresh view of each of the pictures, uint8 [N, s, s, 3], at every visit: float pixels 0..255 [B, 3, S, S]."""

    images: NDArray[np.uint8]
    augmentation: Augmentation = FULL

    def batch(
        self,
        rows: NDArray[np.int64],
        *,
        epoch: int,  # noqa: ARG002 - views drawn on the fly do not depend on it
        size_px: int,
        generator: torch.Generator,
    ) -> tuple[Tensor, ...]:
        """Return one tensor, float [B, 3, size_px, size_px]."""
        pictures = torch.from_numpy(self.images[rows])
        return (augment(pictures, size_px=size_px, generator=generator, how=self.augmentation),)

    def digest(self) -> str:
        """Return a hash of all pictures and of how they are changed."""
        found = hashlib.sha256(repr((self.augmentation, self.images.shape)).encode())
        for start in range(0, len(self.images), _HASHED_AT_ONCE):
            found.update(np.ascontiguousarray(self.images[start : start + _HASHED_AT_ONCE]).data)
        return found.hexdigest()
