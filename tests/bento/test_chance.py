"""Whatever a client sends, the service answers in the contract's form and never with a failure of its own."""

from __future__ import annotations

import json
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bento.schemas import ErrorResponse, SearchResponse

FIELDS = ("url", "product_id", "query_id", "category", "box", "weight", "label_mode", "top_k", "image", "other", "")
FEW = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    derandomize=True,
    database=None,
)

numbers = st.floats() | st.integers() | st.sampled_from(["1e309", "-0", "0x10", "٣", "1_0", " 5 ", "True"])
texts = st.text(max_size=300) | st.sampled_from(["p00", "Shop > ring", "> > >", "red", "\x00", "\ud800", "0,0,9,9"])
values = st.one_of(numbers, texts, st.none(), st.booleans(), st.lists(st.integers(), max_size=3))


def assert_no_failure(answer: httpx.Response) -> None:
    assert answer.status_code < 500, answer.text
    if answer.status_code == 200:
        SearchResponse.model_validate_json(answer.content)
    else:
        assert ErrorResponse.model_validate_json(answer.content).error.message


@FEW
@given(fields=st.dictionaries(st.sampled_from(FIELDS), values, max_size=5))
def test_any_json(client: httpx.Client, fields: dict[str, object]) -> None:
    content = json.dumps({"product_id": "p00"} | fields).encode()
    assert_no_failure(client.post("/search", content=content, headers={"content-type": "application/json"}))


@FEW
@given(
    fields=st.dictionaries(st.sampled_from(FIELDS[3:8]), (numbers | texts).map(str), max_size=4),
    photo=st.integers(0, 7),
    query=st.booleans(),
)
def test_any_form(client: httpx.Client, photos: list[bytes], fields: dict[str, str], photo: int, query: bool) -> None:
    form = {name: (None, value.encode("utf-8", "surrogatepass")) for name, value in fields.items()}
    source = {"query_id": (None, b"none")} if query else {"image": ("a", photos[photo])}
    assert_no_failure(client.post("/search", files={**form, **source}))


@FEW
@given(data=st.data())
def test_any_damaged_photo(client: httpx.Client, photos: list[bytes], data: st.DataObject) -> None:
    photo = bytearray(photos[data.draw(st.integers(0, 7))])
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(photo)))
        patch = data.draw(st.binary(max_size=12))
        photo[start : start + data.draw(st.integers(0, 40))] = patch
    assert_no_failure(client.post("/search", files={"image": ("a.jpg", bytes(photo))}))


@FEW
@given(
    body=st.binary(max_size=400),
    kind=st.sampled_from(
        [
            "multipart/form-data; boundary=x",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=\xff",
            "application/json",
            "application/x-www-form-urlencoded",
            "application/json; charset=none",
            "image/jpeg",
            "",
        ]
    ),
)
def test_any_body(client: httpx.Client, body: bytes, kind: str) -> None:
    headers = {"content-type": kind.encode("latin-1")}
    assert_no_failure(client.post("/search", content=body, headers=headers))


@FEW
@given(path=st.text(st.characters(codec="utf-8"), max_size=40), method=st.sampled_from(["GET", "POST", "PUT", "HEAD"]))
def test_any_address(client: httpx.Client, path: str, method: str) -> None:
    for prefix in ("/", "/products/", "/static/"):
        answer = client.request(method, prefix + quote(path, safe="/%"))
        assert answer.status_code < 500, answer.text


@pytest.mark.parametrize(
    "path", ["/products/%", "/products/%ff%fe", "/products/a%00b", "/static/%00", "/" + "a" * 5000]
)
def test_odd_addresses(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code in (404, 400)
