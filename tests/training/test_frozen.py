"""Networks cut at a border: both parts make the whole, only what is needed crosses, the lower part never changes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from catalog.errors import MalformedError
from training.backbones import Backbone, file_backbone, named_backbone
from training.frozen import Border, Halves, split
from training.networks import Classifier, Fused, OnPixels
from training.poolings import Pooling
from training.stages import with_stages

GOOGLENET = Path(__file__).parents[3] / "shared" / "weights" / "googlenet-imagenet.onnx"
BORDERS = list(Border)


def fused(backbone: Backbone, pooling: Pooling | None = Pooling.SAM) -> OnPixels:
    network = Fused(with_stages(backbone), labels=5, dim=8, pooling=pooling, power=0.5, unit_head=True)
    return OnPixels(network.eval())


def pixels(size_px: int, batch: int = 2) -> torch.Tensor:
    return 255 * torch.rand(batch, 3, size_px, size_px, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", ["small", "alexnet", "vgg16", "googlenet", "resnet18", "mobilenet_v3_small"])
def test_both_parts_make_the_whole_network(name):
    torch.manual_seed(0)
    module = fused(named_backbone(name, pretrained=False, size_px=64))
    planes = pixels(64)
    own = {id(weight) for weight in module.parameters()}
    with torch.no_grad():
        expected = module(planes)
        for border in BORDERS:
            lower, upper = split(module, border)
            assert all(map(torch.equal, upper(*lower(planes)), expected)), border
            below, above = ({id(weight) for weight in part.parameters()} for part in (lower, upper))
            assert below | above == own
            assert not below & above


# What crosses for GoogLeNet with SAM at 64 px: the border's map behind its max pooling, and the pooled early stages.
CROSSING = {
    Border.STAGE1: [(192, 8, 8), (192 * 36,)],
    Border.STAGE2: [(480, 4, 4), (192 * 36,), (480 * 36,)],
    Border.STAGE3: [(832, 2, 2), (192 * 36,), (480 * 36,), (832 * 36,)],
    Border.STAGE4: [(1024,), (2528 * 36,)],
    Border.BACKBONE: [(1024,), (2528 * 36,)],
}


@pytest.mark.parametrize("border", CROSSING)
def test_only_what_is_needed_crosses(border):
    lower, _ = split(fused(named_backbone("googlenet", pretrained=False, size_px=64)), border)
    with torch.no_grad():
        assert sorted(tuple(one.shape[1:]) for one in lower(pixels(64))) == sorted(CROSSING[border])


def test_dropout_and_learning_layers_stay_above():
    # AlexNet's fc6 and fc7 lie behind stage 4, each behind a dropout.
    module = fused(named_backbone("alexnet", pretrained=False, size_px=64), pooling=None)
    lower, upper = split(module, Border.STAGE4)
    assert not any(isinstance(layer, nn.Dropout | nn.Linear) for layer in lower.modules())
    assert sum(isinstance(layer, nn.Dropout) for layer in upper.modules()) == 2
    lower, upper = split(module, Border.BACKBONE)
    assert {name for name, _ in upper.named_parameters()} == {
        "network.head.weight",
        "network.head.bias",
        "network.embedding_head.weight",
        "network.embedding_head.bias",
    }


class Drawn(nn.Module):
    """A random chain of blocks of maps of four sizes, with shortcuts, branches and norms."""

    def __init__(self, kinds: list[str], width: int) -> None:
        super().__init__()
        self.kinds = kinds
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in kinds)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in kinds)

    def forward(self, planes):
        out = self.first(planes)
        for kind, conv, norm in zip(self.kinds, self.convs, self.norms, strict=True):
            if kind == "shortcut":
                out = torch.relu(norm(conv(out)) + out)
            elif kind == "branch":
                out = torch.relu(conv(out)) * torch.sigmoid(norm(out))
            elif kind == "plain":
                out = torch.relu_(norm(conv(out)))
            else:
                out = nn.functional.max_pool2d(out, 2)
        return out.mean(dim=(2, 3))


@settings(max_examples=25, deadline=None)
@given(
    blocks=st.lists(st.lists(st.sampled_from(["shortcut", "branch", "plain"]), max_size=3), min_size=4, max_size=5),
    border=st.sampled_from(BORDERS),
    pooling=st.sampled_from([None, *Pooling]),
    seed=st.integers(0, 99),
)
def test_any_chain_can_be_cut_anywhere(blocks, border, pooling, seed):
    torch.manual_seed(seed)
    kinds = [kind for block in blocks for kind in (*block, "pool")]
    spec = named_backbone("small").spec.model_copy(update={"name": "drawn", "size_px": 64, "dim": 4})
    module = fused(Backbone(spec, Drawn(kinds, 4)), pooling)
    planes = pixels(64)
    with torch.no_grad():
        lower, upper = split(module, border)
        assert all(map(torch.equal, upper(*lower(planes)), module(planes)))


def test_the_lower_part_is_left_alone_by_training():
    torch.manual_seed(0)
    network = Classifier(with_stages(named_backbone("small")), labels=2, power=1.0, unit_head=False)
    halves = Halves(*split(OnPixels(network), Border.STAGE2))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.SGD([weight for weight in halves.parameters() if weight.requires_grad], lr=0.1)
    halves.train()
    assert not any(layer.training for layer in halves.lower.modules())
    halves(pixels(32, batch=4)).square().sum().backward()
    optimizer.step()
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    # Stage 2 of `small` ends with its layer 3; BatchNorm's statistics above it moved with the weights.
    assert not any(name.startswith(f"backbone.{layer}.") for name in changed for layer in range(4))
    assert any(name.startswith("backbone.4.") for name in changed)
    assert any(name.endswith("running_mean") for name in changed)
    assert "head.weight" in changed


def test_a_network_without_stages_has_no_border():
    network = Classifier(named_backbone("small"), labels=2, power=1.0, unit_head=False)
    with pytest.raises(MalformedError, match="the network has no stages"):
        split(OnPixels(network), Border.STAGE1)


@pytest.mark.shared
@pytest.mark.skipif(not GOOGLENET.is_file(), reason="needs ../shared/weights/googlenet-imagenet.onnx")
def test_the_caffe_googlenet_is_cut_behind_its_pooling():
    module = fused(file_backbone(GOOGLENET, size_px=64), Pooling.GA)
    planes = pixels(64)
    with torch.no_grad():
        expected = module(planes)
        for border in BORDERS:
            lower, upper = split(module, border)
            assert all(map(torch.equal, upper(*lower(planes)), expected)), border
        lower, _ = split(module, Border.STAGE1)
        # conv2's normalization and pool2 lie behind the border's stage and make it a quarter as large.
        assert sorted(tuple(one.shape[1:]) for one in lower(planes)) == [(192,), (192, 8, 8)]
