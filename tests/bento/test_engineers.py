"""The engineers' page against two real services; oracle: what the same requests answer over plain HTTP."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from export.local_triton import LocalTriton
from tests.bento.browsing import Tab, ask, open_tab, violations, without_motion
from tests.bento.conftest import FusedShop, serve, wait_until_ready

pytestmark = pytest.mark.browser

TOP_K = 10


def open_engineers(browser: Any, service_url: str, **options: Any) -> Tab:
    return open_tab(browser, f"{service_url}/engineers", **({"viewport": {"width": 1280, "height": 900}} | options))


def rows(tab: Tab, side: int) -> list[tuple[str, str]]:
    """(product_id, place on the other side) of one column."""
    cards = tab.page.locator(".rows").nth(side).locator("[data-product-id]").all()
    return [(card.get_attribute("data-product-id"), card.locator(".change").inner_text()) for card in cards]


def search(tab: Tab, photo: Path) -> None:
    tab.page.set_input_files("#file", photo)
    settle(tab)


def settle(tab: Tab) -> None:
    tab.page.wait_for_selector("#status:has-text('are on both sides')")
    for side in range(2):
        tab.page.locator(f".side:not([aria-busy]) >> nth={side}").wait_for()


def ids(answer: dict[str, Any]) -> list[str]:
    return [hit["product_id"] for hit in answer["hits"]]


def test_two_weights_side_by_side(browser: Any, service_url: str, drawn: Path) -> None:
    tab = open_engineers(browser, service_url)
    search(tab, drawn)
    for side, step in ((0, "0"), (1, "100")):
        with tab.page.expect_response("**/search") as waiting:
            tab.page.get_by_label("Weight").nth(side).fill(step)
        sent = waiting.value.request.post_data or ""
        assert 'name="query_id"' in sent  # one upload for all
        settle(tab)
    left, right = (ids(ask(service_url, photo=drawn, weight=weight, top_k=TOP_K)) for weight in (0, 25))
    assert left != right

    def places(own: list[str], other: list[str]) -> list[tuple[str, str]]:
        return [(one, f"there {other.index(one) + 1}" if one in other else "not there") for one in own]

    assert rows(tab, 0) == places(left, right)
    assert rows(tab, 1) == places(right, left)
    both = len(set(left) & set(right))
    assert tab.page.inner_text("#status").startswith(f"{both} of the first {TOP_K} are on both sides. The first ")
    assert tab.overflow_px() == 0
    assert tab.complaints == []
    tab.page.context.close()


def test_stages_are_those_of_the_last_answers(browser: Any, service_url: str, drawn: Path, tmp_path: Path) -> None:
    unseen = tmp_path / "unseen.jpg"
    unseen.write_bytes(drawn.read_bytes() + b"behind the picture")
    tab = open_engineers(browser, service_url)
    answers: list[Any] = []
    tab.page.on("response", lambda answer: answers.append(answer) if answer.url.endswith("/search") else None)
    search(tab, unseen)
    left, right = (answer.json()["timings_ms"] for answer in answers)
    for row in tab.page.locator("#stages tbody tr").all():
        stage = row.locator("th").inner_text()
        shown = [float(cell.inner_text()) for cell in row.locator("td").all()]
        times = [left[stage], left[stage], right[stage], right[stage]]
        assert shown == pytest.approx(times, abs=0.51)
    assert left["models"] > 0 == right["models"]  # the right side reuses the vectors
    tab.page.context.close()


def test_the_gallery_is_told(browser: Any, service_url: str) -> None:
    tab = open_engineers(browser, service_url)
    gallery = httpx.get(f"{service_url}/gallery", timeout=60).json()
    facts = {
        row.locator("dt").inner_text(): row.locator("dd").inner_text() for row in tab.page.locator("#facts > div").all()
    }
    assert facts["version"] == f"{gallery['version']}, the live one"
    assert facts["rows"] == f"{gallery['count']} of {gallery['products']} products"
    assert facts["index"] == f"{gallery['recipe']} on {gallery['device']}"
    assert facts["changes"] == "batch 0 of the journal; 0 applied, 0 skipped"
    recalls = [float(value) for value in re.findall(r"(\S+) at weight", facts["recall@10 against exact search"])]
    assert recalls == pytest.approx([one["recall_at_10"] for one in gallery["recall"]], abs=0.00051)
    assert "trouble" not in facts
    tab.page.context.close()


@pytest.fixture
def allowing_url(service_url: str, fused_shop: FusedShop, fused_triton: LocalTriton, tmp_path: Path) -> Iterator[str]:
    """The service over the fused network, whose CORS list names the other service."""
    asked = {"store": fused_shop.store.path, "triton_url": fused_triton.grpc_url, "cors_origins": service_url}
    with serve(tmp_path, **asked) as service:
        wait_until_ready(service)
        yield service.url


def test_two_galleries_side_by_side(
    browser: Any, service_url: str, fused_url: str, allowing_url: str, drawn: Path
) -> None:
    tab = open_engineers(browser, service_url)
    search(tab, drawn)
    other = tab.page.get_by_label("Service").nth(1)
    other.fill(fused_url)
    other.press("Tab")
    alert = tab.page.locator(".side").nth(1).get_by_role("alert")
    alert.wait_for()
    assert f"does that service allow {service_url} in its CORS list" in alert.inner_text()

    other.fill(f"{allowing_url}/")
    other.press("Tab")
    settle(tab)
    assert [one for one, _ in rows(tab, 1)] == ids(ask(fused_url, photo=drawn, top_k=TOP_K))
    assert [one for one, _ in rows(tab, 0)] == ids(ask(service_url, photo=drawn, top_k=TOP_K))
    assert "Gallery soft" in tab.page.locator(".side .said").nth(1).inner_text()
    picture = tab.page.locator(".rows").nth(1).locator("img[src^='blob:']").first
    picture.wait_for()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    tab.page.context.close()


def test_the_photo_comes_along_from_the_shop_page(tab: Tab, service_url: str, drawn: Path) -> None:
    tab.search(drawn)
    tab.page.get_by_role("link", name="Engineers' view").click()
    settle(tab)
    assert len(rows(tab, 0)) == TOP_K
    assert rows(tab, 0)[0][0] == ids(ask(service_url, photo=drawn))[0]
    assert tab.page.evaluate("sessionStorage.length") == 0
    assert tab.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width_px", [360, 1280])
def test_axe_finds_nothing(browser: Any, service_url: str, drawn: Path, width_px: int, scheme: str) -> None:
    tab = open_engineers(browser, service_url, viewport={"width": width_px, "height": 800}, color_scheme=scheme)
    without_motion(tab.page)
    search(tab, drawn)
    assert violations(tab.page) == []
    assert tab.overflow_px() == 0
    tab.page.context.close()
