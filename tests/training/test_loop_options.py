"""The options of the loop: the same defaults as the settings have, and mistakes that are sentences."""

from __future__ import annotations

import argparse

import pytest

from catalog.errors import OutOfRangeError
from training.__main__ import main
from training.augment import STRONG
from training.averaging import Averaging
from training.loop_options import add_loop_options, loop_settings
from training.mixing import Mixing
from training.rates import Schedule
from training.settings import LoopSettings, Precision


def _settings(*arguments: str) -> LoopSettings:
    parser = argparse.ArgumentParser()
    add_loop_options(parser, epochs=3, batch=8, rate=0.01)
    return loop_settings(parser.parse_args(arguments))


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
