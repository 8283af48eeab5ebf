"""GET routes: the page, products and their pictures, the gallery, the probes, and metrics that count what was asked."""

from __future__ import annotations

import io
import re
from pathlib import Path
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from PIL import Image

from index_builder.store import LocalStore
from tests.bento.conftest import DEFAULT_WEIGHT, KINDS, NO_TEXT, PRODUCTS, Shop, post, refused, search
from tests.tiny_repository import LABELS

SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? ([-+.\deEinf]+)$", re.MULTILINE)


def metrics(client: httpx.Client) -> dict[tuple[str, ...], float]:
    """(name, "label=value", ...) -> value of everything /metrics says."""
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (name, *sorted(re.sub('"', "", label) for label in labels.split(",") if label)): float(value)
        for name, labels, value in SAMPLE.findall(answer.text)
    }


def test_the_page_is_html_under_a_strict_policy(client: httpx.Client) -> None:
    answer = client.get("/")
    assert answer.headers["content-type"].startswith("text/html")
    assert "<title>shopcam" in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    ("name", "kind"), [("app.js", "javascript"), ("style.css", "text/css"), ("icon.svg", "image/svg+xml")]
)
def test_files_of_the_page_have_their_types(client: httpx.Client, name: str, kind: str) -> None:
    answer = client.get(f"/static/{name}")
    assert answer.status_code == 200
    assert kind in answer.headers["content-type"]


def test_the_engineers_page_may_ask_other_services_and_run_only_its_own_scripts(client: httpx.Client) -> None:
    answer = client.get("/engineers")
    assert "<title>shopcam: engineers" in answer.text
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["connect-src"] == "'self' http: https:"
    assert "connect-src" not in client.get("/").headers["content-security-policy"]  # default-src 'self' stands


def test_parts_of_the_page_are_asked_for_anew(client: httpx.Client) -> None:
    first = client.get("/static/app.js")
    assert first.headers["cache-control"] == "no-cache"
    assert client.get("/static/app.js", headers={"If-None-Match": first.headers["etag"]}).status_code == 304


def test_sample_photos_are_the_files_of_the_pattern(client: httpx.Client, samples: list[Path]) -> None:
    offered = client.get("/samples").json()["photos"]
    assert [client.get(one["url"]).content for one in offered] == [path.read_bytes() for path in samples]
    assert client.get(offered[0]["url"]).headers["content-type"] == "image/jpeg"
    refused(client.get(f"/samples/{len(samples)}"), 404, "not_found")


def test_without_sample_photos_products_stand_in(fused_url: str, shop: Shop) -> None:
    with httpx.Client(base_url=fused_url, timeout=60) as client:
        offered = client.get("/samples").json()["photos"]
        titles = {f"/products/{quote(row['product_id'], safe='')}/image": row["title"] for row in shop.rows}
        assert 1 <= len(offered) <= 8
        assert {one["url"]: one["name"] for one in offered}.items() <= titles.items()
        assert {client.get(one["url"]).headers["content-type"] for one in offered} == {"image/jpeg"}


@pytest.mark.parametrize("path", ["/static/../door.py", "/static/%2e%2e/door.py", "/static/..%2fdoor.py"])
def test_nothing_outside_the_page_is_served(client: httpx.Client, path: str) -> None:
    refused(client.get(path), 404, "not_found")


@pytest.mark.parametrize("number", [0, 3, 4, 5, NO_TEXT])
def test_a_product_and_its_picture(client: httpx.Client, shop: Shop, number: int) -> None:
    row = shop.rows[number]
    path = f"/products/{quote(row['product_id'], safe='')}"
    product = client.get(path).json()
    for name in ("product_id", "title", "category_path", "description", "label", "shelf"):
        assert product[name] == row[name]
    assert product["price"] == number + 0.5
    assert product["image_url"] == f"{path}/image"
    answer = client.get(product["image_url"])
    assert answer.headers["content-type"] == "image/jpeg"
    got = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"), np.float64)
    true = np.asarray(Image.open(io.BytesIO(shop.picture(number))).convert("RGB"), np.float64)
    # JPEG at quality 85 of blocks of one color: a few gray levels off; another product is 60 away.
    assert np.abs(got - true).mean() < 6


def test_categories_are_those_of_the_catalog(client: httpx.Client) -> None:
    counts = {f"Shop > {kind}": len(LABELS) for kind in KINDS}
    counts[f"Shop > {KINDS[NO_TEXT // len(LABELS)]}"] -= 1
    assert client.get("/categories").json() == {"labels": list(LABELS), "category_paths": counts}


def test_the_gallery_is_that_of_the_manifest(client: httpx.Client, store: LocalStore) -> None:
    told = client.get("/gallery").json()
    manifest = (store.gallery("v1") / "manifest.json").read_text()
    assert told["version"] == "v1"
    assert (told["count"], told["products"], told["default_weight"]) == (PRODUCTS, PRODUCTS, DEFAULT_WEIGHT)
    assert (told["image_dim"], told["text_dim"], told["recipe"]) == (16, 14, "Flat")
    assert (told["image_vector"], told["text_vector"]) == ("embedding", "wordvector")
    assert told["labels"] == list(LABELS)
    assert [row["weight"] for row in told["recall"]] == [0, DEFAULT_WEIGHT, 4 * DEFAULT_WEIGHT]
    assert all(space in manifest for space in told["spaces"].values())
    assert told["label"] == {"mode": "hard", "min_confidence": 0, "top": None}
    assert told["text"]["centered"] is False
    assert told["views"] == 1


def test_probes(client: httpx.Client) -> None:
    assert client.get("/livez").json()["status"] == "ok"
    assert client.get("/healthz").json()["status"] == "ok"
    assert client.get("/readyz").json() == {"status": "ready", "gallery_version": "v1"}


def test_head_is_answered_without_a_body(client: httpx.Client) -> None:
    answer = client.head("/livez")
    assert (answer.status_code, answer.content) == (200, b"")


def test_the_api_describes_itself(client: httpx.Client) -> None:
    described = client.get("/docs.json").json()
    assert described["openapi"].startswith("3.")
    fields = ("image", "url", "product_id", "query_id", "category", "box", "weight", "label_mode", "top_k")
    text = str(described["paths"]["/search"]) + str(described["components"])
    assert [name for name in fields if f"'{name}'" not in text] == []


def test_metrics_count_what_was_asked(client: httpx.Client, photos: list[bytes]) -> None:
    before = metrics(client)
    for number in range(3):
        search(client, photos[0] + f"the same picture, {number} bytes".encode())
    query_id = search(client, product_id="p00")["query_id"]
    search(client, query_id=query_id)
    refused(post(client, b"text"), 415, "not_an_image")
    refused(post(client, product_id="p99"), 404, "not_found")
    refused(post(client, product_id="p00", weight=26), 422, "out_of_range")
    refused(client.get("/products/p98"), 404, "not_found")
    after = metrics(client)

    def grown(*name: str) -> float:
        return after.get(name, 0) - before.get(name, 0)

    answers = "shopcam_answers_total"
    assert grown(answers, "code=ok", "route=/search") == 5
    assert grown(answers, "code=not_an_image", "route=/search") == 1
    assert grown(answers, "code=not_found", "route=/search") == 1
    assert grown(answers, "code=out_of_range", "route=/search") == 1
    assert grown(answers, "code=not_found", "route=/products") == 1
    stages = "shopcam_stage_seconds"
    assert grown(f"{stages}_count", "stage=models") == 3
    assert grown(f"{stages}_count", "stage=decode") == 4  # the text file was looked at too
    assert grown(f"{stages}_count", "stage=search") == 5
    assert grown(f"{stages}_count", "stage=total") == 5
    assert grown(f"{stages}_bucket", "le=+Inf", "stage=total") == 5
    assert grown(f"{stages}_sum", "stage=total") >= grown(f"{stages}_sum", "stage=models") > 0


def test_stages_are_timed_from_a_millisecond(client: httpx.Client) -> None:
    edges = [
        float(part.removeprefix("le="))
        for name, *labels in metrics(client)
        if name == "shopcam_stage_seconds_bucket" and "stage=search" in labels
        for part in labels
        if part.startswith("le=")
    ]
    assert sorted(edges)[:3] == [0.001, 0.002, 0.004]
    assert len([name for name in metrics(client) if name[0] == "shopcam_answers_total"]) < 60


def test_unknown_addresses_make_no_new_series(client: httpx.Client) -> None:
    client.get("/one-1")
    known = len(metrics(client))
    for number in range(5):
        client.get(f"/one-{number}/two")
        client.get(f"/products/none-{number}")
    assert len(metrics(client)) <= known + 2
