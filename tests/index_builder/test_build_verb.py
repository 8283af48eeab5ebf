"""What `build` adds around a build: its closing summary, report, work folder, and networks behind Triton."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from catalog.errors import OutOfRangeError
from index_builder.__main__ import main
from index_builder.gallery import Gallery
from index_builder.store import LocalStore
from tests.index_builder.conftest import Shop


@pytest.fixture
def build(shop: Shop, tiny_repository: Path, tmp_path: Path):
    def run(version: str, *options: str) -> LocalStore:
        given = ["--catalog", shop.catalog, "--repository", tiny_repository, "--store", tmp_path / "store"]
        main(["build", *map(str, given), "--version", version, *options])
        return LocalStore(tmp_path / "store")

    return run


def test_the_summary_tells_what_was_reused(build, shop, capsys):
    store = build("one")
    said = capsys.readouterr().out
    assert "pictures: 26 embedded, 0 reused, 0 resumed, 0 rejected; " in said
    assert f"report: {store.path}/reports/one/report.md" in said
    (shop.catalog.parent / "3.png").write_bytes((shop.catalog.parent / "4.png").read_bytes() + b"\0")
    build("two")
    assert "pictures: 1 embedded, 25 reused, 0 resumed, 0 rejected; " in capsys.readouterr().out
    build("three", "--no-reuse")
    assert "pictures: 26 embedded, 0 reused" in capsys.readouterr().out
    two, three = (store.manifest(version).files for version in ("two", "three"))
    assert two == three


def test_work_and_report_go_where_they_are_told(build, tmp_path):
    store = build("one", "--work", str(tmp_path / "w"), "--report", str(tmp_path / "r"))
    assert (tmp_path / "w" / "lock").exists()
    assert not (tmp_path / ".store-work").exists()
    assert (tmp_path / "r" / "report.md").exists()
    assert not (store.path / "reports").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [("--fetch-timeout 0", "fetch timeout is 0.0 s"), ("--fetch-tries 0", "fetch tries is 0, at least 1 is needed")],
)
def test_policies_that_make_no_sense(build, options, sentence):
    with pytest.raises(OutOfRangeError, match=sentence):
        build("one", *options.split())


@pytest.mark.slow
def test_triton_builds_the_same_gallery(build, tiny_triton):
    store = build("here")
    build("triton", "--triton-url", tiny_triton.grpc_url, "--no-reuse")
    here, there = (Gallery.open(store.gallery(version)) for version in ("here", "triton"))
    assert there.manifest.count == 26
    for row in range(26):
        np.testing.assert_allclose(here.image_vector(row), there.image_vector(row), atol=1e-6)
        assert here.image_bytes(row) == there.image_bytes(row)
