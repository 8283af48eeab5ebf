"""The tag of a profile in, what it has cost since the first of the month out, as Cost Explorer has it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from infra.settings import PROFILE_TAG


def month_to_date(cost_explorer: Any, profile: str, *, today: date | None = None) -> float:
    """US dollars of everything that carries the profile's tag; Cost Explorer is up to a day late."""
    today = today or datetime.now(UTC).date()
    found = cost_explorer.get_cost_and_usage(
        TimePeriod={"Start": today.replace(day=1).isoformat(), "End": (today + timedelta(days=1)).isoformat()},
        Granularity="MONTHLY",
        Metrics=["UnblendedCost"],
        Filter={"Tags": {"Key": PROFILE_TAG, "Values": [profile]}},
    )
    return sum(float(period["Total"]["UnblendedCost"]["Amount"]) for period in found["ResultsByTime"])
