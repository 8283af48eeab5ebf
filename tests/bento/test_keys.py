"""API keys: what the file holds, who is let in, and that a running service notices a change."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp

from bento.__main__ import main
from bento.keys import create_key, read_keys, revoke_key
from catalog.errors import MalformedError, NotFoundError
from tests.bento.asgi import ask, get, service
from tests.bento.conftest import refused, wait_until

DATA = (
    "/gallery",
    "/categories",
    "/products/p01",
    "/products/p01/image",
    "/nowhere",
    "/metrics/x",
    "/static_content/x",
)
OPEN = ("/", "/livez", "/readyz", "/healthz", "/ping", "/docs.json", "/schema.json", "/static/app.js", "/metrics")


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys.jsonl"


def opened(keys: Path, **limits: Any) -> tuple[ASGIApp, str]:
    """A service and a key to it."""
    _, key = create_key(keys, **limits)
    return service(api_keys=keys), key


def test_who_brings_a_key_is_let_in(keys: Path) -> None:
    app, key = opened(keys)
    for headers in ({"Authorization": f"Bearer {key}"}, {"authorization": f"bEARER  {key} "}, {"X-API-Key": key}):
        assert ask(app, "GET", "/gallery", headers=headers).json() == {"data": True}
    assert ask(app, "POST", "/search", json={"product_id": "p01"}, headers={"X-API-Key": key}).status_code == 200


@pytest.mark.parametrize("path", DATA)
def test_without_a_key_there_is_no_data(keys: Path, path: str) -> None:
    answer = get(opened(keys)[0], path)
    assert "X-API-Key" in refused(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "path", ["//gallery", "/gallery/", "/static/../gallery", "/livez/../gallery", "/GALLERY", "/."]
)
def test_no_spelling_of_a_path_avoids_the_key(keys: Path, path: str) -> None:
    app, _ = opened(keys)
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    # Given as it is: a client library would tidy it up.
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b""}
    asyncio.run(app({**scope, "headers": [], "client": ("203.0.113.9", 1), "http_version": "1.1"}, receive, send))
    assert sent[0]["status"] in (401, 404)
    assert b'"data"' not in b"".join(message.get("body", b"") for message in sent)


@pytest.mark.parametrize("path", OPEN)
def test_the_page_and_the_probes_are_open(keys: Path, path: str) -> None:
    assert get(opened(keys)[0], path).json() == {"data": True}


def test_another_key_is_no_key(keys: Path, tmp_path: Path) -> None:
    app, key = opened(keys)
    _, foreign = create_key(tmp_path / "others")
    known_id = key[: len("shopcam_") + 12]
    last = "A" if key[-1] != "A" else "B"
    for given in (foreign, known_id + foreign[len(known_id) :], key[:-1] + last, key[:-1], key + "A", key.upper(), "x"):
        refused(get(app, "/gallery", X_API_Key=given), 401, "unauthorized")
    for scheme in ("Basic", "Bearer:", ""):
        refused(get(app, "/gallery", Authorization=f"{scheme} {key}".strip()), 401, "unauthorized")
    answer = ask(app, "GET", "/gallery", headers={"X-API-Key": b"\xff" * 64})
    refused(answer, 401, "unauthorized")


def test_a_key_for_some_routes(keys: Path) -> None:
    app, key = opened(keys, routes=("products", "gallery"))
    assert get(app, "/gallery", X_API_Key=key).status_code == 200
    assert get(app, "/products/p01/image", X_API_Key=key).status_code == 200
    sentence = refused(ask(app, "POST", "/search", json={}, headers={"X-API-Key": key}), 403, "forbidden")
    assert "products, gallery" in sentence
    refused(get(app, "/nowhere", X_API_Key=key), 403, "forbidden")


def test_an_expired_key(keys: Path) -> None:
    app, key = opened(keys, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert "expired" in refused(get(app, "/gallery", X_API_Key=key), 403, "key_disabled")
    _, valid = create_key(keys, expires_at=datetime.now(UTC) + timedelta(days=1))
    wait_until(lambda: get(app, "/gallery", X_API_Key=valid).status_code == 200)


def test_a_running_service_follows_the_file(keys: Path, caplog: pytest.LogCaptureFixture) -> None:
    app, first = opened(keys)
    assert get(app, "/gallery", X_API_Key=first).status_code == 200
    _, second = create_key(keys)
    wait_until(lambda: get(app, "/gallery", X_API_Key=second).status_code == 200)
    revoke_key(keys, first.split("_")[1])
    wait_until(lambda: get(app, "/gallery", X_API_Key=first).status_code == 403)
    assert "revoked" in refused(get(app, "/gallery", X_API_Key=first), 403, "key_disabled")
    # A file that is broken or gone changes nothing, and the log says why.
    keys.write_text("no key\n")
    wait_until(lambda: get(app, "/gallery", X_API_Key=second).status_code == 200 and "line 1" in caplog.text)
    keys.unlink()
    wait_until(lambda: get(app, "/gallery", X_API_Key=second).status_code == 200 and "cannot be read" in caplog.text)
    refused(get(app, "/gallery"), 401, "unauthorized")


def test_the_file_does_not_give_a_key_away(keys: Path) -> None:
    record, key = create_key(keys, name="Shop A")
    assert re.fullmatch(r"shopcam_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", key)
    assert keys.stat().st_mode & 0o777 == 0o600
    content = keys.read_text()
    assert key not in content
    assert key.split("_", 2)[2] not in content
    (line,) = content.splitlines()
    assert json.loads(line)["sha256"] == hashlib.sha256(key.encode()).hexdigest()
    assert record.sha256 not in repr(record)
    assert [path.name for path in keys.parent.iterdir() if path.suffix == ".tmp"] == []


def test_commands_at_once_lose_no_key(keys: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = [one.result()[0].id for one in [threads.submit(create_key, keys, name=str(n)) for n in range(24)]]
    assert sorted(read_keys(keys)) == sorted(made)
    assert len(set(made)) == 24


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("hello", "JSON"),
        ("[]", "object"),
        ('{"id": "0123456789ab"}', "sha256"),
        ('{"id": "../../../../x", "sha256": "%s", "created_at": "2026-01-01T00:00:00Z"}' % ("0" * 64), "id"),
        ('{"id": "0123456789ab", "sha256": "secret", "created_at": "2026-01-01T00:00:00Z"}', "sha256"),
        ('{"id": "0123456789ab", "sha256": "%s", "created_at": "2026-01-01T00:00:00"}' % ("0" * 64), "created_at"),
        (
            '{"id": "0123456789ab", "sha256": "%s", "created_at": "2026-01-01T00:00:00Z", "rate": 1}' % ("0" * 64),
            "rate",
        ),
        (
            '{"id": "0123456789ab", "sha256": "%s", "created_at": "2026-01-01T00:00:00Z", "routes": ["admin"]}'
            % ("0" * 64),
            "admin",
        ),
        (
            '{"id": "0123456789ab", "sha256": "%s", "created_at": "2026-01-01T00:00:00Z", "rate_per_s": 0}'
            % ("0" * 64),
            "rate_per_s",
        ),
    ],
)
def test_a_broken_line_is_named(keys: Path, line: str, word: str) -> None:
    create_key(keys)
    with keys.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(MalformedError) as caught:
        read_keys(keys)
    assert "line 2" in str(caught.value)
    assert word in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_that_others_may_write_or_that_is_not_there(keys: Path) -> None:
    with pytest.raises(NotFoundError, match="cannot be read"):
        service(api_keys=keys)
    create_key(keys)
    keys.chmod(0o660)
    with pytest.raises(MalformedError, match="chmod go-w"):
        read_keys(keys)


def test_keys_from_the_terminal(keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(
        ["keys", "create", "--file", str(keys), "--name", "Shop A", "--routes", "search,products", "--rate-per-s", "5"]
    )
    printed = capsys.readouterr()
    key = printed.out.strip()
    assert printed.out == key + "\n"
    assert key not in printed.err
    (record,) = read_keys(keys).values()
    assert (record.name, record.routes, record.rate_per_s) == ("Shop A", ("search", "products"), 5.0)
    assert record.fits(key)
    main(["keys", "list", "--file", str(keys)])
    listed = capsys.readouterr()
    assert record.id in listed.err
    assert key not in listed.out + listed.err
    main(["keys", "revoke", record.id, "--file", str(keys)])
    assert read_keys(keys)[record.id].disabled


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--rate-per-s", "-1"], "rate_per_s"),
        (["--rate-per-s", "nan"], "rate_per_s"),
        (["--rate-per-s", "many"], "expected a number"),
        (["--burst", "0"], "burst"),
        (["--routes", "search,admin"], "admin"),
        (["--expires-in-days", "0"], "expires-in-days"),
        (["--expires-in-days", "inf"], "expires-in-days"),
        (["--name", "x" * 101], "name"),
    ],
)
def test_a_mistake_at_the_terminal_makes_no_file(keys: Path, arguments: list[str], word: str) -> None:
    with pytest.raises(MalformedError, match=word):
        main(["keys", "create", "--file", str(keys), *arguments])
    assert not keys.exists()
