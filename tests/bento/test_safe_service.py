"""The real service with keys, limits, CORS, tokens and an audit log: what a stranger gets, and what a key opens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bentoml
import httpx
import pytest

from bento import client as command
from bento.keys import create_key, revoke_key
from catalog.errors import UnauthorizedError
from export.local_triton import LocalTriton
from index_builder.store import LocalStore
from tests.bento.conftest import Oracle, Serve, post, refused, search, serve, wait_until, wait_until_ready
from tests.bento.test_addresses import site

SHOP = "https://shop.example"
TOKENS = {"admin_token": "correct-horse-battery-staple", "metrics_token": "metrics-for-nobody-else"}
OPEN = ("/", "/livez", "/readyz", "/healthz", "/docs.json", "/schema.json", "/static/app.js")


@dataclass(frozen=True)
class Safe:
    """The running service, its key file, its audit log, and a key without limits."""

    service: Serve
    keys: Path
    log: Path
    key: str

    def line(self, request_id: str) -> dict[str, Any]:
        """The audit log's line of a request; it is written a moment after the answer."""

        def lines() -> list[dict[str, Any]]:
            found = [json.loads(line) for line in self.log.read_text().split("\n")[:-1]]
            return [line for line in found if line["request_id"] == request_id]

        wait_until(lambda: bool(lines()))
        (line,) = lines()
        return line


@pytest.fixture(scope="module")
def safe(store: LocalStore, tiny_triton: LocalTriton, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Safe]:
    folder = tmp_path_factory.mktemp("safe")
    _, key = create_key(folder / "keys", name="a shop")
    settings = {
        **TOKENS,
        "api_keys": folder / "keys",
        "audit_log": folder / "audit.jsonl",
        "cors_origins": SHOP,
        "url_networks": "127.0.0.2/32",
    }
    with serve(folder, store=store.path, triton_url=tiny_triton.grpc_url, **settings) as service:
        wait_until_ready(service)
        yield Safe(service, folder / "keys", folder / "audit.jsonl", key)


@pytest.fixture
def stranger(safe: Safe) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=safe.service.url, timeout=60) as client:
        yield client


@pytest.fixture
def partner(safe: Safe) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=safe.service.url, timeout=60, headers={"X-API-Key": safe.key}) as client:
        yield client


def test_a_stranger_sees_the_page_and_no_data(stranger: httpx.Client, photos: list[bytes]) -> None:
    assert {path: stranger.get(path).status_code for path in OPEN} == dict.fromkeys(OPEN, 200)
    for path in (
        "/gallery",
        "/categories",
        "/products/p00",
        "/products/p00/image",
        "/static_content/index.css",
        "/metrics",
    ):
        refused(stranger.get(path), 401, "unauthorized")
    refused(post(stranger, photos[0]), 401, "unauthorized")
    refused(post(stranger, product_id="p00"), 401, "unauthorized")


def test_a_key_for_searching_is_enough_for_bentomls_client(safe: Safe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTOML_DO_NOT_TRACK", "True")
    _, key = create_key(safe.keys, name="BentoML's client", routes=("search",))

    def known() -> bool:  # the running service follows the file
        return httpx.get(f"{safe.service.url}/gallery", headers={"X-API-Key": key}).status_code == 403

    wait_until(known)
    with bentoml.SyncHTTPClient(safe.service.url, token=key) as client:
        assert len(client.search(product_id="p00", top_k=2)["hits"]) == 2
        with pytest.raises(bentoml.exceptions.BentoMLException, match="no product 'p99'"):
            client.search(product_id="p99")
    with (
        bentoml.SyncHTTPClient(safe.service.url) as stranger,
        pytest.raises(bentoml.exceptions.BentoMLException, match="unauthorized"),
    ):
        stranger.search(product_id="p00")


def test_a_key_opens_everything_but_admin_and_metrics(
    partner: httpx.Client, stranger: httpx.Client, oracle: Oracle, photos: list[bytes]
) -> None:
    hits = search(partner, photos[0], top_k=3, label_mode="none", weight=0)["hits"]
    exact = oracle.rank(oracle.outputs(photos[0]).embedding[0], None, weight=0)
    assert [hit["product_id"] for hit in hits] == [product_id for product_id, *_ in exact[:3]]
    picture = partner.get(hits[0]["image_url"])
    assert picture.headers["content-type"] == "image/jpeg"
    assert picture.headers["cache-control"].startswith("private")
    refused(partner.get("/metrics"), 401, "unauthorized")
    refused(partner.post("/admin/swap", json={"version": "v1"}), 401, "unauthorized")
    bearer = {"Authorization": f"Bearer {TOKENS['metrics_token']}"}
    assert "shopcam_answers_total" in stranger.get("/metrics", headers=bearer).text


def test_all_answers_carry_the_headers(stranger: httpx.Client, partner: httpx.Client, photos: list[bytes]) -> None:
    answers = [stranger.get("/"), stranger.get("/docs.json"), stranger.get("/nowhere"), partner.get("/nowhere")]
    answers += [
        post(partner, photos[0]),
        post(partner, b"no photo"),
        partner.put("/search"),
        stranger.get("/static/app.js"),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 401, 404, 200, 415, 405, 200]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "x-powered-by" not in answer.headers
    assert len({answer.headers["x-request-id"] for answer in answers}) == len(answers)
    assert "script-src 'self'" in answers[0].headers["content-security-policy"]


def test_other_origins(stranger: httpx.Client, partner: httpx.Client) -> None:
    asked = {"Origin": SHOP, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
    allowed = stranger.options("/search", headers=asked)
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, SHOP)
    assert partner.get("/gallery", headers={"Origin": SHOP}).headers["access-control-allow-origin"] == SHOP
    for headers, path in (({**asked, "Origin": "https://attacker.example"}, "/search"), (asked, "/admin/swap")):
        assert "access-control-allow-origin" not in stranger.options(path, headers=headers).headers


def test_a_key_with_limits_and_its_end(safe: Safe, stranger: httpx.Client) -> None:
    record, key = create_key(safe.keys, rate_per_s=0.01, burst=2, routes=("search",))
    mine = {"X-API-Key": key}
    wait_until(lambda: stranger.get("/gallery", headers=mine).status_code == 403)
    statuses = [stranger.post("/search", json={"product_id": "p00"}, headers=mine) for _ in range(3)]
    assert [answer.status_code for answer in statuses] == [200, 200, 429]
    assert 50 < int(statuses[2].headers["retry-after"]) <= 100
    assert statuses[1].headers["ratelimit"].startswith('"rate";r=0;')
    revoke_key(safe.keys, record.id)
    wait_until(lambda: stranger.post("/search", json={}, headers=mine).json()["error"]["code"] == "key_disabled")


def test_the_address_of_a_client_is_its_own(safe: Safe, stranger: httpx.Client) -> None:
    """The server would believe X-Forwarded-For of this machine; the service believes no proxy unless told to."""
    given = {"X-Forwarded-For": "198.51.100.7", "X-Request-ID": "forged-address"}
    refused(stranger.get("/gallery", headers=given), 401, "unauthorized")
    assert safe.line("forged-address")["client"] == "127.0.0.1"


def test_urls_lead_outside_only(partner: httpx.Client, photos: list[bytes]) -> None:
    with site("127.0.0.1", photos[0]) as inside:
        with site("127.0.0.2", photos[0], location=f"http://127.0.0.1:{inside.port}/photo") as outside:
            assert len(search(partner, url=f"http://127.0.0.2:{outside.port}/photo", top_k=3)["hits"]) == 3
            url = f"http://127.0.0.2:{outside.port}/moved"
            assert "not public" in refused(post(partner, url=url), 403, "forbidden")
        refused(post(partner, url=f"http://localhost:{inside.port}/photo"), 403, "forbidden")
        refused(post(partner, url=f"http://me:secret@127.0.0.2:{inside.port}/photo"), 400, "malformed")
        assert inside.asked == []


def test_the_command_line_brings_its_key(
    safe: Safe, photos: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(photos[0])
    with pytest.raises(UnauthorizedError, match="API key"):
        command.search(safe.service.url, photo, {})
    monkeypatch.setenv("SHOPCAM_API_KEY", safe.key)
    assert command.search(safe.service.url, photo, {"top_k": 3})["hits"]


def test_the_audit_log_tells_who_and_not_what(safe: Safe, partner: httpx.Client, photos: list[bytes]) -> None:
    partner.headers["X-Request-ID"] = "search"
    search(partner, photos[0], category="a love letter")
    bearer = {"Authorization": f"Bearer {TOKENS['admin_token']}", "X-Request-ID": "admin"}
    refused(partner.post("/admin/swap", json={"version": "v1"}, headers={"X-Request-ID": "no"}), 401, "unauthorized")
    refused(partner.post("/admin/swap", json={"version": "absent\n{}"}, headers=bearer), 422, "out_of_range")
    searched, stranger, admin = safe.line("search"), safe.line("no"), safe.line("admin")
    assert (searched["route"], searched["status"], searched["key_id"]) == ("/search", 200, safe.key.split("_")[1])
    assert searched["bytes_in"] > len(photos[0])
    assert (stranger["status"], stranger["who"]) == (401, None)
    assert (admin["status"], admin["who"], admin["version"]) == (422, "admin", "absent\n{}")
    logged = safe.log.read_text() + (safe.log.parent / "service.log").read_text()
    for secret in ("love", safe.key, *TOKENS.values()):
        assert secret not in logged
