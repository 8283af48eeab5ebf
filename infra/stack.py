"""A profile in; a CloudFormation stack planned, made, told about or removed, by change sets only."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore import exceptions

from catalog.errors import ForbiddenError
from infra.aws import CloudError, client, cloud_errors
from infra.buckets import empty_bucket
from infra.settings import Profile

TEMPLATE = Path(__file__).parent / "templates" / "store.yaml"
WAIT = {"Delay": 3, "MaxAttempts": 600}
REVIEW = "REVIEW_IN_PROGRESS"
UNUSABLE = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED", "CREATE_FAILED"})
EMPTY = frozenset({"ROLLBACK_COMPLETE", REVIEW})
UNCHANGED = ("didn't contain changes", "No updates are to be performed")


@dataclass(frozen=True)
class Change:
    """One line of a plan: Add, Modify or Remove; `replacement` is True, False or Conditional."""

    action: str
    logical_id: str
    kind: str
    replacement: str


@dataclass(frozen=True)
class Plan:
    """What would change; `needed` is also true where only parameters, tags or outputs do."""

    changes: tuple[Change, ...]
    needed: bool


NOTHING = Plan(changes=(), needed=False)


@dataclass
class ChangeSet:
    """A question to CloudFormation: what would this template change?"""

    name: str
    creates: bool
    plan: Plan
    executed: bool = False


@dataclass(frozen=True)
class Status:
    """What CloudFormation says about the stack: its state, outputs, and (logical id, type, physical id, state) rows."""

    state: str
    outputs: dict[str, str]
    resources: tuple[tuple[str, str, str, str], ...]

    @property
    def store(self) -> str | None:
        """The store's address, `s3://BUCKET`; None while there is no bucket."""
        buckets = [name for _, kind, name, _ in self.resources if kind == "AWS::S3::Bucket" and name]
        return f"s3://{buckets[0]}" if buckets else None


class Stack:
    """The stack of one profile. Every method raises CloudError with one sentence."""

    def __init__(self, profile: Profile, *, region: str | None = None, endpoint_url: str | None = None) -> None:
        self.profile = profile
        self.name = profile.stack_name
        self.region = region or profile.region
        self._cloud = client("cloudformation", region=self.region, endpoint_url=endpoint_url)
        self._s3 = client("s3", region=self.region, endpoint_url=endpoint_url)

    def plan(self) -> Plan:
        """What `up` would do, in CloudFormation's words; leaves no trace of the question."""
        with cloud_errors(), self._change_set() as change_set:
            return change_set.plan

    def up(self) -> Plan:
        """Make or change the stack, wait until it stands; returns what was done, nothing where all stood already."""
        with cloud_errors():
            with self._change_set() as change_set:
                if change_set.plan.needed:
                    self._cloud.execute_change_set(StackName=self.name, ChangeSetName=change_set.name)
                    change_set.executed = True
                    self._wait("stack_create_complete" if change_set.creates else "stack_update_complete")
            self._protect()
            return change_set.plan

    def status(self) -> Status | None:
        """The stack as it is; None where there is none."""
        with cloud_errors():
            found = self._describe()
            if found is None:
                return None
            outputs = {item["OutputKey"]: item["OutputValue"] for item in found.get("Outputs", [])}
            return Status(state=found["StackStatus"], outputs=outputs, resources=tuple(self._resources()))

    def down(self, *, on_removed: Callable[[int], None] = lambda _: None) -> int:
        """Empty the stack's buckets and delete it; returns how many object versions and unfinished uploads went.

        Raises ForbiddenError for a protected profile.
        """
        with cloud_errors():
            found = self._state()
            if found is None:
                return 0
            self.require_removable(found)
            removed = 0
            for _, kind, physical_id, state in self._resources():
                if kind == "AWS::S3::Bucket" and physical_id and state != "DELETE_COMPLETE":
                    removed += self._empty(physical_id, on_removed)
            self._delete()
            return removed

    def require_removable(self, state: str) -> None:
        """Raise ForbiddenError where the profile is protected and the stack in `state` may hold something."""
        if self.profile.protected and state not in EMPTY:
            raise ForbiddenError(
                f"profile {self.profile.name!r} is protected; set protected = false in its settings, run up, then down"
            )

    def _describe(self) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._cloud.describe_stacks(StackName=self.name)["Stacks"][0]
        except exceptions.ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        return found

    def _state(self) -> str | None:
        found = self._describe()
        return None if found is None else str(found["StackStatus"])

    def _usable_state(self) -> str | None:
        state = self._state()
        if state in UNUSABLE:
            raise CloudError(f"stack {self.name} is in {state} and can't be changed; remove it with down first")
        if state is not None and state != REVIEW and state.endswith("_IN_PROGRESS"):
            raise CloudError(f"stack {self.name} is busy ({state}); try again when it is done")
        return state

    @contextmanager
    def _change_set(self) -> Iterator[ChangeSet]:
        """A new change set; unless executed, it and the empty stack made for it are gone on leaving."""
        state = self._usable_state()
        change_set = ChangeSet(name=f"shopcam-{secrets.token_hex(6)}", creates=state in (None, REVIEW), plan=NOTHING)
        named = {"StackName": self.name, "ChangeSetName": change_set.name}
        settings = {
            "NoncurrentDays": str(self.profile.noncurrent_days),
            "NoncurrentVersions": str(self.profile.noncurrent_versions),
        }
        self._cloud.create_change_set(
            **named,
            ChangeSetType="CREATE" if change_set.creates else "UPDATE",
            TemplateBody=TEMPLATE.read_text(encoding="utf-8"),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in settings.items()],
            Tags=[{"Key": key, "Value": value} for key, value in self.profile.tags.items()],
        )
        try:
            change_set.plan = self._read(named)
            yield change_set
        finally:
            if not change_set.executed:
                self._cloud.delete_change_set(**named)
                if state is None:
                    self._delete()

    def _read(self, named: dict[str, str]) -> Plan:
        try:
            self._cloud.get_waiter("change_set_create_complete").wait(**named, WaiterConfig=WAIT)
        except exceptions.WaiterError as error:
            reason = str(error.last_response.get("StatusReason", error))
            if any(words in reason for words in UNCHANGED):
                return NOTHING
            raise CloudError(f"CloudFormation can't plan stack {self.name}: {reason}") from error
        pages = self._cloud.get_paginator("describe_change_set").paginate(**named)
        found = [item["ResourceChange"] for page in pages for item in page.get("Changes", [])]
        changes = tuple(
            Change(
                action=item["Action"],
                logical_id=item["LogicalResourceId"],
                kind=item["ResourceType"],
                replacement=item.get("Replacement", "False"),
            )
            for item in found
        )
        return Plan(changes=changes, needed=True)

    def _protect(self) -> None:
        found = self._describe()
        if found is not None and found.get("EnableTerminationProtection", False) != self.profile.protected:
            self._cloud.update_termination_protection(
                StackName=self.name, EnableTerminationProtection=self.profile.protected
            )

    def _wait(self, waiter: str) -> None:
        try:
            self._cloud.get_waiter(waiter).wait(StackName=self.name, WaiterConfig=WAIT)
        except exceptions.WaiterError as error:
            raise CloudError(f"stack {self.name} ended in {self._state()}: {self._first_failure()}") from error

    def _first_failure(self) -> str:
        events = self._cloud.describe_stack_events(StackName=self.name)["StackEvents"]  # newest first
        failed = [item for item in events if item["ResourceStatus"].endswith("_FAILED")]
        if not failed:
            return "CloudFormation gives no reason"
        return f"{failed[-1]['LogicalResourceId']}: {failed[-1].get('ResourceStatusReason', 'no reason given')}"

    def _resources(self) -> Iterator[tuple[str, str, str, str]]:
        for page in self._cloud.get_paginator("list_stack_resources").paginate(StackName=self.name):
            for item in page["StackResourceSummaries"]:
                physical_id = item.get("PhysicalResourceId", "")
                yield item["LogicalResourceId"], item["ResourceType"], physical_id, item["ResourceStatus"]

    def _empty(self, bucket: str, on_removed: Callable[[int], None]) -> int:
        try:
            return empty_bucket(self._s3, bucket, on_removed=on_removed)
        except self._s3.exceptions.NoSuchBucket:
            return 0  # removed by hand; the stack may go all the same

    def _delete(self) -> None:
        self._cloud.delete_stack(StackName=self.name)
        self._wait("stack_delete_complete")
