"""Pictures grouped into clusters in, a run folder with an embedder out: views of one product close, others apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.errors import OutOfRangeError
from training.backbones import Backbone
from training.data import PictureSet, cluster_ids
from training.loop import Batches, LoopSettings, evaluate, train
from training.losses import Mining, triplet_loss
from training.networks import Embedder, Kind
from training.runs import RunRecord, check_out, write_run


@dataclass(frozen=True)
class EmbedderSettings:
    """`dim` 0 keeps the backbone's features; a step has `views` pictures each of `loop.batch / views` clusters.

    `labels_a_batch` kinds of product share a step, so that negatives are alike and worth learning from.
    """

    loop: LoopSettings
    dim: int = 128
    power: float = 1.0
    margin: float = 0.2
    mining: Mining = Mining.SEMI_HARD
    views: int = 4
    labels_a_batch: int = 4

    def __post_init__(self) -> None:
        if self.dim < 0 or self.views < 2 or self.labels_a_batch < 1 or self.margin <= 0:
            raise OutOfRangeError(
                f"dim {self.dim}, views {self.views}, labels a batch {self.labels_a_batch}, margin {self.margin}: "
                "needed are at least 0, 2, 1 and a margin above 0"
            )
        if self.loop.batch < 2 * self.views:
            raise OutOfRangeError(
                f"--batch is {self.loop.batch}, two clusters of {self.views} views need {2 * self.views}"
            )


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
    Raises `MalformedError` for clusters that make no triplets, `OutOfRangeError` for training without pictures.
    """
    check_out(out)
    network = Embedder(backbone, dim=settings.dim, power=settings.power)
    metrics: list[dict[str, float]] = []
    if settings.loop.epochs:
        if pictures is None:
            raise OutOfRangeError(
                f"{settings.loop.epochs} epochs need --catalog; --epochs 0 keeps the weights as they are"
            )
        clusters = cluster_ids(pictures)
        metrics = train(
            network,
            pictures.images,
            clusters,
            batches=cluster_batches(clusters, pictures.labels, settings=settings),
            loss=lambda rows, wanted: triplet_loss(rows, wanted, margin=settings.margin, mining=settings.mining),
            settings=settings.loop,
            validate=_validator(network, gallery, validation),
        )
    record = RunRecord(
        kind=Kind.EMBEDDER,
        backbone=backbone.spec,
        size_px=backbone.spec.size_px,
        dim=network.dim,
        head_dim=settings.dim,
        power=settings.power,
        seed=settings.loop.seed,
        settings={"pictures": len(pictures) if pictures else 0, **(notes or {})},
        metrics=metrics,
    )
    write_run(out, record=record, network=network, backbone_file=backbone.file)
    return record


def cluster_batches(
    clusters: NDArray[np.int64], labels: tuple[str | None, ...], *, settings: EmbedderSettings
) -> Batches:
    """Return batches of P clusters x K views; an epoch shows about as many pictures as there are."""
    rows_of = [np.flatnonzero(clusters == cluster) for cluster in range(int(clusters.max()) + 1)]
    label_of = [labels[int(rows[0])] or "" for rows in rows_of]
    by_label = {
        label: np.array([cluster for cluster, own in enumerate(label_of) if own == label and len(rows_of[cluster]) > 1])
        for label in sorted(set(label_of))
    }
    groups = [members for members in by_label.values() if len(members)]
    wanted = max(2, settings.loop.batch // settings.views)
    steps = max(1, len(clusters) // (wanted * settings.views))

    def of(epoch: int) -> list[NDArray[np.int64]]:
        rng = np.random.default_rng((settings.loop.seed, epoch))
        return [one(rng) for _ in range(steps)]

    def one(rng: np.random.Generator) -> NDArray[np.int64]:
        chosen: list[int] = []
        for kinds, group in enumerate(rng.permutation(len(groups))):
            if len(chosen) >= wanted:
                break
            # Rounded up over the kinds still wanted; once those are used up, any further kind fills the step.
            share = -(-(wanted - len(chosen)) // max(1, settings.labels_a_batch - kinds))
            members = groups[group]
            chosen += rng.choice(members, size=min(share, len(members)), replace=False).tolist()
        return np.concatenate([_views(rows_of[cluster], settings.views, rng) for cluster in chosen])

    return of


def recall(
    gallery: NDArray[np.float32], owners: list[str], queries: NDArray[np.float32], wanted: list[str]
) -> dict[str, float]:
    """Share of queries whose own cluster owns the nearest, or one of the five nearest, gallery rows; exact search."""
    nearest = np.argsort(-(queries @ gallery.T), axis=1, kind="stable")[:, :5]
    names = np.array(owners)
    right = names[nearest] == np.array(wanted)[:, None]
    return {"recall@1": float(right[:, 0].mean()), "recall@5": float(right.any(axis=1).mean())}


def _validator(
    network: Embedder, gallery: PictureSet | None, validation: PictureSet | None
) -> Callable[[], dict[str, float]]:
    if gallery is None or validation is None:
        return dict

    def validate() -> dict[str, float]:
        rows, queries = (evaluate(network, part.images).numpy() for part in (gallery, validation))
        return recall(rows, list(gallery.clusters), queries, list(validation.clusters))

    return validate


def _views(rows: NDArray[np.int64], views: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw `views` pictures of one cluster; fewer pictures than that come several times, each augmented differently."""
    return rng.choice(rows, size=views, replace=len(rows) < views)
