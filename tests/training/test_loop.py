"""The training loop: which sizes the network sees, what is validated and kept, and what the settings refuse."""

from __future__ import annotations

import io
import math
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn
from torch.nn import functional

import training.loop
from catalog.errors import MalformedError, OutOfRangeError
from training.averaging import Averaging
from training.backbones import named_backbone
from training.learner import as_float, autocast
from training.loop import prepare_torch, shuffled, train
from training.networks import Classifier
from training.settings import LoopSettings, Precision
from training.views import PictureViews


class RowViews:
    """Rows of numbers as views, for networks without pictures."""

    def __init__(self, rows: torch.Tensor) -> None:
        self.rows = rows

    def batch(self, rows, **_):
        return (self.rows[torch.from_numpy(rows)],)


def test_the_first_epochs_see_pictures_of_half_the_side():
    torch.manual_seed(0)
    network = Classifier(named_backbone("small"), labels=2, power=1.0, unit_head=False)
    images = np.random.default_rng(0).integers(0, 256, (8, 160, 160, 3), dtype=np.uint8)
    seen: list[int] = []
    network.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[-1]))
    recording = train(
        network,
        PictureViews(images),
        np.arange(8) % 2,
        batches=shuffled(8, batch=4, seed=0),
        loss=functional.cross_entropy,
        settings=LoopSettings(epochs=3, batch=4, learning_rate=1e-3, half_size_epochs=2),
        size_px=128,
        validate=dict,
    )
    assert seen == [64, 64, 64, 64, 128, 128]  # two steps an epoch
    assert [entry["epoch"] for entry in recording.history] == [1, 2, 3]
    assert recording.ends == [2, 4, 6]
    assert recording.history[1]["loss"] == pytest.approx(sum(recording.losses[2:4]) / 2)


def _linear_training(**changes):
    torch.manual_seed(0)
    network = nn.Linear(3, 2)
    seen: list[torch.Tensor] = []

    def validate():
        seen.append(network.weight.detach().clone())
        return {"norm": float(network.weight.detach().norm())}

    settings = LoopSettings(**{"epochs": 3, "batch": 4, "learning_rate": 0.1, **changes})
    recording = train(
        network,
        RowViews(torch.randn(12, 3)),
        np.arange(12) % 2,
        batches=shuffled(12, batch=4, seed=0),
        loss=functional.cross_entropy,
        settings=settings,
        size_px=0,
        validate=validate,
    )
    return network, seen, recording


@pytest.mark.parametrize("averaging", list(Averaging))
def test_what_was_validated_last_is_what_is_kept(averaging):
    network, seen, recording = _linear_training(average=averaging)
    assert torch.equal(network.weight.detach(), seen[-1])
    assert recording.history[-1]["norm"] == float(seen[-1].norm())


def test_an_average_is_not_the_last_step():
    last = _linear_training()[0].weight.detach()
    for averaging in (Averaging.EMA, Averaging.SWA):
        assert not torch.equal(_linear_training(average=averaging)[0].weight.detach(), last)


def test_several_targets_a_picture_reach_the_loss():
    torch.manual_seed(0)
    network, targets = nn.Linear(3, 5), np.stack([np.arange(12) % 2, np.arange(12) % 3], axis=1)
    shapes = []

    def loss(outputs, wanted):
        shapes.append(tuple(wanted.shape))
        return functional.cross_entropy(outputs[:, :2], wanted[:, 0]) + functional.cross_entropy(
            outputs[:, 2:], wanted[:, 1]
        )

    train(
        network,
        RowViews(torch.randn(12, 3)),
        targets,
        batches=shuffled(12, batch=4, seed=0),
        loss=loss,
        settings=LoopSettings(epochs=1, batch=4, learning_rate=0.1),
        size_px=0,
        validate=dict,
    )
    assert shapes == [(4, 2)] * 3


def test_a_log_gets_one_line_an_epoch(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(training.loop, "console", Console(file=log, force_terminal=False, width=40))
    _linear_training()
    lines = log.getvalue().splitlines()
    assert [line.split(":")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert all("loss " in line and "norm " in line and "images/s" in line for line in lines)
    assert ["left" in line for line in lines] == [True, True, False]


def test_a_loss_that_is_no_number_is_a_sentence():
    with pytest.raises(MalformedError, match=r"the loss became (nan|inf); train again with a smaller --lr"):
        train(
            nn.Linear(3, 2),
            RowViews(torch.full((4, 3), math.inf)),
            np.zeros(4, np.int64),
            batches=shuffled(4, batch=4, seed=0),
            loss=functional.cross_entropy,
            settings=LoopSettings(epochs=1, batch=4, learning_rate=0.1),
            size_px=0,
            validate=dict,
        )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"epochs": -1}, "epochs -1, batch 4: needed are at least 0 epochs"),
        ({"half_size_epochs": 4}, "half-size epochs are 4, expected 0 to the number of epochs, 3"),
        ({"learning_rate": math.nan}, "--lr is nan, expected a number above 0"),
        ({"learning_rate": math.inf}, "--lr is inf, expected a number above 0"),
        ({"weight_decay": -0.1}, "--weight-decay is -0.1, expected a number of at least 0"),
        ({"mixing_alpha": math.nan}, "--mixing-alpha is nan, expected a number above 0"),
        ({"mixing_alpha": 0.0}, "--mixing-alpha is 0.0"),
        ({"average_decay": 1.0}, "--average-decay is 1.0, expected a number from 0 to below 1"),
        ({"average_decay": -0.5}, "--average-decay is -0.5"),
        ({"warm_up": 1.5}, "--warm-up is 1.5, expected a share from 0 to 1"),
        ({"head_lr_factor": 0.0}, "--head-lr-factor is 0.0, expected a number above 0"),
        ({"pull": math.nan}, "--pull is nan, expected a number of at least 0"),
        ({"precision": Precision.BF16}, "--precision bf16 needs --device cuda, the device is cpu; use fp32"),
    ],
)
def test_settings_out_of_range_are_sentences(changes, sentence):
    with pytest.raises(OutOfRangeError, match=sentence):
        LoopSettings(**{"epochs": 3, "batch": 4, "learning_rate": 1e-3, **changes})


@pytest.mark.parametrize("seed", [-1, 2**63, 99999999999999999999])
def test_seeds_out_of_range_are_sentences_wherever_they_come_first(seed):
    for use in (
        lambda: prepare_torch(seed=seed, threads=None),
        lambda: LoopSettings(epochs=1, batch=2, learning_rate=0.1, seed=seed),
    ):
        with pytest.raises(OutOfRangeError, match=f"--seed is {seed}, at (least 0 is needed|most {2**63 - 1} is)"):
            use()


def test_bf16_is_for_the_forward_pass_only():
    assert isinstance(autocast(Precision.FP32, device="cuda"), nullcontext)
    settings = LoopSettings(epochs=1, batch=4, learning_rate=1e-3, precision=Precision.BF16, device="cuda")
    assert settings.precision is Precision.BF16
    layer = nn.Linear(8, 8)
    # Only cuda gets this far by the settings; the context itself knows the CPU as well.
    with autocast(Precision.BF16, device="cpu"):
        outputs = layer(torch.ones(2, 8)), (layer(torch.ones(1, 8)),)
    assert outputs[0].dtype == outputs[1][0].dtype == torch.bfloat16
    back = as_float(outputs)
    assert back[0].dtype == back[1][0].dtype == torch.float32
    torch.testing.assert_close(back[0], layer(torch.ones(2, 8)), rtol=0, atol=0.05)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_learns_in_bf16():
    network, _, _ = _linear_training(device="cuda", precision=Precision.BF16)
    expected, _, _ = _linear_training()
    torch.testing.assert_close(network.weight, expected.weight, rtol=0, atol=0.1)
