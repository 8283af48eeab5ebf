"""POST /search/text against the real service; oracle: numpy over every stored text vector."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest

from bento.text_search import words_part
from catalog.errors import OutOfRangeError
from catalog.texts import words as clean_words
from export.words import WordModel
from index_builder.gallery import Gallery
from tests.bento.conftest import KINDS, NO_TEXT, FusedShop, Oracle, refused

QUERY = "Shiny WATCHES, 50 % off: red!"


def ask(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    answer = client.post("/search/text", json=fields)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def text_of(words: WordModel, query: str) -> np.ndarray[Any, Any]:
    """The mean of the unit word vectors, at unit length, from fastText itself."""
    vectors = [words._model.get_word_vector(word).astype(np.float64) for word in clean_words(query)]
    mean = np.mean([vector / np.linalg.norm(vector) for vector in vectors], axis=0)
    unit: np.ndarray[Any, Any] = mean / np.linalg.norm(mean)
    return unit


def expected(oracle: Oracle, text: np.ndarray[Any, Any]) -> list[tuple[str, float]]:
    """(product_id, cosine) of the products whose text has a cosine above 0, best first."""
    cosines = oracle.parts[1] @ text
    order = [row for row in np.argsort(-np.nan_to_num(cosines, nan=-2), kind="stable") if cosines[row] > 0]
    return [(oracle.ids[row], float(cosines[row])) for row in order]


def assert_ranked(body: dict[str, Any], wanted: list[tuple[str, float]]) -> None:
    """The scores are those wanted, in order, each with a product that has it (equal texts may change places)."""
    assert [hit["score"] for hit in body["hits"]] == pytest.approx([score for _, score in wanted], abs=1e-5)
    by_id = dict(wanted)
    for hit in body["hits"]:
        assert hit["score"] == hit["text_score"] == pytest.approx(by_id[hit["product_id"]], abs=1e-5)
        assert hit["image_score"] is None


def test_products_are_ranked_by_text_alone(client: httpx.Client, oracle: Oracle, words: WordModel) -> None:
    wanted = expected(oracle, text_of(words, QUERY))
    body = ask(client, query=QUERY, top_k=36)
    assert len(wanted) > 20
    assert_ranked(body, wanted)
    assert oracle.ids[NO_TEXT] not in [hit["product_id"] for hit in body["hits"]]
    assert (body["query"], body["gallery_version"]) == (QUERY, "v1")
    assert body["timings_ms"]["models"] == 0
    assert len({hit["product_id"] for hit in body["hits"]}) == len(wanted)
    assert_ranked(ask(client, query=QUERY, top_k=5), wanted[:5])


def test_a_centered_gallery_is_asked_with_centered_words(
    fused_url: str, fused_shop: FusedShop, words: WordModel
) -> None:
    oracle = fused_shop.oracle("soft")
    center = np.load(fused_shop.store.gallery("soft") / "text_center.npy").astype(np.float64)
    moved = text_of(words, QUERY) - center
    wanted = expected(oracle, moved / np.linalg.norm(moved))
    with httpx.Client(base_url=fused_url, timeout=60) as client:
        body = ask(client, query=QUERY, top_k=36)
    assert 0 < len(wanted) < 35  # centered cosines are negative, too
    assert_ranked(body, wanted)


def test_filters_leave_out_what_does_not_match(client: httpx.Client, oracle: Oracle, words: WordModel) -> None:
    category = f"Shop > {KINDS[2]}"
    filters = {"category": category, "price": {"lte": 15}}
    # Row number + 0.5 is the price, and three colors follow each other in each kind.
    kept = {
        oracle.ids[row]
        for row in range(15)
        if oracle.gallery.product(row)["category_path"] == category and row != NO_TEXT
    }
    wanted = [one for one in expected(oracle, text_of(words, QUERY)) if one[0] in kept]
    assert wanted
    assert_ranked(ask(client, query=QUERY, top_k=36, filters=filters), wanted)


@pytest.mark.parametrize(
    ("fields", "status", "code", "part"),
    [
        ({"query": "100 % !!"}, 422, "out_of_range", "no word of the query"),
        ({"query": "x" * 201}, 422, "out_of_range", "at most 200"),
        ({"query": "bag", "top_k": 201}, 422, "out_of_range", "200"),
        ({"query": "bag", "filters": {"none": 1}}, 422, "out_of_range", "no product has the column"),
        ({"query": ""}, 400, "malformed", "query is missing"),
        ({}, 400, "malformed", "query is missing"),
        ({"query": 7}, 400, "malformed", "query"),
        ({"query": "bag", "weight": 3}, 400, "malformed", "known are query, top_k, filters"),
    ],
)
def test_mistakes_get_a_sentence(
    client: httpx.Client, fields: dict[str, Any], status: int, code: str, part: str
) -> None:
    assert part in refused(client.post("/search/text", json=fields), status, code)


def test_a_gallery_that_knows_labels_only_says_so(fused_shop: FusedShop) -> None:
    gallery = Gallery.open(fused_shop.store.gallery("onehot"))
    with pytest.raises(OutOfRangeError, match="built without word vectors"):
        words_part(gallery, "red bag")
    gallery.close()


def test_the_route_describes_itself(client: httpx.Client) -> None:
    described = client.get("/docs.json").json()
    content = described["paths"]["/search/text"]["post"]["requestBody"]["content"]
    assert content["application/json"]["schema"]["required"] == ["query"]
