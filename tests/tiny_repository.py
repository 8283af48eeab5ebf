"""Real networks small enough for any test, as a pair or fused, and the same arithmetic in numpy as their oracle.

Embedder: mean colors of a 4 x 4 grid -> linear -> unit length. Classifier: mean color of the picture -> distance to
each label's color -> softmax, so a red picture is labeled "red"; `pooled` is another linear map of the grid,
at unit length. Fused, all of it is one graph.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.contract import (
    Model,
    ModelDescription,
    RepositoryInfo,
    Tensor,
    read_repository,
    write_model,
    write_photo_ensemble,
)
from export.networks import PhotoOutputs

COLORS: dict[str, tuple[float, float, float]] = {
    "red": (1, 0, 0),
    "green": (0, 1, 0),
    "blue": (0, 0, 1),
    "yellow": (1, 1, 0),
    "black": (0, 0, 0),
    "white": (1, 1, 1),
}
LABELS = tuple(COLORS)
GRID = 4
SHARPNESS = 20.0


@dataclass(frozen=True)
class TinyNetworks:
    """The weights of both networks, drawn from `seed`; equal settings give equal networks.

    Labels that are no color of `COLORS` get a random one. `size_px` must be a multiple of 4.
    """

    size_px: int = 32
    labels: tuple[str, ...] = LABELS
    seed: int = 0
    dim: int = 16
    pooled_dim: int = 12
    embedding_map: NDArray[np.float32] = field(init=False, repr=False)  # [48 + 1, D], last row is the bias
    pooled_map: NDArray[np.float32] = field(init=False, repr=False)  # [48 + 1, P]
    color_map: NDArray[np.float32] = field(init=False, repr=False)  # [3 + 1, V]

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        cells = 3 * GRID * GRID
        colors = np.array([COLORS.get(label, tuple(rng.random(3))) for label in self.labels], np.float64)
        # -k |c - color|^2 is linear in c but for a term that softmax drops.
        color_map = SHARPNESS * np.vstack([2 * colors.T, -(colors**2).sum(axis=1)])
        embedding_map = rng.normal(size=(cells + 1, self.dim))
        pooled_map = rng.normal(size=(cells + 1, self.pooled_dim))
        object.__setattr__(self, "color_map", color_map.astype(np.float32))
        object.__setattr__(self, "embedding_map", embedding_map.astype(np.float32))
        object.__setattr__(self, "pooled_map", pooled_map.astype(np.float32))

    def outputs(self, images: NDArray[np.uint8]) -> PhotoOutputs:
        """Return the oracle: what both networks answer for uint8 [B, S, S, 3], by numpy in float64."""
        pixels = images.astype(np.float64) / 255
        cell = self.size_px // GRID
        grid = pixels.reshape(len(images), GRID, cell, GRID, cell, 3).mean(axis=(2, 4))
        grid = grid.transpose(0, 3, 1, 2).reshape(len(images), 3 * GRID * GRID)  # channel first, as in the graph
        logits = _linear(pixels.mean(axis=(1, 2)), self.color_map)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
        return PhotoOutputs(
            _unit(_linear(grid, self.embedding_map)),
            (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32),
            _unit(_linear(grid, self.pooled_map)),
        )

    def embedder_onnx(self) -> bytes:
        """Return the embedder as an ONNX file."""
        nodes = [*_grid_nodes(self.size_px), *_unit_nodes("grid", "embedding_map", Tensor.EMBEDDING)]
        weights = _initializers("embedding_map", self.embedding_map)
        return _graph("embedder", nodes, weights, size_px=self.size_px, outputs={Tensor.EMBEDDING: self.dim})

    def classifier_onnx(self) -> bytes:
        """Return the classifier as an ONNX file."""
        nodes = [
            *_grid_nodes(self.size_px),
            *_unit_nodes("grid", "pooled_map", Tensor.POOLED),
            *_label_nodes(),
        ]
        weights = _initializers("pooled_map", self.pooled_map) + _initializers("color_map", self.color_map)
        outputs = {Tensor.PROBABILITIES: len(self.labels), Tensor.POOLED: self.pooled_dim}
        return _graph("classifier", nodes, weights, size_px=self.size_px, outputs=outputs)

    def fused_onnx(self) -> bytes:
        """Return one network with all three outputs as an ONNX file."""
        nodes = [
            *_grid_nodes(self.size_px),
            *_unit_nodes("grid", "embedding_map", Tensor.EMBEDDING),
            *_unit_nodes("grid", "pooled_map", Tensor.POOLED),
            *_label_nodes(),
        ]
        maps = ("embedding_map", "pooled_map", "color_map")
        weights = [weight for name in maps for weight in _initializers(name, getattr(self, name))]
        return _graph("fused", nodes, weights, size_px=self.size_px, outputs=self._fused_outputs)

    def write_fused(self, path: Path, *, version: int = 1, max_batch: int = 8) -> RepositoryInfo:
        """Write the fused network as one version of `photo` in a repository."""
        photo = ModelDescription(
            name=Model.PHOTO,
            size_px=self.size_px,
            outputs=self._fused_outputs,
            space_id=f"tiny-fused-{self.seed}-{self.size_px}",
            labels=self.labels,
            max_batch=max_batch,
        )
        write_model(path, photo, self.fused_onnx(), version=version)
        return read_repository(path)

    @property
    def _fused_outputs(self) -> dict[Tensor, int]:
        return {
            Tensor.EMBEDDING: self.dim,
            Tensor.PROBABILITIES: len(self.labels),
            Tensor.POOLED: self.pooled_dim,
        }

    def write(self, path: Path, *, version: int = 1, max_batch: int = 8, queue_delay_us: int = 0) -> RepositoryInfo:
        """Write both networks and the ensemble as one version of a repository."""
        spaces = {name: f"tiny-{name}-{self.seed}-{self.size_px}" for name in (Model.EMBEDDER, Model.CLASSIFIER)}
        embedder = ModelDescription(
            name=Model.EMBEDDER,
            size_px=self.size_px,
            outputs={Tensor.EMBEDDING: self.dim},
            space_id=spaces[Model.EMBEDDER],
            max_batch=max_batch,
            queue_delay_us=queue_delay_us,
        )
        classifier = ModelDescription(
            name=Model.CLASSIFIER,
            size_px=self.size_px,
            outputs={Tensor.PROBABILITIES: len(self.labels), Tensor.POOLED: self.pooled_dim},
            space_id=spaces[Model.CLASSIFIER],
            labels=self.labels,
            max_batch=max_batch,
            queue_delay_us=queue_delay_us,
        )
        write_model(path, embedder, self.embedder_onnx(), version=version)
        write_model(path, classifier, self.classifier_onnx(), version=version)
        return write_photo_ensemble(path)


def make_tiny_repository(
    path: Path, *, size_px: int = 32, labels: tuple[str, ...] = LABELS, seed: int = 0, dim: int = 16
) -> RepositoryInfo:
    """Write a whole tiny repository; its oracle is `TinyNetworks` with the same settings."""
    return TinyNetworks(size_px=size_px, labels=labels, seed=seed, dim=dim).write(path)


def solid(color: str, *, size_px: int = 32) -> NDArray[np.uint8]:
    """Return a picture of one color of `COLORS`, uint8 [S, S, 3]."""
    return np.full((size_px, size_px, 3), np.array(COLORS[color]) * 255, np.uint8)


def random_pictures(count: int, *, size_px: int = 32, seed: int = 0) -> NDArray[np.uint8]:
    """Pictures that differ in every grid cell, uint8 [count, S, S, 3]."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 256, (count, GRID, GRID, 3), np.uint8)
    return cells.repeat(size_px // GRID, axis=1).repeat(size_px // GRID, axis=2)


def _linear(rows: NDArray[np.float64], weights: NDArray[np.float32]) -> NDArray[np.float64]:
    return rows @ weights[:-1].astype(np.float64) + weights[-1]


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def _grid_nodes(size_px: int) -> list[onnx.NodeProto]:
    cell = size_px // GRID
    return [
        helper.make_node("Cast", [Tensor.IMAGE], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["pixels", "full_scale"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["channels_first"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["channels_first"], ["cells"], kernel_shape=[cell, cell], strides=[cell, cell]),
        helper.make_node("Flatten", ["cells"], ["grid"], axis=1),
    ]


def _unit_nodes(source: str, weights: str, output: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("Gemm", [source, weights, f"{weights}_bias"], [f"{output}_raw"]),
        helper.make_node("ReduceL2", [f"{output}_raw"], [f"{output}_norm"], axes=[1], keepdims=1),
        helper.make_node("Div", [f"{output}_raw", f"{output}_norm"], [output]),
    ]


def _label_nodes() -> list[onnx.NodeProto]:
    return [
        helper.make_node("ReduceMean", ["scaled"], ["color"], axes=[1, 2], keepdims=0),
        helper.make_node("Gemm", ["color", "color_map", "color_map_bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], [Tensor.PROBABILITIES], axis=1),
    ]


def _initializers(name: str, weights: NDArray[np.float32]) -> list[onnx.TensorProto]:
    return [numpy_helper.from_array(weights[:-1], name), numpy_helper.from_array(weights[-1], f"{name}_bias")]


def _graph(
    name: str,
    nodes: list[onnx.NodeProto],
    weights: list[onnx.TensorProto],
    *,
    size_px: int,
    outputs: dict[Tensor, int],
) -> bytes:
    image = helper.make_tensor_value_info(Tensor.IMAGE, TensorProto.UINT8, ["batch", size_px, size_px, 3])
    results = [helper.make_tensor_value_info(key, TensorProto.FLOAT, ["batch", dim]) for key, dim in outputs.items()]
    weights = [*weights, numpy_helper.from_array(np.array(255, np.float32), "full_scale")]
    graph = helper.make_graph(nodes, name, [image], results, initializer=weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())
