"""A short load and a gone store against the real service, over a real Triton with tiny networks."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.serving.chaos import run_chaos
from export.local_triton import LocalTriton
from index_builder.store import LocalStore
from loadtests import results
from tests.bento.conftest import (  # fixtures are found by their names here
    networks,
    photos,
    serve,
    shop,
    store,
    wait_until_ready,
    words,
)
from tests.loadtests.conftest import Loadtests

__all__ = ["networks", "photos", "shop", "store", "words"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(photos: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("uploads")
    for number, photo in enumerate(photos):
        (path / f"{number}.jpg").write_bytes(photo)
    return path


def test_the_service_answers_every_shopper_and_refuses_every_garbage(
    loadtests: Loadtests, store: LocalStore, tiny_triton: LocalTriton, folder: Path, tmp_path: Path
) -> None:
    with serve(tmp_path, store=store.path, triton_url=tiny_triton.grpc_url) as service:
        wait_until_ready(service)
        options = ("--users", 4, "--duration", "10s", "--think-s", 0.3, "--garbage", 0.2, "--max-error-rate", 0)
        done = loadtests("run", "--host", service.url, "--photos", folder, "--out", tmp_path / "out", *options)

    assert done.returncode == 0, done.stderr + done.stdout
    run = results.read(tmp_path / "out")
    kinds = {line.name: line for line in run.lines}
    assert kinds["garbage"].ok > 0
    assert kinds["slider"].ok > 0
    assert {"decode", "models", "fuse", "search", "total"} <= set(run.stages)
    searches = sum(line.ok for name, line in kinds.items() if name not in ("garbage", "all"))
    assert run.stages["total"].count >= searches  # the service's own canary searches are not counted there, or above
    assert run.stages["total"].quantile_ms(0.5) < run.total.p95_ms


def test_a_service_whose_triton_and_store_are_taken_away_keeps_its_promises(
    tiny_repository: Path, store: LocalStore, folder: Path, tmp_path: Path
) -> None:
    """The ready-made plan of `python -m benchmarks.serving chaos`, as much of it as tiny networks need."""
    copied = tmp_path / "store"
    shutil.copytree(store.path, copied)
    events = ("triton-kill", "store-gone")
    out = tmp_path / "out"
    status = run_chaos(tiny_repository, copied, folder, swap_to="none", out=out, events=events, users=3)

    run = results.read(out)
    verdicts = {(v["event"], v["sentence"].split(" ")[0]): v for v in run.chaos["verdicts"]}
    assert [event["name"] for event in run.chaos["events"]] == list(events)
    assert status == 0, verdicts
    killed = run.chaos["events"][0]
    during = [a for a in run.answers if killed["begun_s"] <= a.at_s < killed["back_s"] and a.kind != "garbage"]
    assert any(answer.status == 503 for answer in during)
    assert all(answer.retry_after for answer in run.answers if answer.status == 503)


def test_garbage_is_garbage(folder: Path) -> None:
    """What shoppers cut off or send as text is no picture to Pillow either, so that a refusal is the right answer."""
    data = (folder / "0.jpg").read_bytes()
    with pytest.raises((OSError, SyntaxError)):
        np.asarray(Image.open(io.BytesIO(data[: len(data) // 8])))
