"""The verbs over whole deployments: plan, up, status, logs and down."""

from __future__ import annotations

import argparse
import re
import sys
import time

from catalog.errors import MalformedError, NotFoundError
from catalog.terminal import console
from infra.aws import Clients, cloud_errors, have_credentials
from infra.costs import monthly_costs
from infra.deployment import WAITS, Deployment, PieceStatus, plan_without_account
from infra.drift import drift_of
from infra.health import health
from infra.logs import follow_logs, read_logs
from infra.pieces import STORE
from infra.prices import Prices
from infra.settings import Profile, load_profile
from infra.tables import count, print_costs, print_drift, print_plan, print_rows, print_status, show

LOG_GROUP = "AWS::Logs::LogGroup"
UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def plan(options: argparse.Namespace) -> int:
    """Show what up would change and what a month would cost; changes nothing, and needs no account."""
    profile = _profile(options)
    name = f"{profile.name_prefix} in {profile.region}"
    if options.offline or not have_credentials():
        plans = plan_without_account(profile)
        why = "asked for" if options.offline else "no AWS credentials were found"
        note = f"; from the templates alone ({why}), as if nothing were there"
    else:
        plans = _deployment(options).plan()
        note = ""
    print_plan(plans, title=f"plan for {name}")
    try:
        prices = Prices(profile.region)
        print_costs(monthly_costs(profile, prices), prices)
    except NotFoundError as error:
        show(f"what it costs is not known: {error}")
    console.print(f"{name}: {count(plans)}; nothing was changed{note}", soft_wrap=True)
    return 0


def up(options: argparse.Namespace) -> int:
    """Make the stacks as the settings say and wait until they stand."""
    deployment = _deployment(options)
    done = deployment.up(told=_say)
    made = [piece for piece in done if piece.note != WAITS]
    print_plan(made, title=f"done for {deployment.profile.name_prefix} in {deployment.profile.region}")
    waiting = ", ".join(piece.stack for piece in done if piece.note == WAITS)
    store = deployment.output(STORE, "StoreUri")
    _say(f"{deployment.profile.name_prefix} is up ({count(made)}); the store is {store}")
    if waiting:
        _say(f"{waiting}: made by the first `python -m infra rollout pair`")
    return 0


def status(options: argparse.Namespace) -> int:
    """Show the stacks, what serves and how it is, what scaling did, and the cost so far."""
    deployment = _deployment(options)
    found = deployment.status()
    name = f"{deployment.profile.name_prefix} in {deployment.profile.region}"
    if all(piece.standing is None for piece in found):
        _say(f"{name} does not exist; make it with up")
        return 0
    if options.output is not None:
        show(_output(found, options.output), markup=False)
        return 0
    print_status(found, title=name)
    print_rows(list(health(deployment)))
    if options.drift:
        cloud = deployment.clients("cloudformation")
        with cloud_errors():
            stacks = [piece.stack for piece in found if piece.standing is not None]
            print_drift([(stack, drift) for stack in stacks for drift in drift_of(cloud, stack)])
    return 0


def logs(options: argparse.Namespace) -> int:
    """Print what replicas and builds say."""
    deployment = _deployment(options)
    groups = [
        resource.physical_id
        for piece in deployment.status()
        if options.part in (None, piece.part)
        for resource in piece.resources
        if resource.kind == LOG_GROUP
    ]
    if not groups:
        raise NotFoundError("there are no logs yet; a first rollout makes them")
    since_ms = int((time.time() - _seconds(options.since)) * 1000)
    read = follow_logs if options.follow else read_logs
    for line in read(deployment.clients("logs"), groups, since_ms=since_ms, pattern=options.filter):
        show(f"{line.at:%Y-%m-%d %H:%M:%S} {line.stream} {line.text}", markup=False)
    return 0


def down(options: argparse.Namespace) -> int:
    """Empty and delete everything that was made."""
    deployment = _deployment(options)
    name = deployment.profile.name_prefix
    if all(piece.standing is None for piece in deployment.status()):
        _say(f"{name} does not exist in {deployment.profile.region}; nothing to remove")
        return 0
    deployment.require_removable()
    if not options.yes and not _agreed(name):
        console.print("nothing was removed")
        return 1
    removed = deployment.down(told=_say)
    _say(f"{name} is gone, with {removed:,} object versions, uploads and images")
    return 0


def _profile(options: argparse.Namespace) -> Profile:
    profile = load_profile(options.profile, path=options.settings)
    return profile if options.region is None else profile.model_copy(update={"region": options.region})


def _deployment(options: argparse.Namespace) -> Deployment:
    profile = _profile(options)
    return Deployment(profile, Clients(profile.region, endpoint_url=options.endpoint_url))


def serving_deployment(options: argparse.Namespace) -> Deployment:
    """The deployment of a profile that serves; raises MalformedError for one that does not."""
    deployment = _deployment(options)
    if deployment.profile.serving is None:
        raise MalformedError(f"profile {deployment.profile.name!r} has no serving table, so nothing can be rolled out")
    return deployment


def _output(found: list[PieceStatus], name: str) -> str:
    outputs = {key: value for piece in found if piece.standing for key, value in piece.standing.outputs.items()}
    if name not in outputs:
        raise NotFoundError(f"there is no output {name!r}; known are {', '.join(sorted(outputs))}")
    return outputs[name]


def _agreed(name: str) -> bool:
    if not sys.stdin.isatty():
        raise MalformedError("down asks before it removes and there is no terminal to answer; say --yes")
    console.print(f"This removes {name} and every object in it, for good. Type its name to go on:", soft_wrap=True)
    answer = console.input("name: ")
    return answer.strip() == name


def _seconds(text: str) -> int:
    match = re.fullmatch(r"(\d+)([smhd])", text)
    if match is None:
        raise MalformedError(f"--since is {text!r}, expected a number with s, m, h or d, such as 30m")
    return int(match[1]) * UNIT_S[match[2]]


def _say(sentence: str) -> None:
    console.print(sentence, soft_wrap=True, markup=False)
