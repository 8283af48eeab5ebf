"""Pictures with labels in, a run folder with a classifier of those labels out.

Either the whole network learns, on augmented pictures, or only the linear layer on top of a frozen backbone, whose
features are computed once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from catalog.terminal import progress
from training.augment import LIGHT, augment
from training.backbones import Backbone
from training.data import PictureSet, label_ids
from training.loop import LoopSettings, chunks, evaluate, shuffled, train
from training.networks import Classifier, Kind, unit
from training.probe import fit_linear
from training.runs import RunRecord, check_out, write_run

_FEATURE_BATCH = 32


@dataclass(frozen=True)
class ClassifierSettings:
    """`views` more augmented pictures for each one, and the `penalty` on weights, matter for a frozen backbone only."""

    loop: LoopSettings
    power: float = 1.0
    freeze_backbone: bool = False
    label_smoothing: float = 0.1
    views: int = 0
    penalty: float = 1e-5


def train_classifier(
    pictures: PictureSet,
    *,
    validation: PictureSet | None,
    backbone: Backbone,
    settings: ClassifierSettings,
    out: Path,
    notes: dict[str, Any] | None = None,
) -> RunRecord:
    """Train and write the run `out`; `validation` pictures have the network's size and are never trained on.

    Raises `MalformedError` for pictures without labels, one label only, or a loss that diverges.
    """
    check_out(out)
    labels, targets = label_ids(pictures)
    network = Classifier(backbone, labels=len(labels), power=settings.power, unit_head=settings.freeze_backbone)
    validate = _validator(network, validation, labels)
    if settings.freeze_backbone:
        network.freeze_backbone()
        _fit_head(network, pictures, targets, settings)
        metrics = [{"epoch": 1.0, **validate()}]
    else:
        metrics = train(
            network,
            pictures.images,
            targets,
            batches=shuffled(len(pictures), batch=settings.loop.batch, seed=settings.loop.seed),
            loss=lambda logits, wanted: functional.cross_entropy(
                logits, wanted, label_smoothing=settings.label_smoothing
            ),
            settings=settings.loop,
            validate=validate,
        )
    record = RunRecord(
        kind=Kind.CLASSIFIER,
        backbone=backbone.spec,
        size_px=backbone.spec.size_px,
        dim=backbone.spec.dim,
        head_dim=len(labels),
        power=settings.power,
        unit_head=network.unit_head,
        labels=labels,
        seed=settings.loop.seed,
        settings={"pictures": len(pictures), **(notes or {})},
        metrics=metrics,
    )
    write_run(out, record=record, network=network, backbone_file=backbone.file)
    return record


def _validator(
    network: Classifier, validation: PictureSet | None, labels: tuple[str, ...]
) -> Callable[[], dict[str, float]]:
    if validation is None:
        return dict
    _, wanted = label_ids(validation, labels=labels)

    def validate() -> dict[str, float]:
        guessed = evaluate(network, validation.images).argmax(dim=1).numpy()
        return {"accuracy": float((guessed == wanted).mean())}

    return validate


def _fit_head(
    network: Classifier, pictures: PictureSet, targets: NDArray[np.int64], settings: ClassifierSettings
) -> None:
    generator = torch.Generator().manual_seed(settings.loop.seed)
    parts = [_features(network, pictures.images, None)]
    parts += [_features(network, pictures.images, generator) for _ in range(settings.views)]
    weight, bias = fit_linear(
        torch.cat(parts),
        torch.from_numpy(np.tile(targets, len(parts))),
        classes=network.head.out_features,
        penalty=settings.penalty,
        label_smoothing=settings.label_smoothing,
    )
    with torch.no_grad():
        network.head.weight.copy_(weight)
        network.head.bias.copy_(bias)


def _features(network: Classifier, images: NDArray[np.uint8], generator: torch.Generator | None) -> Tensor:
    """Unit features [N, D] of the pictures as they are, or, with a generator, of a lightly changed view of each."""
    size_px = network.spec.size_px
    found = []
    network.eval()
    total = -(-len(images) // _FEATURE_BATCH)
    with torch.inference_mode():
        for part in progress(chunks(images, _FEATURE_BATCH), description="features", total=total):
            batch = torch.from_numpy(np.ascontiguousarray(part))
            if generator is not None:
                batch = augment(batch, size_px=size_px, generator=generator, how=LIGHT)
            found.append(unit(network.features(batch)))
    return torch.cat(found)
