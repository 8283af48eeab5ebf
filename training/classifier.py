"""Pictures with labels in, a run folder with a classifier of those labels out.

Either the network learns, whole or above a border, on augmented pictures, or only the linear layer on top of a frozen
backbone, whose features are computed once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from catalog.errors import MalformedError, OutOfRangeError
from catalog.terminal import progress
from training.answers import calibrated, validator
from training.augment import LIGHT, NONE
from training.backbones import Backbone
from training.calibration import hold_out
from training.data import PictureSet, coarse_ids, label_ids, subset
from training.frozen import Border
from training.loop import Batches, shuffled
from training.networks import Classifier, Fused, Kind, unit
from training.probe import fit_linear
from training.recording import Recording
from training.resume import Resume, training_folder
from training.runs import RunRecord, check_out, write_run
from training.settings import LoopSettings
from training.stages import with_stages
from training.tuning import Tuning, fine_tune
from training.views import PictureViews

_FEATURE_BATCH = 32


@dataclass(frozen=True)
class LabelSettings:
    """How labels are learned.

    `coarse_weight` above 0 adds the cross entropy of the second level. `views` more augmented pictures for each one,
    and the `penalty` on weights, matter for a frozen backbone only. `calibrate_share` of each label's pictures is held
    out of training, to set the temperature.
    """

    label_smoothing: float = 0.1
    coarse_weight: float = 0.0
    views: int = 0
    penalty: float = 1e-5
    calibrate_share: float = 0.0

    def __post_init__(self) -> None:
        limits = (
            ("--label-smoothing", self.label_smoothing, 0 <= self.label_smoothing < 1, "0 to below 1"),
            ("--coarse-weight", self.coarse_weight, self.coarse_weight >= 0, "a number of at least 0"),
            ("--penalty", self.penalty, self.penalty >= 0, "a number of at least 0"),
            ("--views", self.views, self.views >= 0, "at least 0"),
            ("--calibrate-share", self.calibrate_share, 0 <= self.calibrate_share < 1, "0 to below 1"),
        )
        for option, value, fits, wanted in limits:
            if not (math.isfinite(value) and fits):
                raise OutOfRangeError(f"{option} is {value}, expected {wanted}")


@dataclass(frozen=True)
class ClassifierSettings:
    """How a classifier is trained; with the border at the backbone only its linear layer learns."""

    loop: LoopSettings
    power: float = 1.0
    labels: LabelSettings = field(default_factory=LabelSettings)
    tuning: Tuning = field(default_factory=Tuning)

    def __post_init__(self) -> None:
        self.tuning.check(self.loop)
        check_epochs(self.loop, self.tuning)
        if self.tuning.heads_only and self.labels.coarse_weight:
            raise OutOfRangeError("two levels need layers that learn; --freeze backbone leaves only the linear one")


def train_classifier(
    pictures: PictureSet,
    *,
    validation: PictureSet | None,
    backbone: Backbone,
    settings: ClassifierSettings,
    out: Path,
    calibration: PictureSet | None = None,
    notes: dict[str, Any] | None = None,
) -> RunRecord:
    """Train and write the run `out`; `validation` pictures have the network's size and are never trained on.

    `calibration` pictures set the temperature (None: those held out by `calibrate_share`, if any). Raises
    `MalformedError` for pictures without labels, one label only, calibration pictures of other labels, or a loss that
    diverges.
    """
    check_out(out)
    labels, targets = label_ids(pictures)
    coarse_labels, coarse = coarse_ids(pictures) if settings.labels.coarse_weight else ((), None)
    rows, calibration = split_off(pictures, calibration, labels, share=settings.labels.calibrate_share)
    linear_only = settings.tuning.heads_only
    needs_stages = settings.tuning.first_border is not Border.NONE and not linear_only
    network = Classifier(
        with_stages(backbone) if needs_stages else backbone,
        labels=len(labels),
        power=settings.power,
        unit_head=linear_only,
        coarse_labels=len(coarse_labels),
    )
    recording = _train(
        network,
        pictures,
        targets if coarse is None else np.stack((targets, coarse), axis=1),
        rows=rows,
        settings=settings,
        validate=validator(network, validation, labels=labels),
        resume=Resume(training_folder(out), (settings, backbone.spec)),
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
        temperature=calibrated(network, calibration, labels) if calibration else 1.0,
        coarse_labels=coarse_labels,
        seed=settings.loop.seed,
        settings={"pictures": len(rows), **(notes or {})},
        metrics=recording.history,
    )
    write_run(out, record=record, network=network, backbone_file=backbone.file, recording=recording)
    return record


def _train(
    network: Classifier,
    pictures: PictureSet,
    targets: NDArray[np.int64],
    *,
    rows: NDArray[np.int64],
    settings: ClassifierSettings,
    validate: Callable[[], dict[str, float]],
    resume: Resume,
) -> Recording:
    if settings.tuning.heads_only:
        fit_head(network, pictures.images[rows], targets[rows], settings.labels, seed=settings.loop.seed)
        return Recording(history=[{"epoch": 1.0, **validate()}])
    return fine_tune(
        network,
        pictures.images,
        targets,
        batches=rows_of(shuffled(len(rows), batch=settings.loop.batch, seed=settings.loop.seed), rows),
        loss=lambda outputs, wanted: label_loss(outputs, wanted, settings.labels),
        loop=settings.loop,
        tuning=settings.tuning,
        validate=validate,
        resume=resume,
    )


def label_loss(outputs: Tensor | tuple[Tensor, Tensor], wanted: Tensor, settings: LabelSettings) -> Tensor:
    """Cross entropy of logits [B, V] to targets [B]; of a pair of levels, to [B, 2], the second by its weight."""
    if isinstance(outputs, Tensor):
        return functional.cross_entropy(outputs, wanted, label_smoothing=settings.label_smoothing)
    fine, coarse = (
        functional.cross_entropy(logits, wanted[:, level], label_smoothing=settings.label_smoothing)
        for level, logits in enumerate(outputs)
    )
    return fine + settings.coarse_weight * coarse


def check_epochs(loop: LoopSettings, tuning: Tuning) -> None:
    """Raise `OutOfRangeError` for a network of labels that would be left as it was drawn."""
    if not loop.epochs and not tuning.heads_only:
        raise OutOfRangeError("--epochs is 0, labels need at least 1 epoch, or --freeze backbone")


def split_off(
    pictures: PictureSet, calibration: PictureSet | None, labels: tuple[str, ...], *, share: float
) -> tuple[NDArray[np.int64], PictureSet | None]:
    """Return the rows to train on and the pictures that set the temperature: `calibration`, or a share held out.

    None where there are neither. Raises `MalformedError` for calibration pictures that cannot be used, which is better
    known before a training than behind it, and what `hold_out` raises.
    """
    rows, held = hold_out(pictures.labels, pictures.units or pictures.clusters, share)
    if calibration is None:
        return rows, subset(pictures, held) if len(held) else None
    if not len(calibration):
        raise MalformedError("no pictures to set the temperature on were given")
    label_ids(calibration, labels=labels)
    return rows, calibration


def rows_of(batches: Batches, rows: NDArray[np.int64]) -> Batches:
    """Return batches of `rows` where `batches` counts from 0."""
    return lambda epoch: [rows[part] for part in batches(epoch)]


def fit_head(
    network: Classifier | Fused,
    images: NDArray[np.uint8],
    targets: NDArray[np.int64],
    settings: LabelSettings,
    *,
    seed: int,
) -> None:
    """Set the linear layer to the best one on unit features of the pictures and of `views` light changes of each."""
    generator = torch.Generator().manual_seed(seed)
    parts = [_features(network, PictureViews(images, NONE), generator)]
    parts += [_features(network, PictureViews(images, LIGHT), generator) for _ in range(settings.views)]
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


def _features(network: Classifier | Fused, views: PictureViews, generator: torch.Generator) -> Tensor:
    """Unit features [N, D] of one view of each picture."""
    size_px = network.spec.size_px
    found = []
    network.eval()
    parts = np.array_split(np.arange(len(views.images)), max(1, -(-len(views.images) // _FEATURE_BATCH)))
    with torch.inference_mode():
        for rows in progress(iter(parts), description="features", total=len(parts)):
            if views.augmentation is NONE and views.images.shape[1] == size_px:
                batch = torch.from_numpy(np.ascontiguousarray(views.images[rows]))
            else:
                (batch,) = views.batch(rows, epoch=0, size_px=size_px, generator=generator)
            found.append(unit(network.features(batch)))
    return torch.cat(found)
