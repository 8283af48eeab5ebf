"""A trained network and uint8 pictures in; logits, embeddings and what is measured of them out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.augment import NONE
from training.calibration import fit_temperature
from training.data import PictureSet, label_ids
from training.networks import Classifier, Embedder, Fused, Network
from training.views import PictureViews

_BATCH = 64


def outputs(network: Network, images: NDArray[np.uint8]) -> tuple[Tensor, ...]:
    """Return what `network` answers for uint8 [N, s, s, 3], each [N, ...], in evaluation mode, on the CPU.

    Pictures of another size than the network's are scaled, as training's own are before they are changed.
    """
    network.eval()
    device = next((weight.device for weight in network.parameters()), torch.device("cpu"))
    size_px = network.spec.size_px
    views = PictureViews(images, NONE)
    parts = []
    with torch.inference_mode():
        for start in range(0, len(images), _BATCH):
            rows = np.arange(start, min(len(images), start + _BATCH))
            if images.shape[1] == size_px:
                batch = torch.from_numpy(np.ascontiguousarray(images[rows]))
            else:
                (batch,) = views.batch(rows, epoch=0, size_px=size_px, generator=torch.Generator().manual_seed(0))
            answer = network(batch.to(device))
            parts.append([one.cpu() for one in (answer if isinstance(answer, tuple) else (answer,))])
    return tuple(torch.cat(own) for own in zip(*parts, strict=True))


def calibrated(network: Classifier | Fused, pictures: PictureSet, labels: tuple[str, ...]) -> float:
    """Return the temperature that makes the network's probabilities honest on `pictures`, which it never saw."""
    _, wanted = label_ids(pictures, labels=labels)
    return fit_temperature(outputs(network, pictures.images)[0], torch.from_numpy(wanted))


def validator(
    network: Network,
    validation: PictureSet | None,
    *,
    labels: tuple[str, ...] = (),
    gallery: PictureSet | None = None,
) -> Callable[[], dict[str, float]]:
    """Return what measures a network after each epoch: its accuracy, and the recall of a search, where it has them."""
    if validation is None:
        return dict
    wanted = label_ids(validation, labels=labels)[1] if isinstance(network, Classifier | Fused) else None

    def validate() -> dict[str, float]:
        found = outputs(network, validation.images)
        metrics: dict[str, float] = {}
        if wanted is not None:
            metrics["accuracy"] = float((found[0].argmax(dim=1).numpy() == wanted).mean())
        if gallery is not None and isinstance(network, Embedder | Fused):
            rows = outputs(network, gallery.images)[-1].numpy()
            metrics |= recall(rows, list(gallery.clusters), found[-1].numpy(), list(validation.clusters))
        return metrics

    return validate


def recall(
    gallery: NDArray[np.float32], owners: list[str], queries: NDArray[np.float32], wanted: list[str]
) -> dict[str, float]:
    """Share of queries whose own cluster owns the nearest, or one of the five nearest, gallery rows; exact search."""
    nearest = np.argsort(-(queries @ gallery.T), axis=1, kind="stable")[:, :5]
    names = np.array(owners)
    right = names[nearest] == np.array(wanted)[:, None]
    return {"recall@1": float(right[:, 0].mean()), "recall@5": float(right.any(axis=1).mean())}
