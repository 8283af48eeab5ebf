"""A profile in; all of its stacks planned, made, told about or removed, in order.

What is served (image, models, store) is decided by rollouts. Before the first one, what would serve waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from catalog.errors import ForbiddenError
from infra.aws import Clients, CloudError, cloud_errors
from infra.buckets import empty_bucket
from infra.change_sets import Change, Plan, plan_of_new
from infra.pieces import PARTS, RELEASED, SERVING, WATCHED, Piece, Release, pieces_of, stack_name
from infra.registry import empty_repository
from infra.settings import Profile
from infra.stack import EMPTY, POLL_S, Resource, Stack, Standing

UNKNOWN = "known-once-it-is-made"
WAITS = "waits for the first release"
LEFT = "no longer in the profile"

Told = Callable[[str], None]


@dataclass(frozen=True)
class PiecePlan:
    """What would happen to one stack; `note` says what a person has to know about it."""

    part: str
    stack: str
    plan: Plan
    note: str = ""


@dataclass(frozen=True)
class PieceStatus:
    """One stack as it is; None where there is none."""

    part: str
    stack: str
    standing: Standing | None
    resources: tuple[Resource, ...] = ()


def plan_without_account(profile: Profile) -> list[PiecePlan]:
    """What a first `up` and a first rollout would make, from the templates alone."""
    return [
        PiecePlan(
            part=piece.part,
            stack=stack_name(profile, piece.part),
            plan=plan_of_new(piece.template, piece.settings),
            note=WAITS if piece.released else "",
        )
        for piece in pieces_of(profile)
    ]


class Deployment:
    """The stacks of one profile. Every method raises CloudError with one sentence."""

    def __init__(self, profile: Profile, clients: Clients, *, poll_s: float = POLL_S) -> None:
        self.profile = profile
        self.clients = clients
        self.pieces = pieces_of(profile)
        self._poll_s = poll_s

    def stack(self, part: str) -> Stack:
        """The stack of a piece."""
        return Stack(
            stack_name(self.profile, part),
            self.clients,
            tags=self.profile.all_tags,
            protected=self.profile.protected,
            poll_s=self._poll_s,
        )

    def release(self) -> Release | None:
        """What is served, as the serving stack has it; None before the first rollout.

        While a rollout is at work this is what it asks for, which may be taken back.
        """
        found = self.stack(SERVING).look()
        if found is None or found.state in EMPTY or not set(RELEASED.values()) <= set(found.parameters):
            return None
        return Release(**{name: found.parameters[parameter] for name, parameter in RELEASED.items()})

    def plan(self) -> list[PiecePlan]:
        """What `up` would do, in CloudFormation's words; changes nothing."""
        release = self.release()
        return [self._plan(piece, release) for piece in self.pieces] + [self._plan_left(part) for part in self._left()]

    def up(self, *, told: Told = lambda _: None) -> list[PiecePlan]:
        """Make all stacks that can be made; those that wait for a release wait until there is one.

        Stacks that the profile no longer asks for are removed, the last first. A rollout at work ends first: what it
        asks for may be taken back, and must not be asked for again here.
        """
        self.stack(SERVING).settle()
        release = self.release()
        removed = [self._remove_left(part, told) for part in self._left()]
        return removed + [self._up(piece, release, told) for piece in self.pieces]

    def up_piece(self, part: str, release: Release) -> Plan:
        """Make or change one stack for a release."""
        piece = self.piece(part)
        return self.stack(part).up(piece.template, self.values(piece, release))

    def piece(self, part: str) -> Piece:
        """One piece of the profile."""
        return next(piece for piece in self.pieces if piece.part == part)

    def values(
        self, piece: Piece, release: Release | None, *, watched: bool | None = None, guess: bool = False
    ) -> dict[str, str]:
        """Values of a piece's parameters.

        `watched` says whether alarms take a rollout back (None: as the stack has it, since this alone is no reason to
        move replicas); `guess` puts a word where a stack before it does not stand yet.
        """
        values = dict(piece.settings)
        before = {part: self.stack(part).look() for part in {part for part, _ in piece.handed.values()}}
        for parameter, (part, output) in piece.handed.items():
            values[parameter] = self._output(part, before[part], output, guess=guess)
        if WATCHED in piece.template.parameters:
            values[WATCHED] = self._watched(piece) if watched is None else str(watched).lower()
        if release is not None:
            values |= {name: value for name, value in release.parameters.items() if name in piece.released}
        return values

    def output(self, part: str, output: str) -> str:
        """An output of a stack; CloudError where the stack does not stand."""
        return self._output(part, self.stack(part).look(), output)

    def status(self) -> list[PieceStatus]:
        """Every stack as it is."""
        found = []
        for part in [piece.part for piece in self.pieces] + self._left():
            stack = self.stack(part)
            standing = stack.look()
            resources = tuple(stack.resources()) if standing is not None else ()
            found.append(PieceStatus(part=part, stack=stack.name, standing=standing, resources=resources))
        return found

    def require_removable(self) -> None:
        """Raise ForbiddenError where the profile is protected and any of its stacks may hold something."""
        if not self.profile.protected:
            return
        for part in PARTS:
            found = self.stack(part).look()
            if found is not None and found.state not in EMPTY:
                raise ForbiddenError(
                    f"profile {self.profile.name!r} is protected; set protected = false in its settings, then run down"
                )

    def down(self, *, told: Told = lambda _: None) -> int:
        """Empty and delete every stack, the last first; returns how many objects and images went with them."""
        self.require_removable()
        return sum(self._remove(part, told) for part in reversed(self._there()))

    def _plan(self, piece: Piece, release: Release | None) -> PiecePlan:
        stack = self.stack(piece.part)
        values = self.values(piece, release, guess=True)
        if piece.released and release is None:
            return PiecePlan(piece.part, stack.name, plan_of_new(piece.template, values), note=WAITS)
        return PiecePlan(piece.part, stack.name, stack.plan(piece.template, values))

    def _up(self, piece: Piece, release: Release | None, told: Told) -> PiecePlan:
        stack = self.stack(piece.part)
        if piece.released and release is None:
            return PiecePlan(piece.part, stack.name, plan_of_new(piece.template, piece.settings), note=WAITS)
        told(f"bringing {stack.name} up ...")
        return PiecePlan(piece.part, stack.name, stack.up(piece.template, self.values(piece, release)))

    def _left(self) -> list[str]:
        """Parts whose stacks exist although the profile does not ask for them, the last first."""
        asked = {piece.part for piece in self.pieces}
        return [part for part in reversed(self._there()) if part not in asked]

    def _there(self) -> list[str]:
        """Parts whose stacks exist, in the order they are made in."""
        with cloud_errors():
            pages = self.clients("cloudformation").get_paginator("describe_stacks").paginate()
            names = {stack["StackName"] for page in pages for stack in page["Stacks"]}
        return [part for part in PARTS if stack_name(self.profile, part) in names]

    def _plan_left(self, part: str) -> PiecePlan:
        stack = self.stack(part)
        changes = tuple(Change("Remove", resource.logical_id, resource.kind) for resource in stack.resources())
        return PiecePlan(part, stack.name, Plan(changes=changes, needed=True), note=LEFT)

    def _remove_left(self, part: str, told: Told) -> PiecePlan:
        planned = self._plan_left(part)
        self._remove(part, told)
        return planned

    def _remove(self, part: str, told: Told) -> int:
        stack = self.stack(part)
        found = stack.settle()
        if found is None:
            return 0
        told(f"removing {stack.name} ...")
        removed = sum(self._empty(stack.resources(), told))
        stack.protect()
        stack.delete()
        return removed

    def _watched(self, piece: Piece) -> str:
        found = self.stack(piece.part).look()
        return "true" if found is None else found.parameters.get(WATCHED, "true")

    def _output(self, part: str, found: Standing | None, output: str, *, guess: bool = False) -> str:
        if found is not None and output in found.outputs:
            return found.outputs[output]
        if guess:
            return UNKNOWN
        raise CloudError(f"stack {stack_name(self.profile, part)} does not stand yet; run up first")

    def _empty(self, resources: list[Resource], told: Told) -> Iterator[int]:
        """Empty what can't be removed while something is in it."""
        for resource in resources:
            if not resource.physical_id or resource.state == "DELETE_COMPLETE":
                continue
            with cloud_errors():
                if resource.kind == "AWS::S3::Bucket":
                    yield empty_bucket(
                        self.clients("s3"),
                        resource.physical_id,
                        on_removed=lambda count: told(f"removed {count:,} object versions ..."),
                    )
                elif resource.kind == "AWS::ECR::Repository":
                    yield empty_repository(self.clients("ecr"), resource.physical_id)
