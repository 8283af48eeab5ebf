"""Preprocessing, heads, backbones and augmentation, each against arithmetic or its own promise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from catalog.errors import MalformedError, NotFoundError, NotReadyError, OutOfRangeError
from training.augment import FULL, LIGHT, augment
from training.backbones import file_backbone, named_backbone
from training.networks import Embedder, powered, unit
from training.preprocessing import PRESETS, ChannelOrder, Preprocess, Preprocessing


def test_preprocess_by_hand():
    pixels = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    settings = Preprocessing(ChannelOrder.BGR, 0.5, (1.0, 2.0, 3.0), (2.0, 4.0, 5.0))
    got = Preprocess(settings)(torch.from_numpy(pixels)).numpy()
    expected = ((pixels[..., ::-1] * 0.5 - [1, 2, 3]) / [2, 4, 5]).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)


def test_power_keeps_the_sign_and_has_a_finite_slope_at_zero():
    x = torch.tensor([[-4.0, 0.0, 9.0]], requires_grad=True)
    y = powered(x, 0.5)
    y.sum().backward()
    assert y.tolist() == [[-2.0, 0.0, 3.0]]
    assert x.grad.tolist() == [[pytest.approx(1 / 4), 0.0, pytest.approx(1 / 6)]]
    assert powered(x, 2.0).tolist() == [[-16.0, 0.0, 81.0]]


def test_unit_leaves_a_zero_row_zero():
    assert unit(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0, 0]]


def test_small_backbone_is_small_and_gives_unit_rows():
    backbone = named_backbone("small")
    network = Embedder(backbone, dim=128, power=1.0).eval()
    count = sum(weight.numel() for weight in network.parameters())
    assert count * 4 < 6_000_000
    pictures = torch.randint(0, 256, (3, 128, 128, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    rows = network(pictures)
    assert rows.shape == (3, 128)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(3))


def test_unknown_backbone_lists_the_known_ones():
    with pytest.raises(NotFoundError, match=r"no backbone 'resnet51'; known are small, .*resnet50.*--weights"):
        named_backbone("resnet51")


def test_missing_weights_file_is_a_sentence(tmp_path):
    with pytest.raises(NotFoundError, match="there is no weights file"):
        file_backbone(tmp_path / "none.onnx")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 surely not a network", b"\xff" * 64])
def test_a_file_that_is_no_onnx_is_a_sentence(tmp_path, content):
    file = tmp_path / "weights.onnx"
    file.write_bytes(content)
    with pytest.raises(MalformedError, match="is not an ONNX network"):
        file_backbone(file)


def test_preprocessing_must_be_named_for_an_unknown_file(tmp_path):
    file = tmp_path / "net.onnx"
    torch.onnx.export(
        torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.ReLU()),
        (torch.zeros(1, 3, 16, 16),),
        file,
        dynamo=True,
        verbose=False,
        external_data=False,
        output_names=["maps"],
    )
    with pytest.raises(MalformedError, match=r"give --preprocess caffe\|torchvision"):
        file_backbone(file)
    with pytest.raises(NotFoundError, match=r"no tensor 'pool'; its outputs are maps"):
        file_backbone(file, features="pool", preprocessing=PRESETS["unit"])
    with pytest.raises(OutOfRangeError, match="--size-px is 0, at least 1"):
        file_backbone(file, size_px=0, preprocessing=PRESETS["unit"])
    assert file_backbone(file, size_px=32, preprocessing=PRESETS["unit"]).spec.size_px == 32  # its maps are averaged
    backbone = file_backbone(file, preprocessing=PRESETS["unit"])
    assert (backbone.spec.dim, backbone.spec.size_px, backbone.spec.features) == (5, 16, "maps")
    assert backbone.module(torch.rand(2, 3, 16, 16)).shape == (2, 5)


def test_no_network_for_pretrained_weights_is_a_sentence(monkeypatch, tmp_path):
    import torch.hub

    def refuse(*args, **kwargs):
        raise OSError("network is unreachable")

    monkeypatch.setattr(torch.hub, "urlopen", refuse)
    torch_home = tmp_path / "empty"
    monkeypatch.setenv("TORCH_HOME", str(torch_home))
    with pytest.raises(NotReadyError, match=r"resnet18 could not be downloaded \(network is unreachable\)"):
        named_backbone("resnet18")


@pytest.mark.parametrize("how", [FULL, LIGHT])
def test_augmentation_is_seeded_and_keeps_the_range(how):
    pictures = torch.randint(0, 256, (4, 40, 40, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    first, again, other = (
        augment(pictures, size_px=32, generator=torch.Generator().manual_seed(seed), how=how) for seed in (7, 7, 8)
    )
    assert first.shape == (4, 3, 32, 32)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.min() >= 0
    assert first.max() <= 255


def test_augmentation_of_no_strength_is_a_resize():
    from training.augment import Augmentation

    none = Augmentation(
        min_area=1.0,
        turn_degrees=0,
        tilt=0,
        light=0,
        saturation=0,
        tint=0,
        blur_share=0,
        noise=0,
        cutout_share=0,
    )
    flat = torch.full((2, 40, 40, 3), 93, dtype=torch.uint8)
    out = augment(flat, size_px=32, generator=torch.Generator().manual_seed(0), how=none)
    torch.testing.assert_close(out, torch.full((2, 3, 32, 32), 93.0))
