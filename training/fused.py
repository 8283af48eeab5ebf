"""Pictures with labels and clusters in, a run folder with one network that gives both class and feature out.

The loss is the cross entropy of the labels plus a weight times a loss on the clusters, each step with several pictures
of each of its clusters.
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

from catalog.errors import OutOfRangeError
from catalog.terminal import console
from training.answers import calibrated, validator
from training.backbones import Backbone
from training.classifier import LabelSettings, check_epochs, fit_head, label_loss, split_off
from training.data import PictureSet, cluster_ids, coarse_ids, label_ids
from training.embedder import ClusterSettings
from training.frozen import Border
from training.losses import LossName, MetricLoss
from training.mixing import Mixing
from training.networks import Fused, Kind, check_dim, head_sentence
from training.poolings import Pooling
from training.recording import Recording
from training.resume import Resume, training_folder
from training.runs import RunRecord, check_out, stage_names, write_run
from training.settings import LoopSettings
from training.stages import with_stages
from training.tuning import Tuning, fine_tune


@dataclass(frozen=True)
class FusedSettings:
    """`dim` 0 embeds without a linear layer; `pooling` None embeds the features; `metric_weight` weighs the clusters.

    With `metric_weight` 0 they only say which pictures share a step, and may all be of one picture.
    With the border at the backbone only the heads learn: the labels' by logistic regression, the embedding's as usual.
    `unit_head` gives the labels' head features of unit length.
    """

    loop: LoopSettings
    dim: int = 128
    power: float = 1.0
    pooling: Pooling | None = Pooling.SAM
    unit_head: bool = False
    metric_weight: float = 1.0
    labels: LabelSettings = field(default_factory=LabelSettings)
    clusters: ClusterSettings = field(
        default_factory=lambda: ClusterSettings(loss=MetricLoss(LossName.HINGE), labels_a_batch=0)
    )
    tuning: Tuning = field(default_factory=Tuning)

    def __post_init__(self) -> None:
        check_dim(self.dim)
        if not (math.isfinite(self.metric_weight) and self.metric_weight >= 0):
            raise OutOfRangeError(f"--metric-weight is {self.metric_weight}, expected a number of at least 0")
        if self.tuning.heads_only and self.labels.coarse_weight:
            raise OutOfRangeError("two levels need layers that learn; --freeze backbone leaves only the heads")
        if self.loop.mixing is not Mixing.NONE and self.metric_weight:
            raise OutOfRangeError(
                f"--mixing {self.loop.mixing} needs --metric-weight 0; a loss on clusters knows no half of one"
            )
        if self.tuning.heads_only and self.dim and not self.metric_weight:
            raise OutOfRangeError("--freeze backbone with --metric-weight 0 leaves the embedding nothing; give --dim 0")
        self.clusters.check(self.loop)
        self.tuning.check(self.loop)
        check_epochs(self.loop, self.tuning)


@dataclass(frozen=True)
class _Targets:
    """Labels, clusters and, with two levels, coarse labels of N pictures: `numbers` is int64 [N, 2 or 3]."""

    labels: tuple[str, ...]
    coarse_labels: tuple[str, ...]
    numbers: NDArray[np.int64]


def train_fused(
    pictures: PictureSet,
    *,
    validation: PictureSet | None,
    backbone: Backbone,
    settings: FusedSettings,
    out: Path,
    gallery: PictureSet | None = None,
    calibration: PictureSet | None = None,
    notes: dict[str, Any] | None = None,
) -> RunRecord:
    """Train and write the run `out`; `validation` and `gallery` have the network's size and are never trained on.

    After every epoch the labels of `validation` are guessed, and each of its pictures is searched among `gallery`.
    `calibration` pictures set the temperature (None: those held out by `calibrate_share`, if any). Raises
    `MalformedError` for pictures without labels, clusters without pairs, calibration pictures of other labels, or a
    loss that diverges.
    """
    check_out(out)
    targets = _targets(pictures, settings)
    rows, calibration = split_off(pictures, calibration, targets.labels, share=settings.labels.calibrate_share)
    network = _network(backbone, targets, settings)
    recording = _train(
        network,
        pictures,
        targets,
        rows=rows,
        settings=settings,
        validate=validator(network, validation, labels=targets.labels, gallery=gallery),
        resume=Resume(training_folder(out), (settings, backbone.spec)),
    )
    record = RunRecord(
        kind=Kind.FUSED,
        backbone=backbone.spec,
        size_px=backbone.spec.size_px,
        dim=backbone.spec.dim,
        head_dim=settings.dim,
        power=settings.power,
        unit_head=network.unit_head,
        labels=targets.labels,
        temperature=calibrated(network, calibration, targets.labels) if calibration else 1.0,
        pooling=settings.pooling,
        embedding_dim=network.dim,
        stages=stage_names(network),
        coarse_labels=targets.coarse_labels,
        seed=settings.loop.seed,
        settings={"pictures": len(rows), **(notes or {})},
        metrics=recording.history,
    )
    write_run(out, record=record, network=network, backbone_file=backbone.file, recording=recording)
    if settings.dim:
        console.print(head_sentence(network))
    return record


def _network(backbone: Backbone, targets: _Targets, settings: FusedSettings) -> Fused:
    return Fused(
        with_stages(backbone) if settings.tuning.first_border is not Border.NONE else backbone,
        labels=len(targets.labels),
        dim=settings.dim,
        pooling=settings.pooling,
        power=settings.power,
        unit_head=settings.unit_head or settings.tuning.heads_only,
        coarse_labels=len(targets.coarse_labels),
    )


def _train(
    network: Fused,
    pictures: PictureSet,
    targets: _Targets,
    *,
    rows: NDArray[np.int64],
    settings: FusedSettings,
    validate: Callable[[], dict[str, float]],
    resume: Resume,
) -> Recording:
    clusters = targets.numbers[:, 1]
    if settings.tuning.heads_only:
        fit_head(network, pictures.images[rows], targets.numbers[rows, 0], settings.labels, seed=settings.loop.seed)
        if not settings.dim:
            return Recording(history=[{"epoch": 1.0, **validate()}])
    own = settings.clusters
    return fine_tune(
        network,
        pictures.images,
        targets.numbers,
        batches=own.batches(clusters, pictures.labels, loop=settings.loop, rows=rows, singles=True),
        loss=lambda outputs, wanted: joint_loss(outputs, wanted, settings),
        loop=settings.loop,
        tuning=settings.tuning,
        validate=validate,
        resume=resume,
        proxies=own.proxies(clusters, dim=network.dim, seed=settings.loop.seed) if settings.metric_weight else None,
    )


def joint_loss(outputs: Any, wanted: Tensor, settings: FusedSettings) -> Tensor:
    """Return the loss of what a fused network learns from; `wanted` is [B, 2 or 3]: label, cluster, coarse label."""
    proxies = None
    if isinstance(outputs[0], tuple):
        outputs, proxies = outputs
    logits, embedding, *coarse = outputs
    costs = []
    if settings.metric_weight:
        costs.append(settings.metric_weight * settings.clusters.loss(embedding, wanted[:, 1], proxies))
    if not settings.tuning.heads_only:  # there the labels' head is the best one already
        levels = (logits, coarse[0]) if coarse else logits
        costs.append(label_loss(levels, wanted[:, ::2] if coarse else wanted[:, 0], settings.labels))
    return torch.stack(costs).sum()


def _targets(pictures: PictureSet, settings: FusedSettings) -> _Targets:
    labels, label_numbers = label_ids(pictures)
    columns = [label_numbers, cluster_ids(pictures, for_loss=settings.metric_weight > 0)]
    coarse_labels: tuple[str, ...] = ()
    if settings.labels.coarse_weight:
        coarse_labels, coarse = coarse_ids(pictures)
        columns.append(coarse)
    return _Targets(labels, coarse_labels, np.stack(columns, axis=1))
