"""The training loop: which sizes the network sees, and what the settings refuse."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from catalog.errors import OutOfRangeError
from training.backbones import named_backbone
from training.loop import LoopSettings, shuffled, train
from training.networks import Classifier


def test_the_first_epochs_see_pictures_of_half_the_side():
    torch.manual_seed(0)
    network = Classifier(named_backbone("small"), labels=2, power=1.0, unit_head=False)
    images = np.random.default_rng(0).integers(0, 256, (8, 160, 160, 3), dtype=np.uint8)
    seen: list[int] = []
    network.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[-1]))
    history = train(
        network,
        images,
        np.arange(8) % 2,
        batches=shuffled(8, batch=4, seed=0),
        loss=functional.cross_entropy,
        settings=LoopSettings(epochs=3, batch=4, learning_rate=1e-3, half_size_epochs=2),
        validate=dict,
    )
    assert seen == [64, 64, 64, 64, 128, 128]  # two steps an epoch
    assert [entry["epoch"] for entry in history] == [1, 2, 3]


def test_more_half_size_epochs_than_epochs_are_refused():
    with pytest.raises(OutOfRangeError, match="half-size epochs are 4, expected 0 to the number of epochs, 3"):
        LoopSettings(epochs=3, batch=4, learning_rate=1e-3, half_size_epochs=4)
