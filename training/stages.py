"""A backbone in, the same network that also gives the maps of its four stages out.

The stages are the layers that the cluster paper reads (VGG-16: conv2/2, conv3/3, conv4/3, conv5/3; GoogLeNet:
conv2/3x3, inception_3b, 4e, 5b) and their like in other networks; of an unknown one, the last values at each of its
last four sizes of maps. Weights, and their names in a checkpoint, stay those of the plain backbone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from catalog.errors import MalformedError
from training.backbones import ONNX, SMALL, Backbone
from training.lrn import BandedLrn
from training.poolings import StagePool
from training.preprocessing import Normalize

STAGES = 4
_FEATURES = STAGES + 1  # the mark behind the last stage
_VGG = {"vgg16": (8, 15, 22, 29), "vgg19": (8, 17, 26, 35), "alexnet": (4, 7, 9, 11)}
# Layers by name, below `body` for torchvision's networks.
KNOWN: dict[str, tuple[str, ...]] = {
    SMALL: ("0", "3", "7", "12"),
    "googlenet": ("body.conv3", "body.inception3b", "body.inception4e", "body.inception5b"),
    "inception_v3": ("body.Conv2d_4a_3x3", "body.Mixed_5d", "body.Mixed_6e", "body.Mixed_7c"),
    **{name: tuple(f"body.features.{layer}" for layer in layers) for name, layers in _VGG.items()},
    **{
        name: tuple(f"body.layer{number}" for number in (1, 2, 3, 4))
        for name in ("resnet18", "resnet34", "resnet50", "resnet101")
    },
}


class StageMark(nn.Module):
    """Does nothing, and tells whoever reads the graph that its input is stage `number` (5: the features)."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def forward(self, x: Tensor) -> Tensor:
        """Return `x`."""
        return x


class Tracer(fx.Tracer):
    """Takes layers whose insides depend on sizes, modes or the library they came from as one piece."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Say whether `m` stays one call in the graph."""
        if isinstance(m, fx.GraphModule):
            return False
        if isinstance(m, BandedLrn | StageMark | StagePool | Normalize):
            return True
        kind = type(m)
        # A layer that acts in training only must see the mode of each call, not that of the tracing.
        if kind.__module__.startswith("onnx2torch.") or kind.__name__ == "StochasticDepth":
            return True
        return super().is_leaf_module(m, module_qualified_name)


class StagedBackbone(fx.GraphModule):
    """Float [B, 3, S, S] in; the maps [B, C, H, W] of stages 1 to 4 and the features [B, D] out, as one tuple."""

    @property
    def channels(self) -> tuple[int, ...]:
        """C of each stage."""
        return cast(tuple[int, ...], self.meta["channels"])

    @property
    def stage_nodes(self) -> tuple[str, ...]:
        """Names of the stages: layers of a known network, tensors or nodes of an ONNX file."""
        return cast(tuple[str, ...], self.meta["stage_nodes"])


def staged(backbone: Backbone) -> StagedBackbone:
    """Return the network of `backbone` with its stages; layers and weights are shared with it.

    Raises `MalformedError` for a network that cannot be traced or has maps of fewer than four sizes.
    """
    module = backbone.module
    if isinstance(module, StagedBackbone):
        return module
    modes = [(layer, layer.training) for layer in module.modules()]
    module.eval()
    try:
        traced = fx.GraphModule(module, Tracer().trace(module))
    except Exception as error:  # a tracer fails in as many ways as there are networks
        raise MalformedError(f"the layers of {backbone.spec.name} cannot be followed ({_first_line(error)})") from error
    shapes = _shapes(traced, backbone.spec.size_px)
    nodes, names = _stage_nodes(traced, backbone, shapes)
    out = next(node for node in traced.graph.nodes if node.op == "output")
    features = cast(fx.Node, out.args[0])
    marked = []
    for number, node in enumerate((*nodes, features), start=1):
        traced.add_submodule(f"stage{number}", StageMark(number))
        with traced.graph.inserting_before(out):
            marked.append(traced.graph.call_module(f"stage{number}", (node,)))
    out.args = (tuple(marked),)
    result = StagedBackbone(traced, traced.graph)
    result.meta["channels"] = tuple(shapes[node.name][1] for node in nodes)
    result.meta["stage_nodes"] = names
    for layer, training in modes:
        layer.training = training
    result.training = module.training
    return result


def with_stages(backbone: Backbone) -> Backbone:
    """Return `backbone` with its module replaced by `staged(backbone)`."""
    return replace(backbone, module=staged(backbone))


def marks(graph: fx.Graph, module: nn.Module) -> dict[int, fx.Node]:
    """Return the marks in a traced graph by their numbers."""
    found = {}
    for node in graph.nodes:
        if node.op == "call_module" and isinstance(layer := module.get_submodule(str(node.target)), StageMark):
            found[layer.number] = node
    return found


def _stage_nodes(
    traced: fx.GraphModule, backbone: Backbone, shapes: dict[str, tuple[int, ...]]
) -> tuple[list[fx.Node], tuple[str, ...]]:
    spec = backbone.spec
    paths = getattr(backbone.module, "stage_layers", None) if spec.name == ONNX else KNOWN.get(spec.name)
    if paths is None:
        nodes = _last_at_each_size(traced, shapes, name=spec.name)
        return nodes, tuple(node.name for node in nodes)
    return [_node_of(traced.graph, path) for path in paths], spec.stages or tuple(paths)


def _node_of(graph: fx.Graph, path: str) -> fx.Node:
    """Return the last value that the layer `path` computes."""
    found = [node for node in graph.nodes if node.target == path or path in node.meta.get("nn_module_stack", {})]
    return cast(fx.Node, found[-1])


def _shapes(traced: fx.GraphModule, size_px: int) -> dict[str, tuple[int, ...]]:
    """Run one empty picture and return the shape of every tensor by the name of its node."""
    found: dict[str, tuple[int, ...]] = {}

    class Watch(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            value = super().run_node(n)
            if isinstance(value, Tensor):
                found[n.name] = tuple(value.shape)
            return value

    device = next((weight.device for weight in traced.parameters()), torch.device("cpu"))
    with torch.no_grad():
        Watch(traced).run(torch.zeros(1, 3, size_px, size_px, device=device))
    return found


def _last_at_each_size(traced: fx.GraphModule, shapes: dict[str, tuple[int, ...]], *, name: str) -> list[fx.Node]:
    """Return the last value at each of the last four sizes; one that no shortcut passes by, where there is one."""
    nodes = list(traced.graph.nodes)
    place = {node: number for number, node in enumerate(nodes)}
    last: dict[int, fx.Node] = {}
    last_waist: dict[int, fx.Node] = {}
    reach = 0  # how far the values before a node are still needed
    for number, node in enumerate(nodes):
        shape = shapes.get(node.name, ())
        if node.op != "placeholder" and len(shape) == 4 and shape[2] == shape[3] > 1:
            last[shape[2]] = node
            if reach <= number:
                last_waist[shape[2]] = node
        reach = max([reach, *(place[user] for user in node.users)])
    sides = sorted(last, reverse=True)[-STAGES:]
    if len(sides) < STAGES:
        raise MalformedError(
            f"{name} has maps of {len(sides)} sizes, its stages need {STAGES}; name them with --stages"
        )
    return [last_waist.get(side, last[side]) for side in sides]


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
