"""A load in; requests to a running service; every answer and what the service's own clocks say out.

Importing this module imports Locust, which patches the sockets of the whole process: `__main__` does it late.
"""

from __future__ import annotations

import signal
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent  # type: ignore[import-untyped]
from locust.env import Environment
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeRemainingColumn

from loadtests.answers import AnswerLog
from loadtests.histograms import Scrape, scrape
from loadtests.photos import Photo
from loadtests.shapes import Step, level_at
from loadtests.users import TIMEOUT_S, OpenLoopUser, PhoneUser, Plan, ScriptUser

SCRAPE_S = 2.0
TICK_S = 0.1
USERS = {"phone": PhoneUser, "script": ScriptUser}


@dataclass(frozen=True)
class Load:
    """Whom to ask and how hard. In an open loop the levels of `steps` are arrivals a second, else users."""

    url: str
    photos: Sequence[Photo]
    steps: tuple[Step, ...]
    open_loop: bool
    user: str
    think_s: float
    garbage: float
    seed: int
    categories: Sequence[str] = ()


@dataclass(frozen=True)
class Ran:
    """How long a load took, what the client itself used, and the service's histograms meanwhile."""

    seconds: float
    client_cpu_s: float
    scrapes: tuple[Scrape, ...]


Beside = Callable[[Callable[[], float]], None]


def run(load: Load, folder: Path, *, beside: Sequence[Beside] = (), name: str = "load") -> Ran:
    """Send the load and write `folder/requests.csv`; requests in flight at the end may still be answered.

    Each function of `beside` runs meanwhile and is given the load's clock; with any, the load ends when the first of
    them has returned.
    """
    with AnswerLog(folder) as log:
        user = OpenLoopUser if load.open_loop else USERS[load.user]
        environment = Environment(
            user_classes=[user], host=load.url, stop_timeout=TIMEOUT_S, parsed_options=Namespace(headless=True)
        )
        runner = environment.create_local_runner()
        plan = Plan(load.photos, load.categories, load.seed, load.think_s, load.garbage, log, load.steps)
        environment.shopcam_plan = plan
        scrapes = [scrape(load.url, 0.0)]
        plan.begun_s, cpu_s = time.perf_counter(), time.process_time()
        watchers = [gevent.spawn(_scrape_often, load.url, plan.now_s, scrapes)]
        others = [gevent.spawn(each, plan.now_s) for each in beside]
        try:
            with _interrupts_end_here():
                _follow(plan, runner, lambda: any(other.dead for other in others), load=load, name=name)
        finally:
            gevent.killall([*watchers, *others])  # what they must undo they do before they end
            plan.is_over = True
            runner.stop()
            seconds, cpu_s = plan.now_s(), time.process_time() - cpu_s
            runner.quit()
            plan.give_up()
        for other in others[:1]:
            other.get()
        scrapes.append(scrape(load.url, seconds))
    return Ran(seconds, cpu_s, tuple(each for each in scrapes if each is not None))


@contextmanager
def _interrupts_end_here() -> Iterator[None]:
    """Raise Ctrl-C's KeyboardInterrupt in the caller, not in the user whose turn it happens to be."""
    here = gevent.getcurrent()
    before = signal.signal(signal.SIGINT, lambda _number, _frame: gevent.kill(here, exception=KeyboardInterrupt))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _follow(plan: Plan, runner: Any, is_over: Callable[[], bool], *, load: Load, name: str) -> None:
    """Keep as many users as the steps say until the last one ends."""
    end_s = load.steps[-1].end_s
    columns = (TextColumn("{task.description}"), TimeRemainingColumn())
    users = 0
    with Progress(*columns, transient=True, console=Console(stderr=True)) as bar:
        bar.disable = not bar.console.is_terminal
        task = bar.add_task(name, total=end_s)
        while (now_s := plan.now_s()) < end_s and not is_over():
            level = level_at(load.steps, now_s)
            wanted = 1 if load.open_loop else int(level)
            if wanted != users:
                runner.start(wanted, spawn_rate=max(wanted, 1), wait=False)
                users = wanted
            what = f"{level:g} {'arrivals/s' if load.open_loop else 'users'}"
            counts = ", ".join(
                f"{number} {outcome}" for outcome, number in (plan.log.counts if plan.log else {}).items()
            )
            bar.update(task, completed=now_s, description=f"{name}: {what}, {counts}")
            gevent.sleep(min(TICK_S, end_s - now_s))


def _scrape_often(url: str, now_s: Callable[[], float], scrapes: list[Scrape | None]) -> None:
    while scrapes[0] is not None:  # a service without metrics is not asked again
        gevent.sleep(SCRAPE_S)
        scrapes.append(scrape(url, now_s()))
