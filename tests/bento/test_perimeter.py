"""What every answer carries, what pages of other origins may do, whose address counts, and what the audit log says."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp

from bento import audit
from bento.keys import create_key
from bento.settings import from_environment, to_environment
from bento.visits import client_address
from catalog.errors import MalformedError
from tests.bento.asgi import ADMIN_TOKEN, CLIENT, MAX_BYTES, ask, get, lines, service
from tests.bento.conftest import refused

SHOP = "https://shop.example"
ATTACKER = "https://attacker.example"
METRICS_TOKEN = "a-metrics-token-of-letters"
FORM_BYTES = 1024 * 1024


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """The audit log of the test."""
    path = tmp_path / "audit.jsonl"
    audit.start(path)
    yield path
    for handler in list(audit.logger.handlers):
        audit.logger.removeHandler(handler)
        handler.close()


# ---- headers ----


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/static/app.js", 200),
        ("GET", "/livez", 200),
        ("GET", "/nowhere", 404),
        ("PUT", "/categories", 405),
        ("POST", "/search", 400),
        ("DELETE", "/gallery", 500),
        ("POST", "/admin/swap", 401),
    ],
)
def test_every_answer_has_them(method: str, path: str, status: int) -> None:
    answer = ask(service(), method, path)
    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-frame-options"] == "DENY"
    assert "camera=(self)" in answer.headers["permissions-policy"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])
    assert "server" not in answer.headers
    assert "photo said" not in answer.text


@pytest.mark.parametrize("given", ["a", "3f0c-11.b_Z", "x" * 64])
def test_a_sane_request_id_is_taken_over(given: str) -> None:
    assert get(service(), "/gallery", X_Request_ID=given).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a\tb", "<script>", "é", "a,b", '"'])
def test_any_other_is_replaced(given: str) -> None:
    answer = ask(service(), "GET", "/gallery", headers={"X-Request-ID": given.encode("latin-1")})
    assert answer.headers["x-request-id"] != given
    assert uuid.UUID(answer.headers["x-request-id"])


def test_no_shared_cache_keeps_what_a_key_opened(tmp_path: Path) -> None:
    _, key = create_key(tmp_path / "keys")
    app, picture = service(api_keys=tmp_path / "keys"), "/products/p01/image"
    assert get(app, picture, X_API_Key=key).headers["cache-control"] == "private, max-age=300"
    answer = get(app, "/gallery", X_API_Key=key)
    assert answer.headers["cache-control"] == "no-store"
    assert {part.strip() for part in answer.headers["vary"].split(",")} >= {"Authorization", "X-API-Key"}
    assert get(app, picture).headers["cache-control"] == "no-store"  # of the refusal
    assert get(service(), picture).headers["cache-control"] == "public, max-age=300"  # open to all anyway


# ---- other origins ----


def preflight(app: ASGIApp, path: str, origin: str, method: str = "POST") -> Any:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "x-api-key, content-type",
    }
    return ask(app, "OPTIONS", path, headers=headers)


def test_no_origin_may_call_unless_it_is_listed() -> None:
    for app in (service(), service(cors_origins=SHOP)):
        assert "access-control-allow-origin" not in preflight(app, "/search", ATTACKER).headers
        assert "access-control-allow-origin" not in get(app, "/gallery", Origin=ATTACKER).headers
    assert "access-control-allow-origin" not in get(service(), "/gallery", Origin=SHOP).headers


def test_a_listed_origin_may(tmp_path: Path) -> None:
    create_key(tmp_path / "keys")
    app = service(cors_origins=f"{SHOP}, https://other.example:8443", api_keys=tmp_path / "keys")
    for origin in (SHOP, "https://other.example:8443"):
        allowed = preflight(app, "/search", origin)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == origin
        assert "access-control-allow-credentials" not in allowed.headers
        answer = get(app, "/gallery", Origin=origin)  # the page has to read the 401 to ask for a key
        assert refused(answer, 401, "unauthorized")
        assert answer.headers["access-control-allow-origin"] == origin
        assert "Retry-After" in answer.headers["access-control-expose-headers"]
        assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize("path", ["/admin/swap", "/admin/rollback", "/metrics"])
def test_admin_routes_and_metrics_are_for_no_origin(path: str) -> None:
    app = service(cors_origins=SHOP)
    asked = preflight(app, path, SHOP)
    assert asked.status_code == 405
    headers = {"Origin": SHOP, "Authorization": f"Bearer {ADMIN_TOKEN}"}
    answers = [asked, ask(app, "POST", path, headers=headers, json={"version": "v2"})]
    assert [name for answer in answers for name in answer.headers if name.startswith("access-control")] == []


@pytest.mark.parametrize("origins", ["*", "shop.example", "https://shop.example/", "https://*.example", "null"])
def test_what_is_no_origin_is_refused(origins: str) -> None:
    with pytest.raises(MalformedError, match="SHOPCAM_CORS_ORIGINS"):
        from_environment({"SHOPCAM_CORS_ORIGINS": origins})


# ---- whose address counts ----

PROXIES = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # not a proxy of ours, whatever it says
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),  # the left one was written by the client
        ("10.0.0.1", ["6.6.6.6", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("10.0.0.1", ["2001:DB8::1"], "2001:db8::1"),
        ("10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["198.51.100.1, nonsense"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["6.6.6.6\n, " + ", ".join(["10.0.0.3"] * 10_000)], "10.0.0.3"),
        ("fd00::7", ["198.51.100.1"], "198.51.100.1"),
        (None, ["198.51.100.1"], "unknown"),
    ],
)
def test_the_client_behind_trusted_proxies(peer: str | None, forwarded: list[str], client: str) -> None:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    scope = {"type": "http", "client": None if peer is None else (peer, 1), "headers": headers}
    assert client_address(scope, PROXIES) == client
    if peer is not None:
        assert client_address(scope, ()) == peer


def test_nobody_gets_a_new_limit_by_a_header() -> None:
    def searches(app: ASGIApp, peer: str) -> list[int]:
        asked = [(number, {"X-Forwarded-For": f"198.51.100.{number}"}) for number in range(3)]
        body = {"product_id": "p01"}
        return [ask(app, "POST", "/search", client=peer, headers=said, json=body).status_code for _, said in asked]

    limits = {"rate_per_s": 0.001, "rate_burst": 1, "trusted_proxies": "10.0.0.0/8"}
    assert searches(service(**limits), CLIENT) == [200, 429, 429]
    assert searches(service(**limits), "10.0.0.1") == [200, 200, 200]  # three clients of our proxy


# ---- the audit log ----


def test_a_search_is_one_line_without_its_content(log: Path, tmp_path: Path) -> None:
    record, key = create_key(tmp_path / "keys", name="Name of the shop")
    app = service(api_keys=tmp_path / "keys")
    form = {"category": (None, "love letters"), "image": ("her name.jpg", b"\xff\xd8secret photo", "image/jpeg")}
    answer = ask(app, "POST", "/search?token=tok", files=form, headers={"Authorization": f"Bearer {key}"})
    assert answer.json()["photo"] == len(b"\xff\xd8secret photo")
    ask(app, "GET", "/products/personal-gift?q=words", headers={"X-API-Key": key, "X-Request-ID": "mine"})
    search, product = (json.loads(line) for line in lines(log))
    assert search.keys() == {
        *("time", "request_id", "key_id", "method", "route", "status", "code", "bytes_in", "bytes_out", "ms")
    }
    assert (search["key_id"], search["method"], search["route"]) == (record.id, "POST", "/search")
    assert (search["status"], search["code"], search["bytes_out"]) == (200, "ok", len(answer.content))
    assert search["bytes_in"] == int(answer.request.headers["content-length"])
    assert search["request_id"] == answer.headers["x-request-id"]
    assert (product["request_id"], product["route"]) == ("mine", "/products")
    content = log.read_text()
    for word in ("love", "secret", "her name", "tok", "words", "personal", "Name of", CLIENT, key, key[-10:]):
        assert word not in content


def test_refusals_and_admin_actions_say_who(log: Path, tmp_path: Path) -> None:
    create_key(tmp_path / "keys")
    app = service(api_keys=tmp_path / "keys")
    get(app, "/gallery", X_API_Key="wrong-key")
    ask(app, "POST", "/admin/swap", json={"version": "v2"}, headers={"Authorization": "Bearer wrong-token"})
    ask(app, "POST", "/admin/swap", json={"version": "v2"}, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
    keyless, stranger, admin = (json.loads(line) for line in lines(log))
    assert (keyless["status"], keyless["code"], keyless["key_id"]) == (401, "unauthorized", None)
    assert keyless["client"] == stranger["client"] == admin["client"] == CLIENT
    assert (stranger["status"], stranger["who"], stranger.get("action")) == (401, None, None)
    assert (admin["status"], admin["who"], admin["action"], admin["version"]) == (200, "admin", "swap", "v2")
    assert "wrong" not in log.read_text()
    assert ADMIN_TOKEN not in log.read_text()


@pytest.mark.parametrize(
    "text", ['v2\n{"who": "admin"}', "v2\r\nx", "\x1b[2Jv2", "\u2028v2", "v2\x00", "\x85", '"', "x" * 9999]
)
def test_nothing_that_a_client_sends_makes_a_line(log: Path, text: str) -> None:
    app = service()
    headers = {
        "Authorization": f"Bearer {ADMIN_TOKEN}",
        "X-Request-ID": text.encode(),
        "X-Forwarded-For": text.encode(),
    }
    assert ask(app, "POST", "/admin/swap", json={"version": text}, headers=headers).status_code == 200
    ask(app, "GET", "/gallery/" + text.encode().hex(), headers=headers)
    ask(app, "GET", "/products/%0A%7B%7D%1B", headers={"X-Request-ID": text.encode()})
    content = log.read_bytes()
    assert re.fullmatch(rb"[\x20-\x7e\n]*", content)
    admin, *others = (json.loads(line) for line in lines(log))
    assert len(others) == 2
    assert admin["version"] == text[:128]
    assert uuid.UUID(admin["request_id"])
    assert all("version" not in line for line in others)


def test_odd_methods_are_not_copied(log: Path) -> None:
    ask(service(), "BREW", "/gallery")
    assert json.loads(lines(log)[0])["method"] == "other"


def test_probes_and_the_page_are_not_logged(log: Path) -> None:
    for path in ("/", "/livez", "/readyz", "/healthz", "/metrics", "/static/app.js"):
        assert get(service(), path).status_code == 200
    assert lines(log) == []
    refused(get(service(metrics_token=METRICS_TOKEN), "/metrics"), 401, "unauthorized")
    assert json.loads(lines(log)[0])["route"] == "/metrics"


def test_the_log_goes_on_when_its_file_was_moved_away(log: Path) -> None:
    get(service(), "/gallery")
    log.rename(log.with_suffix(".1"))
    get(service(), "/categories")
    assert [json.loads(line)["route"] for line in lines(log)] == ["/categories"]


def test_a_bug_is_logged_with_its_traceback_and_answered_without(log: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "shopcam"):
        answer = ask(service(), "DELETE", "/gallery")
    assert "log says more" in refused(answer, 500, "internal")
    assert "ZeroDivisionError" in caplog.text
    assert json.loads(lines(log)[0])["code"] == "internal"


# ---- metrics, uploads, other protocols ----


def test_metrics_may_have_a_token() -> None:
    app = service(metrics_token=METRICS_TOKEN)
    for given in ("", "Bearer", f"Bearer {METRICS_TOKEN}x", f"Bearer {ADMIN_TOKEN}", METRICS_TOKEN):
        refused(get(app, "/metrics", Authorization=given), 401, "unauthorized")
    assert get(app, "/metrics", Authorization=f"Bearer {METRICS_TOKEN}").json() == {"data": True}
    assert get(app, "/gallery").status_code == 200


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, identity", "X" * 100])
def test_a_packed_body_is_refused(encoding: str) -> None:
    answer = ask(service(), "POST", "/search", json={"product_id": "p"}, headers={"Content-Encoding": encoding})
    assert "Content-Encoding" in refused(answer, 400, "malformed")


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
def test_fields_are_small(kind: str) -> None:
    headers = {"Content-Type": kind}
    body = b'{"product_id": "p", "x": "' + b"x" * FORM_BYTES + b'"}'
    answer = ask(service(), "POST", "/search", content=body, headers=headers)
    assert f"{FORM_BYTES:,}" in refused(answer, 413, "too_large")


def test_a_form_of_many_fields_is_refused() -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = ask(service(), "POST", "/search", content=b"a&" * 100_000, headers=headers)
    assert "form" in refused(answer, 400, "malformed")
    answer = ask(service(), "POST", "/search", content=b"product_id=p&top_k=3&product_id=q", headers=headers)
    assert "twice" in refused(answer, 400, "malformed")
    answer = ask(service(), "POST", "/search", content=b"product_id=p%201&top_k=3&category=", headers=headers)
    assert (answer.json()["options"]["product_id"], answer.json()["options"]["top_k"]) == ("p 1", 3)


@pytest.mark.parametrize(
    "part",
    [
        b"".join(b"X-%d: y\r\n" % number for number in range(1000)),
        b"X: " + b"y" * 100_000 + b"\r\n",
    ],
)
def test_headers_of_a_part_are_few_and_short(part: bytes) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="product_id"\r\n' + part + b"\r\np01\r\n--b--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    refused(ask(service(), "POST", "/search", content=body, headers=headers), 400, "malformed")


@pytest.mark.parametrize("length", [str(MAX_BYTES + 2**16 + 1), "9" * 5000])
def test_a_declared_length_is_believed_before_a_byte_is_read(length: str) -> None:
    headers = {"Content-Length": length, "Content-Type": "application/json"}
    refused(ask(service(), "POST", "/search", content=b"{}", headers=headers), 413, "too_large")


def test_a_websocket_is_turned_away() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    asyncio.run(service()({"type": "websocket", "path": "/search", "headers": []}, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


# ---- settings ----


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("TRUSTED_PROXIES", "everybody"),
        ("URL_NETWORKS", "10.0.0.0/33"),
        ("URL_PORTS", "0"),
        ("URL_PORTS", "http"),
        ("URL_PORTS", ""),
        ("RATE_PER_S", "-1"),
        ("RATE_PER_S", "nan"),
        ("METRICS_TOKEN", "short"),
    ],
)
def test_a_setting_that_does_not_fit_is_one_sentence(name: str, value: str) -> None:
    with pytest.raises(MalformedError, match=f"SHOPCAM_{name}") as caught:
        from_environment({f"SHOPCAM_{name}": value})
    assert "\n" not in str(caught.value)
    assert "short" not in str(caught.value)


def test_settings_reach_the_process_of_the_service() -> None:
    given = {
        "SHOPCAM_API_KEYS": "keys.jsonl",
        "SHOPCAM_CORS_ORIGINS": f"{SHOP},{ATTACKER}",
        "SHOPCAM_TRUSTED_PROXIES": "10.0.0.0/8, ::1",
        "SHOPCAM_URL_PORTS": "80,8080",
        "SHOPCAM_METRICS_TOKEN": METRICS_TOKEN,
    }
    settings = from_environment(given)
    assert settings.origins == [SHOP, ATTACKER]
    assert settings.ports == {80, 8080}
    assert [str(network) for network in settings.proxies] == ["10.0.0.0/8", "::1/128"]
    assert from_environment(to_environment(settings)) == settings
    assert from_environment({"SHOPCAM_API_KEYS": "", "SHOPCAM_AUDIT_LOG": ""}).api_keys is None
