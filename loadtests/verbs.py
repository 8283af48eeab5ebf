"""Options in; a load, its files in `--out` and its tables on the terminal out. Importing this imports Locust."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from loadtests import load, results
from loadtests.answers import Answer, read_answers
from loadtests.chaos import Chaos
from loadtests.compare import Slice, ratios
from loadtests.compare_report import Compared, Side, print_compared, write_compared
from loadtests.figures import line_of
from loadtests.labels import labels
from loadtests.limits import Limits
from loadtests.mistakes import LoadTestError
from loadtests.options import limits
from loadtests.report import print_report, write_report
from loadtests.shapes import Shape, Step
from loadtests.verdicts import verdicts_on


def run(given: argparse.Namespace, host: str) -> results.Run:
    """One load of one service."""
    steps = given.load_steps
    open_loop = given.rate is not None
    ran = load.run(_load(given, host, steps, seed=given.seed, open_loop=open_loop), given.out)
    height = max(step.level for step in steps)
    who = f"{height:g} requests a second" if open_loop else f"{height:g} {_people(given)}"
    return _report(
        results.Run(
            title=f"{str(given.shape).capitalize()} load: {who} for {given.duration:g} s",
            command=given.command,
            host=host,
            shape=given.shape,
            open_loop=open_loop,
            steps=steps,
            seconds=ran.seconds,
            client_cpu_s=ran.client_cpu_s,
            limits=limits(given),
            answers=read_answers(given.out),
            scrapes=ran.scrapes,
        ),
        given.out,
    )


def chaos(given: argparse.Namespace, host: str) -> results.Run:
    """A steady load while things are done to the service."""
    events = given.events
    unruly = Chaos(host, events)
    steps = (Step(0, sum(event.longest_s for event in events) + 1, given.users),)
    ran = load.run(
        _load(given, host, steps, seed=given.seed), given.out, beside=(unruly.act, unruly.watch), name="chaos"
    )
    answers = read_answers(given.out)
    happened = [
        {"name": one.event.name, "begun_s": one.begun_s, "back_s": one.back_s, "watched_s": one.watched_s}
        for one in unruly.happened
    ]
    verdicts = [asdict(verdict) for verdict in verdicts_on(unruly.happened, answers, unruly.looks)]
    looks = [[round(look.at_s, 3), int(look.ready)] for look in unruly.looks]
    return _report(
        results.Run(
            title=f"Chaos: {', '.join(event.name for event in events)}, under {given.users} {_people(given)}",
            command=given.command,
            host=host,
            shape=Shape.STEADY,
            open_loop=False,
            steps=(Step(0, ran.seconds, given.users),),
            seconds=ran.seconds,
            client_cpu_s=ran.client_cpu_s,
            limits=Limits(),  # the verdicts judge failures by what each event allows
            answers=answers,
            scrapes=ran.scrapes,
            chaos={"events": happened, "verdicts": verdicts, "looks": looks},
        ),
        given.out,
    )


def compare(given: argparse.Namespace, hosts: list[str]) -> tuple[str, ...]:
    """Two services in slices: A B, B A, A B, ...; returns what broke a limit."""
    if given.pairs < 2:
        raise LoadTestError(f"--pairs must be 2 or more for an interval, got {given.pairs}")
    seconds = given.duration / given.pairs / 2
    if seconds < 1:
        raise LoadTestError(f"a slice would last {seconds:.2f} s, at least 1 s is needed; raise --duration")
    slices: list[list[Slice]] = [[], []]
    answers: list[list[Answer]] = [[], []]
    for pair in range(given.pairs):
        for side in (0, 1) if pair % 2 == 0 else (1, 0):
            folder = given.out / f"{'AB'[side]}-{pair}"
            steps = (Step(0, seconds, given.users),)
            name = f"slice {2 * pair + 1} of {2 * given.pairs}: {'AB'[side]}"
            load.run(_load(given, hosts[side], steps, seed=given.seed + pair), folder, name=name)
            found = read_answers(folder)
            answers[side] += found
            slices[side].append(Slice.of(found, seconds=seconds))
    for side, host in enumerate(hosts):
        if not all(len(each.times_ms) for each in slices[side]):
            return (f"{host} answered no search in a slice of {seconds:g} s, so there is nothing to compare",)
    compared = Compared(
        title=f"{hosts[0]} (A) and {hosts[1]} (B), {given.users} {_people(given)} each, {given.pairs} pairs of slices",
        command=given.command,
        sides=tuple(
            Side(host, line_of(host, answers[side], seconds=seconds * given.pairs)) for side, host in enumerate(hosts)
        ),
        ratios=ratios(list(zip(slices[0], slices[1], strict=True)), seed=given.seed),
        times_ms=tuple(tuple(float(t) for each in slices[side] for t in each.times_ms) for side in (0, 1)),
        max_error_rate=given.max_error_rate,
        max_p95_ratio=given.max_p95_ratio,
    )
    print_compared(compared, Console())
    path = write_compared(compared, given.out)
    Console(stderr=True, highlight=False).print(f"wrote {path}", soft_wrap=True)
    return compared.broken


def _load(
    given: argparse.Namespace, host: str, steps: tuple[Step, ...], *, seed: int, open_loop: bool = False
) -> load.Load:
    return load.Load(
        host, given.uploads, steps, open_loop, given.user, given.think_s, given.garbage, seed, labels(host)
    )


def _people(given: argparse.Namespace) -> str:
    who = "phone" if given.user == "phone" else "script"
    return who if given.users == 1 else f"{who}s"


def _report(run: results.Run, folder: Path) -> results.Run:
    results.write(run, folder)
    print_report(run, Console())
    path = write_report(run, folder)
    words = f"wrote the report of {run.total.requests:,} requests to {path}"
    Console(stderr=True, highlight=False).print(words, soft_wrap=True)
    return run
