"""A torch module and its ONNX file in; how far ONNX Runtime's answers are from torch's out, or a refusal."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from catalog.errors import ShopcamError

MIN_COSINE = 0.9999
BATCHES = (1, 3, 8)


class ParityError(ShopcamError):
    """The exported graph does not compute what the trained network computes."""


def check(graph: nn.Module, onnx: bytes, *, size_px: int, batches: tuple[int, ...] = BATCHES) -> float:
    """Return the lowest cosine between the rows that torch and ONNX Runtime answer for the same pictures.

    Every batch size is run with pictures of its own. Raises `ParityError` below `MIN_COSINE` or where shapes differ.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    source = session.get_inputs()[0].name
    names = [output.name for output in session.get_outputs()]
    lowest = 1.0
    for batch in batches:
        pictures = sample_pictures(batch, size_px=size_px, seed=batch)
        with torch.inference_mode():
            answer = graph(torch.from_numpy(pictures))
        expected = [part.numpy() for part in (answer if isinstance(answer, tuple) else (answer,))]
        for name, want, got in zip(names, expected, session.run(None, {source: pictures}), strict=True):
            if got.shape != want.shape:
                raise ParityError(f"{name}: ONNX Runtime answers {got.shape}, torch {want.shape}; nothing was written")
            lowest = min(lowest, lowest_cosine(got, want))
    if not lowest >= MIN_COSINE:  # also true for nan
        raise ParityError(
            f"ONNX Runtime and torch differ: cosine {lowest:.6f}, at least {MIN_COSINE} is needed; nothing was written"
        )
    return lowest


def sample_pictures(count: int, *, size_px: int, seed: int) -> NDArray[np.uint8]:
    """Return [count, S, S, 3] pictures with structure at several scales: mere noise leaves most channels silent."""
    rng = np.random.default_rng(seed)
    pictures = np.zeros((count, size_px, size_px, 3), np.float64)
    for cells in (2, 7, 29):
        coarse = rng.uniform(0, 255, (count, cells, cells, 3))
        index = np.arange(size_px) * cells // size_px
        pictures += coarse[:, index][:, :, index] / 3
    return np.asarray(pictures, dtype=np.uint8)


def lowest_cosine(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    """Return the lowest cosine between the rows of two [B, D] arrays, in double precision."""
    a, b = left.astype(np.float64), right.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(axis=1) / lengths).min())
