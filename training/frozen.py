"""A network and a border in, its frozen lower part and its learning upper part out, which share its weights."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from catalog.errors import MalformedError
from training.lrn import BandedLrn
from training.poolings import StagePool
from training.stages import StageMark, Tracer, marks

# Layers without weights and without chance: below the border they make what crosses it smaller.
_FREE_LAYERS = (
    *(nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.ReLU, nn.LocalResponseNorm),
    *(nn.Flatten, nn.Identity, BandedLrn, StagePool, StageMark),
)
_PLAIN_CALLS = ("call_function", "call_method")


class Border(StrEnum):
    """How much of a network is frozen: nothing, everything up to a stage, or the whole backbone."""

    NONE = "none"
    STAGE1 = "stage1"
    STAGE2 = "stage2"
    STAGE3 = "stage3"
    STAGE4 = "stage4"
    BACKBONE = "backbone"


def split(module: nn.Module, border: Border) -> tuple[nn.Module, nn.Module]:
    """Cut `module`, which holds one `StagedBackbone`, at a border; `upper(*lower(x))` is `module(x)`.

    The lower part gives a tuple of just those tensors that the upper part needs: it holds the backbone's layers that do
    not depend on the border's stage, that stage, and the layers without weights behind it (pooling, ReLU, LRN) that
    spare a tensor from crossing. Layers, their modes and weights are shared with `module`. Raises `MalformedError` for
    a network that cannot be traced.
    """
    if border is Border.NONE:
        return _Whole(), module
    traced = _traced(module)
    below = _below(traced, border)
    crossing = [node for node in traced.graph.nodes if node in below and _used_outside(node, below)]
    return _lower(traced, below, crossing), _upper(traced, below, crossing)


class Halves(nn.Module):
    """Both parts of a network in one: the lower one stays in evaluation mode (BatchNorm) and gets no gradients."""

    def __init__(self, lower: nn.Module, upper: nn.Module) -> None:
        super().__init__()
        self.lower = lower
        self.upper = upper
        freeze(lower)

    def forward(self, *inputs: Tensor) -> Any:
        """Answer as the whole network does."""
        with torch.no_grad():
            between = self.lower(*inputs)
        return self.upper(*between)

    def train(self, mode: bool = True) -> Halves:
        """Switch the upper part to training or evaluation."""
        super().train(mode)
        self.lower.eval()
        return self


def freeze(lower: nn.Module) -> None:
    """Take the weights of `lower` out of training and leave its layers in evaluation mode."""
    lower.requires_grad_(False)
    lower.eval()


class _Whole(nn.Module):
    def forward(self, planes: Tensor) -> tuple[Tensor]:
        return (planes,)


def _traced(module: nn.Module) -> fx.GraphModule:
    try:
        return fx.GraphModule(module, Tracer().trace(module))
    except Exception as error:  # a tracer fails in as many ways as there are networks
        raise MalformedError(f"the layers of the network cannot be followed ({error})") from error


def _below(traced: fx.GraphModule, border: Border) -> set[fx.Node]:
    """Return the nodes of the lower part; the marks are taken out of the graph on the way."""
    stage_of = {number: cast(fx.Node, mark.args[0]) for number, mark in marks(traced.graph, traced).items()}
    for mark in marks(traced.graph, traced).values():
        mark.replace_all_uses_with(cast(fx.Node, mark.args[0]))
        traced.graph.erase_node(mark)
    if not stage_of:
        raise MalformedError("the network has no stages, so there is no border to freeze it at")
    backbone = _ancestors(stage_of.values())
    if border is not Border.BACKBONE:
        number = list(Border).index(border)
        backbone -= _descendants(stage_of[number])
    traced.graph.eliminate_dead_code()
    alive = set(traced.graph.nodes)
    below = {node for node in backbone if node in alive and node.op != "get_attr"}
    return below | _sparing(traced, below)


def _sparing(traced: fx.GraphModule, below: set[fx.Node]) -> set[fx.Node]:
    """Return the free nodes above `below` that keep some other tensor from crossing the border."""
    chosen: set[fx.Node] = set()
    order = [node for node in traced.graph.nodes if node not in below]
    for node in order:
        sources = [source for source in node.all_input_nodes if source.op != "get_attr"]
        if sources and all(source in below or source in chosen for source in sources) and _is_free(node, traced):
            chosen.add(node)
    for node in reversed(order):
        if node not in chosen or not _used_outside(node, below | chosen):
            continue
        kept = below | chosen
        spared = [
            source for source in node.all_input_nodes if source.op != "get_attr" and not _used_outside(source, kept)
        ]
        if not spared:
            chosen.discard(node)
    return chosen


def _is_free(node: fx.Node, traced: fx.GraphModule) -> bool:
    """Whether a node has no weights and always gives the same answer."""
    if node.op == "call_module":
        layer = traced.get_submodule(str(node.target))
        if type(layer).__module__.startswith("onnx2torch."):
            plain = not list(layer.parameters()) and not list(layer.buffers())
            return plain and "dropout" not in type(layer).__name__.lower()
        return isinstance(layer, _FREE_LAYERS)
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    has_weights = any(source.op == "get_attr" for source in node.all_input_nodes)
    return node.op in _PLAIN_CALLS and "drop" not in name and "stochastic" not in name and not has_weights


def _used_outside(node: fx.Node, inside: set[fx.Node]) -> bool:
    return any(user not in inside for user in node.users)


def _ancestors(nodes: Iterable[fx.Node]) -> set[fx.Node]:
    """Return `nodes` and everything they are computed from."""
    found: set[fx.Node] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += node.all_input_nodes
    return found


def _descendants(node: fx.Node) -> set[fx.Node]:
    """Return everything that is computed from `node`, without itself."""
    found: set[fx.Node] = set()
    waiting = list(node.users)
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += one.users
    return found


def _lower(traced: fx.GraphModule, below: set[fx.Node], crossing: list[fx.Node]) -> fx.GraphModule:
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in traced.graph.nodes:
        if node in below or (node.op == "get_attr" and any(user in below for user in node.users)):
            copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(tuple(copies[node] for node in crossing))
    return fx.GraphModule(traced, graph, class_name="Lower")


def _upper(traced: fx.GraphModule, below: set[fx.Node], crossing: list[fx.Node]) -> fx.GraphModule:
    graph = fx.Graph()
    copies = {node: graph.placeholder(node.name) for node in crossing}
    for node in traced.graph.nodes:
        if node in below or (node.op == "get_attr" and all(user in below for user in node.users)):
            continue
        copies[node] = graph.node_copy(node, copies.__getitem__)
    return fx.GraphModule(traced, graph, class_name="Upper")
