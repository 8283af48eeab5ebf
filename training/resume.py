"""The state of a training in, a file beside the run folder out, and back: a stopped training goes on where it was.

The file of each stage of a training is replaced at every epoch's end; all are removed once the run is written.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from catalog.terminal import console


def training_folder(out: Path) -> Path:
    """Where the training of the run `out` keeps its state until the run is complete."""
    return out.with_name(f".{out.name}.training")


def forget_training(out: Path) -> None:
    """Remove the state of the training of `out`."""
    shutil.rmtree(training_folder(out), ignore_errors=True)


@dataclass(frozen=True)
class Resume:
    """Where to keep the state of one call of `train`, and what defines it besides what the loop itself sees.

    `settings` are compared by their `repr`, which tells what shapes the weights and nothing else: what is measured,
    where views are cached and how many threads work may change between a stop and a start. `stage` names the call where
    a run has several, such as the two steps of a fine-tuning.
    """

    folder: Path
    settings: tuple[object, ...] = ()
    stage: str = "training"

    @property
    def file(self) -> Path:
        """The file with the state."""
        return self.folder / f"{self.stage}.pt"

    def read(self, fingerprint: str) -> dict[str, Any] | None:
        """Return the state of the same training, or None (with a sentence where there is one that does not fit)."""
        if not self.file.is_file():
            return None
        try:
            held = torch.load(self.file, map_location="cpu", weights_only=True)
            own, state = held["fingerprint"], held["state"]
        except (OSError, RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
            console.print(f"{self.file} cannot be read ({str(error).splitlines()[0]}); starting anew", soft_wrap=True)
            return None
        if own != fingerprint:
            console.print(
                f"{self.folder} holds a training of other settings, data or weights; starting anew", soft_wrap=True
            )
            return None
        return dict(state)

    def write(self, state: dict[str, Any], *, fingerprint: str) -> None:
        """Replace the state, at once and whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.file.with_suffix(f".{os.getpid()}.partial")
        try:
            torch.save({"fingerprint": fingerprint, "state": state}, partial)
            partial.replace(self.file)
        finally:
            partial.unlink(missing_ok=True)


def fingerprint(
    network: nn.Module,
    arrays: Sequence[NDArray[np.int64] | Tensor],
    *,
    settings: tuple[object, ...],
) -> str:
    """Hash of starting weights, arrays and settings: trainings of equal hash end in equal weights."""
    found = hashlib.sha256(repr((torch.__version__, settings)).encode())
    for name, value in network.state_dict().items():
        found.update(name.encode())
        _take_in(found, value)
    for array in arrays:
        _take_in(found, array)
    return found.hexdigest()


def _take_in(found: hashlib._Hash, values: NDArray[np.int64] | Tensor) -> None:
    array = values.detach().cpu().contiguous().numpy() if isinstance(values, Tensor) else values
    # A view of the bytes, without a copy.
    found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
