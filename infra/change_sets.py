"""A template and its parameters in; what CloudFormation would change, and on demand the change itself, out."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore import exceptions

from infra.aws import CloudError
from infra.templates import Template

WAIT = {"Delay": 3, "MaxAttempts": 600}
UNCHANGED = ("didn't contain changes", "No updates are to be performed")


@dataclass(frozen=True)
class Change:
    """One line of a plan: Add, Modify or Remove; `replacement` is True, False or Conditional."""

    action: str
    logical_id: str
    kind: str
    replacement: str = "False"


@dataclass(frozen=True)
class Plan:
    """What would change; `needed` is also true where only parameters, tags or outputs do."""

    changes: tuple[Change, ...]
    needed: bool


NOTHING = Plan(changes=(), needed=False)


def plan_of_new(template: Template, values: Mapping[str, str]) -> Plan:
    """What making a stack that does not exist would add: the template says it, nobody is asked."""
    changes = tuple(Change("Add", logical_id, kind) for logical_id, kind in template.resources(values))
    return Plan(changes=changes, needed=True)


class ChangeSet:
    """A question to CloudFormation: what would this template change?"""

    def __init__(self, cloud: Any, stack: str, *, creates: bool) -> None:
        self.creates = creates
        self.executed = False
        self.plan = NOTHING
        self._cloud = cloud
        self._named = {"StackName": stack, "ChangeSetName": f"shopcam-{secrets.token_hex(6)}"}

    def ask(self, template: Template, values: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Hand the question in and read the answer into `plan`."""
        self._cloud.create_change_set(
            **self._named,
            ChangeSetType="CREATE" if self.creates else "UPDATE",
            TemplateBody=template.body,
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()],
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
            Capabilities=["CAPABILITY_IAM"],
        )

    def read(self) -> None:
        """Wait for the answer."""
        try:
            self._cloud.get_waiter("change_set_create_complete").wait(**self._named, WaiterConfig=WAIT)
        except exceptions.WaiterError as error:
            reason = str(error.last_response.get("StatusReason", error))
            if any(words in reason for words in UNCHANGED):
                return
            raise CloudError(f"CloudFormation can't plan stack {self._named['StackName']}: {reason}") from error
        pages = self._cloud.get_paginator("describe_change_set").paginate(**self._named)
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
        self.plan = Plan(changes=changes, needed=True)

    def execute(self) -> None:
        """Begin the change; CloudFormation goes on by itself from here."""
        self._cloud.execute_change_set(**self._named)
        self.executed = True

    def discard(self) -> None:
        """Remove the question."""
        self._cloud.delete_change_set(**self._named)


@contextmanager
def change_set(
    cloud: Any,
    stack: str,
    template: Template,
    *,
    creates: bool,
    values: Mapping[str, str],
    tags: Mapping[str, str],
) -> Iterator[ChangeSet]:
    """A change set with its plan read; gone on leaving, unless it was executed."""
    asked = ChangeSet(cloud, stack, creates=creates)
    try:
        asked.ask(template, values, tags)
    except exceptions.ClientError as error:
        if not any(words in str(error) for words in UNCHANGED):
            raise
        yield asked  # told at once that there is nothing to do; no change set was made
        return
    try:
        asked.read()
        yield asked
    finally:
        if not asked.executed:
            asked.discard()
