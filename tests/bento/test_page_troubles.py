"""What the page does when the service wants a key or is busy, and for people who use keys or a screen reader.

The service of these tests has no keys: its 401, 429 and 503 are made on the way, everything else is its own answer.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.bento.browsing import FIRST_HITS, Tab, as_written, ask, assert_alike, open_tab, violations, without_motion

pytestmark = pytest.mark.browser

KEY = "k-secret-1"


def refuse_without_key(route: Any) -> None:
    if route.request.headers.get("authorization") == f"Bearer {KEY}":
        route.continue_()
        return
    error = {"code": "unauthorized", "message": "this service needs a key"}
    route.fulfill(status=401, json={"error": error}, headers={"WWW-Authenticate": "Bearer"})


def test_a_key_is_asked_for_once_and_sent_from_then_on(browser: Any, service_url: str, drawn: Path) -> None:
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.set_default_timeout(60_000)
    for path in ("gallery", "categories", "samples", "search", "docs.json", "products/**"):
        page.route(f"**/{path}", refuse_without_key)
    page.goto(service_url)
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Key").fill("wrong")
    dialog.get_by_role("button", name="Use this key").click()
    dialog.get_by_text("this service needs a key").wait_for()
    dialog.get_by_label("Key").fill(KEY)
    dialog.get_by_role("button", name="Use this key").click()
    page.wait_for_selector("#gallery:has-text('products')")
    tab = Tab(page)
    tab.search(drawn)
    assert_alike(tab.shown(), as_written(ask(service_url, photo=drawn)))
    picture = page.locator("#hits img").first
    page.wait_for_selector("#hits img[src^='blob:']")  # an image element cannot send the key
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    assert dialog.count() == 0
    assert page.evaluate("JSON.stringify([Object.values(sessionStorage), localStorage.length])") == f'[["{KEY}"],0]'
    page.context.close()


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_service_is_asked_again_by_itself_once(tab: Tab, service_url: str, drawn: Path, status: int) -> None:
    body = {"error": {"code": "busy", "message": "too much to do"}}
    said: list[str] = []

    def note(text: str) -> None:  # Playwright takes functions of Python only
        said.append(text)

    tab.page.expose_function("noted", note)
    tab.page.evaluate(
        """new MutationObserver(() => noted(document.getElementById("status").textContent))
             .observe(document.getElementById("status"), {childList: true})"""
    )
    answer = {"status": status, "json": body, "headers": {"Retry-After": "1"}}
    tab.page.route("**/search", lambda route: route.fulfill(**answer), times=1)
    tab.page.set_input_files("#file", drawn)
    tab.settle()
    assert_alike(tab.shown(), as_written(ask(service_url, photo=drawn)))
    assert "The shop is busy. Asking again in 1 s \u2026" in said

    tab.page.route("**/search", lambda route: route.fulfill(**answer), times=2)
    tab.page.set_input_files("#file", drawn)
    tab.page.wait_for_selector("#error:not([hidden])")
    assert tab.page.inner_text("#error-message") == "too much to do. Try again in a second."
    with tab.page.expect_response("**/search"):
        tab.page.get_by_role("button", name="Try again").click()
    tab.settle()
    assert len(tab.shown()) == FIRST_HITS


def test_a_long_wait_is_said_and_not_waited_for(tab: Tab, drawn: Path) -> None:
    body = {"error": {"code": "quota", "message": "the quota of this key is used up"}}
    answer = {"status": 429, "json": body, "headers": {"Retry-After": "3600"}}
    asked: list[str] = []

    def refuse(route: Any) -> None:
        asked.append(route.request.url)
        route.fulfill(**answer)

    tab.page.route("**/search", refuse)
    tab.page.set_input_files("#file", drawn)
    tab.page.wait_for_selector("#error:not([hidden])")
    assert tab.page.inner_text("#error-message") == "the quota of this key is used up. Try again in 60 minutes."
    assert len(asked) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width_px", [360, 1280])
def test_axe_finds_nothing(browser: Any, service_url: str, drawn: Path, width_px: int, scheme: str) -> None:
    tab = open_tab(browser, service_url, viewport={"width": width_px, "height": 800}, color_scheme=scheme)
    without_motion(tab.page)
    tab.page.wait_for_selector("#samples:not([hidden])")
    found = {"start": violations(tab.page)}
    tab.search(drawn)
    tab.page.eval_on_selector_all("details", "all => all.forEach(one => { one.open = true; })")
    with tab.page.expect_response("**/search"):
        tab.page.get_by_role("button", name="Mark a part").click()
    tab.settle()
    found["results"] = violations(tab.page)
    assert tab.overflow_px() == 0
    tab.page.get_by_role("searchbox", name="Search by words").fill("100 %")
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_selector("#error:not([hidden])")
    found["error"] = violations(tab.page)
    tab.page.evaluate(
        "import('/static/key.js').then(({askForKey}) => { askForKey('This shop', 'that key is not known'); })"
    )
    tab.page.get_by_role("dialog").wait_for()
    found["key"] = violations(tab.page)
    assert found == {"start": [], "results": [], "error": [], "key": []}
    tab.page.context.close()


def test_axe_sees_what_is_wrong(tab: Tab) -> None:
    """The check above can fail."""
    tab.page.evaluate("document.getElementById('words-input').labels[0].remove()")
    tab.page.evaluate("document.getElementById('words-input').removeAttribute('placeholder')")
    tab.page.evaluate("document.getElementById('tagline').style.color = '#ddd'")
    assert {one.split(":")[0] for one in violations(tab.page)} >= {"label", "color-contrast"}


def test_the_order_of_the_keyboard_is_that_of_the_eye_and_focus_is_seen(tab: Tab) -> None:
    tab.page.wait_for_selector("#samples:not([hidden])")
    order = []
    for _ in range(5):
        tab.page.keyboard.press("Tab")
        order.append(
            tab.page.evaluate(
                """() => {
                  const one = document.activeElement;
                  const shown = one.classList.contains("sr") ? one.nextElementSibling : one;
                  const outline = getComputedStyle(shown);
                  const seen = outline.outlineStyle === "solid" && parseFloat(outline.outlineWidth) >= 2;
                  return [one.id || one.textContent.trim() || one.querySelector("img").alt, seen];
                }"""
            )
        )
    names = [name for name, _ in order]
    assert names[:4] == ["Skip to results", "words-input", "Search", "file"]
    assert names[4] == tab.page.locator("#samples img").first.get_attribute("alt")
    assert all(seen for _, seen in order)


def test_nothing_moves_while_the_page_and_its_pictures_load(browser: Any, service_url: str, drawn: Path) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    context.add_init_script(
        """window.moved = 0;
           new PerformanceObserver((list) => list.getEntries().forEach((entry) => {
             if (!entry.hadRecentInput) window.moved += entry.value;
           })).observe({type: "layout-shift", buffered: true});"""
    )
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(service_url)
    page.wait_for_selector("#samples:not([hidden])")
    # 0.1 is what web.dev calls good. What a search changes on purpose is not counted, what pictures do to it is.
    assert page.evaluate("window.moved") < 0.1
    Tab(page).search(drawn)
    page.evaluate("window.moved = 0")
    page.locator("#hits img").first.evaluate("image => image.decode()")
    assert page.evaluate("window.moved") < 0.1
    context.close()
