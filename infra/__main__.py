"""`python -m infra plan|up|status|down --profile NAME`: settings in, the store in the cloud out (and away again)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from catalog.errors import MalformedError
from catalog.terminal import console, run_main
from infra.settings import PROFILES, load_profile
from infra.stack import Change, Plan, Stack

COLORS = {"Add": "green", "Modify": "yellow", "Remove": "red"}


def main(arguments: list[str]) -> int:
    """Run one verb; returns the exit status, raises ShopcamError."""
    options = _parser().parse_args(arguments)
    profile = load_profile(options.profile, path=options.settings)
    stack = Stack(profile, region=options.region, endpoint_url=options.endpoint_url)
    verbs = {"plan": _plan, "up": _up, "status": _status, "down": _down}
    return verbs[options.verb](stack, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra", description=__doc__)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--profile", default="dev", help="a table of the settings file (default: %(default)s)")
    shared.add_argument("--region", help="instead of the profile's region")
    shared.add_argument("--endpoint-url", help="instead of AWS, for a local stand-in")
    shared.add_argument("--settings", type=Path, default=PROFILES, help="settings file (default: infra/profiles.toml)")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("plan", parents=[shared], help="show what up would change; changes nothing")
    verbs.add_parser("up", parents=[shared], help="make the stack as the settings say and wait until it stands")
    verbs.add_parser("status", parents=[shared], help="show the stack, its outputs and its resources")
    down = verbs.add_parser("down", parents=[shared], help="empty the bucket, all versions, and delete the stack")
    down.add_argument("--yes", action="store_true", help="do not ask")
    return parser


def _plan(stack: Stack, _: argparse.Namespace) -> int:
    plan = stack.plan()
    _print_changes(plan.changes, title=f"plan for {stack.name} in {stack.region}")
    console.print(f"{stack.name} in {stack.region}: {_count(plan)}; nothing was changed", soft_wrap=True)
    return 0


def _up(stack: Stack, _: argparse.Namespace) -> int:
    console.print(
        f"bringing {stack.name} in {stack.region} up, which takes about a minute the first time ...", soft_wrap=True
    )
    plan = stack.up()
    _print_changes(plan.changes, title=f"done for {stack.name} in {stack.region}")
    status = stack.status()
    console.print(f"{stack.name} is up ({_count(plan)}); the store is {status and status.store}", soft_wrap=True)
    return 0


def _status(stack: Stack, _: argparse.Namespace) -> int:
    status = stack.status()
    if status is None:
        console.print(f"{stack.name} does not exist in {stack.region}; make it with up")
        return 0
    table = Table(title=f"{stack.name} in {stack.region}: {status.state}", title_justify="left")
    for column in ("resource", "type", "name", "state"):
        table.add_column(column, overflow="fold")
    for row in status.resources:
        table.add_row(*row)
    for key, value in status.outputs.items():
        table.add_row(key, "output", value, "")
    Console().print(table)
    return 0


def _down(stack: Stack, options: argparse.Namespace) -> int:
    status = stack.status()
    if status is None:
        console.print(f"{stack.name} does not exist in {stack.region}; nothing to remove")
        return 0
    stack.require_removable(status.state)
    if not options.yes and not _agreed(stack.name):
        console.print("nothing was removed")
        return 1
    with console.status(f"removing {stack.name} ...") as line:
        removed = stack.down(on_removed=lambda count: line.update(f"removed {count:,} object versions ..."))
    console.print(f"{stack.name} is gone, with {removed:,} object versions and uploads")
    return 0


def _agreed(name: str) -> bool:
    if not sys.stdin.isatty():
        raise MalformedError("down asks before it removes and there is no terminal to answer; say --yes")
    console.print(f"This removes {name} and every object in it, for good. Type its name to go on:", soft_wrap=True)
    answer = console.input("name: ")
    return answer.strip() == name


def _print_changes(changes: tuple[Change, ...], *, title: str) -> None:
    if not changes:
        return
    table = Table(title=title, title_justify="left")
    for column in ("action", "resource", "type", "replaces"):
        table.add_column(column, overflow="fold")
    for change in changes:
        replaces = "" if change.replacement == "False" else change.replacement.lower()
        color = "red" if replaces else COLORS.get(change.action, "")
        table.add_row(change.action, change.logical_id, change.kind, replaces, style=color)
    Console().print(table)


def _count(plan: Plan) -> str:
    if not plan.changes:
        return "only parameters, tags or outputs change" if plan.needed else "no changes"
    actions = [change.action for change in plan.changes]
    return ", ".join(f"{actions.count(action)} to {word}" for action, word in _WORDS.items() if action in actions)


_WORDS = {"Add": "add", "Modify": "change", "Remove": "remove"}


if __name__ == "__main__":
    run_main(main)
