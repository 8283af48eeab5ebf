"""A backbone's name, or an ONNX file, in; a module from float [B, 3, S, S] to features [B, D] and its description out.

Three kinds: `small` (our own, from scratch), torchvision's names (pretrained where there is a network), any ONNX file.
A `BackboneSpec` in a run folder is enough to build the same module again; its weights then come from the checkpoint.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from catalog.errors import MalformedError, NotFoundError, NotReadyError, OutOfRangeError
from training import onnx_backbone, small
from training.preprocessing import PRESETS, ChannelOrder, Preprocessing

SMALL = "small"
ONNX = "onnx"
ONNX_FILE = "backbone.onnx"
DOWNLOAD_TIMEOUT_S = 20.0
# googlenet and inception_v3 were trained on pixels in [-1, 1], which torchvision hides behind `transform_input`.
_SYMMETRIC = Preprocessing(ChannelOrder.RGB, 1 / 255, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
_SYMMETRIC_NAMES = ("googlenet", "inception_v3")
TORCHVISION_NAMES = (
    *("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "inception_v3", "mobilenet_v2"),
    *("mobilenet_v3_large", "mobilenet_v3_small", "resnet18", "resnet34", "resnet50", "resnet101", "vgg16", "vgg19"),
)
NAMES = (SMALL, *TORCHVISION_NAMES)
# Smaller pictures leave nothing to pool.
_LEAST_PX = {SMALL: 16, "inception_v3": 75, "alexnet": 63}
_LEAST_OTHER_PX = 32


class BackboneSpec(BaseModel):
    """What `run.json` says of a backbone: S of its input, D of its features, and how pixels become its input."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    size_px: int
    dim: int
    preprocessing: Preprocessing
    features: str | None = None  # the tensor of an ONNX file that holds the features
    file_sha256: str | None = None
    stages: tuple[str, ...] | None = None  # tensors of an ONNX file that are its four stages, where they were named


@dataclass(frozen=True)
class Backbone:
    """A module from float [B, 3, S, S] to features [B, D], its description, and the file it came from, if any."""

    spec: BackboneSpec
    module: nn.Module
    file: Path | None = None


def named_backbone(name: str, *, pretrained: bool = True, size_px: int | None = None) -> Backbone:
    """Make `small` or one of torchvision's networks, for pictures of `size_px` (default: what it was made for).

    All of them pool globally, so they take other sizes too. Raises `NotFoundError` for an unknown name,
    `OutOfRangeError` for pictures too small and `NotReadyError` where pretrained weights cannot be downloaded.
    """
    if size_px is not None and name in NAMES and size_px < (least := _LEAST_PX.get(name, _LEAST_OTHER_PX)):
        raise OutOfRangeError(f"--size-px is {size_px}, {name} needs at least {least}")
    if name == SMALL:
        side_px = size_px or small.SIZE_PX
        spec = BackboneSpec(name=SMALL, size_px=side_px, dim=small.DIM, preprocessing=PRESETS["centered"])
        return Backbone(spec, small.SmallNet())
    if name not in TORCHVISION_NAMES:
        raise NotFoundError(f"there is no backbone '{name}'; known are {', '.join(NAMES)}, or give --weights FILE.onnx")
    module, dim = _headless(_torchvision(name, pretrained=pretrained))
    symmetric = name in _SYMMETRIC_NAMES
    spec = BackboneSpec(
        name=name,
        size_px=size_px or (299 if name == "inception_v3" else 224),
        dim=dim,
        preprocessing=_SYMMETRIC if symmetric else PRESETS["torchvision"],
    )
    return Backbone(spec, module)


def file_backbone(
    path: Path,
    *,
    features: str | None = None,
    size_px: int | None = None,
    preprocessing: Preprocessing | None = None,
    stages: tuple[str, ...] | None = None,
) -> Backbone:
    """Make a trainable backbone of an ONNX file; what is not given is read from the file or known of it.

    `stages` names four tensors. `preprocessing` may be left out only for a network we know (GoogLeNet in Caffe's form).
    """
    loaded = onnx_backbone.load(path, features=features, size_px=size_px, stages=stages)
    chosen = preprocessing or (PRESETS["caffe"] if loaded.is_caffe_googlenet else None)
    if chosen is None:
        raise MalformedError(f"{path} does not say how pixels become its input; give --preprocess {'|'.join(PRESETS)}")
    spec = BackboneSpec(
        name=ONNX,
        size_px=loaded.size_px,
        dim=loaded.dim,
        preprocessing=chosen,
        features=loaded.features,
        file_sha256=loaded.sha256,
        stages=loaded.stages,
    )
    return Backbone(spec, loaded.module, path)


def rebuild(spec: BackboneSpec, *, folder: Path) -> Backbone:
    """Make the module that `spec` describes, without its weights; `folder` is the run folder."""
    if spec.name != ONNX:
        return named_backbone(spec.name, pretrained=False, size_px=spec.size_px)
    return file_backbone(
        folder / ONNX_FILE,
        features=spec.features,
        size_px=spec.size_px,
        preprocessing=spec.preprocessing,
        stages=spec.stages,
    )


def _torchvision(name: str, *, pretrained: bool) -> nn.Module:
    import torchvision

    # Auxiliary classifiers exist only to help training from scratch; pretrained files hold them, so they go afterwards.
    quiet: dict[str, Any] = {}
    if name in _SYMMETRIC_NAMES and not pretrained:
        quiet = {"aux_logits": False, "init_weights": False}
    timeout_s = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_S)
    try:
        module = torchvision.models.get_model(name, weights="DEFAULT" if pretrained else None, **quiet)
    except (OSError, RuntimeError) as error:
        raise NotReadyError(
            f"the pretrained weights of {name} could not be downloaded ({error}); "
            "try again with a network, or give --pretrained none or --weights FILE.onnx"
        ) from error
    finally:
        socket.setdefaulttimeout(timeout_s)
    if name in _SYMMETRIC_NAMES:
        module.transform_input, module.aux_logits = False, False
        for aux in ("aux1", "aux2", "AuxLogits"):
            if hasattr(module, aux):
                setattr(module, aux, None)
    return cast(nn.Module, module)


def _headless(module: nn.Module) -> tuple[nn.Module, int]:
    """Replace the last linear layer, the ImageNet classifier, by nothing; return the module and what went into it."""
    name, layer = [(name, layer) for name, layer in module.named_modules() if isinstance(layer, nn.Linear)][-1]
    parent, _, leaf = name.rpartition(".")
    setattr(module.get_submodule(parent), leaf, nn.Identity())
    return _Flat(module), layer.in_features


class _Flat(nn.Module):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, planes: Tensor) -> Tensor:
        return torch.flatten(self.body(planes), 1)
