"""Oracle: a small HTTP server that answers like the contract and counts what it sees and how it answered."""

import json
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from loadtests.report import Limits, Line, Measured

ROOT = Path(__file__).resolve().parents[2]
PHOTO = b"\xff\xd8\xff" + b"photo" * 400


class Shop(ThreadingHTTPServer):
    """Counts answers by status and by kind of request; `ready` and `broken_every` are set by a test."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lock = threading.Lock()
        self.statuses: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.photos: set[str] = set()
        self.ready = True
        self.broken_every = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def search(self, body: bytes) -> int:
        with self.lock:
            kind = "slider" if body.startswith(b"query_id=") else "photo" if PHOTO in body else "garbage"
            self.kinds[kind] += 1
            broken = self.broken_every and self.kinds.total() % self.broken_every == 0
            status = 415 if kind == "garbage" else 503 if broken else 200
            self.statuses[str(status)] += 1
            if kind == "photo":
                self.photos |= set(re.findall(rb'filename="(.*?)"', body))
            return status


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Shop

    def do_GET(self) -> None:
        self._answer(200 if self.server.ready else 503, {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.search(body)
        self._answer(status, {"query_id": "q", "hits": [{}]} if status == 200 else {"error": {}})

    def _answer(self, status: int, answer: dict[str, object]) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments: object) -> None:
        """Silent."""


@pytest.fixture
def shop() -> Iterator[Shop]:
    server = Shop()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    (folder / "small.jpg").write_bytes(PHOTO)
    (folder / "below" / "large.JPG").write_bytes(PHOTO * 50)
    (folder / "notes.txt").write_text("not a photo")
    return folder


def report(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "loadtests", "report", *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SHOPCAM_")}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_reported_counts_are_those_the_server_saw(shop: Shop, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--users", 4, "--seconds", 3, "--think-s", 0.1, "--garbage", 0.2, "--max-p95-ms", 2000)
    done = report("--url", shop.url, "--photos", photos, "--out", out, *options)

    assert done.returncode == 0, done.stderr
    written = json.loads((out / "loadtest.json").read_text())
    counts = {line["name"]: line["requests"] for line in written["requests"]}
    assert shop.kinds.keys() == {"photo", "garbage", "slider"}
    assert counts["photo"] + counts["photo again"] == shop.kinds["photo"]
    assert (counts["slider"], counts["garbage"]) == (shop.kinds["slider"], shop.kinds["garbage"])
    assert counts["all"] == shop.kinds.total() > 20
    assert written["statuses"] == dict(shop.statuses)
    assert shop.photos == {b"small.jpg", b"large.JPG"}
    figures = {row["name"]: row for row in written["rows"]}
    assert figures["error rate"]["value"] == 0, written["errors"]
    assert figures["requests a second"]["value"] == pytest.approx(counts["all"] / written["seconds"], rel=1e-3)
    assert figures["p50"]["value"] <= figures["p95"]["value"] <= figures["p99"]["value"]
    assert 0 < figures["client CPU"]["value"] < 2 * written["seconds"]
    assert figures["p95"]["ok"] is True
    for text in (done.stdout, (out / "loadtest.md").read_text()):
        assert "photo again" in text
        assert f"{shop.statuses['200']} x 200" in text


def test_errors_above_the_limit_exit_with_1_and_are_listed_by_code(shop: Shop, photos: Path, tmp_path: Path) -> None:
    shop.broken_every = 4
    options = ("--users", 2, "--seconds", 1, "--think-s", 0, "--garbage", 0, "--max-error-rate", 0.1)
    done = report("--url", shop.url, "--photos", photos, "--out", tmp_path, *options)

    assert done.returncode == 1
    written = json.loads((tmp_path / "loadtest.json").read_text())
    assert written["statuses"] == dict(shop.statuses)
    assert sum(written["errors"].values()) == shop.statuses["503"]
    assert "error rate" in done.stderr
    assert "above the limit of 10.00%" in done.stderr


def test_garbage_that_is_accepted_counts_as_an_error(shop: Shop, photos: Path, tmp_path: Path) -> None:
    shop.search = lambda _: 200  # type: ignore[method-assign]
    options = ("--users", 1, "--seconds", 0.5, "--think-s", 0.05, "--garbage", 1)
    done = report("--url", shop.url, "--photos", photos, "--out", tmp_path, *options)

    assert done.returncode == 1
    assert "garbage was answered with status 200" in done.stdout


def test_limits_worked_out_by_hand() -> None:
    line = Line(name="all", requests=200, failures=3, requests_per_s=20, p50_ms=10, p95_ms=80, p99_ms=120)
    measured = Measured(lines=(line,), statuses={}, errors={}, seconds=10, client_cpu_s=1)

    assert Limits(error_rate=0.015, p95_ms=80).broken_by(measured) == []
    assert Limits(error_rate=0.0149, p95_ms=None).broken_by(measured) == [
        "error rate 1.50% is above the limit of 1.49%"
    ]
    assert Limits(error_rate=1, p95_ms=79).broken_by(measured) == ["p95 80 ms is above the limit of 79 ms"]


def test_a_run_without_answers_is_no_success() -> None:
    line = Line(name="all", requests=0, failures=0, requests_per_s=0, p50_ms=0, p95_ms=0, p99_ms=0)

    assert Measured(lines=(line,), statuses={}, errors={}, seconds=1, client_cpu_s=0).error_rate == 1


def test_mistakes_are_one_sentence(shop: Shop, photos: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    gone = report("--url", "http://127.0.0.1:9", "--photos", photos)
    no_photos = report("--url", shop.url, "--photos", empty, "--out", tmp_path)
    no_folder = report("--url", shop.url, "--photos", tmp_path / "nowhere", "--out", tmp_path)
    no_url = report("--url", "localhost:3000", "--photos", photos)
    shop.ready = False
    not_ready = report("--url", shop.url, "--photos", photos)

    runs = (gone, no_photos, no_folder, no_url, not_ready)
    assert [done.returncode for done in runs] == [2] * 5
    assert all(done.stderr.count("\n") == 1 and "Traceback" not in done.stderr for done in runs)
    assert "no service answers at http://127.0.0.1:9" in gone.stderr
    assert "holds no photos" in no_photos.stderr
    assert "does not exist" in no_folder.stderr
    assert "must look like http://host:port" in no_url.stderr
    assert "is not ready (503 at /readyz)" in not_ready.stderr
    assert not shop.kinds
    assert not list(tmp_path.glob("loadtest.*"))


def test_locustfile_alone_refuses_to_search_without_photos(shop: Shop) -> None:
    command = [sys.executable, "-m", "locust", "-f", "loadtests/locustfile.py", "--headless", "-u", "1", "-t", "20s"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SHOPCAM_")}
    done = subprocess.run(
        [*command, "--host", shop.url],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert "no photo folder was given; name one with --photos or SHOPCAM_PHOTOS" in done.stderr
    assert not shop.kinds
