"""POST /invocations answers as the route of the same name does; GET /ping answers in time."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from bento.keys import create_key
from bento.ping import Ping
from catalog.errors import NotReadyError
from tests.bento.asgi import ask, service
from tests.bento.conftest import MAX_BYTES, Shop, refused, search

ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
OPTIONS = {"top_k": 5, "weight": 0.5, "box": "10,20,150,140", "category": "mug"}
JPEG = {"Content-Type": "image/jpeg"}


def invoke(client: httpx.Client, **envelope: Any) -> dict[str, Any]:
    answer = client.post("/invocations", json=envelope)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def same_search(body: dict[str, Any], expected: dict[str, Any]) -> bool:
    """Whether two answers differ in nothing but their query ids and times."""
    own = {"query_id", "timings_ms"}
    return {name: body[name] for name in body.keys() - own} == {name: expected[name] for name in expected.keys() - own}


@pytest.mark.parametrize(
    "encode", [base64.b64encode, base64.encodebytes, lambda data: b"data:image/jpeg;base64," + base64.b64encode(data)]
)
def test_an_envelope_searches(client: httpx.Client, photos: list[bytes], encode: Any) -> None:
    image = encode(photos[2]).decode()
    body = invoke(client, operation="search", image=image, **OPTIONS)
    assert same_search(body, search(client, photos[2], **OPTIONS))
    assert len(body["hits"]) == 5
    again = invoke(client, query_id=body["query_id"], top_k=3)  # `search` when nothing is said
    assert [hit["product_id"] for hit in again["hits"]] == [
        hit["product_id"] for hit in search(client, photos[2], box=OPTIONS["box"], top_k=3)["hits"]
    ]


@pytest.mark.parametrize("kind", ["image/jpeg", "application/x-image", "application/octet-stream"])
def test_a_bare_photo_searches(client: httpx.Client, photos: list[bytes], kind: str) -> None:
    expected = search(client, photos[3], **OPTIONS)
    query = str(httpx.QueryParams(OPTIONS))
    for address, headers in ((f"/invocations?{query}", {}), ("/invocations", {ATTRIBUTES: query})):
        answer = client.post(address, content=photos[3], headers={"Content-Type": kind, **headers})
        assert answer.status_code == 200, answer.text
        assert same_search(answer.json(), expected)


def test_every_operation_answers_as_its_route(client: httpx.Client, shop: Shop) -> None:
    words = {"query": "shiny mug", "top_k": 4, "filters": {"price": {"lte": 20}}}
    found, expected = invoke(client, operation="search_text", **words), client.post("/search/text", json=words).json()
    assert found["hits"] == expected["hits"]
    assert len(found["hits"]) == 4
    assert invoke(client, operation="categories") == client.get("/categories").json()
    assert invoke(client, operation="gallery") == client.get("/gallery").json()
    product_id = shop.ids[7]
    assert invoke(client, operation="product", product_id=product_id) == client.get(f"/products/{product_id}").json()
    picture = client.post("/invocations", json={"operation": "picture", "product_id": product_id})
    assert picture.headers["content-type"] == "image/jpeg"
    assert picture.content == client.get(f"/products/{product_id}/image").content


@pytest.mark.parametrize(
    ("content", "headers", "expected"),
    [
        (b"hello", {"Content-Type": "text/plain"}, (400, "malformed", "expected application/json or image/jpeg")),
        (b"hello", {}, (400, "malformed", "got no content type")),
        (b"{", {}, (400, "malformed", "not valid JSON")),
        (b"[" * 100_000, {}, (400, "malformed", "not valid JSON")),
        (b"[]", {}, (400, "malformed", "must be a JSON object, got list")),
        ({"operation": "drop"}, {}, (400, "malformed", "unknown operation 'drop'; known are search, search_text")),
        ({"operation": ["search"]}, {}, (400, "malformed", "unknown operation")),
        ({"image": "no base64!"}, {}, (400, "malformed", "image must be the photo's bytes as base64")),
        ({"image": 7}, {}, (400, "malformed", "image must be the photo's bytes as base64")),
        ({"image": "aGVsbG8="}, {}, (415, "not_an_image", "")),
        ({}, {}, (400, "malformed", "give exactly one of image, url, product_id, query_id; got none")),
        ({"product_id": "p07", "top_k": 201}, {}, (422, "out_of_range", "top_k")),
        ({"product_id": "p07", "topk": 2}, {}, (400, "malformed", "unknown field topk")),
        ({"product_id": "p07"}, {ATTRIBUTES: "product_id=p08"}, (400, "malformed", "product_id was given twice")),
        ({"product_id": "p07"}, {"Content-Encoding": "gzip"}, (400, "malformed", "without Content-Encoding")),
        (
            {"operation": "gallery", "top_k": 1},
            {},
            (400, "malformed", "operation gallery takes no fields, got 'top_k'"),
        ),
        ({"operation": "product"}, {}, (400, "malformed", "product_id is missing")),
        ({"operation": "product", "product_id": "none"}, {}, (404, "not_found", "none")),
        (b"hello", JPEG, (415, "not_an_image", "")),
        (b"hello", {**JPEG, ATTRIBUTES: "&".join(["a=1"] * 99)}, (400, "malformed", "beside the body cannot be read")),
        ({"filters": ["[" * 1_100_000]}, {}, (413, "too_large", "beside the image")),
        ({"image": "A" * (MAX_BYTES + 100_000)}, {}, (413, "too_large", "larger than 2,000,000 bytes")),
    ],
)
def test_a_mistake_gets_a_sentence(
    client: httpx.Client, content: Any, headers: dict[str, str], expected: tuple[int, str, str]
) -> None:
    status, code, words = expected
    if isinstance(content, dict):
        content, headers = json.dumps(content).encode(), {"Content-Type": "application/json", **headers}
    elif not headers and content != b"hello":
        headers = {"Content-Type": "application/json"}
    assert words in refused(client.post("/invocations", content=content, headers=headers), status, code)


def test_keys_hold_unless_the_platform_asks_who_calls(tmp_path: Path) -> None:
    _, key = create_key(tmp_path / "keys.jsonl")
    _, narrow = create_key(tmp_path / "keys.jsonl", routes=["gallery"])
    let_in = 404  # the small application behind the door has no such route
    closed = service(api_keys=tmp_path / "keys.jsonl")
    refused(ask(closed, "POST", "/invocations"), 401, "unauthorized")
    refused(ask(closed, "POST", "/invocations", headers={"X-API-Key": narrow}), 403, "forbidden")
    assert ask(closed, "POST", "/invocations", headers={"X-API-Key": key}).status_code == let_in
    opened = service(api_keys=tmp_path / "keys.jsonl", invocations_open=True, rate_per_s=1, rate_burst=1)
    for _ in range(3):  # one client for all callers: its limits would be everybody's
        assert ask(opened, "POST", "/invocations").status_code == let_in
    for method, path in (("POST", "/search"), ("GET", "/gallery"), ("POST", "/invocations/x/../../search")):
        refused(ask(opened, method, path), 401, "unauthorized")


def test_ping_is_ready_as_the_service_is(client: httpx.Client) -> None:
    assert client.get("/ping").json() == client.get("/readyz").json() == {"status": "ready", "gallery_version": "v1"}


def test_ping_answers_in_time_whatever_the_canary_does() -> None:
    async def ask_often() -> None:
        answers: asyncio.Queue[str | Exception] = asyncio.Queue()
        asked = 0

        async def check() -> str:
            nonlocal asked
            asked += 1
            answer = await answers.get()
            if isinstance(answer, Exception):
                raise answer
            return answer

        now_s = 0.0
        ping = Ping(check, answer_s=0.02, trust_s=20, clock=lambda: now_s)
        for _ in range(2):
            with pytest.raises(NotReadyError, match="not been answered yet"):
                await ping()
        assert asked == 1  # one at a time, and it goes on
        answers.put_nowait("v1")
        assert await ping() == "v1"
        now_s = 20.0
        assert await ping() == "v1"  # late, and trusted for a while
        now_s = 20.1
        with pytest.raises(NotReadyError, match="not been answered yet"):
            await ping()
        assert asked == 2
        answers.put_nowait(NotReadyError("Triton is gone"))
        with pytest.raises(NotReadyError, match="Triton is gone"):
            await ping()
        with pytest.raises(NotReadyError, match="not been answered yet"):
            await ping()  # what worked before a failure speaks for nothing

    asyncio.run(ask_often())
