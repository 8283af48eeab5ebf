"""Triplet losses against values worked out by hand, with vectors in the plane."""

from __future__ import annotations

import math

import pytest
import torch

from training.losses import Mining, triplet_loss


def rows(*degrees: float) -> torch.Tensor:
    """Unit vectors in the plane: the cosine of two is the cosine of the angle between them."""
    radians = torch.deg2rad(torch.tensor(degrees))
    return torch.stack((radians.cos(), radians.sin()), dim=1)


def apart(degrees: float) -> float:
    return 1 - math.cos(math.radians(degrees))


CLUSTERS = torch.tensor([0, 0, 1, 1])


def test_hard_loss_is_farthest_positive_minus_nearest_negative():
    # Cluster 0 at 0 and 30 degrees, cluster 1 at 50 and 120.
    loss = triplet_loss(rows(0, 30, 50, 120), CLUSTERS, margin=0.2, mining=Mining.HARD)
    costs = [
        max(0, apart(30) - apart(50) + 0.2),  # anchor 0: nearest negative at 50
        max(0, apart(30) - apart(20) + 0.2),  # anchor 30: nearest negative at 50
        max(0, apart(70) - apart(20) + 0.2),  # anchor 50: positive at 120, negative at 30
        max(0, apart(70) - apart(90) + 0.2),  # anchor 120: negative at 30
    ]
    assert loss.item() == pytest.approx(sum(costs) / 4, abs=1e-6)


def test_semi_hard_loss_takes_the_nearest_negative_beyond_the_positive():
    loss = triplet_loss(rows(0, 30, 50, 120), CLUSTERS, margin=0.2, mining=Mining.SEMI_HARD)
    costs = [
        max(0, apart(30) - apart(50) + 0.2),  # anchor 0: both negatives are farther than 30, 50 is nearest
        max(0, apart(30) - apart(90) + 0.2),  # anchor 30: 50 is nearer than the positive, so 120
        max(0, apart(70) - apart(50) + 0.2),  # anchor 50: none is farther than 70, the farthest is 0
        max(0, apart(70) - apart(90) + 0.2),  # anchor 120: 30 is farther than 70
    ]
    assert loss.item() == pytest.approx(sum(costs) / 4, abs=1e-6)


@pytest.mark.parametrize("mining", list(Mining))
@pytest.mark.parametrize("clusters", [[0, 0, 0, 0], [0, 1, 2, 3]])
def test_a_batch_without_triplets_costs_nothing_and_has_a_gradient(mining, clusters):
    embeddings = rows(0, 30, 50, 120).requires_grad_()
    loss = triplet_loss(embeddings, torch.tensor(clusters), margin=0.2, mining=mining)
    loss.backward()
    assert loss.item() == 0
    assert embeddings.grad.abs().max().item() == 0
