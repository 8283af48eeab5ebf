"""Dashboard, alerts and runbook against a running service: nothing is asked for, or explained, that is not exported."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import httpx
import promql_parser as promql
import pytest
import yaml
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from catalog.errors import ShopcamError
from tests.bento.conftest import ROOT, search, wait_until

FOLDER = ROOT / "docs" / "monitoring"
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
ALERTS = [rule for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]
GUIDE = (ROOT / "docs" / "monitoring.md").read_text()

PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
QUERIES += [annotation["expr"] for annotation in DASHBOARD["annotations"]["list"]]
PROMETHEUS_OWN = {"up"}  # Prometheus makes it of every scrape
SCRAPE_LABELS = {"job", "instance"}  # Prometheus adds them to what it scrapes
PARTS = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",), "unknown": ("",)}


@pytest.fixture(scope="module")
def exported(client: httpx.Client, photos: list[bytes]) -> dict[str, Metric]:
    """Every name of a sample that the service exports, with its family, after it has answered a search."""
    search(client, photos[0])
    wait_until(lambda: client.get("/readyz").is_success)
    page = client.get("/metrics").text
    found: dict[str, Metric] = {}
    for family in text_string_to_metric_families(page):
        names = {sample.name for sample in family.samples} or {family.name + part for part in PARTS[family.type]}
        if family.name.startswith("nv_"):  # the parser adds the suffix that Triton's counters do without
            names = {name.removesuffix("_total") for name in names}
        found |= dict.fromkeys(names, family)
    return found


def selectors(expression: str) -> Iterator[promql.VectorSelector]:
    """What an expression reads; raises ValueError for what is no PromQL."""
    found: list[promql.VectorSelector] = []
    promql.walk(
        promql.parse(expression.replace("$__rate_interval", "5m")),
        lambda node: found.append(node) if isinstance(node, promql.VectorSelector) else None,
    )
    return iter(found)


def matched(expression: str, label: str) -> set[str]:
    """The values of a label that an expression names."""
    matchers = [matcher for selector in selectors(expression) for matcher in selector.matchers.matchers]
    return {value for matcher in matchers if matcher.name == label for value in matcher.value.split("|")}


def error_codes(*, least_status: int) -> set[str]:
    """The codes of all errors that an answer may carry."""

    def below(error: type[ShopcamError]) -> Iterator[type[ShopcamError]]:
        yield error
        for each in error.__subclasses__():
            yield from below(each)

    rooms = ("catalog.errors", "export.triton_client", "bento.")
    known = [error for error in below(ShopcamError) if error.__module__.startswith(rooms)]
    return {error.code for error in known if error.status >= least_status}


EXPRESSIONS = [*QUERIES, *(alert["expr"] for alert in ALERTS)]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_metric_asked_for_is_exported_with_the_labels_asked_for(
    exported: dict[str, Metric], expression: str
) -> None:
    for selector in selectors(expression):
        if selector.name in PROMETHEUS_OWN:
            continue
        assert selector.name in exported
        labels = {label for sample in exported[selector.name].samples for label in sample.labels}
        asked = {matcher.name for matcher in selector.matchers.matchers} - SCRAPE_LABELS
        if exported[selector.name].samples:
            assert asked <= labels


def test_names_that_are_not_exported_and_no_promql_would_be_noticed(exported: dict[str, Metric]) -> None:
    (selector,) = selectors('sum by (le) (rate(shopcam_nothing_bucket{route="/search"}[$__rate_interval]))')
    assert selector.name == "shopcam_nothing_bucket"
    assert selector.name not in exported
    with pytest.raises(ValueError, match="parenthesis"):
        list(selectors("sum(rate(up[5m])"))


@pytest.mark.parametrize("expression", [text for text in EXPRESSIONS if "code=" in text])
def test_codes_are_those_that_answers_have(expression: str) -> None:
    assert matched(expression, "code") <= error_codes(least_status=400)


def test_errors_are_all_that_the_service_is_to_blame_for() -> None:
    (alert,) = [alert for alert in ALERTS if alert["alert"] == "ShopcamErrorRate"]
    assert matched(alert["expr"], "code") == error_codes(least_status=500)


def test_every_metric_of_ours_is_explained_and_nothing_else(exported: dict[str, Metric]) -> None:
    rows = dict(re.findall(r"^\| `(shopcam_\w+)` \|(.*?)\|", GUIDE, re.MULTILINE))  # name -> labels
    families = [family for name, family in exported.items() if name.startswith("shopcam_")]
    ours = {family.name + ("_total" if family.type == "counter" else ""): family for family in families}
    assert set(rows) == set(ours)
    for name, family in ours.items():
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert labels == set(re.findall(r"`(\w+)`", rows[name])) or not family.samples, name


def test_every_alert_has_its_place_in_the_runbook() -> None:
    headings = re.findall(r"^### (\w+)$", GUIDE.split("## Runbook")[1], re.MULTILINE)
    assert headings == [alert["alert"] for alert in ALERTS]
    for alert in ALERTS:
        assert alert["annotations"]["runbook"] == f"docs/monitoring.md#{alert['alert'].lower()}"
        assert set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["summary"])) <= produced(alert["expr"])


def produced(expression: str) -> set[str]:
    """The labels that an alert's series can have: those it is summed by, or those of what it reads."""
    summed = re.findall(r"by \(([\w, ]+)\)", expression)
    if summed:
        return set(re.split(r", *", summed[0]))
    return SCRAPE_LABELS | ({"gallery_version", "reason"} if "swap_failed" in expression else set())


def test_panels_do_not_overlap_and_have_ids_of_their_own() -> None:
    panels: list[dict[str, Any]] = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for a, b in combinations([panel["gridPos"] for panel in panels], 2):
        apart = [
            a["x"] + a["w"] <= b["x"],
            b["x"] + b["w"] <= a["x"],
            a["y"] + a["h"] <= b["y"],
            b["y"] + b["h"] <= a["y"],
        ]
        assert any(apart), (a, b)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


def test_panels_ask_the_data_source_that_a_person_chooses() -> None:
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in PANELS)
    assert all(target["datasource"]["uid"] == "${datasource}" for panel in PANELS for target in panel["targets"])
    used = {name for expression in QUERIES for name in re.findall(r"\$(\w+)", expression)}
    assert used <= {*variables, "__rate_interval"}
