"""A real browser for tests of the pages; oracle: what the same request answers over plain HTTP."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image, ImageDraw

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
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
READY = "#gallery:not(:has-text('loading')), #facts > div"  # of the shop's page, of the engineers' page
# Chromium does not tell what is in an uploaded file, so the page's own requests are looked at before they leave.
WATCH = """(() => {
  const real = window.fetch;
  window.forms = [];
  window.fetch = (path, options) => {
    if (options?.body instanceof FormData) window.forms.push([...options.body]);
    return real(path, options);
  };
})()"""
LAST_FORM = """() => Promise.all(window.forms.at(-1).map(async ([name, value]) =>
  [name, value instanceof File ? Array.from(new Uint8Array(await value.arrayBuffer())) : value]))"""
HAND_OVER = """([way, bytes]) => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(bytes)], "watch.jpg", {type: "image/jpeg"}));
  const options = {bubbles: true, cancelable: true, dataTransfer: data, clipboardData: data};
  document.body.dispatchEvent(way === "drop" ? new DragEvent("drop", options) : new ClipboardEvent("paste", options));
}"""


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

    def sent(self) -> dict[str, str | bytes]:
        """The fields of the last form that the page sent."""
        fields = self.page.evaluate(LAST_FORM)
        return {name: bytes(value) if isinstance(value, list) else value for name, value in fields}

    def search(self, photo: Path) -> None:
        with self.page.expect_response("**/search"):
            self.page.set_input_files("#file", photo)
        self.settle()

    def settle(self) -> None:
        self.page.wait_for_selector("#hits:not([aria-busy])")
        self.page.wait_for_selector("#hits [data-product-id]")


def launched_browser() -> Iterator[Any]:
    """Chromium of this machine; the test is skipped where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no Chromium on PATH (looked for {', '.join(BROWSERS)}); Debian: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield running
        running.close()


def open_tab(browser: Any, url: str, **options: Any) -> Tab:
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(60_000)
    page.add_init_script(WATCH)
    tab = Tab(page)
    page.on("console", lambda message: tab.complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: tab.complaints.append(str(error)))
    page.on("request", lambda request: tab.asked.append(request.url))
    page.goto(url)
    page.wait_for_selector(READY, state="attached")
    return tab


def draw_watch(path: Path) -> Path:
    """A photo that no network was trained on."""
    image = Image.new("RGB", (480, 360), "#b8a78f")
    draw = ImageDraw.Draw(image)
    draw.ellipse((120, 60, 360, 300), fill="#20242c", outline="#d8b25a", width=18)
    draw.rectangle((200, 0, 280, 70), fill="#5a3a22")
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


def violations(page: Any) -> list[str]:
    """What axe-core finds, as `rule: element`."""
    from axe_playwright_python.base import AXE_SCRIPT

    page.evaluate(AXE_SCRIPT)
    found = page.evaluate(
        "tags => axe.run({runOnly: tags}).then(results => results.violations.flatMap("
        "  rule => rule.nodes.map(node => `${rule.id}: ${node.target.join(' ')}`)))",
        WCAG,
    )
    return list(found)


def without_motion(page: Any) -> None:
    page.emulate_media(reduced_motion="reduce")  # colors in the middle of a fade are nobody's choice
