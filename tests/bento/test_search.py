"""POST /search against exact ranking by hand."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.bento.conftest import DEFAULT_WEIGHT, KINDS, NO_TEXT, Oracle, Shop, png, search
from tests.tiny_repository import LABELS

TOP_K = 10
PLENTY = 30


def assert_ranked(answer: dict, expected: list, *, top_k: int = TOP_K) -> None:
    """Same products in the same order, same scores, and the score made of its parts."""
    hits, weight = answer["hits"], answer["weight"]
    assert [hit["product_id"] for hit in hits] == [row[0] for row in expected[:top_k]]
    for hit, (_, score, image_score, text_score) in zip(hits, expected[:top_k], strict=True):
        assert hit["score"] == pytest.approx(score, abs=1e-4)
        assert hit["image_score"] == pytest.approx(image_score, abs=1e-4)
        assert hit["text_score"] == (None if text_score is None else pytest.approx(text_score, abs=1e-4))
        made = (hit["image_score"] + weight * (hit["text_score"] or 0)) / (1 + weight)
        assert hit["score"] == pytest.approx(made, abs=1e-5)


@pytest.mark.parametrize("mode", ["hard", "soft", "none"])
@pytest.mark.parametrize("weight", [0.0, None, 4 * DEFAULT_WEIGHT])
def test_a_photo_is_ranked_exactly(
    client: httpx.Client, oracle: Oracle, photos: list[bytes], weight: float | None, mode: str
) -> None:
    for photo in photos[:3]:
        fields = {"label_mode": mode} | ({} if weight is None else {"weight": weight})
        answer = search(client, photo, **fields)
        outputs = oracle.outputs(photo)
        used = DEFAULT_WEIGHT if weight is None else weight
        text = oracle.text_part(outputs.probabilities[0], mode)
        assert answer["weight"] == used
        assert_ranked(answer, oracle.rank(outputs.embedding[0], text, weight=used))
        assert answer["gallery_version"] == "v1"
        best = int(outputs.probabilities[0].argmax())
        assert answer["label"] == LABELS[best]
        assert answer["label_score"] == pytest.approx(float(outputs.probabilities[0, best]), abs=1e-4)
        assert answer["category"] == (None if mode == "none" else LABELS[best])


def test_a_label_as_category_overrides_the_prediction(
    client: httpx.Client, oracle: Oracle, photos: list[bytes]
) -> None:
    answer = search(client, photos[0], category=" Yellow ")
    vectors = oracle.gallery.labels.vectors
    expected = oracle.rank(
        oracle.outputs(photos[0]).embedding[0], vectors[LABELS.index("yellow")], weight=DEFAULT_WEIGHT
    )
    assert_ranked(answer, expected)
    assert (answer["category"], answer["label"]) == ("yellow", "red")


@pytest.mark.parametrize(
    ("category", "said"),
    [
        ("shop>WATCH", "Shop > watch"),
        ("Shop", "Shop"),
        ("watchstrap", "watchstrap"),  # never seen: made of its subwords
        ("a shiny mug", "a shiny mug"),
    ],
)
def test_words_as_category(client: httpx.Client, oracle: Oracle, photos: list[bytes], category: str, said: str) -> None:
    answer = search(client, photos[1], category=category, weight=5)
    vector = oracle.gallery.words.sentence_vector(said).astype(np.float64)
    part = vector / np.linalg.norm(vector)
    assert_ranked(answer, oracle.rank(oracle.outputs(photos[1]).embedding[0], part, weight=5))
    assert answer["category"] == said


def test_unusable_words_are_said_and_count_nothing(client: httpx.Client, oracle: Oracle, photos: list[bytes]) -> None:
    answer = search(client, photos[1], category="!!!")
    assert answer["category"] is None
    assert_ranked(answer, oracle.rank(oracle.outputs(photos[1]).embedding[0], None, weight=DEFAULT_WEIGHT))
    assert answer["hits"][0]["score"] == pytest.approx(answer["hits"][0]["image_score"] / (1 + DEFAULT_WEIGHT))


def test_a_product_without_text_is_found_by_its_picture(client: httpx.Client, shop: Shop) -> None:
    answer = search(client, shop.picture(NO_TEXT), top_k=36)
    (hit,) = [hit for hit in answer["hits"] if hit["product_id"] == shop.ids[NO_TEXT]]
    assert hit["text_score"] is None
    assert hit["image_score"] == pytest.approx(1, abs=1e-3)
    assert hit["score"] == pytest.approx(hit["image_score"] / (1 + DEFAULT_WEIGHT))
    assert len(answer["hits"]) == 36


def test_every_column_of_the_catalog_comes_back(client: httpx.Client, shop: Shop) -> None:
    for number in (3, 4, 5, 20):
        hit = search(client, shop.picture(number), weight=0, top_k=1)["hits"][0]
        row = shop.rows[number]
        assert {name: hit[name] for name in ("product_id", "title", "category_path", "description", "shelf")} == {
            name: row[name] for name in ("product_id", "title", "category_path", "description", "shelf")
        }
        assert hit["price"] == number + 0.5
        assert client.get(hit["image_url"]).headers["content-type"] == "image/jpeg"


def test_a_box_is_the_same_as_a_cropped_upload(client: httpx.Client, photos: list[bytes]) -> None:
    whole = Image.open(io.BytesIO(photos[2])).convert("RGB")
    boxed = search(client, png(whole), box="40,20,136,84")
    cropped = search(client, png(whole.crop((40, 20, 136, 84))))
    assert boxed["box"] == {"x_min": 40, "y_min": 20, "x_max": 136, "y_max": 84}
    assert cropped["box"] is None
    assert boxed["hits"] == cropped["hits"]
    assert boxed["labels"] == cropped["labels"]
    assert boxed["hits"] != search(client, png(whole))["hits"]


def test_a_photo_turned_by_exif_is_the_upright_one(client: httpx.Client) -> None:
    rng = np.random.default_rng(3)
    upright = Image.fromarray(rng.integers(0, 256, (8, 6, 3), np.uint8)).resize((96, 128), Image.Resampling.NEAREST)
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn by 90 degrees clockwise to see it upright"
    turned = png(upright.transpose(Image.Transpose.ROTATE_90), exif=exif)
    assert search(client, turned)["hits"] == search(client, png(upright))["hits"]
    box = "0,64,96,128"
    assert search(client, turned, box=box)["hits"] == search(client, png(upright), box=box)["hits"]


def test_a_product_searches_its_kind_without_itself(client: httpx.Client, oracle: Oracle, shop: Shop) -> None:
    for number in (4, 20):
        answer = search(client, product_id=shop.ids[number], top_k=PLENTY)
        images, texts = oracle.parts
        expected = oracle.rank(images[number], texts[number], weight=DEFAULT_WEIGHT)
        assert_ranked(answer, [row for row in expected if row[0] != shop.ids[number]], top_k=PLENTY)
        assert answer["label"] is None
        assert answer["labels"] == []
        assert answer["category"] == shop.rows[number]["category_path"]


def test_a_product_without_text_searches_by_its_picture(client: httpx.Client, oracle: Oracle, shop: Shop) -> None:
    answer = search(client, product_id=shop.ids[NO_TEXT])
    expected = oracle.rank(oracle.parts[0][NO_TEXT], None, weight=DEFAULT_WEIGHT)
    assert_ranked(answer, [row for row in expected if row[0] != shop.ids[NO_TEXT]])
    assert answer["category"] is None


def test_an_earlier_query_is_ranked_again_without_a_photo(client: httpx.Client, photos: list[bytes]) -> None:
    first = search(client, photos[3], box="0,0,80,80")
    again = search(client, query_id=first["query_id"])
    for name in ("query_id", "hits", "label", "labels", "box", "weight", "category"):
        assert again[name] == first[name]
    for fields in ({"weight": 9}, {"label_mode": "soft"}, {"category": "Shop > ring"}, {"weight": 0, "top_k": 30}):
        ranked_again = search(client, query_id=first["query_id"], **fields)
        assert ranked_again["hits"] == search(client, photos[3], box="0,0,80,80", **fields)["hits"]
        assert ranked_again["timings_ms"]["models"] == 0


def test_an_earlier_product_query_leaves_the_product_out_too(client: httpx.Client, shop: Shop) -> None:
    first = search(client, product_id=shop.ids[7])
    assert search(client, query_id=first["query_id"])["hits"] == first["hits"]


def test_json_is_as_good_as_a_form(client: httpx.Client, shop: Shop) -> None:
    fields = {"product_id": shop.ids[8], "weight": 3.5, "top_k": 4, "category": KINDS[2]}
    answer = client.post("/search", json=fields)
    assert answer.status_code == 200
    assert answer.json()["hits"] == search(client, **fields)["hits"]
    assert client.post("/search", data=fields).json()["hits"] == answer.json()["hits"]


def test_top_k_beyond_the_gallery_gives_every_product_once(
    client: httpx.Client, shop: Shop, photos: list[bytes]
) -> None:
    hits = search(client, photos[0], top_k=200)["hits"]
    assert sorted(hit["product_id"] for hit in hits) == sorted(shop.ids)


def test_times_of_the_stages_add_up(client: httpx.Client, photos: list[bytes]) -> None:
    spent = search(client, photos[0] + b"behind the picture, so that it is none that was seen before")["timings_ms"]
    assert all(spent[name] > 0 for name in spent)
    assert spent["total"] >= sum(spent[name] for name in ("decode", "models", "fuse", "search")) - 0.01


def test_requests_at_the_same_time_get_their_own_answers(
    service_url: str, client: httpx.Client, shop: Shop, photos: list[bytes]
) -> None:
    asked = [
        {"photo": photos[number % len(photos)], "weight": number % 5, "top_k": 3 + number % 7}
        if number % 4
        else {"product_id": shop.ids[number % len(shop.ids)], "category": KINDS[number % len(KINDS)]}
        for number in range(40)
    ]
    alone = [search(client, **fields)["hits"] for fields in asked]
    with httpx.Client(base_url=service_url, timeout=60) as crowd, ThreadPoolExecutor(40) as threads:
        together = list(threads.map(lambda fields: search(crowd, **fields)["hits"], asked))
    for mine, theirs in zip(alone, together, strict=True):
        assert [hit["product_id"] for hit in mine] == [hit["product_id"] for hit in theirs]
        assert [hit["score"] for hit in mine] == pytest.approx([hit["score"] for hit in theirs], abs=1e-5)
    assert len({str(hits) for hits in alone}) > 20  # else mixed-up answers would not be noticed
