"""The best arm over HTTP: a fused network, soft labels, abstention, centered words; every score by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from tritonclient import grpc as triton_grpc

from catalog.pictures import load_input
from export.local_triton import LocalTriton
from tests.bento.conftest import (
    DEFAULT_WEIGHT,
    FusedShop,
    Oracle,
    Shop,
    post,
    refused,
    search,
    serve,
    wait_until,
    wait_until_ready,
)
from tests.tiny_repository import LABELS

TOP_K = 12


@pytest.fixture(scope="module")
def client(fused_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=fused_url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def soft(fused_shop: FusedShop) -> Oracle:
    return fused_shop.oracle("soft")


def assert_ranked(answer: dict[str, Any], expected: list[tuple[str, float, float, float | None]]) -> None:
    """The same products, each score by hand and made of its parts."""
    weight = answer["weight"]
    assert [hit["product_id"] for hit in answer["hits"]] == [row[0] for row in expected[:TOP_K]]
    for hit, (_, score, image_score, text_score) in zip(answer["hits"], expected[:TOP_K], strict=True):
        assert hit["score"] == pytest.approx(score, abs=1e-5)
        assert hit["image_score"] == pytest.approx(image_score, abs=1e-5)
        assert hit["text_score"] == (None if text_score is None else pytest.approx(text_score, abs=1e-5))
        made = (hit["image_score"] + weight * (hit["text_score"] or 0)) / (1 + weight)
        assert hit["score"] == pytest.approx(made, abs=1e-5)


def sides(shop: FusedShop, oracle: Oracle, photos: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    """The photos that are sure and those that are not, by the oracle's probabilities."""
    confidence = [float(oracle.outputs(photo).probabilities.max()) for photo in photos]
    sure = [photo for photo, one in zip(photos, confidence, strict=True) if one >= shop.min_confidence]
    unsure = [photo for photo, one in zip(photos, confidence, strict=True) if one < shop.min_confidence]
    assert len(sure) == len(unsure) == 4
    return sure, unsure


def test_the_gallery_tells_its_settings(client: httpx.Client, fused_shop: FusedShop) -> None:
    told = client.get("/gallery").json()
    assert told["label"] == {"mode": "soft", "min_confidence": fused_shop.min_confidence, "top": None}
    assert told["text"]["centered"] is True
    assert told["spaces"] == {"photo": "tiny-fused-0-32"}
    assert client.get("/readyz").json() == {"status": "ready", "gallery_version": "soft"}


@pytest.mark.parametrize("asked", [(mode, w) for mode in (None, "soft", "hard", "none") for w in (None, 0.0, 7.0)])
def test_a_sure_photo_is_ranked_by_its_labels(
    client: httpx.Client,
    fused_shop: FusedShop,
    soft: Oracle,
    photos: list[bytes],
    asked: tuple[str | None, float | None],
) -> None:
    mode, weight = asked
    fields = {name: value for name, value in {"label_mode": mode, "weight": weight}.items() if value is not None}
    for photo in sides(fused_shop, soft, photos)[0]:
        answer = search(client, photo, top_k=TOP_K, **fields)
        outputs = soft.outputs(photo)
        text = soft.text_part(outputs.probabilities[0], mode or "soft")  # the gallery's own, where none is asked
        assert answer["weight"] == (DEFAULT_WEIGHT if weight is None else weight)
        assert_ranked(answer, soft.rank(outputs.embedding[0], text, weight=answer["weight"]))
        assert answer["abstained"] is False
        assert answer["category"] == (None if mode == "none" else answer["label"])


@pytest.mark.parametrize("mode", [None, "soft", "hard", "none"])
def test_an_unsure_photo_is_searched_by_picture_only(
    client: httpx.Client, fused_shop: FusedShop, soft: Oracle, photos: list[bytes], mode: str | None
) -> None:
    for photo in sides(fused_shop, soft, photos)[1]:
        answer = search(client, photo, top_k=TOP_K, **({} if mode is None else {"label_mode": mode}))
        outputs = soft.outputs(photo)
        assert_ranked(answer, soft.rank(outputs.embedding[0], None, weight=DEFAULT_WEIGHT))
        assert {hit["text_score"] for hit in answer["hits"]} == {None}
        assert answer["abstained"] is (mode != "none")  # who asks for no label is not told of doubt
        assert answer["category"] is None
        assert answer["label"] == LABELS[int(outputs.probabilities[0].argmax())]
        assert answer["label_score"] < fused_shop.min_confidence


@pytest.mark.parametrize(
    "asked",
    [
        ("Blue", "blue", None),
        ("Blue", "blue", 5.0),
        ("shop>WATCH", "Shop > watch", None),
        ("a shiny mug", "a shiny mug", 5.0),
        ("watchstrap", "watchstrap", None),
    ],
)
def test_a_category_ends_all_doubt(
    client: httpx.Client,
    fused_shop: FusedShop,
    soft: Oracle,
    photos: list[bytes],
    asked: tuple[str, str, float | None],
) -> None:
    """A label, a path and free words; words are centered as the gallery's texts were, by hand here."""
    category, said, weight = asked
    photo = sides(fused_shop, soft, photos)[1][0]
    answer = search(client, photo, top_k=TOP_K, category=category, **({} if weight is None else {"weight": weight}))
    if said in LABELS:
        text = soft.gallery.labels.vectors[LABELS.index(said)].astype(np.float64)
    else:
        vector = soft.gallery.words.sentence_vector(said).astype(np.float64)
        moved = vector / np.linalg.norm(vector) - np.load(soft.gallery.folder / "text_center.npy")
        text = moved / np.linalg.norm(moved)
    used = DEFAULT_WEIGHT if weight is None else weight
    assert_ranked(answer, soft.rank(soft.outputs(photo).embedding[0], text, weight=used))
    assert (answer["abstained"], answer["category"]) == (False, said)


def test_an_earlier_query_abstains_again_until_a_category_is_named(
    client: httpx.Client, fused_shop: FusedShop, soft: Oracle, photos: list[bytes]
) -> None:
    photo = sides(fused_shop, soft, photos)[1][1]
    first = search(client, photo)
    again = search(client, query_id=first["query_id"], weight=9)
    assert (first["abstained"], again["abstained"]) == (True, True)
    named = search(client, query_id=first["query_id"], category="red")
    assert (named["abstained"], named["category"]) == (False, "red")
    assert named["hits"] == search(client, photo, category="red")["hits"]


def test_a_product_never_abstains(client: httpx.Client, soft: Oracle, shop: Shop) -> None:
    answer = search(client, product_id=shop.ids[8], top_k=TOP_K)
    assert answer["abstained"] is False
    images, texts = soft.parts
    expected = soft.rank(images[8], texts[8], weight=DEFAULT_WEIGHT)
    assert_ranked(answer, [row for row in expected if row[0] != shop.ids[8]])


@pytest.fixture(scope="module")
def onehot_client(
    fused_shop: FusedShop, fused_triton: LocalTriton, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A service of its own over the gallery `onehot`, that looks at a photo and its mirror image."""
    logs = tmp_path_factory.mktemp("onehot-service")
    before = fused_shop.store.live().live.gallery
    fused_shop.store.swap("onehot")
    settings = {"store": fused_shop.store.path, "triton_url": fused_triton.grpc_url, "query_views": 2}
    with serve(logs, **settings) as service:
        wait_until_ready(service)
        with httpx.Client(base_url=service.url, timeout=30) as client:
            yield client
    fused_shop.store.swap(before)


def two_views(shop: FusedShop, photo: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Unit mean embedding and mean probabilities of a photo and its mirror image, float64."""
    pixels, _ = load_input(photo, size_px=32)
    outputs = shop.networks.infer(np.stack([pixels, np.fliplr(pixels)]))
    total = outputs.embedding[0].astype(np.float64) + outputs.embedding[1]
    return total / np.linalg.norm(total), outputs.probabilities.astype(np.float64).mean(axis=0)


def test_two_views_one_hot_labels_and_delta_0(
    onehot_client: httpx.Client, fused_shop: FusedShop, photos: list[bytes]
) -> None:
    oracle = fused_shop.oracle("onehot")
    seen = set()
    for photo in photos:
        image, probabilities = two_views(fused_shop, photo)
        abstains = probabilities.max() < fused_shop.min_confidence
        text = np.zeros(7)
        if abstains:
            text[6] = 1  # delta_0: unknown meets unknown
        else:
            for label in np.argsort(-probabilities)[:2]:  # label.top of this gallery
                text[label] = probabilities[label]
        answer = search(onehot_client, photo, top_k=TOP_K)
        assert_ranked(answer, oracle.rank(image, text, weight=DEFAULT_WEIGHT))
        assert answer["abstained"] == abstains
        assert answer["label_score"] == pytest.approx(probabilities.max(), abs=1e-5)
        seen.add(bool(abstains))
    assert seen == {True, False}
    assert "not one of this gallery's labels" in refused(
        post(onehot_client, photos[0], category="free words"), 422, "out_of_range"
    )


def test_two_views_are_one_request_of_two_pictures(
    onehot_client: httpx.Client, fused_triton: LocalTriton, photos: list[bytes]
) -> None:
    triton = triton_grpc.InferenceServerClient(fused_triton.grpc_url)

    def counts() -> tuple[int, int]:
        stats = triton.get_inference_statistics("photo").model_stats[0]
        return stats.inference_stats.success.count, stats.inference_count

    before = counts()
    search(onehot_client, photos[0] + b"behind the picture, so that none like it was seen before")
    wait_until(lambda: counts() != before)  # Triton counts after it has answered
    assert counts() == (before[0] + 1, before[1] + 2)
