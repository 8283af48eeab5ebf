"""An ONNX file of any image network in, a trainable torch module from float [B, 3, S, S] to features [B, D] out."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from catalog.errors import MalformedError, NotFoundError, OutOfRangeError
from training.lrn import replace_lrn

# GoogLeNet as converted from Caffe: we know its preprocessing and which of its tensors describes a picture best.
_CAFFE_INPUT, _CAFFE_FEATURES = "data", "pool5/7x7_s1"


@dataclass(frozen=True)
class LoadedOnnx:
    """The module, S of its input, D of its features, the name of the feature tensor, and the file's checksum."""

    module: nn.Module
    size_px: int
    dim: int
    features: str
    is_caffe_googlenet: bool
    sha256: str


def load(path: Path, *, features: str | None, size_px: int | None) -> LoadedOnnx:
    """Read `path` up to the tensor `features` (default: the first output).

    Raises `NotFoundError` for a missing file or tensor, `MalformedError` for what is not an image network in ONNX.
    """
    if not path.is_file():
        raise NotFoundError(f"there is no weights file {path}")
    data = path.read_bytes()
    model = _parse(data, path)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [entry for entry in model.graph.input if entry.name not in weights]
    if len(inputs) != 1:
        raise MalformedError(f"{path} has {len(inputs)} inputs, an image network has 1")
    outputs = [entry.name for entry in model.graph.output]
    tensors = {name for node in model.graph.node for name in node.output}
    is_caffe = inputs[0].name == _CAFFE_INPUT and _CAFFE_FEATURES in tensors
    name = features or (_CAFFE_FEATURES if is_caffe else outputs[0])
    if name not in tensors:
        raise NotFoundError(f"{path} has no tensor '{name}'; its outputs are {', '.join(outputs)}")
    side_px = _size_px(inputs[0], asked=size_px, path=path)
    module = _convert(model, source=inputs[0].name, features=name, path=path)
    example = torch.zeros(1, 3, side_px, side_px)
    replace_lrn(module, example)
    with torch.no_grad():
        dim = int(module(example).shape[1])
    return LoadedOnnx(module, side_px, dim, name, is_caffe, hashlib.sha256(data).hexdigest())


class OnnxFeatures(nn.Module):
    """A converted graph whose feature maps [B, D, H, W], if it gives maps, are averaged to [B, D]."""

    def __init__(self, graph: nn.Module) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, planes: Tensor) -> Tensor:
        """Turn float [B, 3, S, S] into features [B, D]."""
        out = cast(Tensor, self.graph(planes))
        if out.dim() == 4 and out.shape[2:] != (1, 1):
            out = out.mean(dim=(2, 3))
        return torch.flatten(out, 1)


def _parse(data: bytes, path: Path) -> Any:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model_from_string(data)
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError) as error:
        raise MalformedError(f"{path} is not an ONNX network ({str(error).splitlines()[0]})") from error
    return model


def _size_px(entry: Any, *, asked: int | None, path: Path) -> int:
    shape = [dim.dim_value for dim in entry.type.tensor_type.shape.dim]
    if len(shape) != 4 or shape[1] not in (0, 3):
        raise MalformedError(f"{path} wants input of shape {shape}, expected [B, 3, S, S] (0 is any)")
    height, width = shape[2:]
    if height != width:
        raise MalformedError(f"{path} wants pictures of {height} x {width} px, expected square ones")
    if not height and asked is None:
        raise MalformedError(f"{path} takes pictures of any size; say which with --size-px")
    if height and asked not in (None, height):
        raise OutOfRangeError(f"--size-px is {asked}, {path} takes {height}")
    return int(height or asked or 0)


def _convert(model: Any, *, source: str, features: str, path: Path) -> nn.Module:
    import onnx2torch
    from onnx.utils import Extractor

    logging.getLogger("onnx2torch").setLevel(logging.ERROR)
    try:
        graph = onnx2torch.convert(Extractor(model).extract_model([source], [features]))
    except NotImplementedError as error:
        raise MalformedError(f"{path} has a layer that cannot be trained here: {error}") from error
    return OnnxFeatures(graph).eval()
