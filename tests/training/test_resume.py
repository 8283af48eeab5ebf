"""A training that was stopped, by an error or by kill -9, ends in the same bytes as one that never was."""

from __future__ import annotations

import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import training.classifier
from training.__main__ import main
from training.augment import MEDIUM
from training.averaging import Averaging
from training.backbones import named_backbone
from training.classifier import ClassifierSettings, LabelSettings, train_classifier
from training.data import PictureSet
from training.frozen import Border
from training.loop import shuffled, train
from training.mixing import Mixing
from training.resume import Resume, training_folder
from training.settings import LoopSettings
from training.tuning import Tuning
from training.views import PictureViews

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 24, 24, 3), dtype=np.uint8)


class Tiny(nn.Module):
    """Everything that has a state: weights, BatchNorm, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(4, 3))

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        return self.head(self.backbone(planes / 255))


def _train(resume: Resume | None = None, *, fail_at: int = 0, images=IMAGES, **changes):
    torch.manual_seed(1)
    network = Tiny()
    calls = []

    def validate():
        calls.append(1)
        if len(calls) == fail_at:
            raise KeyboardInterrupt
        return {"weight": float(network.head[2].weight.detach().sum())}

    settings = LoopSettings(
        **{
            "epochs": 4,
            "batch": 4,
            "learning_rate": 0.01,
            "mixing": Mixing.CUTMIX,
            "average": Averaging.EMA,
            "pull": 0.5,
            **changes,
        }
    )
    recording = train(
        network,
        PictureViews(images, MEDIUM),
        np.arange(12) % 3,
        batches=shuffled(12, batch=4, seed=0),
        loss=functional.cross_entropy,
        settings=settings,
        size_px=16,
        validate=validate,
        resume=resume,
    )
    return network, recording, len(calls)


def _assert_equal(network, expected):
    for (name, value), other in zip(network.state_dict().items(), expected.state_dict().values(), strict=True):
        assert torch.equal(value, other), name


@pytest.mark.parametrize("averaging", list(Averaging))
@pytest.mark.parametrize("mixing", [Mixing.NONE, Mixing.MIXUP, Mixing.CUTMIX])
def test_a_stopped_training_ends_as_one_that_was_not(averaging, mixing, tmp_path):
    changes = {"average": averaging, "mixing": mixing}
    expected, whole, _ = _train(**changes)
    resume = Resume(tmp_path / "state", ("margin 0.2",))
    with pytest.raises(KeyboardInterrupt):
        _train(resume, fail_at=3, **changes)  # two epochs are kept
    network, recording, validated = _train(resume, **changes)
    assert validated == 2
    _assert_equal(network, expected)
    assert recording.history == whole.history
    assert (recording.losses, recording.rates, recording.ends) == (whole.losses, whole.rates, whole.ends)


def test_a_complete_training_is_not_done_again(tmp_path):
    resume = Resume(tmp_path / "state")
    expected, _, _ = _train(resume)
    network, recording, validated = _train(resume)
    assert validated == 0
    _assert_equal(network, expected)
    assert len(recording.history) == 4


@pytest.mark.parametrize("what", ["settings", "more settings", "pictures", "damage"])
def test_another_training_starts_anew_and_says_so(what, tmp_path, capsys):
    with pytest.raises(KeyboardInterrupt):
        _train(Resume(tmp_path, ("margin 0.2",)), fail_at=2)
    changes = {"learning_rate": 0.02} if what == "settings" else {}
    images = IMAGES.copy()
    if what == "pictures":
        last = shuffled(12, batch=4, seed=0)(0)[-1]  # not among those of the first step
        images[last[-1], 0, 0, 0] ^= 1
    if what == "damage":
        (tmp_path / "training.pt").write_bytes((tmp_path / "training.pt").read_bytes()[:2000])
    network, _, validated = _train(
        Resume(tmp_path, ("margin 0.3" if what == "more settings" else "margin 0.2",)), images=images, **changes
    )
    assert validated == 4
    said = capsys.readouterr().err
    assert "starting anew" in said
    assert said.count("cannot be read") == (what == "damage")
    _assert_equal(network, _train(images=images, **changes)[0])


def test_stages_keep_apart(tmp_path):
    _train(Resume(tmp_path, stage="first"), epochs=1)
    _train(Resume(tmp_path, stage="second"), epochs=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.pt", "second.pt"]


def _classify(out, **changes):
    """Train as the verb does, but for the run folder: the state of the complete training stays."""
    settings = ClassifierSettings(
        loop=LoopSettings(epochs=2, batch=4, learning_rate=0.01),
        labels=LabelSettings(label_smoothing=changes.get("label_smoothing", 0.1)),
        tuning=Tuning(border=Border.STAGE1, cached_views=1, cache=changes.get("cache", out.parent / "cache")),
    )
    torch.manual_seed(0)
    pictures = PictureSet(IMAGES, tuple("abc" * 4), tuple(map(str, range(12))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.classifier, "write_run", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            train_classifier(
                pictures,
                validation=pictures if "validation" in changes else None,
                backbone=named_backbone("small", size_px=24),
                settings=settings,
                out=out,
                notes=changes.get("notes"),
            )


def _interrupt(*args, **kwargs):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("change", "anew"),
    [
        ("label_smoothing", True),
        ("validation", False),
        ("cache", False),
        ("notes", False),
        ("threads", False),
    ],
)
def test_what_shapes_no_weights_throws_no_work_away(change, anew, tmp_path, capsys):
    _classify(tmp_path / "run")
    changes = {
        "label_smoothing": 0.2,
        "validation": True,
        "cache": tmp_path / "elsewhere",
        "notes": {"val_split": "val"},
        "threads": 3,
    }
    capsys.readouterr()
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3 if change == "threads" else threads)
        _classify(tmp_path / "run", **{change: changes[change]})
    finally:
        torch.set_num_threads(threads)
    said = capsys.readouterr().err
    assert ("starting anew" in said) is anew
    assert ("going on after epoch 2 of 2" in said) is not anew


def test_a_device_is_no_part_of_what_is_compared():
    on = [LoopSettings(epochs=1, batch=4, learning_rate=0.1, device=device) for device in ("cpu", "cuda")]
    assert repr(on[0]) == repr(on[1])


@pytest.mark.slow
def test_a_killed_command_run_again_gives_the_same_checkpoint(color_catalog, tmp_path, capsys):
    options = ["classifier", "--catalog", str(color_catalog), "--split", "train", "--threads", "1", "--batch", "12"]
    options += ["--epochs", "8", "--half-size-epochs", "8", "--mixing", "mixup", "--average", "ema"]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = [sys.executable, "-m", "training", *options, "--out", str(killed)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        # The line of the second epoch comes after the state of the first was written.
        said = []
        for line in process.stderr:
            said.append(line)
            if line.startswith("epoch 2/8"):
                process.kill()
                break
    assert said[-1].startswith("epoch 2/8"), "".join(said)
    assert process.returncode == -signal.SIGKILL
    assert not killed.exists()
    assert [file.name for file in training_folder(killed).glob("*.pt")] == ["training.pt"]
    capsys.readouterr()
    threads = torch.get_num_threads()
    assert main([*options, "--out", str(killed)]) == 0
    assert "going on after epoch" in capsys.readouterr().err
    assert main([*options, "--out", str(whole)]) == 0
    torch.set_num_threads(threads)
    assert (killed / "checkpoint.pt").read_bytes() == (whole / "checkpoint.pt").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed", "whole"]
    assert sorted(path.name for path in killed.iterdir()) == [
        "checkpoint.pt",
        "curves.png",
        "events.out.tfevents.training",
        "run.json",
    ]
