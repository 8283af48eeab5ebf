"""What a training leaves to look at: its recording, the curves drawn from it, the events that TensorBoard reads."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from training.curves import smooth, write_curves
from training.logs import write_events
from training.recording import Recording, join


def _recording(epochs: int = 2, steps: int = 3) -> Recording:
    recording = Recording()
    for epoch in range(epochs):
        for step in range(steps):
            recording.add_step(loss=4.0 - epoch - step / 4, rate=0.5 ** (epoch + 1))
        recording.add_epoch(
            {"recall@1": 0.25 * (epoch + 1), "top5_score": 3.0 + epoch}, images_per_s=10.0 * (epoch + 1)
        )
    return recording


def test_an_epoch_has_the_mean_loss_of_its_own_steps():
    recording = _recording()
    assert recording.history == [
        {"epoch": 1, "loss": (4 + 3.75 + 3.5) / 3, "recall@1": 0.25, "top5_score": 3.0},
        {"epoch": 2, "loss": (3 + 2.75 + 2.5) / 3, "recall@1": 0.5, "top5_score": 4.0},
    ]
    assert recording.ends == [3, 6]
    assert Recording(**recording.state()) == recording


def test_joined_recordings_number_their_epochs_through():
    joined = join([_recording(epochs=2), _recording(epochs=1, steps=2)])
    assert [entry["epoch"] for entry in joined.history] == [1, 2, 3]
    assert joined.ends == [3, 6, 8]
    assert joined.losses == [4, 3.75, 3.5, 3, 2.75, 2.5, 4, 3.75]


def test_smoothing_is_the_mean_of_the_last_values():
    values = np.random.default_rng(0).normal(size=20)
    expected = [values[max(0, row - 3) : row + 1].mean() for row in range(20)]
    np.testing.assert_allclose(smooth(values, 4), expected)
    np.testing.assert_allclose(smooth(values, 1), values)


@pytest.mark.parametrize("shape", [(2, 3), (1, 1), (30, 40)])
def test_curves_are_a_picture_with_every_line(shape, tmp_path):
    file = write_curves(_recording(*shape), tmp_path, title="a run")
    pixels = np.asarray(Image.open(file).convert("RGB")).reshape(-1, 3)
    assert file.name == "curves.png"
    assert len(np.unique(pixels, axis=0)) > 20
    blue = (np.abs(pixels.astype(int) - (0x00, 0x72, 0xB2)).max(axis=1) < 10).sum()
    assert blue > 50  # loss and metrics
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


def test_tensorboard_reads_the_events(tmp_path):
    recording = _recording()
    file = write_events(recording, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    events = EventAccumulator(str(tmp_path)).Reload()
    assert sorted(events.Tags()["scalars"]) == [
        "epoch/images_per_s",
        "epoch/loss",
        "epoch/recall_at_1",
        "epoch/top5_score",
        "step/learning_rate",
        "step/loss",
    ]
    losses = events.Scalars("step/loss")
    assert [(event.step, event.value) for event in losses] == list(enumerate(recording.losses, start=1))
    assert [event.wall_time for event in losses] == pytest.approx(recording.times_s)
    assert [(event.step, event.value) for event in events.Scalars("epoch/recall_at_1")] == [(1, 0.25), (2, 0.5)]
    assert [event.value for event in events.Scalars("epoch/images_per_s")] == [10.0, 20.0]
