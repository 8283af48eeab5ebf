"""The name of an endpoint in, its alarms that take a rollout back out."""

from __future__ import annotations

from dataclasses import dataclass

from infra.aws import Clients, CloudError, cloud_errors

RINGING = "ALARM"


@dataclass(frozen=True)
class Alarm:
    """One alarm of CloudWatch; `reason` is what it says of its state."""

    name: str
    state: str
    reason: str

    @property
    def ringing(self) -> bool:
        """Whether it rings now."""
        return self.state == RINGING

    def __str__(self) -> str:
        """As it stands in a report."""
        return f"alarm {self.name} rings ({self.reason or 'no reason given'})"


class RollbackAlarms:
    """The alarms named ENDPOINT-rollback-*, which the serving template makes."""

    def __init__(self, clients: Clients, endpoint_name: str) -> None:
        self.prefix = f"{endpoint_name}-rollback-"
        self._clients = clients

    def look(self) -> list[Alarm]:
        """Each alarm as it is; raises CloudError where there is none, since nothing would take a rollout back then."""
        with cloud_errors():
            pages = self._clients("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix=self.prefix)
            found = [
                Alarm(item["AlarmName"], item["StateValue"], item.get("StateReason", ""))
                for page in pages
                for item in page["MetricAlarms"]
            ]
        if not found:
            raise CloudError(f"there are no alarms {self.prefix}*, which a rollout needs; run up first")
        return found

    def ringing(self) -> list[Alarm]:
        """Those that ring."""
        return [alarm for alarm in self.look() if alarm.ringing]
