"""Averages of one weight against sums worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from training.averaging import Average, Averaging


class Scalar(nn.Module):
    """One weight and one buffer that counts, as a BatchNorm has."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        self.register_buffer("seen", torch.zeros(1, dtype=torch.int64))


def _feed(average: Average, network: Scalar, values: list[float]) -> None:
    for value in values:
        with torch.no_grad():
            network.weight.fill_(value)
            network.seen += 1
        average.update()


def _averaged(average: Average, network: Scalar) -> float:
    with average.applied():
        return float(network.weight.detach())


def test_ema_with_its_growing_decay_by_hand():
    network = Scalar()
    average = Average(network, Averaging.EMA, decay=0.9, total_steps=3)
    _feed(average, network, [5.0, 7.0, 11.0])
    # The first is taken whole; then the past counts 2/11 and 3/12.
    second = 2 / 11 * 5 + 9 / 11 * 7
    assert _averaged(average, network) == pytest.approx(3 / 12 * second + 9 / 12 * 11)


def test_ema_reaches_its_decay_and_weighs_the_past_by_powers_of_it():
    network, decay = Scalar(), 0.5
    average = Average(network, Averaging.EMA, decay=decay, total_steps=60)
    values = np.random.default_rng(0).normal(size=60).tolist()
    _feed(average, network, values)
    # (1 + t) / (10 + t) passes 1/2 at t = 8: every later step counts 1/2, 1/4, ... from the end.
    late = sum((1 - decay) * decay**age * value for age, value in enumerate(reversed(values[8:])))
    assert _averaged(average, network) == pytest.approx(late, abs=max(map(abs, values)) * decay**52)


def test_swa_is_the_mean_of_the_last_quarter():
    network = Scalar()
    average = Average(network, Averaging.SWA, decay=0.9, total_steps=8)
    _feed(average, network, [1, 2, 3, 4, 5, 6])
    assert _averaged(average, network) == 6  # nothing averaged yet: the weights themselves
    _feed(average, network, [10, 20])
    assert _averaged(average, network) == (10 + 20) / 2


def test_applied_gives_the_weights_back_and_leaves_counts_alone():
    network = Scalar()
    average = Average(network, Averaging.EMA, decay=0.0, total_steps=2)
    _feed(average, network, [1.0, 4.0])
    with torch.no_grad():
        network.weight.fill_(9.0)
    for _ in range(2):
        with average.applied():
            assert float(network.weight) == 4.0  # decay 0 forgets all but the newest
            assert float(network.seen) == 2
        assert float(network.weight) == 9.0
    average.keep()
    assert float(network.weight) == 4.0


@pytest.mark.parametrize("averaging", [Averaging.EMA, Averaging.SWA])
def test_statistics_are_averaged_as_the_weights_are(averaging):
    momentum, batches = 0.25, [torch.tensor([[1.0], [3.0]]), torch.tensor([[5.0], [9.0]]), torch.tensor([[0.0], [8.0]])]
    network = nn.BatchNorm1d(1, momentum=momentum).train()
    # Of one step SWA takes all, and those that follow too.
    average = Average(network, averaging, decay=0.9, total_steps=1)
    mean, variance, scale = 0.0, 1.0, [2.0, 3.0, 7.0]
    means, variances = [], []
    for rows, weight in zip(batches, scale, strict=True):
        network(rows)
        with torch.no_grad():
            network.weight.fill_(weight)
        average.update()
        a, b = rows[:, 0].tolist()
        mean = (1 - momentum) * mean + momentum * (a + b) / 2
        variance = (1 - momentum) * variance + momentum * (a - b) ** 2 / 2  # unbiased: over 2 - 1
        means.append(mean)
        variances.append(variance)

    def averaged(values: list[float]) -> float:
        if averaging is Averaging.SWA:
            return sum(values) / 3
        return 3 / 12 * (2 / 11 * values[0] + 9 / 11 * values[1]) + 9 / 12 * values[2]

    network.eval()
    x = 4.0
    expected = averaged(scale) * (x - averaged(means)) / (averaged(variances) + network.eps) ** 0.5
    newest = scale[2] * (x - means[2]) / (variances[2] + network.eps) ** 0.5
    with torch.no_grad():
        with average.applied():
            assert float(network(torch.tensor([[x]]))) == pytest.approx(expected, rel=1e-5)
        assert float(network(torch.tensor([[x]]))) == pytest.approx(newest, rel=1e-5)
        average.keep()
        assert float(network(torch.tensor([[x]]))) == pytest.approx(expected, rel=1e-5)
    assert int(network.num_batches_tracked) == 3


def test_none_is_the_network_itself():
    network = Scalar()
    average = Average(network, Averaging.NONE, decay=0.9, total_steps=2)
    _feed(average, network, [1.0, 4.0])
    assert _averaged(average, network) == 4.0
    average.keep()
    assert float(network.weight) == 4.0


@pytest.mark.parametrize("averaging", list(Averaging))
def test_a_state_goes_on_where_it_was(averaging):
    values = np.random.default_rng(1).normal(size=12).tolist()
    network, twin = Scalar(), Scalar()
    whole = Average(network, averaging, decay=0.8, total_steps=12)
    _feed(whole, network, values)
    first = Average(twin, averaging, decay=0.8, total_steps=12)
    _feed(first, twin, values[:10])
    second = Average(twin, averaging, decay=0.8, total_steps=12)
    second.load(first.state())
    _feed(second, twin, values[10:])
    assert _averaged(second, twin) == _averaged(whole, network)
