"""Stages of networks: the layers the paper reads, the plain network's answers and names, other picture sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from catalog.errors import MalformedError, NotFoundError, OutOfRangeError
from training.backbones import Backbone, file_backbone, named_backbone
from training.preprocessing import PRESETS
from training.stages import staged

SHARED = Path(__file__).parents[3] / "shared"
GOOGLENET = SHARED / "weights" / "googlenet-imagenet.onnx"
googlenet_only = pytest.mark.skipif(not GOOGLENET.is_file(), reason="needs ../shared/weights/googlenet-imagenet.onnx")


def picture(size_px: int, batch: int = 2) -> torch.Tensor:
    return 2 * torch.rand(batch, 3, size_px, size_px, generator=torch.Generator().manual_seed(size_px)) - 1


# Channels and sides of the four maps at 64 px (Inception-v3: 96 px), as the papers of the networks draw them.
MAPS = {
    "small": [(24, 32), (48, 16), (96, 8), (256, 4)],
    "alexnet": [(192, 7), (384, 3), (256, 3), (256, 3)],
    "vgg16": [(128, 32), (256, 16), (512, 8), (512, 4)],
    "googlenet": [(192, 16), (480, 8), (832, 4), (1024, 2)],
    "inception_v3": [(192, 20), (288, 9), (768, 4), (2048, 1)],
    "resnet18": [(64, 16), (128, 8), (256, 4), (512, 2)],
    "resnet50": [(256, 16), (512, 8), (1024, 4), (2048, 2)],
    "mobilenet_v3_small": [(72, 16), (96, 8), (288, 4), (576, 2)],
}


@pytest.mark.parametrize("name", MAPS)
def test_a_staged_network_is_the_plain_one_and_its_maps(name):
    size_px = 96 if name == "inception_v3" else 64
    backbone = named_backbone(name, pretrained=False, size_px=size_px)
    names, modes = list(backbone.module.state_dict()), [layer.training for layer in backbone.module.modules()]
    network = staged(backbone)
    assert list(network.state_dict()) == names
    assert [layer.training for layer in backbone.module.modules()] == modes
    backbone.module.eval()
    planes = picture(size_px)
    with torch.no_grad():
        *maps, features = network(planes)
        assert torch.equal(features, backbone.module(planes))
    assert [tuple(stage.shape) for stage in maps] == [(2, count, side, side) for count, side in MAPS[name]]
    assert network.channels == tuple(count for count, _ in MAPS[name])
    # Shared, not copied: what trains one trains the other.
    assert next(network.parameters()) is next(backbone.module.parameters())


@pytest.mark.parametrize(("name", "layer"), [("vgg16", "body.features.21"), ("resnet18", "body.layer2")])
def test_a_stage_is_what_its_layer_computes(name, layer):
    backbone = named_backbone(name, pretrained=False, size_px=64)
    network = staged(backbone)
    backbone.module.eval()
    seen = []
    backbone.module.get_submodule(layer).register_forward_hook(lambda _, __, out: seen.append(torch.relu(out)))
    with torch.no_grad():
        maps = network(picture(64))[:4] if name == "vgg16" else (network(picture(64)), backbone.module(picture(64)))[0]
    # conv4/3 of VGG-16 behind its ReLU is stage 3; the second layer of a ResNet is stage 2.
    assert torch.equal(maps[2 if name == "vgg16" else 1], seen[0])


class Net(nn.Module):
    """Five sizes of maps; a shortcut passes by the last value of 16 px."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(3, 3, 3, padding=1) for _ in range(6))

    def forward(self, planes):
        out = planes
        for conv in self.convs[:4]:
            out = nn.functional.max_pool2d(torch.relu(conv(out)), 2)
        side = torch.relu(self.convs[4](out))
        out = nn.functional.max_pool2d(side + out, 2) + nn.functional.max_pool2d(torch.tanh(self.convs[5](out)), 2)
        return out.mean(dim=(2, 3))


def test_an_unknown_network_has_the_last_values_that_nothing_passes_by():
    backbone = named_backbone("small")
    other = Backbone(backbone.spec.model_copy(update={"name": "mine"}), Net())
    network = staged(other)
    *maps, _ = network(picture(128))
    assert [stage.shape[-1] for stage in maps] == [32, 16, 8, 4]
    # At 8 px the last value, tanh, has neighbors that still go on; the one before all of them is the pooled map.
    assert network.stage_nodes[2] == "max_pool2d_3"


def test_too_few_sizes_are_a_sentence():
    backbone = named_backbone("small")
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(MalformedError, match="mine has maps of 1 sizes, its stages need 4; name them with --stages"):
        staged(Backbone(backbone.spec.model_copy(update={"name": "mine"}), net))


def exported(network: nn.Module, file: Path, *, size_px: int) -> Path:
    torch.onnx.export(
        network.eval(), (torch.zeros(1, 3, size_px, size_px),), file, dynamo=True, verbose=False, external_data=False
    )
    return file


def test_any_onnx_file_has_stages_and_other_sizes_only_where_it_pools_globally(tmp_path):
    torch.manual_seed(0)
    file = exported(Net(), tmp_path / "net.onnx", size_px=64)
    network = staged(file_backbone(file, preprocessing=PRESETS["unit"], size_px=96))
    maps = network(picture(96))
    assert [stage.shape[-1] for stage in maps[:4]] == [24, 12, 6, 3]
    flat = exported(
        nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(2 * 36, 5)), tmp_path / "f.onnx", size_px=8
    )
    with pytest.raises(OutOfRangeError, match=r"--size-px is 16, .*f\.onnx takes 8"):
        file_backbone(flat, preprocessing=PRESETS["unit"], size_px=16)


def test_stages_of_a_file_may_be_named(tmp_path):
    import onnx

    file = exported(Net(), tmp_path / "net.onnx", size_px=64)
    relus = [node.output[0] for node in onnx.load(file).graph.node if node.op_type == "Relu"]
    backbone = file_backbone(file, preprocessing=PRESETS["unit"], stages=tuple(relus[:4]))
    network = staged(backbone)
    assert network.stage_nodes == tuple(relus[:4]) == backbone.spec.stages
    planes = picture(64)
    model = onnx.load(file)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in relus[:4])
    session = onnxruntime.InferenceSession(model.SerializeToString())
    source = session.get_inputs()[0].name
    expected = session.run(relus[:4], {source: planes[:1].numpy()})
    for got, want in zip(network(planes[:1])[:4], expected, strict=True):
        np.testing.assert_allclose(got.detach().numpy(), want, atol=1e-5)
    with pytest.raises(NotFoundError, match="has no tensor 'nothing'"):
        file_backbone(file, preprocessing=PRESETS["unit"], stages=(*relus[:3], "nothing"))


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_a_file_that_torch_writes_today_for_one_picture_can_be_trained(name, tmp_path):
    import torchvision

    torch.manual_seed(0)
    network = torchvision.models.get_model(name, weights=None).eval()
    backbone = file_backbone(exported(network, tmp_path / "net.onnx", size_px=64), preprocessing=PRESETS["unit"])
    planes = picture(64, batch=3)
    with torch.no_grad():
        torch.testing.assert_close(backbone.module(planes), network(planes), atol=1e-5, rtol=1e-4)
        maps = staged(backbone)(planes)[:4]
    assert [stage.shape[1:] for stage in maps] == [(count, side, side) for count, side in MAPS[name]]


@pytest.mark.shared
@googlenet_only
def test_googlenet_at_its_own_size_equals_its_file():
    network = staged(file_backbone(GOOGLENET))
    assert network.stage_nodes == (
        "conv2/relu_3x3",
        "inception_3b/output",
        "inception_4e/output",
        "inception_5b/output",
    )
    planes = 60 * picture(224, batch=1)
    session = onnxruntime.InferenceSession(GOOGLENET)
    pool, last = session.run(["pool5/7x7_s1", "inception_5b/output"], {"data": planes.numpy()})
    with torch.no_grad():
        *maps, features = network(planes)
    assert [tuple(stage.shape[1:]) for stage in maps] == [
        (192, 56, 56),
        (480, 28, 28),
        (832, 14, 14),
        (1024, 7, 7),
    ]
    np.testing.assert_allclose(features.numpy(), pool.reshape(1, 1024), atol=1e-5 * np.abs(pool).max())
    np.testing.assert_allclose(maps[3].numpy(), last, atol=1e-5 * np.abs(last).max())


@pytest.mark.shared
@googlenet_only
def test_googlenet_at_another_size_averages_its_last_maps():
    network = staged(file_backbone(GOOGLENET, size_px=112))
    with torch.no_grad():
        *maps, features = network(60 * picture(112))
    assert maps[3].shape == (2, 1024, 3, 3)
    torch.testing.assert_close(features, maps[3].mean(dim=(2, 3)))
