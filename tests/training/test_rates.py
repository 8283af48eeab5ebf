"""Learning rates at steps whose value is known, and which parameters decay, are pulled or learn faster."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from training.backbones import named_backbone
from training.frozen import freeze
from training.learner import Learner
from training.networks import Classifier
from training.rates import Schedule, parameter_groups, share_of_rate
from training.settings import LoopSettings


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        # 20 % of 10 steps rise: 1/2, 2/2; then 8 steps fall from 1 to one step before 0.
        (Schedule.LINEAR, [1 / 2, 1, 8 / 8, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8]),
        (Schedule.CONSTANT, [1 / 2, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
    ],
)
def test_schedules_by_hand(schedule, expected):
    got = [share_of_rate(step, total=10, schedule=schedule, warm_up=0.2) for step in range(10)]
    assert got == pytest.approx(expected)


def test_the_cosine_is_half_way_down_in_the_middle():
    assert share_of_rate(55, total=105, warm_up=5.5 / 105) == pytest.approx(1 / 2)
    # cos(60 degrees) is 1/2: after a third of the way (1 + 1/2) / 2 is left.
    assert share_of_rate(5 + 30, total=95, warm_up=5.5 / 95) == pytest.approx(3 / 4)


@given(
    steps=st.integers(2, 60),
    cut=st.integers(1, 59),
    rising=st.integers(0, 60),
    schedule=st.sampled_from(Schedule),
)
def test_parts_of_a_schedule_make_the_whole(steps, cut, rising, schedule):
    cut, warm_up = min(cut, steps - 1), min(1.0, (rising + 0.5) / steps)  # the warm-up's end is not left to rounding
    whole = [share_of_rate(step, total=steps, schedule=schedule, warm_up=warm_up) for step in range(steps)]
    parts = [
        share_of_rate(step, total=total, schedule=schedule, warm_up=warm_up, part=part)
        for total, part in ((cut, (0, cut / steps)), (steps - cut, (cut / steps, 1)))
        for step in range(total)
    ]
    assert parts == pytest.approx(whole, abs=1e-9)


@given(
    total=st.integers(1, 300),
    schedule=st.sampled_from(Schedule),
    warm_up=st.floats(0, 1),
    data=st.data(),
)
def test_a_rate_is_above_zero_and_at_most_the_highest(total, schedule, warm_up, data):
    step = data.draw(st.integers(0, total - 1))
    assert 0 < share_of_rate(step, total=total, schedule=schedule, warm_up=warm_up) <= 1


def test_groups_of_a_classifier():
    network = Classifier(named_backbone("small"), labels=3, power=1.0, unit_head=False)
    groups = parameter_groups(network, rate=0.01, head_factor=10.0, weight_decay=0.02, pull=0.0)
    found = {id(weight): group for group in groups for weight in group["params"]}
    assert len(found) == sum(1 for _ in network.parameters())
    for name, weight in network.named_parameters():
        group = found[id(weight)]
        assert group["initial_lr"] == pytest.approx(0.1 if name.startswith("head.") else 0.01), name
        assert group["weight_decay"] == (0.02 if weight.ndim > 1 else 0.0), name
        assert group["pull"] == 0.0
    pulled = parameter_groups(network, rate=0.01, head_factor=1.0, weight_decay=0.02, pull=2.0)
    assert {(group["pull"], group["weight_decay"]) for group in pulled} == {(2.0, 0.0), (0.0, 0.02), (0.0, 0.0)}


def test_frozen_parameters_are_in_no_group():
    network = Classifier(named_backbone("small"), labels=3, power=1.0, unit_head=False)
    freeze(network.backbone)
    groups = parameter_groups(network, rate=0.01, head_factor=1.0, weight_decay=0.02, pull=1.0)
    held = {id(weight) for group in groups for weight in group["params"]}
    assert held == {id(network.head.weight), id(network.head.bias)}


class Slope(nn.Module):
    """`backbone` and `head` weight, each with the slope 1 for an input of 1: Adam walks by the learning rate a step."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Linear(1, 1, bias=False)
        self.head = nn.Linear(1, 1, bias=False)
        with torch.no_grad():
            self.backbone.weight.fill_(3.0)
            self.head.weight.fill_(3.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.backbone(x) + self.head(x)


def test_pull_and_head_factor_by_hand():
    network = Slope()
    settings = LoopSettings(
        epochs=1,
        batch=1,
        learning_rate=0.1,
        weight_decay=0.0,
        schedule=Schedule.CONSTANT,
        warm_up=0.0,
        head_lr_factor=5.0,
        pull=2.0,
    )
    learner = Learner(network, lambda outputs, _: outputs.sum(), settings=settings, total_steps=2)
    for _ in range(2):
        _, rate = learner.step((torch.ones(1, 1),), torch.zeros(1), generator=torch.Generator())
        assert rate == pytest.approx(0.1)
    # Each step walks 0.1 down and is then pulled back by 0.1 * 2 of the way: 3 - 0.08, then 3 - 0.18 * 0.8.
    assert float(network.backbone.weight.detach()) == pytest.approx(3 - 0.18 * 0.8, abs=1e-5)
    # The head is not pulled and walks five times as far.
    assert float(network.head.weight.detach()) == pytest.approx(3 - 2 * 0.5, abs=1e-5)
