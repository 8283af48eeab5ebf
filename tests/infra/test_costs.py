"""Oracle: the arithmetic of a price list small enough to read."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog.errors import NotFoundError
from infra.costs import HOURS_A_MONTH, Cost, monthly_costs, total
from infra.prices import TABLE, Prices
from infra.settings import Profile, load_profile

HOUR = 0.5  # dollars for an instance


@pytest.fixture
def prices(tmp_path: Path) -> Prices:
    """Every price is 1 but that of instances, and spot is half."""
    table = tmp_path / "prices.toml"
    others = ("s3_gb_month", "image_gb_month", "alarm_month", "fast_alarm_month", "dashboard_month", "log_gb")
    others += ("balancer_hour", "address_hour", "work_gb_month")
    table.write_text(
        "\n".join(
            [
                'as_of = 2026-01-01\nsource = "nobody"\n[spot]\nshare = 0.5',
                f'[regions.eu-central-1.instance_hour]\n"ml.g4dn.xlarge" = {HOUR}\n"g4dn.xlarge" = {HOUR}',
                "[regions.eu-central-1.other]",
                *(f"{name} = 1.0" for name in others),
            ]
        )
    )
    return Prices("eu-central-1", path=table)


def lines(profile: Profile, prices: Prices) -> dict[str, tuple[float, float, float]]:
    costs = monthly_costs(profile, prices)
    found = {cost.what: (cost.least, cost.expected, cost.most) for cost in costs}
    assert len(found) == len(costs)
    return found


def test_a_profile_that_scales_to_zero(prices: Prices) -> None:
    found = lines(load_profile("dev"), prices)

    assert found["replicas"] == (0, 0.15 * 730 * HOUR, 2 * 730 * HOUR)
    assert found["logs"] == (0, 0.15 * 2, 2 * 2)
    assert found["store"] == (20, 20, 20)
    assert found["images"] == (12, 2 * 12, 5 * 12)
    assert found["alarms"] == (3, 3, 3)  # errors, latency and the one that wakes, which is a fast one
    assert found["dashboard"] == (1, 1, 1)
    assert "builds" not in found
    assert HOURS_A_MONTH == 730


def test_a_service_on_instances_with_a_builder(prices: Prices) -> None:
    given = {
        "kind": "service",
        "instance_type": "g4dn.xlarge",
        "min_replicas": 1,
        "average_replicas": 2,
        "max_replicas": 4,
    }
    serving = given | {"certificate_arn": "arn:aws:acm:eu-central-1:1:certificate/x"}
    found = lines(Profile.model_validate(load_profile("prod").model_dump() | {"serving": serving}), prices)

    assert found["replicas"] == (730 * HOUR, 2 * 730 * HOUR, 4 * 730 * HOUR)
    assert found["load balancer"] == (730, 730, 730)
    assert found["public addresses"] == (3 * 730, 4 * 730, 6 * 730)
    assert found["builds"] == (0, 40 * HOUR / 2, 40 * HOUR)
    assert "dashboard" not in found


def test_total_is_the_sum_of_each_column() -> None:
    costs = [Cost("a", 1, 2, 3, "how"), Cost("b", 10, 20, 30, "how")]

    assert (total(costs).least, total(costs).expected, total(costs).most) == (11, 22, 33)


@pytest.mark.parametrize("name", ["dev", "prod"])
@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_the_table_prices_every_profile(name: str, region: str) -> None:
    sums = total(monthly_costs(load_profile(name), Prices(region)))

    assert 0 < sums.least <= sums.expected <= sums.most


def test_what_the_table_does_not_have() -> None:
    with pytest.raises(
        NotFoundError, match=r"no prices of mars-north-1 in prices.toml, only of eu-central-1, us-east-1"
    ):
        Prices("mars-north-1")
    with pytest.raises(NotFoundError, match=r"no price of ml.x9.huge in us-east-1 in prices.toml; add it"):
        Prices("us-east-1").instance_hour("ml.x9.huge")


def test_the_table_says_as_of_when_and_that_it_has_to_be_checked() -> None:
    assert "check before relying on it" in " ".join(TABLE.read_text().replace("#", " ").split())
    assert Prices("us-east-1").as_of.year >= 2025
    assert Prices("us-east-1").source.startswith("aws.amazon.com")
