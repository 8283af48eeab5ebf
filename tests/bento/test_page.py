"""The web page in a real browser against the real service; oracle: what the same request answers over plain HTTP."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image, ImageDraw

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

PAGE = Path(__file__).resolve().parents[2] / "bento" / "page"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
FIRST_HITS = 12
HAND_OVER = """([way, bytes]) => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(bytes)], "watch.jpg", {type: "image/jpeg"}));
  const options = {bubbles: true, cancelable: true, dataTransfer: data, clipboardData: data};
  document.body.dispatchEvent(way === "drop" ? new DragEvent("drop", options) : new ClipboardEvent("paste", options));
}"""

pytestmark = pytest.mark.browser


@dataclass
class Tab:
    """A page of the browser, and everything it complained about or asked for."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def shown(self) -> list[tuple[str, str, str, str]]:
        """(product_id, score, image part, text part) of the cards, in order, as written on the page."""
        cards = self.page.locator("#hits [data-product-id]").all()
        parts = (".score", ".part.image .value", ".part.text .value")
        return [
            (card.get_attribute("data-product-id"), *(card.locator(part).inner_text() for part in parts))
            for card in cards
        ]

    def overflow_px(self) -> int:
        """Pixels by which the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))

    def search(self, photo: Path) -> None:
        with self.page.expect_response("**/search"):
            self.page.set_input_files("#file", photo)
        self.settle()

    def settle(self) -> None:
        self.page.wait_for_selector("#hits:not([aria-busy])")
        self.page.wait_for_selector("#hits [data-product-id]")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no Chromium on PATH (looked for {', '.join(BROWSERS)}); Debian: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield running
        running.close()


def open_tab(browser: Any, url: str, **options: Any) -> Tab:
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(20_000)
    tab = Tab(page)
    page.on("console", lambda message: tab.complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: tab.complaints.append(str(error)))
    page.on("request", lambda request: tab.asked.append(request.url))
    page.goto(url)
    # Not wait_for_function: it evaluates strings in the page, which the page's own policy forbids.
    sync_api.expect(page.locator("#gallery")).not_to_contain_text("loading")
    return tab


@pytest.fixture
def tab(browser: Any, service_url: str) -> Iterator[Tab]:
    tab = open_tab(browser, service_url, viewport={"width": 1280, "height": 900})
    yield tab
    tab.page.context.close()


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image = Image.new("RGB", (480, 360), "#b8a78f")
    draw = ImageDraw.Draw(image)
    draw.ellipse((120, 60, 360, 300), fill="#20242c", outline="#d8b25a", width=18)
    draw.rectangle((200, 0, 280, 70), fill="#5a3a22")
    path = tmp_path_factory.mktemp("page") / "watch.jpg"
    image.save(path, quality=90)
    return path


def ask(service_url: str, *, photo: Path | None = None, **options: Any) -> dict[str, Any]:
    files = {"image": (photo.name, photo.read_bytes(), "image/jpeg")} if photo else {}
    fields = {name: (None, str(value)) for name, value in ({"top_k": FIRST_HITS} | options).items()}
    response = httpx.post(f"{service_url}/search", files=files | fields, timeout=30)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def as_written(answer: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """The hits of an answer in the words and digits of the page."""

    def digits(value: float | None, places: int) -> str:
        return "no text" if value is None else f"{value:.{places}f}"

    return [
        (
            hit["product_id"],
            f"score {digits(hit['score'], 3)}",
            digits(hit["image_score"], 2),
            digits(hit["text_score"], 2),
        )
        for hit in answer["hits"]
    ]


def assert_alike(shown: list[tuple[str, ...]], written: list[tuple[str, ...]]) -> None:
    """Same products in the same order, and numbers equal up to one unit of the last digit (two runs of a network)."""
    assert [row[0] for row in shown] == [row[0] for row in written]
    for seen, wanted in zip(shown, written, strict=True):
        for left, right in zip(seen[1:], wanted[1:], strict=True):
            if left != right:
                ours, theirs = (float(text.removeprefix("score ")) for text in (left, right))
                assert ours == pytest.approx(theirs, abs=1.01 * 10 ** -len(right.rpartition(".")[2]))


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
    assert re.search(r"ms in the service: decode .*, models .*, fuse .*, search ", tab.page.inner_text("#timing-text"))
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
    assert sum(path.stat().st_size for path in PAGE.iterdir()) < 60_000
