"""`python -m bento` as a person uses it: what it prints, what it says when something is wrong, and what it leaves."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from index_builder.store import LocalStore
from tests.bento.conftest import ROOT, free_port, search, serve, wait_until, wait_until_ready
from tests.marks import mark, marked

__all__ = ["mark"]  # a fixture

ENDED_S = 20.0


def bento(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bento", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | (environment or {}),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def mistake(run: subprocess.CompletedProcess[str]) -> str:
    """The one sentence of a run that a person's mistake ended."""
    assert run.returncode == 2, run.stderr
    assert "Traceback" not in run.stderr
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    return last


@pytest.fixture(scope="module")
def photo(photos: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "photo.jpg"
    path.write_bytes(photos[1])
    return path


def test_search_prints_a_table(client: httpx.Client, service_url: str, photo: Path) -> None:
    run = bento("search", photo, "--url", service_url, "--top-k", "7", "--weight", "1.5")
    assert run.returncode == 0, run.stderr
    answer = search(client, photo.read_bytes(), top_k=7, weight=1.5)
    first, header, *rows, last = run.stdout.strip("\n").splitlines()
    assert "photo.jpg" in first
    assert f"{answer['label']} ({answer['label_score']:.0%})" in first
    assert header.split() == ["product", "title", "category", "price", "score", "image", "text"]
    assert len(rows) == 7
    for rank, (row, hit) in enumerate(zip(rows, answer["hits"], strict=True), start=1):
        assert row.split()[0] == str(rank)
        for cell in (hit["product_id"], hit["title"], hit["category_path"].split(" > ")[-1], f"{hit['price']:.2f}"):
            assert cell in row
        scores = [float(cell) for cell in row.split()[-3:]]
        assert scores == pytest.approx([hit["score"], hit["image_score"], hit["text_score"]], abs=6e-4)
    assert re.fullmatch(r"gallery v1, weight 1.5, \d+ ms \(decode \d+, models \d+, search \d+\)", last.strip())


@pytest.mark.parametrize("columns", [80, 120])
def test_numbers_are_whole_at_any_width(client: httpx.Client, service_url: str, photo: Path, columns: int) -> None:
    run = bento("search", photo, "--url", service_url, environment={"COLUMNS": str(columns)})
    rows = run.stdout.strip("\n").splitlines()[2:-1]
    for row, hit in zip(rows, search(client, photo.read_bytes())["hits"], strict=True):
        assert f" {hit['product_id']} " in row
        assert row.split()[-4] == f"{hit['price']:.2f}"
        assert all(re.fullmatch(r"-?\d\.\d{3}", cell) for cell in row.split()[-3:])


def test_search_says_that_words_have_no_meaning(service_url: str, photo: Path) -> None:
    run = bento("search", photo, "--url", service_url, "--category", "!!! [red]")
    assert run.returncode == 0, run.stderr
    assert "searched as" in run.stdout  # "red" is known
    run = bento("search", photo, "--url", service_url, "--category", "[!!!]")
    assert "[!!!]" in run.stdout
    assert "no text" in run.stdout


def test_search_gives_the_body_as_json(client: httpx.Client, service_url: str, photo: Path) -> None:
    run = bento("search", photo, "--url", service_url, "--json", "--category", "Shop > mug", "--label-mode", "soft")
    body, same = json.loads(run.stdout), search(client, photo.read_bytes(), category="Shop > mug", label_mode="soft")
    assert body["hits"] == same["hits"]
    assert body["category"] == "Shop > mug"
    assert run.stderr == ""


def test_mistakes_of_search_are_sentences(service_url: str, photo: Path, tmp_path: Path) -> None:
    assert "none.jpg" in mistake(bento("search", tmp_path / "none.jpg", "--url", service_url))
    assert str(tmp_path) in mistake(bento("search", tmp_path, "--url", service_url))
    nobody = f"http://127.0.0.1:{free_port()}"
    assert nobody in mistake(bento("search", photo, "--url", nobody))
    assert "weight" in mistake(bento("search", photo, "--url", service_url, "--weight", "26"))
    assert "box" in mistake(bento("search", photo, "--url", service_url, "--box", "1,2"))
    letter = tmp_path / "letter.txt"
    letter.write_text("dear shop")
    assert "not a picture" in mistake(bento("search", letter, "--url", service_url))
    mistake(bento("search", photo, "--url", "shop.example"))


def test_mistakes_of_serve_are_sentences(store: LocalStore, tmp_path: Path) -> None:
    here = {"SHOPCAM_STORE": str(store.path)}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = mistake(bento("serve", "--port", port, "--logs", tmp_path / "logs", environment=here))
        assert f"127.0.0.1:{port}" in said
        assert not (tmp_path / "logs").exists()  # told before Triton was started
    said = mistake(bento("serve", "--store", tmp_path / "none", "--logs", tmp_path))
    assert str(tmp_path / "none") in said
    assert "index_builder build" in said
    assert "SHOPCAM_STROE" in mistake(bento("serve", environment={"SHOPCAM_STROE": "store"}))
    said = mistake(bento("serve", environment={"SHOPCAM_MAX_PIXELS": "many"}))
    assert "SHOPCAM_MAX_PIXELS" in said
    assert "many" in said
    free = ("--port", free_port())
    said = mistake(bento("serve", *free, "--repository", tmp_path / "nets", "--logs", tmp_path, environment=here))
    assert str(tmp_path / "nets") in said
    (tmp_path / "empty").mkdir()
    assert "empty" in mistake(bento("serve", "--try", tmp_path / "empty", environment=here))
    letter = tmp_path / "letter.jpg"
    letter.write_text("dear shop")
    for photo, words in ((tmp_path / "none.jpg", "No such file"), (letter, "not a picture"), (tmp_path, "letter.jpg")):
        said = mistake(bento("serve", *free, "--try", photo, "--logs", tmp_path / "logs", environment=here))
        assert words in said
        assert str(photo) in said
    assert not (tmp_path / "logs").exists()
    assert "views" in mistake(bento("serve", *free, "--query-views", "3", environment=here))


def test_serve_once_searches_and_leaves_nothing(
    store: LocalStore, tiny_repository: Path, photo: Path, tmp_path: Path, mark: str
) -> None:
    port = free_port()
    options = {"--store": store.path, "--repository": tiny_repository, "--logs": tmp_path, "--port": port}
    run = bento("serve", *(word for pair in options.items() for word in pair), "--try", photo.parent, "--once")
    assert run.returncode == 0, run.stderr
    assert "photo.jpg  looks like green (" in run.stdout
    assert len(run.stdout.strip().splitlines()) == 2 + 8 + 1  # label, names of columns; hits; times
    assert f"http://127.0.0.1:{port}" in run.stderr
    assert marked(mark) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_serve_ends_with_all_it_started(
    store: LocalStore, tiny_repository: Path, tmp_path: Path, mark: str, number: signal.Signals
) -> None:
    with serve(tmp_path, store=store.path, repository=tiny_repository) as service:
        wait_until_ready(service)
        names = {process.name() for process in marked(mark)}
        assert "tritonserver" in names
        assert len(marked(mark)) > 3
        service.process.send_signal(number)
        code = service.process.wait(ENDED_S)
        assert code == (-number if number == signal.SIGKILL else 0)
        wait_until(lambda: not marked(mark), deadline_s=ENDED_S)
        assert service.status("/livez") == 0


def test_a_service_that_dies_is_told(store: LocalStore, tiny_repository: Path, tmp_path: Path, mark: str) -> None:
    with serve(tmp_path, store=store.path, repository=tiny_repository) as service:
        wait_until_ready(service)
        (bentoml,) = [
            process for process in psutil.Process(service.process.pid).children() if "bentoml" in process.cmdline()
        ]
        bentoml.kill()
        assert service.process.wait(ENDED_S) == 2
        assert "the service ended" in service.output.read_text()
        wait_until(lambda: not marked(mark), deadline_s=ENDED_S)


def test_serve_without_a_live_gallery_starts_nothing(tmp_path: Path, mark: str):
    said = mistake(bento("serve", "--store", tmp_path / "none", "--logs", tmp_path / "logs"))
    assert "has no live gallery; `python -m index_builder build` makes one" in said
    assert not (tmp_path / "logs").exists()  # neither Triton nor the service was started
