"""A plan file and commands in, the events of a chaos run out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from loadtests.mistakes import LoadTestError

BUILTIN = Path(__file__).with_name("chaos_plan.yaml")


@dataclass(frozen=True)
class Event:
    """One thing that is done to the service under load; `chaos_plan.yaml` explains the fields."""

    name: str
    what: str = ""
    run: str = ""
    undo: str = ""
    pause_s: float = 5.0
    for_s: float = 0.0
    watch_s: float = 15.0
    recover_s: float = 5.0
    ready_lag_s: float = 5.0
    timeout_s: float = 120.0
    allow: tuple[int, ...] = ()

    @property
    def longest_s(self) -> float:
        """Seconds that it takes at most."""
        return self.pause_s + self.for_s + self.watch_s + 2 * self.timeout_s


def read_plan(path: Path) -> tuple[Event, ...]:
    """The events of a plan file in their order; raises LoadTestError with what is wrong in it."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LoadTestError(f"the plan {path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise LoadTestError(f"the plan {path} is no YAML: {' '.join(str(error).split())}") from None
    events = document.get("events") if isinstance(document, dict) else None
    if not isinstance(events, list) or not events:
        raise LoadTestError(f"the plan {path} must have a list `events` with at least one event")
    found = tuple(_event(each, path) for each in events)
    if len({event.name for event in found}) < len(found):
        raise LoadTestError(f"two events of the plan {path} have the same name")
    return found


def with_commands(events: tuple[Event, ...], commands: Mapping[str, str]) -> tuple[Event, ...]:
    """Events that have a command, from the plan or from `commands` (`on-NAME`, `undo-NAME`).

    Raises LoadTestError when none has one, and for an undo without anything to undo.
    """
    found = []
    for event in events:
        run = commands.get(f"on-{event.name}") or event.run
        undo = commands.get(f"undo-{event.name}") or event.undo
        if undo and not run:
            raise LoadTestError(f"--undo-{event.name} was given without --on-{event.name}")
        if run:
            found.append(replace(event, run=run, undo=undo))
    if not found:
        flags = ", ".join(f"--on-{event.name}" for event in events)
        raise LoadTestError(f"nothing to do: give a command to at least one of {flags}")
    return tuple(found)


def _event(given: Any, path: Path) -> Event:
    if not isinstance(given, dict) or not isinstance(given.get("name"), str):
        raise LoadTestError(f"each event of the plan {path} must be a mapping with a name, got {given!r}")
    kinds = {each.name: type(each.default) for each in fields(Event)} | {"name": str}
    values: dict[str, Any] = {}
    for key, value in given.items():
        kind = kinds.get(key)
        if kind is None:
            raise LoadTestError(f"event {given['name']} of {path} has {key!r}; known are {', '.join(kinds)}")
        if kind is tuple and isinstance(value, list) and all(type(each) is int for each in value):
            values[key] = tuple(value)
        elif kind is float and type(value) in {int, float} and value >= 0:
            values[key] = float(value)
        elif kind is str and isinstance(value, str):
            values[key] = value
        else:
            wanted = {tuple: "a list of statuses", float: "a number of seconds", str: "a text"}[kind]
            raise LoadTestError(f"{key} of event {given['name']} in {path} must be {wanted}, got {value!r}")
    return Event(**values)
