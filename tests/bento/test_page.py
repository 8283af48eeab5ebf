"""The web page in a real browser against the real service; oracle: what the same request answers over plain HTTP."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.bento.browsing import FIRST_HITS, HAND_OVER, PAGE, Tab, as_written, ask, assert_alike, open_tab

pytestmark = pytest.mark.browser


def test_photo_shows_what_search_answers(tab: Tab, service_url: str, drawn: Path) -> None:
    tab.search(drawn)
    answer = ask(service_url, photo=drawn)

    assert len(answer["hits"]) == FIRST_HITS
    assert_alike(tab.shown(), as_written(answer))
    first, card = answer["hits"][0], tab.page.locator("#hits .card").first
    assert card.locator(".title").inner_text() == first["title"]
    assert card.locator(".category").inner_text() == first["category_path"]
    assert tab.page.locator("#label").inner_text() == answer["label"]
    shown_percent = float(tab.page.locator("#label-score").inner_text().removesuffix(" %"))
    assert shown_percent == pytest.approx(100 * answer["label_score"], abs=0.51)
    assert tab.page.locator("#preview-image").is_visible()
    assert tab.complaints == []


@pytest.mark.parametrize("way", ["drop", "paste", "camera"])
def test_a_photo_may_come_in_other_ways(tab: Tab, service_url: str, drawn: Path, way: str) -> None:
    with tab.page.expect_response("**/search"):
        if way == "camera":
            tab.page.set_input_files("#camera", drawn)
        else:
            tab.page.evaluate(HAND_OVER, [way, list(drawn.read_bytes())])
    tab.settle()

    assert_alike(tab.shown(), as_written(ask(service_url, photo=drawn)))
    assert tab.complaints == []


def test_pictures_of_the_hits_are_loaded(tab: Tab, drawn: Path) -> None:
    tab.search(drawn)

    first = tab.page.locator("#hits img").first
    assert first.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    assert tab.page.locator("#hits .missing").count() == 0


def test_slider_reranks_by_query_id_without_a_second_upload(tab: Tab, service_url: str, drawn: Path) -> None:
    tab.search(drawn)
    default = ask(service_url, photo=drawn)["weight"]
    assert float(tab.page.inner_text("#weight-value")) == pytest.approx(default, abs=0.051)

    with tab.page.expect_response("**/search") as waiting:
        tab.page.get_by_label("Weight of the words").fill("60")
    tab.settle()
    # 25 * 0.6 ** 2: the slider is quadratic.
    assert tab.page.inner_text("#weight-value") == "9.00"
    sent = waiting.value.request.post_data or ""
    assert 'name="query_id"' in sent
    assert 'name="image"' not in sent
    query_id = re.search(r'name="query_id"\r\n\r\n(.*?)\r\n', sent)
    assert query_id is not None
    assert_alike(tab.shown(), as_written(ask(service_url, query_id=query_id[1], weight=9)))

    with tab.page.expect_response("**/search"):
        tab.page.get_by_role("button", name="Back to the shop's default").click()
    tab.settle()
    assert_alike(tab.shown(), as_written(ask(service_url, photo=drawn)))
    assert tab.complaints == []


def test_slider_and_controls_work_from_the_keyboard(tab: Tab, drawn: Path) -> None:
    tab.search(drawn)
    before = float(tab.page.input_value("#weight"))
    tab.page.focus("#category")
    tab.page.keyboard.press("Tab")
    assert tab.page.evaluate("document.activeElement.id") == "weight"
    with tab.page.expect_response("**/search"):
        tab.page.keyboard.press("ArrowRight")

    assert float(tab.page.input_value("#weight")) == before + 1
    assert tab.page.get_attribute("#weight", "aria-valuetext").startswith("weight ")


def test_a_forgotten_query_id_sends_the_photo_again(tab: Tab, service_url: str, drawn: Path) -> None:
    tab.search(drawn)
    body = {"error": {"code": "not_found", "message": "that photo was forgotten"}}
    tab.page.route("**/search", lambda route: route.fulfill(status=404, json=body), times=1)
    with tab.page.expect_response(lambda response: response.url.endswith("/search") and response.ok) as waiting:
        tab.page.get_by_label("Weight of the words").fill("0")
    tab.settle()

    assert 'name="query_id"' not in (waiting.value.request.post_data or "")
    assert tab.page.locator("#error").is_hidden()
    assert_alike(tab.shown(), as_written(ask(service_url, photo=drawn, weight=0)))


def test_category_is_offered_and_sent(tab: Tab, service_url: str, drawn: Path) -> None:
    tab.search(drawn)
    offered = httpx.get(f"{service_url}/categories", timeout=10).json()
    wanted = [*offered["labels"], *offered["category_paths"]]
    tab.page.wait_for_selector("#categories option", state="attached")
    assert tab.page.eval_on_selector_all("#categories option", "all => all.map(one => one.value)") == wanted

    category = offered["labels"][-1]
    with tab.page.expect_response("**/search"):
        tab.page.get_by_label("Category").fill(category)
        tab.page.keyboard.press("Enter")
    tab.settle()
    answer = ask(service_url, photo=drawn, category=category)
    assert_alike(tab.shown(), as_written(answer))
    assert f"\u201c{answer['category']}\u201d" in tab.page.inner_text("#status")


def test_similar_to_this_searches_the_product_and_comes_back(tab: Tab, service_url: str, drawn: Path) -> None:
    tab.search(drawn)
    chosen = tab.shown()[2][0]
    with tab.page.expect_response("**/search"):
        tab.page.get_by_role("button", name="Similar to this").nth(2).click()
    tab.settle()
    assert_alike(tab.shown(), as_written(ask(service_url, product_id=chosen)))

    with tab.page.expect_response("**/search"):
        tab.page.get_by_role("button", name="Back to your photo").click()
    tab.settle()
    assert_alike(tab.shown(), as_written(ask(service_url, photo=drawn)))
    assert tab.complaints == []


def test_more_hits_follow(tab: Tab, service_url: str, drawn: Path) -> None:
    tab.search(drawn)
    with tab.page.expect_response("**/search"):
        tab.page.get_by_role("button", name="Show more").click()
    tab.settle()

    assert_alike(tab.shown(), as_written(ask(service_url, photo=drawn, top_k=2 * FIRST_HITS)))


def test_a_text_file_shows_the_sentence_of_the_service(tab: Tab, service_url: str, drawn: Path, tmp_path: Path) -> None:
    tab.search(drawn)
    letter = tmp_path / "letter.txt"
    letter.write_text("dear shop, I am looking for a watch")
    refused = httpx.post(f"{service_url}/search", files={"image": (letter.name, letter.read_bytes())}, timeout=30)
    assert refused.status_code == 415

    tab.page.set_input_files("#file", letter)
    tab.page.wait_for_selector("#error:not([hidden])")
    assert tab.page.get_by_role("alert").inner_text().strip() == refused.json()["error"]["message"]
    assert tab.page.get_by_role("button", name="Try again").is_hidden()  # the same file would fail again
    assert tab.shown() == []
    assert [text for text in tab.complaints if "415" not in text] == []
    tab.search(drawn)
    assert tab.page.locator("#error").is_hidden()
    assert len(tab.shown()) == FIRST_HITS


def test_a_lost_connection_can_be_tried_again(tab: Tab, drawn: Path) -> None:
    tab.page.route("**/search", lambda route: route.abort(), times=1)
    tab.page.set_input_files("#file", drawn)
    tab.page.wait_for_selector("#error:not([hidden])")
    assert "cannot be reached" in tab.page.get_by_role("alert").inner_text()

    with tab.page.expect_response("**/search"):
        tab.page.get_by_role("button", name="Try again").click()
    tab.settle()
    assert len(tab.shown()) == FIRST_HITS


def test_a_hit_without_text_and_an_empty_answer_are_said(tab: Tab, service_url: str, drawn: Path) -> None:
    answer = ask(service_url, photo=drawn)
    answer["hits"] = [answer["hits"][0] | {"text_score": None}]
    tab.page.route("**/search", lambda route: route.fulfill(json=answer), times=1)
    tab.search(drawn)
    assert [row[3] for row in tab.shown()] == ["no text"]

    tab.page.route("**/search", lambda route: route.fulfill(json=answer | {"hits": []}), times=1)
    tab.page.set_input_files("#file", drawn)
    tab.page.wait_for_selector("#empty:not([hidden])")
    assert "No products found" in tab.page.inner_text("#empty")


def test_titles_of_sellers_are_text_and_links_are_web_links(tab: Tab, service_url: str, drawn: Path) -> None:
    answer = ask(service_url, photo=drawn)
    bad = {"title": "<img src=x onerror=alert(1)>", "url": "javascript:alert(1)"}
    answer["hits"] = [answer["hits"][0] | bad, answer["hits"][1] | {"url": "https://shop.example/1"}]
    tab.page.route("**/search", lambda route: route.fulfill(json=answer), times=1)
    tab.search(drawn)

    titles = tab.page.locator("#hits .title")
    assert titles.nth(0).inner_text() == bad["title"]
    assert titles.nth(0).locator("a, img").count() == 0
    assert titles.nth(1).locator("a").get_attribute("href") == "https://shop.example/1"


@pytest.mark.parametrize("width_px", [360, 1280])
def test_doubt_is_said_and_a_label_ends_it(
    browser: Any, fused_url: str, photos: list[bytes], tmp_path: Path, width_px: int
) -> None:
    photo = tmp_path / "photo.jpg"
    answers = {}
    for data in photos:
        photo.write_bytes(data)
        answers[ask(fused_url, photo=photo)["abstained"]] = data
    tab = open_tab(browser, fused_url, viewport={"width": width_px, "height": 900})
    doubt, chips = tab.page.locator("#doubt"), tab.page.locator("#labels button")
    photo.write_bytes(answers[False])
    tab.search(photo)
    assert doubt.is_hidden()
    assert tab.page.inner_text("#prediction-title") == "It looks like"
    photo.write_bytes(answers[True])
    tab.search(photo)
    answer = ask(fused_url, photo=photo)
    assert doubt.inner_text().startswith("Not sure what this is, so searched by picture only.")
    assert tab.page.inner_text("#prediction-title") == "It might be"
    assert tab.page.inner_text("#status") == f"{FIRST_HITS} products, by picture only"
    assert {row[3] for row in tab.shown()} == {"no text"}
    assert_alike(tab.shown(), as_written(answer))
    assert tab.overflow_px() == 0

    with tab.page.expect_response("**/search"):
        chips.first.click()  # the best guess is offered too
    tab.settle()
    assert_alike(tab.shown(), as_written(ask(fused_url, photo=photo, category=answer["label"])))
    assert doubt.is_hidden()
    assert tab.complaints == []
    tab.page.context.close()


@pytest.mark.parametrize("width_px", [360, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phones_scroll_one_way_only(browser: Any, service_url: str, drawn: Path, width_px: int, scheme: str) -> None:
    size = {"width": width_px, "height": 740}
    tab = open_tab(browser, service_url, viewport=size, color_scheme=scheme, is_mobile=True, has_touch=True)
    assert tab.overflow_px() == 0
    assert tab.page.get_by_text("Take a photo").is_visible()
    tab.search(drawn)

    assert tab.overflow_px() == 0
    background = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, re.findall(r"\d+", background)[:3])) < 64) == (scheme == "dark")
    assert tab.complaints == []
    tab.page.context.close()


def test_footer_tells_the_gallery(tab: Tab, service_url: str) -> None:
    gallery = httpx.get(f"{service_url}/gallery", timeout=10).json()
    told = tab.page.inner_text("#gallery")

    assert gallery["version"] in told
    assert f"{gallery['count']:,} pictures of {gallery['products']:,} products" in told


def test_nothing_is_fetched_from_elsewhere(tab: Tab, service_url: str, drawn: Path) -> None:
    tab.search(drawn)

    assert [url for url in tab.asked if not url.startswith((f"{service_url}/", f"blob:{service_url}"))] == []
    assert not re.search(r"\sstyle=|\son[a-z]+=|<style|<script>", (PAGE / "index.html").read_text())
    assert sum(path.stat().st_size for path in PAGE.iterdir()) < 150_000
