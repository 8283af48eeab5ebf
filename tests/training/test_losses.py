"""Losses on clusters against values worked out by hand, with vectors in the plane."""

from __future__ import annotations

import math

import pytest
import torch

from catalog.errors import OutOfRangeError
from training.losses import (
    LossName,
    MetricLoss,
    Mining,
    hinge_loss,
    multi_similarity_loss,
    proxy_loss,
    supcon_loss,
    triplet_loss,
)


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


@pytest.mark.parametrize("mining", [Mining.SEMI_HARD, Mining.HARD])
@pytest.mark.parametrize("clusters", [[0, 0, 0, 0], [0, 1, 2, 3]])
def test_a_batch_without_triplets_costs_nothing_and_has_a_gradient(mining, clusters):
    embeddings = rows(0, 30, 50, 120).requires_grad_()
    loss = triplet_loss(embeddings, torch.tensor(clusters), margin=0.2, mining=mining)
    loss.backward()
    assert loss.item() == 0
    assert embeddings.grad.abs().max().item() == 0


def test_hinge_is_the_paper_s_two_means():
    # Cluster 0 at 0 and 70 degrees, cluster 1 at 80 and 180; d is 1 - cos.
    loss = hinge_loss(rows(0, 70, 80, 180), CLUSTERS)
    near = [max(0, apart(70) - 0.5), max(0, apart(100) - 0.5)]
    far = [max(0, 0.5 - apart(between)) for between in (80, 180, 10, 110)]
    assert loss.item() == pytest.approx(sum(near) / 2 + sum(far) / 4, abs=1e-6)


def test_hard_hinge_keeps_as_many_negatives_as_there_are_positives():
    # Two positive pairs; the two nearest of four negative pairs are 20 and 50 degrees apart.
    loss = hinge_loss(rows(0, 30, 50, 120), CLUSTERS, mining=Mining.HARD)
    near = [max(0, apart(30) - 0.5), max(0, apart(70) - 0.5)]
    far = [max(0, 0.5 - apart(20)), max(0, 0.5 - apart(50))]
    assert loss.item() == pytest.approx(sum(near) / 2 + sum(far) / 2, abs=1e-6)


def test_hinge_is_zero_beyond_its_margins_and_pushes_within_them():
    # 60 degrees is d = 0.5, where both hinges end.
    assert hinge_loss(rows(0, 59, 180, 239), CLUSTERS).item() == 0
    angles = torch.tensor([0.0, 65.0, 100.0, 120.0], requires_grad=True)
    radians = torch.deg2rad(angles)
    hinge_loss(torch.stack((radians.cos(), radians.sin()), dim=1), CLUSTERS).backward()
    # Descending turns 0 up and 65 down, toward each other; 100 is pushed up, away from 65, and 120 has no pair within.
    assert angles.grad[0] < 0
    assert angles.grad[2] < 0
    assert angles.grad[3].item() == pytest.approx(-math.sin(math.radians(55)) * math.pi / 180 / 4, abs=1e-6)


def test_multi_similarity_by_hand():
    loss = multi_similarity_loss(rows(0, 30, 50, 120), CLUSTERS)

    def cos(degrees):
        return math.cos(math.radians(degrees))

    def pull(*cosines):
        return math.log(1 + sum(math.exp(-2 * (cosine - 0.5)) for cosine in cosines)) / 2

    def push(*cosines):
        return math.log(1 + sum(math.exp(50 * (cosine - 0.5)) for cosine in cosines)) / 50

    anchors = [
        0.0,  # at 0: the positive, 0.87, is above the greatest negative, 0.64, by more than 0.1: nothing is mined
        pull(cos(30)) + push(cos(20)),  # at 30: cos 90 = 0 is far below
        pull(cos(70)) + push(cos(50), cos(20)),  # at 50: its positive is the farthest
        0.0,  # at 120: the greatest negative is cos 90 = 0, the positive cos 70 = 0.34
    ]
    assert loss.item() == pytest.approx(sum(anchors) / 4, abs=1e-6)


def test_supcon_by_hand():
    loss = supcon_loss(rows(0, 30, 50), torch.tensor([0, 0, 1]), temperature=0.5)

    def score(degrees):
        return math.exp(math.cos(math.radians(degrees)) / 0.5)

    first = -math.log(score(30) / (score(30) + score(50)))
    second = -math.log(score(30) / (score(30) + score(20)))
    assert loss.item() == pytest.approx((first + second) / 2, abs=1e-6)  # the third has no positive


def test_supcon_averages_over_positives_outside_of_the_logarithm():
    loss = supcon_loss(rows(0, 30, 50), torch.tensor([0, 0, 0]), temperature=1.0)
    costs = []
    for own, others in ((0, (30, 50)), (30, (0, 50)), (50, (0, 30))):
        scores = [math.exp(math.cos(math.radians(own - other))) for other in others]
        costs += [-math.log(score / sum(scores)) / 2 for score in scores]
    assert loss.item() == pytest.approx(sum(costs) / 3, abs=1e-6)


def test_proxy_by_hand():
    # Proxies at 0 and 90 degrees, of lengths that do not matter; the pictures at 30 (cluster 0) and 60 (cluster 1).
    proxies = torch.tensor([[3.0, 0.0], [0.0, 0.1]])
    loss = proxy_loss(rows(30, 60), torch.tensor([0, 1]), proxies, margin=0.1, temperature=0.2)
    right, wrong = (math.cos(math.radians(30)) - 0.1) / 0.2, math.cos(math.radians(60)) / 0.2
    assert loss.item() == pytest.approx(math.log(1 + math.exp(wrong - right)), abs=1e-6)


def values(name: LossName, embeddings: torch.Tensor, clusters: torch.Tensor) -> torch.Tensor:
    proxies = torch.eye(3, embeddings.shape[1]) if name is LossName.PROXY else None
    return MetricLoss(name)(embeddings, clusters, proxies)


@pytest.mark.parametrize("name", list(LossName))
def test_every_loss_draws_clusters_together_by_its_gradient(name):
    generator = torch.Generator().manual_seed(3)
    clusters = torch.arange(3).repeat_interleave(4)
    raw = torch.randn(12, 6, generator=generator, requires_grad=True)
    optimizer = torch.optim.SGD([raw], lr=0.5)
    history = []
    for _ in range(60):
        loss = values(name, torch.nn.functional.normalize(raw, dim=1), clusters)
        optimizer.zero_grad()
        loss.backward()
        assert torch.isfinite(raw.grad).all()
        optimizer.step()
        history.append(loss.item())
    assert history[-1] < 0.7 * history[0]
    cosine = torch.nn.functional.normalize(raw.detach(), dim=1)
    cosine = cosine @ cosine.T
    same = clusters[:, None] == clusters[None, :]
    assert cosine[same].mean() > cosine[~same].mean() + 0.4


@pytest.mark.parametrize("name", list(LossName))
@pytest.mark.parametrize("clusters", [[0, 0, 0, 0], [0, 1, 2, 2]])
def test_gradients_are_those_of_finite_differences(name, clusters):
    generator = torch.Generator().manual_seed(1)
    raw = torch.randn(4, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    proxies = torch.eye(3, 5, dtype=torch.float64) if name is LossName.PROXY else None

    def cost(x):
        return MetricLoss(name)(torch.nn.functional.normalize(x, dim=1), torch.tensor(clusters), proxies)

    assert torch.autograd.gradcheck(cost, (raw,))


def test_what_does_not_fit_a_loss_is_a_sentence():
    with pytest.raises(OutOfRangeError, match="--metric-temperature is 0, expected a number above 0"):
        MetricLoss(LossName.SUPCON, temperature=0)
    with pytest.raises(OutOfRangeError, match="--mining is all, the loss triplet knows semi-hard and hard"):
        MetricLoss(LossName.TRIPLET, mining=Mining.ALL)
    with pytest.raises(OutOfRangeError, match="needs the vectors of the clusters"):
        MetricLoss(LossName.PROXY)(rows(0, 1), torch.tensor([0, 1]))
