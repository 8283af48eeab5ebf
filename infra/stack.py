"""The name of a stack in; it is planned, made, told about or removed, by change sets only.

Every method may be stopped and called again: one that finds CloudFormation at work waits until it is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from botocore import exceptions

from infra.aws import Clients, CloudError, cloud_errors
from infra.change_sets import ChangeSet, Plan, change_set, plan_of_new
from infra.templates import Template

POLL_S = 3.0
REVIEW = "REVIEW_IN_PROGRESS"  # a change set was asked for, nothing was made yet
STANDING = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE"})
# Of no use, and nothing is in them: CloudFormation took back what it had made.
EMPTY = frozenset({REVIEW, "ROLLBACK_COMPLETE"})
STUCK = frozenset({"ROLLBACK_FAILED", "DELETE_FAILED", "CREATE_FAILED", "UPDATE_ROLLBACK_FAILED"})
CANCELLED = ("cancelled", "canceled")


@dataclass(frozen=True)
class Standing:
    """What CloudFormation says about a stack that exists."""

    state: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    protected: bool = False

    @property
    def busy(self) -> bool:
        """Whether CloudFormation is at work on it."""
        return self.state.endswith("_IN_PROGRESS") and self.state != REVIEW


@dataclass(frozen=True)
class Resource:
    """One thing that a stack made."""

    logical_id: str
    kind: str
    physical_id: str
    state: str


class Stack:
    """One stack. Every method raises CloudError with one sentence."""

    def __init__(
        self, name: str, clients: Clients, *, tags: Mapping[str, str], protected: bool, poll_s: float = POLL_S
    ) -> None:
        self.name = name
        self.protected = protected
        self._tags = tags
        self._poll_s = poll_s
        self._cloud = clients("cloudformation")

    def look(self) -> Standing | None:
        """The stack as it is; None where there is none."""
        with cloud_errors():
            try:
                found: dict[str, Any] = self._cloud.describe_stacks(StackName=self.name)["Stacks"][0]
            except exceptions.ClientError as error:
                if "does not exist" in str(error):
                    return None
                raise
        return Standing(
            state=found["StackStatus"],
            parameters={item["ParameterKey"]: item["ParameterValue"] for item in found.get("Parameters", [])},
            outputs={item["OutputKey"]: item["OutputValue"] for item in found.get("Outputs", [])},
            protected=found.get("EnableTerminationProtection", False),
        )

    def plan(self, template: Template, values: Mapping[str, str]) -> Plan:
        """What `up` would do; leaves no trace of the question."""
        found = self.look()
        if found is None or found.state in EMPTY:
            return plan_of_new(template, values)
        self._require_usable(found)
        if found.busy:
            raise CloudError(f"stack {self.name} is busy ({found.state}); try again when it is done")
        with cloud_errors(), self._change_set(template, values, creates=False) as asked:
            return asked.plan

    def up(self, template: Template, values: Mapping[str, str]) -> Plan:
        """Make or change the stack and wait until it stands; returns what was done, nothing where all stood already."""
        plan = self.begin(template, values)
        if plan.needed:
            self.require_standing(self.settle())
        self.protect()
        return plan

    def begin(self, template: Template, values: Mapping[str, str]) -> Plan:
        """`up` without the wait at its end: CloudFormation is at work, unless nothing is needed."""
        found = self.settle()
        if found is not None and found.state in EMPTY:
            self.delete()
            found = None
        self._require_usable(found)
        with cloud_errors(), self._change_set(template, values, creates=found is None) as asked:
            if asked.plan.needed:
                asked.execute()
            return asked.plan

    def settle(self, on_look: Callable[[Standing | None], None] = lambda _: None) -> Standing | None:
        """Wait until CloudFormation has no work on the stack, and return it as it is then."""
        while True:
            found = self.look()
            on_look(found)
            if found is None or not found.busy:
                return found
            time.sleep(self._poll_s)

    def require_standing(self, found: Standing | None) -> Standing:
        """Return the stack if its last change succeeded; CloudError with CloudFormation's reason otherwise."""
        if found is None or found.state not in STANDING:
            state = "no state" if found is None else found.state
            raise CloudError(f"stack {self.name} ended in {state}: {self.first_failure()}")
        return found

    def protect(self) -> None:
        """Let CloudFormation refuse to delete the stack, or no longer, as the profile says."""
        found = self.look()
        if found is not None and found.protected != self.protected:
            with cloud_errors():
                self._cloud.update_termination_protection(
                    StackName=self.name, EnableTerminationProtection=self.protected
                )

    def first_failure(self) -> str:
        """Why the last change failed, in CloudFormation's words."""
        reasons = []
        with cloud_errors():
            for event in self._events():
                if event["ResourceStatus"].endswith("_FAILED"):
                    reason = event.get("ResourceStatusReason", "no reason given")
                    if not any(word in reason for word in CANCELLED):
                        reasons.append(f"{event['LogicalResourceId']}: {reason}")
                if event.get("ResourceStatusReason") == "User Initiated":
                    break  # what comes before belongs to an earlier change
        return reasons[-1] if reasons else "CloudFormation gives no reason"

    def resources(self) -> list[Resource]:
        """What the stack made."""
        with cloud_errors():
            pages = self._cloud.get_paginator("list_stack_resources").paginate(StackName=self.name)
            return [
                Resource(
                    logical_id=item["LogicalResourceId"],
                    kind=item["ResourceType"],
                    physical_id=item.get("PhysicalResourceId", ""),
                    state=item["ResourceStatus"],
                )
                for page in pages
                for item in page["StackResourceSummaries"]
            ]

    def delete(self) -> None:
        """Remove the stack with all it made, and wait until it is gone."""
        with cloud_errors():
            self._cloud.delete_stack(StackName=self.name)
        found = self.settle()
        if found is not None and found.state != "DELETE_COMPLETE":
            raise CloudError(f"stack {self.name} is still there in {found.state}: {self.first_failure()}")

    def _change_set(
        self, template: Template, values: Mapping[str, str], *, creates: bool
    ) -> AbstractContextManager[ChangeSet]:
        return change_set(self._cloud, self.name, template, creates=creates, values=values, tags=self._tags)

    def _require_usable(self, found: Standing | None) -> None:
        if found is not None and found.state in STUCK:
            raise CloudError(
                f"stack {self.name} is in {found.state} and can't be changed ({self.first_failure()}); mend what it "
                "names, or remove the stack with down"
            )

    def _events(self) -> Iterator[dict[str, Any]]:
        """The newest first."""
        for page in self._cloud.get_paginator("describe_stack_events").paginate(StackName=self.name):
            yield from page["StackEvents"]
