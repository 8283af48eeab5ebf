"""A recording of a training in, an event file that TensorBoard reads out: `tensorboard --logdir runs`."""

from __future__ import annotations

from pathlib import Path

from training.recording import Recording

# TensorBoard takes every file with "tfevents" in its name; this one names no machine.
EVENTS_FILE = "events.out.tfevents.training"


def write_events(recording: Recording, folder: Path) -> Path:
    """Write `events.out.tfevents.training` into `folder`: loss and rate of each step, metrics of each epoch."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for step, (loss, rate, time_s) in enumerate(
            zip(recording.losses, recording.rates, recording.times_s, strict=True), start=1
        ):
            writer.add_scalar("step/loss", loss, step, walltime=time_s)
            writer.add_scalar("step/learning_rate", rate, step, walltime=time_s)
        for end, metrics, speed in zip(recording.ends, recording.history, recording.images_per_s, strict=True):
            named = {name: value for name, value in metrics.items() if name != "epoch"} | {"images_per_s": speed}
            for name, value in named.items():
                # recall@1 and the like: TensorBoard names take no @.
                tag = f"epoch/{name.replace('@', '_at_')}"
                writer.add_scalar(tag, value, int(metrics["epoch"]), walltime=recording.times_s[end - 1])
    # Its own name holds the time, the machine and a process number.
    written = max(folder.glob("events.out.tfevents.*.*"), key=lambda file: file.stat().st_mtime_ns)
    return written.rename(folder / EVENTS_FILE)
