"""What a shopper can ask with on the page: words, a part of the photo, filters, samples; large photos are reduced.

Oracle: what the same request answers over plain HTTP.
"""

import io
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.bento.browsing import FIRST_HITS, Tab, as_written, ask, assert_alike
from tests.bento.conftest import KINDS

pytestmark = pytest.mark.browser

SEARCH = "**/search"
SIDE = {"width": 480, "height": 360}  # of the drawn photo


def sent_box(tab: Tab) -> list[int]:
    return [int(side) for side in str(tab.sent()["box"]).split(",")]


def on_stage(tab: Tab, x: float, y: float) -> tuple[float, float]:
    """Where on the screen a point of the picture is, given in shares of its sides."""
    frame = tab.page.locator("#stage").bounding_box()
    return frame["x"] + x * frame["width"], frame["y"] + y * frame["height"]


def drag(tab: Tab, start: tuple[float, float], end: tuple[float, float]) -> list[int]:
    """Pull the mouse between two points of the picture; return the box of the search that follows."""
    with tab.page.expect_response(SEARCH):
        tab.page.mouse.move(*on_stage(tab, *start))
        tab.page.mouse.down()
        tab.page.mouse.move(*on_stage(tab, *end), steps=4)
        tab.page.mouse.up()
    tab.settle()
    return sent_box(tab)


def ask_words(service_url: str, **fields: Any) -> dict[str, Any]:
    answer = httpx.post(f"{service_url}/search/text", json={"top_k": FIRST_HITS} | fields, timeout=60)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def search_words(tab: Tab, query: str) -> None:
    tab.page.get_by_role("searchbox", name="Search by words").fill(query)
    with tab.page.expect_response("**/search/text"):
        tab.page.keyboard.press("Enter")
    tab.settle()


def test_words_show_what_search_by_words_answers(tab: Tab, service_url: str) -> None:
    search_words(tab, "shiny watch")
    hits = ask_words(service_url, query="shiny watch")["hits"]
    shown = tab.page.locator("#hits [data-product-id]")
    scores = [card.locator(".part.text .value").inner_text() for card in shown.all()]
    assert [float(score) for score in scores] == pytest.approx([hit["score"] for hit in hits], abs=0.0051)
    assert {card.get_attribute("data-product-id") for card in shown.all()} == {hit["product_id"] for hit in hits}
    assert not tab.page.locator("#hits .part.image").first.is_visible()
    assert not tab.page.locator("#weight").is_visible()

    chosen = shown.nth(1).get_attribute("data-product-id")
    with tab.page.expect_response(SEARCH):
        tab.page.get_by_role("button", name="Similar to this").nth(1).click()
    tab.settle()
    assert_alike(tab.shown(), as_written(ask(service_url, product_id=chosen)))
    assert tab.page.locator("#weight").is_visible()
    with tab.page.expect_response("**/search/text"):
        tab.page.get_by_role("button", name="Back to your words").click()
    tab.settle()
    assert {card.get_attribute("data-product-id") for card in shown.all()} == {hit["product_id"] for hit in hits}
    assert tab.complaints == []


def test_words_that_say_nothing_get_the_sentence_of_the_service(tab: Tab, service_url: str) -> None:
    refused = httpx.post(f"{service_url}/search/text", json={"query": "100 %"}, timeout=60)
    tab.page.get_by_role("searchbox", name="Search by words").fill("100 %")
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_selector("#error:not([hidden])")
    assert tab.page.inner_text("#error-message") == refused.json()["error"]["message"]


def test_a_box_is_drawn_moved_and_resized_by_hand(tab: Tab, service_url: str, drawn: Path) -> None:
    tab.search(drawn)
    box = drag(tab, (0.25, 0.25), (0.75, 0.75))
    assert box == pytest.approx([120, 90, 360, 270], abs=3)
    assert_alike(tab.shown(), as_written(ask(service_url, photo=drawn, box=",".join(map(str, box)))))

    moved = drag(tab, (0.5, 0.5), (0.6, 0.4))  # its middle: the whole box follows
    assert moved == pytest.approx([box[0] + 48, box[1] - 36, box[2] + 48, box[3] - 36], abs=3)
    assert moved[2] - moved[0] == pytest.approx(box[2] - box[0], abs=1)

    corner = (moved[2] / SIDE["width"] - 0.01, moved[3] / SIDE["height"] - 0.01)
    larger = drag(tab, corner, (0.98, 0.98))
    assert larger[:2] == moved[:2]
    assert larger[2:] == pytest.approx([0.98 * 480, 0.98 * 360], abs=3)

    with tab.page.expect_response(SEARCH):
        tab.page.get_by_role("button", name="Whole photo").click()
    tab.settle()
    assert "box" not in tab.sent()
    assert_alike(tab.shown(), as_written(ask(service_url, photo=drawn)))
    assert tab.complaints == []


def test_a_box_is_moved_and_resized_by_keys(tab: Tab, service_url: str, drawn: Path) -> None:
    tab.search(drawn)
    with tab.page.expect_response(SEARCH):
        tab.page.get_by_role("button", name="Mark a part").press("Enter")
    tab.settle()
    assert sent_box(tab) == [96, 72, 384, 288]  # the middle: 0.2 to 0.8 of 480 x 360
    assert tab.page.evaluate("document.activeElement.id") == "crop"
    with tab.page.expect_response(SEARCH):
        for key in ("ArrowRight", "ArrowRight", "ArrowUp", "Shift+ArrowLeft", "Shift+ArrowDown"):
            tab.page.keyboard.press(key)
    tab.settle()
    assert sent_box(tab) == [112, 64, 392, 288]  # steps of 8 px
    assert tab.page.get_attribute("#crop", "aria-label") == "Box from 112, 64 to 392, 288 pixels"
    assert_alike(tab.shown(), as_written(ask(service_url, photo=drawn, box="112,64,392,288")))

    with tab.page.expect_response(SEARCH):
        tab.page.get_by_label("Weight of the words").fill("60")
    assert "query_id" in tab.sent()  # the part's vectors, no upload
    tab.settle()
    assert_alike(tab.shown(), as_written(ask(service_url, photo=drawn, box="112,64,392,288", weight=9)))

    with tab.page.expect_response(SEARCH):
        tab.page.locator("#crop").press("Delete")
    assert "box" not in tab.sent()


def test_things_that_a_detector_found_can_be_tapped(tab: Tab, service_url: str, drawn: Path) -> None:
    """There is no detector yet: its route's description and answer are stand-ins, the search of the box is real."""
    described = httpx.get(f"{service_url}/docs.json", timeout=60).json()
    described["paths"]["/recognize"] = {"post": {}}
    box = {"x_min": 120, "y_min": 60, "x_max": 360, "y_max": 300}
    tab.page.route("**/docs.json", lambda route: route.fulfill(json=described))
    tab.page.route("**/recognize", lambda route: route.fulfill(json={"boxes": [{"box": box, "label": "watch"}]}))
    tab.search(drawn)
    with tab.page.expect_response(SEARCH):
        tab.page.get_by_role("button", name="Search for watch in this photo").click()
    tab.settle()
    assert_alike(tab.shown(), as_written(ask(service_url, photo=drawn, box="120,60,360,300")))


def test_without_a_detector_none_is_asked(tab: Tab, drawn: Path) -> None:
    with tab.page.expect_response("**/docs.json"):
        tab.search(drawn)
    tab.page.get_by_label("Weight of the words").fill("0")
    tab.settle()
    assert [url for url in tab.asked if "recognize" in url] == []
    assert tab.complaints == []


def test_filters_leave_out_what_does_not_match(tab: Tab, service_url: str, drawn: Path) -> None:
    tab.search(drawn)
    tab.page.locator("#filters summary").click()
    category = f"Shop > {KINDS[1]}"
    filters = {"price": {"gte": 4, "lte": 20}, "category": category}
    for field, value in (("Price from", "4"), ("to", "20")):
        with tab.page.expect_response(SEARCH):
            tab.page.get_by_label(field, exact=True).fill(value)
            tab.page.keyboard.press("Tab")
    with tab.page.expect_response(SEARCH):
        tab.page.get_by_label("Only from").select_option(category)
    tab.settle()
    assert json.loads(str(tab.sent()["filters"])) == filters
    answer = ask(service_url, photo=drawn, filters=json.dumps(filters))
    assert 0 < len(answer["hits"]) < FIRST_HITS
    assert_alike(tab.shown(), as_written(answer))
    assert tab.page.inner_text("#filters-count") == "2 active"

    with tab.page.expect_response(SEARCH):
        tab.page.get_by_label("Price from").fill("19.9")
        tab.page.keyboard.press("Tab")
    tab.page.wait_for_selector("#empty:not([hidden])")
    assert "filters" in tab.page.inner_text("#empty-advice")
    with tab.page.expect_response(SEARCH):
        tab.page.locator("#empty-clear").click()
    tab.settle()
    assert_alike(tab.shown(), as_written(ask(service_url, photo=drawn)))
    assert tab.complaints == []


def test_prices_in_the_wrong_order_are_not_sent(tab: Tab, drawn: Path) -> None:
    tab.search(drawn)
    tab.page.locator("#filters summary").click()
    with tab.page.expect_response(SEARCH):
        tab.page.get_by_label("Price from").fill("9")
        tab.page.keyboard.press("Tab")
    before = len(tab.asked)
    tab.page.get_by_label("to", exact=True).fill("5")
    tab.page.keyboard.press("Tab")
    assert tab.page.eval_on_selector("#price-to", "field => field.validationMessage").startswith("The highest price")
    assert [url for url in tab.asked[before:] if url.endswith("/search")] == []


def test_sample_photos_are_offered_and_searched(tab: Tab, service_url: str) -> None:
    offered = httpx.get(f"{service_url}/samples", timeout=60).json()["photos"]
    tab.page.wait_for_selector("#samples:not([hidden])")
    buttons = tab.page.locator("#samples button")
    assert [button.locator("img").get_attribute("alt") for button in buttons.all()] == [one["name"] for one in offered]
    with tab.page.expect_response(SEARCH):
        buttons.nth(1).click()
    tab.settle()
    picture = httpx.get(f"{service_url}{offered[1]['url']}", timeout=60).content
    assert tab.sent()["image"] == picture
    assert tab.page.locator("#samples").is_hidden()
    assert tab.complaints == []


def test_a_large_photo_is_sent_small_and_upright(tab: Tab, service_url: str, tmp_path: Path) -> None:
    """4000 x 3000 pixels, to be turned by a quarter: red on top, blue below once it is upright."""
    lying = np.zeros((3000, 4000, 3), np.uint8)
    lying[:, :2000, 0] = 230
    lying[:, 2000:, 2] = 230
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to see it upright: the left side comes on top
    photo = tmp_path / "large.jpg"
    Image.fromarray(lying).save(photo, quality=95, exif=exif)
    with tab.page.expect_response(SEARCH):
        tab.page.set_input_files("#file", photo)
    tab.settle()
    data = tab.sent()["image"]
    got = Image.open(io.BytesIO(data))
    assert (got.format, got.size, got.getexif().get(0x0112, 1)) == ("JPEG", (960, 1280), 1)
    pixels = np.asarray(got.convert("RGB"), np.int64)
    assert np.abs(pixels[100, 480] - [230, 0, 0]).max() < 30
    assert np.abs(pixels[1180, 480] - [0, 0, 230]).max() < 30
    reduced = tmp_path / "reduced.jpg"
    reduced.write_bytes(data)
    assert_alike(tab.shown(), as_written(ask(service_url, photo=reduced)))


def test_a_small_photo_is_sent_as_it_is(tab: Tab, drawn: Path) -> None:
    with tab.page.expect_response(SEARCH):
        tab.page.set_input_files("#file", drawn)
    assert tab.sent()["image"] == drawn.read_bytes()


def test_a_slider_that_is_dragged_asks_for_where_it_stops(tab: Tab, service_url: str, drawn: Path) -> None:
    tab.search(drawn)
    before = len(tab.asked)
    with tab.page.expect_response(SEARCH):
        tab.page.eval_on_selector(
            "#weight",
            """(slider) => [10, 20, 30, 40, 50, 60, 70, 80].forEach((step) => {
              slider.value = step;
              slider.dispatchEvent(new Event("input", {bubbles: true}));
            })""",
        )
    tab.settle()
    assert tab.page.inner_text("#weight-value") == "16.0"  # 25 * 0.8 ** 2
    assert len([url for url in tab.asked[before:] if url.endswith("/search")]) == 1
    assert_alike(tab.shown(), as_written(ask(service_url, photo=drawn, weight=16)))
