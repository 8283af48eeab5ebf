"""Photos, and `python -m loadtests` in a process of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SIZES_PX = {"small": (600, 400), "large": (2400, 1800)}
Loadtests = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small and a large photo, the latter in a folder below, and a file that is no photo."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "below").mkdir()
    rng = np.random.default_rng(1)
    for name, (width_px, height_px) in SIZES_PX.items():
        cells = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        picture = Image.fromarray(cells).resize((width_px, height_px), Image.Resampling.NEAREST)
        picture.save(folder / ("below/large.JPG" if name == "large" else "small.jpg"), "JPEG")
    (folder / "notes.txt").write_text("not a photo")
    return folder


@pytest.fixture(scope="session")
def loadtests() -> Loadtests:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "loadtests", *map(str, arguments)]
        return subprocess.run(
            command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=200, check=False
        )

    return run


def environment() -> dict[str, str]:
    """Ours without settings of this project, which a developer may have set."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SHOPCAM_", "LOADTEST_"))}
    return {**kept, "COLUMNS": "160"}


def interrupt(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)
