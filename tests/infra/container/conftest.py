"""A supervisor in a process of its own over parts that are as small as they can be."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.container.gpu import Gpu
from tests.bento.conftest import ROOT, free_port, networks, oracle, photos, shop, store, wait_until, words
from tests.marks import mark

__all__ = ["mark", "networks", "oracle", "photos", "shop", "store", "words"]  # fixtures

L4 = Gpu("NVIDIA L4", "8.9")
HERE = Path(__file__).parent
POLICY = {"first_s": 0.2, "longest_s": 1.0, "stable_s": 60.0, "most": 4}
ENDED_S = 30.0


@dataclass(frozen=True)
class Event:
    """What a part noted about itself; `at_s` is of the clock that all processes share."""

    name: str
    kind: str
    pid: int
    at_s: float


@dataclass(frozen=True)
class Supervised:
    """A running supervisor, what its parts noted, and what it says."""

    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def events(self) -> list[Event]:
        path = self.folder / "events"
        lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return [Event(name, kind, int(pid), float(at_s)) for name, kind, pid, at_s in lines]

    @property
    def said(self) -> str:
        return (self.folder / "said").read_text()

    def begins(self, name: str) -> list[Event]:
        return [event for event in self.events if (event.name, event.kind) == (name, "begin")]

    def wait_for(self, words: str, *, times: int = 1) -> None:
        def is_said() -> bool:
            assert self.process.poll() is None, self.said
            return self.said.count(words) >= times

        wait_until(is_said, deadline_s=ENDED_S)

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(ENDED_S)


def part(folder: Path, name: str, *habits: str, **options: Any) -> dict[str, Any]:
    """A part that is `server.py`."""
    port = free_port()
    command = [sys.executable, "-I", "-S", str(HERE / "server.py"), name, str(port), str(folder), *habits]
    up_url = f"http://127.0.0.1:{port}/up"
    return {"name": name, "command": command, "up_url": up_url, "probe_pause_s": 0.1, "stop_s": 10.0} | options


@contextlib.contextmanager
def supervised(folder: Path, *parts: dict[str, Any], **policy: float) -> Iterator[Supervised]:
    spec = folder / "spec.json"
    spec.write_text(json.dumps({"parts": parts, "policy": POLICY | policy}))
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, str(HERE / "supervised.py"), str(spec)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
    try:
        yield Supervised(process, folder)
    finally:
        if process.poll() is None:
            process.kill()  # all it started ends with it
        process.wait()


@pytest.fixture
def with_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that knows of an L4: there is none in this machine."""
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho '{L4.name}, {L4.capability}'\necho 'NVIDIA T4, 7.5'\n")
    program.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
