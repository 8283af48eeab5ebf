"""What a benchmark runs on: a catalog, exported networks and a live gallery, made by the commands a user would type."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from catalog.errors import NotReadyError
from catalog.terminal import console


@dataclass(frozen=True)
class Artifacts:
    """Folders of one shop. `photos` holds the JPEG photos that load is made with."""

    catalog: Path
    queries: Path
    photos: Path
    repository: Path
    words: Path
    store: Path


def make(target: Path, *arguments: str) -> None:
    """Run `python -m ARGUMENTS` unless `target` exists; raises NotReadyError with the command when it fails."""
    if not target.exists():
        run(*arguments)


def run(*arguments: str) -> None:
    """Run `python -m ARGUMENTS`; raises NotReadyError with the command when it fails."""
    console.print(f"[dim]$ python -m {' '.join(arguments)}[/dim]", highlight=False)
    done = subprocess.run([sys.executable, "-m", *arguments], check=False)
    if done.returncode:
        raise NotReadyError(f"`python -m {' '.join(arguments)}` failed with exit code {done.returncode}")
