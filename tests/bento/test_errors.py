"""Every refusal of the HTTP contract: its status, its code, and a sentence that says what is wrong."""

from __future__ import annotations

import io
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.bento.conftest import MAX_BYTES, MAX_PIXELS, free_port, grid_picture, jpeg, png, post, refused, search

BOUNDARY = "frontier"


def multipart(body: bytes) -> dict[str, object]:
    return {"content": body, "headers": {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}}


def part(name: str, value: bytes, *, file: bool = False) -> bytes:
    filename = b'; filename="a.jpg"' if file else b""
    return b'--%s\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (
        BOUNDARY.encode(),
        name.encode(),
        filename,
        value,
    )


END = f"--{BOUNDARY}--\r\n".encode()


@pytest.mark.parametrize(
    ("request_", "word"),
    [
        ({"json": {}}, "exactly one"),
        ({"json": {"top_k": 3}}, "exactly one"),
        ({"json": {"product_id": "p00", "query_id": "x"}}, "product_id and query_id"),
        ({"json": {"product_id": "", "query_id": None}}, "none"),
        ({"json": {"product_id": "p00", "top": 3}}, "unknown field top"),
        ({"json": {"product_id": 3}}, "product_id"),
        ({"json": {"product_id": "p00", "weight": "heavy"}}, "weight"),
        ({"json": {"product_id": "p00", "top_k": "2.5"}}, "top_k"),
        ({"json": {"product_id": ["p00"]}}, "product_id"),
        ({"json": {"image": "p00"}}, "uploaded file"),
        ({"json": ["p00"]}, "object"),
        ({"content": b'{"product_id": ', "headers": {"content-type": "application/json"}}, "JSON"),
        ({"content": b"[" * 100_000, "headers": {"content-type": "application/json"}}, "JSON"),
        ({"content": b"\xff\xfe{}", "headers": {"content-type": "application/json"}}, "JSON"),
        ({"content": b"p00"}, "content type"),
        ({"content": b"p00", "headers": {"content-type": "text/plain"}}, "text/plain"),
        ({"content": b"p00", "headers": {"content-type": "application/vnd.bentoml+pickle"}}, "pickle"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, "form"),
        (multipart(b"no boundary here"), ""),
        (multipart(part("product_id", b"p00") + part("product_id", b"p01") + END), "twice"),
        (multipart(part("image", b"a", file=True) + part("image", b"b", file=True) + END), ""),
        (multipart(part("url", b"a", file=True) + END), "only be given as image"),
        (multipart(part("image", b"just text") + END), "uploaded file"),
        (multipart(b"".join(part(f"f{n}", b"") for n in range(40)) + END), ""),
        ({"json": {"url": "file:///etc/passwd"}}, "http"),
        ({"json": {"url": "s3://bucket/key"}}, "http"),
        ({"json": {"url": "catalog.csv"}}, "http"),
        ({"json": {"url": "http:/one-slash"}}, "http"),
        ({"json": {"url": "http://"}}, "host"),
        ({"json": {"url": "http://[::1"}}, "url"),
        ({"json": {"url": "http://example.com:port/"}}, "url"),
        ({"json": {"url": "http://user:secret@127.0.0.1/"}}, "password"),
        ({"json": {"product_id": "p00", "box": "0,0,5,5"}}, "box"),
    ],
)
def test_a_malformed_request_is_400(client: httpx.Client, request_: dict, word: str) -> None:
    assert word in refused(client.post("/search", **request_), 400, "malformed")


@pytest.mark.parametrize("box", ["1,2,3", "a,b,c,d", "1,2,3,nan", "10,10,5,20", "1;2;3;4"])
def test_a_malformed_box_is_400(client: httpx.Client, photos: list[bytes], box: str) -> None:
    assert "box" in refused(post(client, photos[0], box=box), 400, "malformed")


@pytest.mark.parametrize(
    "fields",
    [
        {"weight": 26},
        {"weight": -1},
        {"weight": "nan"},
        {"weight": "inf"},
        {"top_k": 0},
        {"top_k": 201},
        {"label_mode": "x"},
        {"box": "160,160,200,200"},
        {"category": "x" * 201},
    ],
)
def test_a_value_out_of_range_is_422(client: httpx.Client, photos: list[bytes], fields: dict[str, object]) -> None:
    (name,) = fields
    assert refused(post(client, photos[0], **fields), 422, "out_of_range").startswith(name)


@pytest.mark.parametrize(
    "path",
    ["/products/p99", "/products/p99/image", "/products/", "/nowhere", "/static/none.js", "/search/image", "/..%2f"],
)
def test_nothing_there_is_404(client: httpx.Client, path: str) -> None:
    refused(client.get(path), 404, "not_found")


def test_unknown_product_and_query_are_404(client: httpx.Client) -> None:
    assert "p99" in refused(post(client, product_id="p99"), 404, "not_found")
    assert "again" in refused(post(client, query_id="never-given"), 404, "not_found")
    refused(client.post("/nowhere", json={}), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/search", "POST"),
        ("PUT", "/search", "POST"),
        ("POST", "/gallery", "GET"),
        ("POST", "/", "GET"),
        ("DELETE", "/products/p00", "GET"),
        ("POST", "/static/app.js", "GET"),
        ("POST", "/livez", "GET"),
    ],
)
def test_a_wrong_method_is_405(client: httpx.Client, method: str, path: str, allowed: str) -> None:
    answer = client.request(method, path)
    refused(answer, 405, "method_not_allowed")
    assert allowed in answer.headers.get("allow", "GET")


def test_too_many_bytes_are_413(client: httpx.Client, service_url: str) -> None:
    data = png(Image.fromarray(np.random.default_rng(0).integers(0, 256, (900, 900, 3), np.uint8)))
    assert len(data) > MAX_BYTES + 2**16
    assert f"{MAX_BYTES:,}" in refused(post(client, data), 413, "too_large")
    between = data[: MAX_BYTES + 2**15]  # passes the door, which cannot tell a photo from the form around it
    assert f"{MAX_BYTES:,}" in refused(post(client, between), 413, "too_large")

    def chunks() -> Iterator[bytes]:
        yield part("image", data, file=True)[:-2]
        for _ in range(100):
            yield b"\r\n" * 5000
        yield END

    with httpx.Client(base_url=service_url, timeout=30) as fresh:
        answer = fresh.post("/search", **{**multipart(b""), "content": chunks()})
    assert f"{MAX_BYTES:,}" in refused(answer, 413, "too_large")


def test_too_many_pixels_are_413(client: httpx.Client) -> None:
    bomb = png(Image.new("1", (MAX_PIXELS // 1000 + 1, 1000)))
    assert len(bomb) < 10_000
    assert f"{MAX_PIXELS:,}" in refused(post(client, bomb), 413, "too_large")


@pytest.mark.parametrize("what", ["text", "cut off", "empty", "svg", "corrupt"])
def test_what_is_no_photo_is_415(client: httpx.Client, photos: list[bytes], what: str) -> None:
    data = {
        "text": b"dear shop, I am looking for a watch",
        "cut off": photos[0][: len(photos[0]) // 2],
        "empty": b"",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        "corrupt": photos[0][:40] + bytes(200) + photos[0][240:],
    }[what]
    refused(post(client, data), 415, "not_an_image")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/photo.jpg",
        "http://localhost:{port}/photo.jpg",
        "http://[::1]:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://2130706433:{port}/",
        "http://0.0.0.0:{port}/",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.8/",
        "http://100.64.0.1/",
        "HTTP://192.168.1.1/",
        "http://[64:ff9b::7f00:1]/",
        "http://224.0.0.1/",
    ],
)
def test_a_private_address_is_403(client: httpx.Client, url: str) -> None:
    sentence = refused(post(client, url=url.format(port=free_port())), 403, "forbidden")
    assert "not public" in sentence
    assert "secret" not in sentence


def test_an_unknown_host_is_404(client: httpx.Client) -> None:
    assert "nowhere.invalid" in refused(post(client, url="http://nowhere.invalid/a.jpg"), 404, "not_found")


def test_a_refusal_is_followed_by_a_good_answer_on_the_same_connection(
    client: httpx.Client, photos: list[bytes]
) -> None:
    for data in (b"", b"text", photos[0][:500]):
        assert post(client, data).status_code == 415
        assert len(search(client, photos[0], top_k=3)["hits"]) == 3


def test_headers_tell_one_answer_from_another(client: httpx.Client) -> None:
    ids = {post(client, product_id="p99").headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3


def test_an_odd_but_whole_picture_is_searched(client: httpx.Client) -> None:
    image = grid_picture("red", np.random.default_rng(1))
    for odd in (
        image.convert("RGBA"),
        image.convert("L"),
        image.convert("P"),
        image.convert("1"),
        image.resize((1, 1)),
    ):
        assert len(search(client, png(odd))["hits"]) == 10
    assert len(search(client, jpeg(image.convert("CMYK")))["hits"]) == 10
    frames = io.BytesIO()
    image.save(frames, "GIF", save_all=True, append_images=[image.rotate(90)])
    assert len(search(client, frames.getvalue())["hits"]) == 10
