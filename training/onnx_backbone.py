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
from training.onnx_form import trainable_form

# GoogLeNet as converted from Caffe: we know its preprocessing and which of its tensors describes a picture best.
_CAFFE_INPUT, _CAFFE_FEATURES = "data", "pool5/7x7_s1"
# conv2/3x3 behind its ReLU, and the outputs of three inception blocks.
_CAFFE_STAGES = ("conv2/relu_3x3", "inception_3b/output", "inception_4e/output", "inception_5b/output")

_EXAMPLES = 2  # a file made for one picture at a time fails here rather than in training


@dataclass(frozen=True)
class LoadedOnnx:
    """The module, S of its input, D of its features, names of the feature tensor and of the stages, the checksum."""

    module: nn.Module
    size_px: int
    dim: int
    features: str
    stages: tuple[str, ...] | None
    is_caffe_googlenet: bool
    sha256: str


def load(path: Path, *, features: str | None, size_px: int | None, stages: tuple[str, ...] | None = None) -> LoadedOnnx:
    """Read `path` up to the tensor `features` (default: the first output); `stages` names four tensors on the way.

    A file of fixed size takes others too where it pools globally. Raises `NotFoundError` for a missing file or tensor,
    `OutOfRangeError` for a size it cannot take, `MalformedError` for what is not an image network in ONNX.
    """
    if not path.is_file():
        raise NotFoundError(f"there is no weights file {path}")
    data = path.read_bytes()
    model = trainable_form(_parse(data, path))
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [entry for entry in model.graph.input if entry.name not in weights]
    if len(inputs) != 1:
        raise MalformedError(f"{path} has {len(inputs)} inputs, an image network has 1")
    outputs = [entry.name for entry in model.graph.output]
    tensors = {name for node in model.graph.node for name in node.output}
    is_caffe = inputs[0].name == _CAFFE_INPUT and _CAFFE_FEATURES in tensors
    name = features or (_CAFFE_FEATURES if is_caffe else outputs[0])
    if stages is None and is_caffe and name == _CAFFE_FEATURES:
        stages = _CAFFE_STAGES
    for wanted in (name, *(stages or ())):
        if wanted not in tensors:
            raise NotFoundError(f"{path} has no tensor '{wanted}'; its outputs are {', '.join(outputs)}")
    own_px = _size_px(inputs[0], asked=size_px, path=path)
    module = _convert(model, source=inputs[0].name, features=name, stages=stages, size_px=own_px, path=path)
    try:
        dim = _dim(module, own_px)
    except RuntimeError as error:
        raise MalformedError(
            f"{path} does not take {_EXAMPLES} pictures at once; export it with a free batch"
        ) from error
    side_px = size_px or own_px
    if side_px != own_px:
        _check_other_size(module, side_px, dim=dim, own_px=own_px, path=path)
    return LoadedOnnx(module, side_px, dim, name, stages, is_caffe, hashlib.sha256(data).hexdigest())


class OnnxFeatures(nn.Module):
    """A converted graph; feature maps [B, D, H, W], if it gives maps, are averaged to [B, D].

    `stage_layers` are the layers whose outputs are the four stages, where those were named.
    """

    def __init__(self, body: nn.Module, *, averages: bool, stage_layers: tuple[str, ...] | None) -> None:
        super().__init__()
        self.body = body
        self.averages = averages
        self.stage_layers = stage_layers

    def forward(self, planes: Tensor) -> Tensor:
        """Turn float [B, 3, S, S] into features [B, D]."""
        out = cast(Tensor, self.body(planes))
        return torch.flatten(out.mean(dim=(2, 3)) if self.averages else out, 1)


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
    if asked is not None and asked < 1:
        raise OutOfRangeError(f"--size-px is {asked}, at least 1 is needed")
    return int(height or asked or 0)


def _convert(
    model: Any, *, source: str, features: str, stages: tuple[str, ...] | None, size_px: int, path: Path
) -> OnnxFeatures:
    import onnx2torch
    from onnx import TensorProto, helper
    from onnx.utils import Extractor

    logging.getLogger("onnx2torch").setLevel(logging.ERROR)
    # Named stages are asked for as outputs, since a converted graph keeps the order of outputs, not the tensors' names.
    wanted = list(dict.fromkeys((features, *(stages or ()))))
    known = {entry.name for entry in (*model.graph.value_info, *model.graph.output)}
    model.graph.value_info.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in wanted if name not in known
    )
    try:
        graph = onnx2torch.convert(Extractor(model).extract_model([source], wanted))
    except NotImplementedError as error:
        raise MalformedError(f"{path} has a layer that cannot be trained here: {error}") from error
    layers = _keep_first_output(graph)
    if stages and (lost := [name for name, layer in zip(wanted, layers, strict=True) if layer is None]):
        raise MalformedError(f"tensor '{lost[0]}' of {path} does not lead to '{features}', so it can be no stage of it")
    graph.eval()
    _fix_reshapes(graph)
    example = torch.zeros(1, 3, size_px, size_px)
    replace_lrn(graph, example)
    _pool_globally(graph, example)
    with torch.no_grad():
        out = graph(example)
    layer_of = dict(zip(wanted, layers, strict=True))
    stage_layers = tuple(f"body.{layer_of[name]}" for name in stages) if stages else None
    return OnnxFeatures(graph, averages=out.dim() == 4, stage_layers=stage_layers).eval()


def _keep_first_output(graph: Any) -> list[str | None]:
    """Cut all outputs but the first; return the layers behind them, None for one that the first does not need."""
    end = next(node for node in graph.graph.nodes if node.op == "output")
    nodes = list(end.args[0]) if isinstance(end.args[0], list | tuple) else [end.args[0]]
    end.args = (nodes[0],)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    graph.delete_all_unused_submodules()
    left = set(graph.graph.nodes)
    return [str(node.target) if node in left else None for node in nodes]


def _fix_reshapes(graph: Any) -> None:
    """Write constant sizes into the graph: sizes that are tensors cannot be exported again."""
    for node in list(graph.graph.nodes):
        if node.op != "call_module" or type(graph.get_submodule(node.target)).__name__ != "OnnxReshape":
            continue
        source, sizes = node.args
        if sizes.op != "get_attr":
            continue
        numbers = _attribute(graph, sizes.target).tolist()
        with graph.graph.inserting_before(node):
            # In ONNX 0 keeps the size of the axis.
            kept = [n or graph.graph.call_method("size", (source, axis)) for axis, n in enumerate(numbers)]
            node.replace_all_uses_with(graph.graph.call_method("reshape", (source, *kept)))
        graph.graph.erase_node(node)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    graph.delete_all_unused_submodules()


def _attribute(graph: nn.Module, path: str) -> Tensor:
    parent, _, leaf = path.rpartition(".")
    return cast(Tensor, getattr(graph.get_submodule(parent), leaf))


def _pool_globally(module: nn.Module, example: Tensor) -> None:
    """Replace every average over a whole map by one that takes maps of any size."""
    covering: set[str] = set()

    def watch(name: str) -> torch.utils.hooks.RemovableHandle:
        def note(layer: nn.Module, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
            kernel = cast(nn.AvgPool2d, layer).kernel_size
            sides = [kernel, kernel] if isinstance(kernel, int) else list(kernel)
            if sides == list(inputs[0].shape[2:]):
                covering.add(name)

        return module.get_submodule(name).register_forward_hook(note)

    handles = [watch(name) for name, layer in module.named_modules() if isinstance(layer, nn.AvgPool2d)]
    with torch.no_grad():
        module(example)
    for handle in handles:
        handle.remove()
    for name in covering:
        parent, _, leaf = name.rpartition(".")
        setattr(module.get_submodule(parent), leaf, nn.AdaptiveAvgPool2d(1))


def _dim(module: nn.Module, size_px: int) -> int:
    """Return D; `RuntimeError` from a layer, or for a first axis that is not the pictures'."""
    with torch.no_grad():
        out = module(torch.zeros(_EXAMPLES, 3, size_px, size_px))
    if len(out) != _EXAMPLES:
        raise RuntimeError(f"{_EXAMPLES} pictures give {len(out)} rows")
    return int(out.shape[1])


def _check_other_size(module: nn.Module, side_px: int, *, dim: int, own_px: int, path: Path) -> None:
    try:
        fits = _dim(module, side_px) == dim
    except RuntimeError:  # of the first layer whose sizes do not fit
        fits = False
    if not fits:
        raise OutOfRangeError(f"--size-px is {side_px}, {path} takes {own_px}")
