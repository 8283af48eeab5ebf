"""The options of the loop: the same defaults as the settings have, and mistakes that are sentences."""

from __future__ import annotations

import argparse

import pytest

from catalog.errors import OutOfRangeError
from training.__main__ import main
from training.augment import STRONG
from training.averaging import Averaging
from training.loop_options import add_loop_options, loop_settings, settle_rates
from training.mixing import Mixing
from training.options import add_backbone_options
from training.rates import Schedule
from training.runs import read_run
from training.settings import LoopSettings, Precision


def _settings(*arguments: str) -> LoopSettings:
    parser = argparse.ArgumentParser()
    add_backbone_options(parser)
    add_loop_options(parser, epochs=3, batch=8, rate=0.01)
    options = parser.parse_args(arguments)
    settle_rates(options, rate=0.01)
    return loop_settings(options)


def test_without_options_the_settings_keep_their_defaults():
    assert _settings() == LoopSettings(epochs=3, batch=8, learning_rate=0.01)


def test_every_option_reaches_the_settings():
    given = "--epochs 5 --half-size-epochs 2 --batch 4 --lr 0.1 --weight-decay 0.3 --seed 7 --augment strong"
    given += " --mixing mixup --mixing-alpha 0.4 --average swa --average-decay 0.9 --schedule linear --warm-up 0.2"
    given += " --head-lr-factor 10 --pull 2"
    assert _settings(*given.split()) == LoopSettings(
        epochs=5,
        half_size_epochs=2,
        batch=4,
        learning_rate=0.1,
        weight_decay=0.3,
        seed=7,
        augmentation=STRONG,
        mixing=Mixing.MIXUP,
        mixing_alpha=0.4,
        average=Averaging.SWA,
        average_decay=0.9,
        schedule=Schedule.LINEAR,
        warm_up=0.2,
        head_lr_factor=10.0,
        pull=2.0,
        precision=Precision.FP32,
    )


@pytest.mark.parametrize(
    ("arguments", "rate", "head_factor"),
    [
        ("", 0.01, 1),
        ("--backbone small", 0.01, 1),
        ("--backbone resnet18 --pretrained none", 0.01, 1),
        ("--backbone resnet18", 3e-4, 10),
        ("--weights network.onnx", 3e-4, 10),
        ("--init runs/other", 3e-4, 10),
        ("--lr 0.5", 0.5, 1),
        ("--head-lr-factor 3", 0.01, 3),
        ("--init runs/other --lr 0.5", 0.5, 10),
        ("--weights network.onnx --head-lr-factor 3", 3e-4, 3),
        ("--weights network.onnx --lr 0.01 --head-lr-factor 1", 0.01, 1),
    ],
)
def test_a_trained_backbone_learns_slower_than_its_head_unless_told(arguments, rate, head_factor):
    settings = _settings(*arguments.split())
    assert settings == LoopSettings(epochs=3, batch=8, learning_rate=rate, head_lr_factor=head_factor)
    assert f"learning_rate={rate}," in repr(settings)  # which a resumed training compares
    assert f"head_lr_factor={head_factor:.1f}," in repr(settings)


def test_a_run_tells_the_rates_that_it_was_not_given(tmp_path):
    scratch, tuned = tmp_path / "scratch", tmp_path / "tuned"
    main(["embedder", "--epochs", "0", "--out", str(scratch)])
    main(["embedder", "--epochs", "0", "--init", str(scratch), "--out", str(tuned)])
    told = [read_run(run).record.settings for run in (scratch, tuned)]
    assert [(one["lr"], one["head_lr_factor"]) for one in told] == [(2e-3, 1), (3e-4, 10)]


@pytest.mark.parametrize(
    ("verb", "arguments", "sentence"),
    [
        ("classifier", ["--lr", "nan"], "--lr is nan"),
        ("classifier", ["--mixing-alpha", "inf"], "--mixing-alpha is inf"),
        ("classifier", ["--average-decay", "-1"], "--average-decay is -1.0"),
        ("classifier", ["--precision", "bf16"], "--precision bf16 needs --device cuda"),
        ("embedder", ["--mixing", "mixup"], "--mixing mixup needs labels"),
    ],
)
def test_mistakes_are_sentences_and_leave_nothing(verb, arguments, sentence, color_catalog, tmp_path):
    with pytest.raises(OutOfRangeError, match=sentence) as caught:
        main([verb, "--catalog", str(color_catalog), "--out", str(tmp_path / "run"), *arguments])
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
