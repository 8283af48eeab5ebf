"""Events in; shell commands run at their times beside a load, looks at /readyz, and what happened when out."""

from __future__ import annotations

import http.client
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field

from loadtests.chaos_plan import Event
from loadtests.verdicts import Happened, Look

LOOK_S = 0.25
LOOK_TIMEOUT_S = 5.0


@dataclass
class Chaos:
    """Both run beside a load (`load.run(beside=...)`); under Locust's patches, waiting here does not stop the load."""

    url: str
    events: tuple[Event, ...]
    happened: list[Happened] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)

    def act(self, now_s: Callable[[], float]) -> None:
        """Do one event after the other; returns after the last was watched."""
        for event in self.events:
            time.sleep(event.pause_s)
            begun_s = now_s()
            try:
                failure = _shell(event, event.run)
                time.sleep(event.for_s)
            finally:  # after Ctrl-C, too
                undone = _shell(event, event.undo) if event.undo else ""
            back_s = now_s()
            time.sleep(event.watch_s)
            self.happened.append(Happened(event, begun_s, back_s, now_s(), failure or undone))

    def watch(self, now_s: Callable[[], float]) -> None:
        """Look at /readyz again and again."""
        while True:
            ready = _is_ready(self.url)
            self.looks.append(Look(now_s(), ready))
            time.sleep(LOOK_S)


def _shell(event: Event, command: str) -> str:
    """Run a command of the plan; what went wrong, or nothing. What it leaves in the background is its own affair."""
    with tempfile.TemporaryFile() as output:  # not a pipe: what stays in the background would keep it open
        try:
            done = subprocess.run(  # noqa: S602  # the person who runs the test wrote it, as in a Makefile
                command,
                shell=True,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=event.timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"its command did not end within {event.timeout_s:g} s: {command}"
        output.seek(0)
        words = output.read().decode(errors="replace").strip().splitlines()
    if done.returncode:
        return f"its command ended with status {done.returncode}: {words[-1][:200] if words else command}"
    return ""


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=LOOK_TIMEOUT_S) as answer:  # noqa: S310  # scheme checked
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):  # HTTPError is an OSError
        return False
