"""The blocks of docs/clients.md, run as they stand against a running service; oracle: what the same search answers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.answering import JSON, answering
from tests.bento.conftest import ROOT, search

DOCUMENT = (ROOT / "docs" / "clients.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
ADDRESS = "http://127.0.0.1:3000"
BUSY = '{"error": {"code": "overloaded", "message": "busy"}}'
FOUND = {"hits": [{"product_id": "p1", "score": 0.5, "title": "A ring"}], "query_id": "q", "weight": 0}


def block(language: str, word: str) -> str:
    """The one block of a language that holds a word."""
    (found,) = [text for kind, text in BLOCKS if kind == language and word in text]
    return found


def run(command: list[str], text: str, url: str, folder: Path) -> str:
    """What a block prints that asks the service at `url`."""
    assert ADDRESS in text
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "BENTOML_DO_NOT_TRACK": "True", "no_proxy": "127.0.0.1"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    done = subprocess.run(
        [*command, text.replace(ADDRESS, url)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def python(text: str, url: str, folder: Path) -> str:
    return run([sys.executable, "-c"], text, url, folder)


def node(text: str, url: str, folder: Path) -> str:
    if shutil.which("node") is None:
        pytest.skip("node is not on PATH")
    (folder / "shopcam.mjs").write_text(block("js", "export class"))
    return run(["node", "--input-type=module", "--eval"], text, url, folder)


@pytest.fixture
def folder(photos: list[bytes], tmp_path: Path) -> Path:
    (tmp_path / "photo.jpg").write_bytes(photos[2])
    return tmp_path


def fulfill_with(page: Any, name: str, kind: str, text: str) -> None:
    page.route(f"**/{name}", lambda route: route.fulfill(content_type=kind, body=text))


def products(answer: dict[str, Any]) -> list[str]:
    return [hit["product_id"] for hit in answer["hits"]]


def test_every_block_is_run_here() -> None:
    kinds = [kind for kind, _ in BLOCKS]
    assert sorted(kinds) == ["html", "js", "js", "python", "python", "sh"]


def test_shell(client: httpx.Client, service_url: str, folder: Path, photos: list[bytes]) -> None:
    printed = run(["bash", "-euo", "pipefail", "-c"], block("sh", "curl"), service_url, folder)
    decoder, answers = json.JSONDecoder(), []
    while printed := printed.strip():
        answer, end = decoder.raw_decode(printed)
        answers.append(answer)
        printed = printed[end:]
    boxed, by_words, named = answers
    assert boxed["hits"] == search(client, photos[2], top_k=5, box="0,0,100,100")["hits"]
    asked = {"query": "red ring", "filters": {"price": {"lte": 20}}}
    assert by_words["hits"] == client.post("/search/text", json=asked).json()["hits"]
    assert by_words["hits"]
    assert products(named) == products(search(client, photos[2], top_k=5, category="red ring", weight=2))


def test_python(client: httpx.Client, service_url: str, folder: Path, photos: list[bytes]) -> None:
    *lines, again = python(block("python", "import httpx"), service_url, folder).splitlines()
    answer = search(client, photos[2], top_k=5, weight=1.5)
    assert lines == [f"{hit['product_id']} {hit['score']:.3f} {hit['title']}" for hit in answer["hits"]]
    assert again == f"0.0 {products(search(client, photos[2], weight=0))}"


def test_bentoml(client: httpx.Client, service_url: str, folder: Path, photos: list[bytes]) -> None:
    printed = python(block("python", "SyncHTTPClient"), service_url, folder)
    found = search(client, photos[2], top_k=5, category="red ring", filters='{"price": {"lte": 20}}')
    words = client.post("/search/text", json={"query": "red ring", "top_k": 3}).json()
    assert printed.splitlines() == [f"{hit['product_id']} {hit['title']}" for hit in found["hits"] + words["hits"]]


def test_node(client: httpx.Client, service_url: str, folder: Path, photos: list[bytes]) -> None:
    printed = node(block("js", "node:fs"), service_url, folder)
    answer = search(client, photos[2], top_k=5)
    assert printed.splitlines() == [f"{hit['product_id']} {hit['score']:.3f} {hit['title']}" for hit in answer["hits"]]


@pytest.mark.browser
def test_a_page(browser: Any, client: httpx.Client, service_url: str, folder: Path, photos: list[bytes]) -> None:
    page = browser.new_context().new_page()
    page.set_default_timeout(60_000)
    # The example's files stand beside the service, whose own page and policy are not asked.
    fulfill_with(page, "example.html", "text/html", block("html", "script").replace(ADDRESS, service_url))
    fulfill_with(page, "shopcam.mjs", "text/javascript", block("js", "export class"))
    page.goto(f"{service_url}/example.html")
    page.set_input_files("#photo", folder / "photo.jpg")
    page.wait_for_selector("#hits li")
    shown = [item.inner_text() for item in page.locator("#hits li").all()]
    page.context.close()
    assert shown == [hit["title"] for hit in search(client, photos[2], top_k=5)["hits"]]


@pytest.mark.parametrize(("runner", "language", "word"), [(python, "python", "import httpx"), (node, "js", "node:fs")])
def test_a_busy_service_is_asked_again_when_it_says_so(
    folder: Path, runner: Callable[[str, str, Path], str], language: str, word: str
) -> None:
    asked: list[str] = []

    def answer(_: str, path: str) -> tuple[int, str, dict[str, str]]:
        asked.append(path)
        if len(asked) < 3:
            return 429 if len(asked) == 1 else 503, BUSY, {**JSON, "Retry-After": "1"}
        return 200, json.dumps(FOUND), dict(JSON)

    with answering(answer) as url:
        assert runner(block(language, word), url, folder).splitlines()[0] == "p1 0.500 A ring"
    assert asked[:3] == ["/search"] * 3


def test_a_service_that_stays_busy_is_given_up(folder: Path) -> None:
    with (
        answering(lambda *_: (429, BUSY, {**JSON, "Retry-After": "1"})) as url,
        pytest.raises(AssertionError, match="overloaded: busy"),
    ):
        python(block("python", "import httpx"), url, folder)
