"""Mixing: shares that can be counted in the pixels, and a loss equal to that of soft labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from catalog.errors import OutOfRangeError
from training.learner import Learner
from training.mixing import Mixing, mix
from training.settings import LoopSettings


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_mixup_by_hand():
    mixed = mix((torch.eye(4),), Mixing.MIXUP, alpha=1.0, generator=_generator(3))
    assert 0 < mixed.share < 1
    assert sorted(mixed.partners.tolist()) == [0, 1, 2, 3]
    for row, partner in enumerate(mixed.partners.tolist()):
        expected = [0.0] * 4
        expected[row] += mixed.share
        expected[partner] += 1 - mixed.share
        assert mixed.tensors[0][row].tolist() == pytest.approx(expected)


def test_mixup_mixes_every_tensor_alike():
    rows = torch.arange(6.0)
    mixed = mix(
        (rows[:, None], rows.view(6, 1, 1, 1).expand(6, 8, 3, 3)), Mixing.MIXUP, alpha=0.4, generator=_generator()
    )
    torch.testing.assert_close(mixed.tensors[1][:, 5, 2, 1], mixed.tensors[0][:, 0])


@given(seed=st.integers(0, 2**31), alpha=st.sampled_from([0.2, 1.0, 4.0]), size=st.tuples(*[st.integers(1, 40)] * 2))
def test_the_share_of_cutmix_is_counted_in_pixels(seed, alpha, size):
    number = torch.arange(5.0).view(5, 1, 1, 1)
    mixed = mix((number.expand(5, 3, *size),), Mixing.CUTMIX, alpha=alpha, generator=_generator(seed))
    for row, partner in enumerate(mixed.partners.tolist()):
        seen = mixed.tensors[0][row]
        if partner == row:
            assert (seen == row).all()
            continue
        assert ((seen == row) | (seen == partner)).all()
        assert float((seen == row).float().mean()) == pytest.approx(mixed.share, abs=1e-6)
        other = (seen[0] == partner).nonzero()
        if len(other):  # one full rectangle
            extent = other.max(dim=0).values - other.min(dim=0).values + 1
            assert len(other) == int(extent.prod())


def test_shares_have_the_variance_of_the_beta_distribution():
    alpha, generator = 0.3, _generator()
    shares = [mix((torch.zeros(2, 1),), Mixing.MIXUP, alpha=alpha, generator=generator).share for _ in range(4000)]
    assert np.mean(shares) == pytest.approx(1 / 2, abs=0.03)
    assert np.var(shares) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.05)


def test_cutmix_wants_one_size_of_maps():
    for tensors in ((torch.zeros(2, 64, 14, 14), torch.zeros(2, 64, 7, 7)), (torch.zeros(2, 64),)):
        with pytest.raises(OutOfRangeError, match=r"cutmix needs pictures or maps of one size, .* got \[64"):
            mix(tensors, Mixing.CUTMIX, alpha=1.0, generator=_generator())


def test_both_is_mixup_or_cutmix_by_chance():
    maps = (torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1).expand(2, 5, 14, 14),)
    generator = _generator()
    mixed = [mix(maps, Mixing.BOTH, alpha=None, generator=generator) for _ in range(400)]
    changed = [one for one in mixed if one.partners.tolist() == [1, 0] and 0 < one.share < 1]
    # CutMix leaves whole cells of either map, mixup one value between them everywhere.
    cut = [one for one in changed if set(one.tensors[0].unique().tolist()) == {0.0, 1.0}]
    laid = [one for one in changed if len(one.tensors[0][0].unique()) == 1]
    assert len(cut) + len(laid) == len(changed)
    assert 0.35 < len(cut) / len(changed) < 0.65
    for one in cut:
        assert float(one.tensors[0][1].mean()) == pytest.approx(one.share, abs=1e-6)


@pytest.mark.parametrize("mixing", [Mixing.MIXUP, Mixing.CUTMIX, Mixing.BOTH])
def test_the_loss_is_that_of_soft_labels(mixing):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 6 * 6, 4))
    start = {name: value.clone() for name, value in network.state_dict().items()}
    pictures, targets = torch.rand(5, 3, 6, 6), torch.tensor([0, 3, 1, 2, 2])
    settings = LoopSettings(epochs=1, batch=5, learning_rate=1e-3, mixing=mixing, mixing_alpha=1.0)
    learner = Learner(network, functional.cross_entropy, settings=settings, total_steps=1)
    value, _ = learner.step((pictures,), targets, generator=_generator(5))

    mixed = mix((pictures,), mixing, alpha=1.0, generator=_generator(5))
    soft = torch.zeros(5, 4)
    for row, partner in enumerate(mixed.partners.tolist()):
        soft[row, targets[row]] += mixed.share
        soft[row, targets[partner]] += 1 - mixed.share
    network.load_state_dict(start)
    expected = functional.cross_entropy(network(mixed.tensors[0]), soft)
    assert value == pytest.approx(float(expected.detach()), rel=1e-5)
