"""`bentoml build` and `bentoml serve` of what it built: a Bento that needs nothing of this folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from export.local_triton import LocalTriton
from index_builder.store import LocalStore
from tests.bento.conftest import DEFAULT_WEIGHT, ROOT, Oracle, free_port, search, wait_until
from tests.bento.galleries import best_ids

pytestmark = pytest.mark.slow

ROOMS = {"bento", "catalog", "export", "index_builder"}
GREETING = b"<!-- the page of the Bento -->"
END_S = 30.0


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """A BentoML home of the tests' own, and no path to this folder."""
    own = {"BENTOML_HOME": str(tmp_path_factory.mktemp("bentoml")), "BENTOML_DO_NOT_TRACK": "True"}
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | own


@pytest.fixture(scope="module")
def built(environment: Mapping[str, str]) -> Path:
    """The folder of the Bento."""
    command = [sys.executable, "-m", "bentoml", "build", "--version", "tested", str(ROOT)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(environment["BENTOML_HOME"]) / "bentos" / "shopcam" / "tested"


@pytest.fixture(scope="module")
def url(
    built: Path,
    environment: Mapping[str, str],
    store: LocalStore,
    tiny_triton: LocalTriton,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """A service from the Bento alone, whose page tells it from that of this folder."""
    page = built / "src" / "bento" / "page" / "index.html"
    page.write_bytes(page.read_bytes() + GREETING)
    folder, port = tmp_path_factory.mktemp("served"), free_port()
    settings = {"SHOPCAM_STORE": str(store.path), "SHOPCAM_TRITON_URL": tiny_triton.grpc_url}
    command = [sys.executable, "-m", "bentoml", "serve", "shopcam:tested", "--port", str(port)]
    output = folder / "output.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(
            command, env={**environment, **settings}, cwd=folder, stdout=file, stderr=file, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"

    def is_ready() -> bool:
        assert process.poll() is None, output.read_text()
        try:
            return httpx.get(f"{url}/readyz", timeout=10).status_code == 200
        except httpx.TransportError:
            return False

    try:
        wait_until(is_ready, deadline_s=200)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()


def test_it_holds_the_rooms_of_the_service_and_nothing_else(built: Path) -> None:
    files = [path.relative_to(built / "src") for path in (built / "src").rglob("*") if path.is_file()]
    assert {path.parts[0] for path in files if len(path.parts) > 1} == ROOMS
    assert not [path for path in files if path.suffix in {".pyc", ".onnx", ".so"}]
    page = {path.relative_to(ROOT) for path in (ROOT / "bento" / "page").rglob("*") if path.is_file()}
    assert page <= set(files)
    requirements = (built / "env" / "python" / "requirements.txt").read_text()
    for package in ("bentoml", "boto3", "faiss-cpu", "tritonclient[grpc]"):
        assert package in requirements
    assert "torch" not in requirements


def test_it_serves_a_search(url: str, oracle: Oracle, photos: list[bytes]) -> None:
    with httpx.Client(base_url=url, timeout=60) as client:
        assert client.get("/").content.endswith(GREETING)
        for photo in photos[:2]:
            hits = search(client, photo, top_k=5)["hits"]
            assert [hit["product_id"] for hit in hits] == best_ids(oracle, photo, top_k=5, weight=DEFAULT_WEIGHT)
