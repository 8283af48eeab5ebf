"""Pictures grouped into clusters in, a run folder with an embedder out: views of one product close, others apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from catalog.errors import OutOfRangeError
from catalog.terminal import console
from training.answers import validator
from training.backbones import Backbone
from training.batches import cluster_batches
from training.data import PictureSet, cluster_ids
from training.frozen import Border
from training.loop import Batches
from training.losses import LossName, MetricLoss
from training.mixing import Mixing
from training.networks import Embedder, Kind, check_dim, head_sentence
from training.poolings import Pooling
from training.recording import Recording
from training.resume import Resume, training_folder
from training.runs import RunRecord, check_out, stage_names, write_run
from training.settings import LoopSettings
from training.stages import with_stages
from training.tuning import Tuning, fine_tune, new_proxies


@dataclass(frozen=True)
class ClusterSettings:
    """How clusters are learned: a step has `views` pictures each of `batch / views` clusters.

    `labels_a_batch` kinds of product share a step, so that negatives are alike and worth learning from; 0 for any.
    """

    loss: MetricLoss = field(default_factory=lambda: MetricLoss(LossName.TRIPLET))
    views: int = 4
    labels_a_batch: int = 4

    def __post_init__(self) -> None:
        if self.views < 2 or self.labels_a_batch < 0:
            raise OutOfRangeError(
                f"views {self.views}, labels a batch {self.labels_a_batch}: needed are at least 2 and 0"
            )

    def check(self, loop: LoopSettings) -> None:
        """Raise `OutOfRangeError` for a batch without two clusters."""
        if loop.batch < 2 * self.views:
            raise OutOfRangeError(f"--batch is {loop.batch}, two clusters of {self.views} views need {2 * self.views}")

    def batches(
        self,
        clusters: NDArray[np.int64],
        labels: Sequence[str | None],
        *,
        loop: LoopSettings,
        rows: NDArray[np.int64] | None = None,
        singles: bool = False,
    ) -> Batches:
        """Return the pictures of each step, as `cluster_batches` draws them, for `clusters` [N] and `labels` [N]."""
        return cluster_batches(
            clusters,
            labels,
            batch=loop.batch,
            views=self.views,
            labels_a_batch=self.labels_a_batch,
            seed=loop.seed,
            rows=rows,
            singles=singles,
        )

    def proxies(self, clusters: NDArray[np.int64], *, dim: int, seed: int) -> nn.Parameter | None:
        """Draw a vector for each of `clusters` [N], together [C, D]; None where the loss knows no such vectors."""
        return new_proxies(int(clusters.max()) + 1, dim, seed=seed) if self.loss.has_proxies else None


@dataclass(frozen=True)
class EmbedderSettings:
    """`dim` 0 keeps the features, or the pooled stages, as they are; `pooling` None embeds the features."""

    loop: LoopSettings
    dim: int = 128
    power: float = 1.0
    pooling: Pooling | None = None
    clusters: ClusterSettings = field(default_factory=ClusterSettings)
    tuning: Tuning = field(default_factory=Tuning)

    def __post_init__(self) -> None:
        check_dim(self.dim)
        if self.loop.mixing is not Mixing.NONE:
            raise OutOfRangeError(f"--mixing {self.loop.mixing} needs labels; a loss on clusters knows no half of one")
        if not self.dim and self.tuning.heads_only and self.loop.epochs:
            raise OutOfRangeError("--freeze backbone with --dim 0 leaves nothing to learn; give --epochs 0")
        self.clusters.check(self.loop)
        self.tuning.check(self.loop)


def train_embedder(
    pictures: PictureSet | None,
    *,
    gallery: PictureSet | None = None,
    validation: PictureSet | None = None,
    backbone: Backbone,
    settings: EmbedderSettings,
    out: Path,
    notes: dict[str, Any] | None = None,
) -> RunRecord:
    """Train and write the run `out`. With no epochs nothing is trained and `pictures` may be None.

    After every epoch each picture of `validation` is searched among `gallery` (both at the network's size).
    Raises `MalformedError` for clusters without pairs, `OutOfRangeError` for training without pictures.
    """
    check_out(out)
    if settings.tuning.first_border is not Border.NONE:
        backbone = with_stages(backbone)
    network = Embedder(backbone, dim=settings.dim, power=settings.power, pooling=settings.pooling)
    recording = Recording()
    if settings.loop.epochs:
        if pictures is None:
            raise OutOfRangeError(
                f"{settings.loop.epochs} epochs need --catalog; --epochs 0 keeps the weights as they are"
            )
        recording = _train(
            network,
            pictures,
            settings=settings,
            validate=validator(network, validation, gallery=gallery),
            resume=Resume(training_folder(out), (settings, backbone.spec)),
        )
    record = RunRecord(
        kind=Kind.EMBEDDER,
        backbone=backbone.spec,
        size_px=backbone.spec.size_px,
        dim=network.dim,
        head_dim=settings.dim,
        power=settings.power,
        pooling=settings.pooling,
        stages=stage_names(network),
        seed=settings.loop.seed,
        settings={"pictures": len(pictures) if pictures else 0, **(notes or {})},
        metrics=recording.history,
    )
    write_run(out, record=record, network=network, backbone_file=backbone.file, recording=recording)
    if settings.dim:
        console.print(head_sentence(network))
    return record


def _train(
    network: Embedder,
    pictures: PictureSet,
    *,
    settings: EmbedderSettings,
    validate: Callable[[], dict[str, float]],
    resume: Resume,
) -> Recording:
    clusters = cluster_ids(pictures)
    metric = settings.clusters.loss

    def loss(outputs: Tensor | tuple[Tensor, Tensor], wanted: Tensor) -> Tensor:
        return metric(outputs, wanted) if isinstance(outputs, Tensor) else metric(outputs[0], wanted, outputs[1])

    return fine_tune(
        network,
        pictures.images,
        clusters,
        batches=settings.clusters.batches(clusters, pictures.labels, loop=settings.loop),
        loss=loss,
        loop=settings.loop,
        tuning=settings.tuning,
        validate=validate,
        resume=resume,
        proxies=settings.clusters.proxies(clusters, dim=network.dim, seed=settings.loop.seed),
    )
