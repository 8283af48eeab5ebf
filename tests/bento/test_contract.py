"""The OpenAPI document against the service that runs: every route, and requests of every kind (a short fuzzing run)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate
from pydantic import SecretStr

from benchmarks.serving.fuzz import fuzz, fuzz_rows
from benchmarks.serving.fuzzing import photos as broken
from benchmarks.serving.fuzzing import wire
from bento.admin import Admin
from bento.openapi import document
from bento.pages import Pages
from bento.pipeline import SearchPipeline
from bento.searches import Searches
from bento.settings import Settings
from export.local_triton import LocalTriton
from index_builder.store import LocalStore
from tests.bento.conftest import Serve, refused, serve, wait_until_ready

ADMIN_TOKEN = "an-admin-token-of-27-letters"
REQUESTS = 700
UPLOAD_S = 4.0
# The files of the page, and what BentoML answers about itself to its own clients.
NOT_OF_THE_CONTRACT = {"/static"}


@pytest.fixture(scope="module")
def governed(store: LocalStore, tiny_triton: LocalTriton, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """A service whose admin routes are open to a token; its store has one gallery, so that they can change nothing."""
    settings = {"admin_token": ADMIN_TOKEN, "max_pixels": 4_000_000, "timeout_s": UPLOAD_S}
    with serve(
        tmp_path_factory.mktemp("governed"), store=store.path, triton_url=tiny_triton.grpc_url, **settings
    ) as service:
        wait_until_ready(service)
        yield service


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nothing_that_is_sent_breaks_it(governed: Serve, photos: list[bytes]) -> None:
    """What is described is what runs; what is broken is refused; everything is closed and answered as before."""
    tally = fuzz(
        governed.url, governed.process.pid, photos, requests=REQUESTS, seed=5, upload_s=UPLOAD_S, token=ADMIN_TOKEN
    )
    assert [f"{one.kind}: {one.problem}\n  {one.again}" for one in tally.problems] == []
    assert [row.name for row in fuzz_rows(tally, asked=REQUESTS) if row.ok is False and row.unit == ""] == []
    assert "Traceback" not in (governed.output.parent / "service.log").read_text()
    # Each kind of request was sent, searches were answered with hits, and what is forbidden was refused as such.
    assert {*broken.KINDS, *wire.KINDS} <= {kind for kind, _ in tally.seen}
    for route in ("POST /search", "POST /search/text"):
        assert tally.seen[f"{route}, as described", 200] >= 5
        assert tally.seen[f"{route}, otherwise", 400] + tally.seen[f"{route}, otherwise", 422] >= 10


@pytest.mark.parametrize(
    "settings",
    [{}, {"api_keys": "keys.jsonl", "rate_per_s": 5.0}, {"admin_token": ADMIN_TOKEN, "metrics_token": ADMIN_TOKEN}],
)
def test_the_document_is_openapi(settings: dict[str, Any]) -> None:
    validate(document(Settings(**settings)))


def test_every_route_is_described() -> None:
    from bento.service import Shopcam

    described = document(Settings())["paths"]

    pipeline = SearchPipeline(Settings())
    try:
        routes = {route.path for route in (*Pages(pipeline).routes, *Admin(pipeline.live, None).routes)}
        answered = set(Searches(pipeline).handlers)
    finally:
        asyncio.run(pipeline.close())
    assert {api.route for api in Shopcam.apis.values()} == answered  # what BentoML describes, the door answers
    routes |= answered
    assert {re.sub(r":\w+}", "}", route) for route in routes} - set(described) == NOT_OF_THE_CONTRACT


def test_keys_tokens_and_limits_stand_in_it_where_they_are_asked_for() -> None:
    open_, closed = (
        document(Settings(**given))["paths"]
        for given in ({}, {"api_keys": Path("keys.jsonl"), "metrics_token": SecretStr(ADMIN_TOKEN)})
    )
    assert open_["/search"]["post"]["security"] == open_["/metrics"]["get"]["security"] == []
    assert closed["/search"]["post"]["security"] == [{"ApiKey": []}, {"BearerKey": []}]
    assert closed["/metrics"]["get"]["security"] == [{"MetricsToken": []}]
    for paths in (open_, closed):
        assert paths["/admin/swap"]["post"]["security"] == [{"AdminToken": []}]
        assert paths["/readyz"]["get"]["security"] == []
    assert "401" not in open_["/gallery"]["get"]["responses"]
    assert {"401", "403", "429"} <= set(closed["/gallery"]["get"]["responses"])


def test_the_document_that_runs_is_the_one_of_its_settings(client: httpx.Client) -> None:
    described = client.get("/docs.json").json()
    assert described == document(Settings())
    fields = described["paths"]["/search"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert [way["required"] for way in fields["oneOf"]] == [["image"], ["url"], ["product_id"], ["query_id"]]


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ('{"product_id": "p00", "weight": true}', "weight must be a number"),
        ('{"product_id": "p00", "weight": "2"}', "weight must be a number"),
        ('{"product_id": "p00", "top_k": "5"}', "top_k must be a number"),
        ('{"product_id": "p00", "weight": NaN}', "not valid JSON"),
        ('{"product_id": "p00", "filters": {"price": {"lte": Infinity}}}', "not valid JSON"),
        ('{"product_id": "p00", "filters": {"price": {"\\ud800": 1}}}', "has the bound"),
        ('{"product_id": "p00", "filters": {"price": {"\\n\\u2028": 1}}}', "has the bound"),
    ],
)
def test_json_means_what_it_says(client: httpx.Client, content: str, word: str) -> None:
    answer = client.post("/search", content=content, headers={"content-type": "application/json"})
    assert word in refused(answer, 400, "malformed")


def test_half_a_surrogate_pair_is_quoted_as_what_can_be_sent(client: httpx.Client) -> None:
    answer = client.post(
        "/search",
        content='{"product_id": "p00", "filters": {"price": {"\\ud800\\n": 1}}}',
        headers={"content-type": "application/json"},
    )
    assert '"\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"' in refused(answer, 400, "malformed")


@pytest.mark.parametrize("number", ["9" * 5000, "-1", "01", "1.0", "a", "٣"])
def test_a_sample_that_is_none_is_404(client: httpx.Client, number: str) -> None:
    assert len(refused(client.get(f"/samples/{number}"), 404, "not_found")) < 200


def test_a_text_in_quotes_is_read_as_bentoml_sends_it(client: httpx.Client) -> None:
    plain, quoted = (
        client.post("/search", data={"product_id": one, "top_k": "3"}).json()["hits"] for one in ("p00", '"p00"')
    )
    assert quoted == plain
    assert "no product '\"'" in refused(client.post("/search", data={"product_id": '"'}), 404, "not_found")
