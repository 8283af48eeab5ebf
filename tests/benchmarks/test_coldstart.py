"""The figures of a start: worked out by hand, and of one real start."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.coldstart import Start, coldstart_rows, parts_of, start_once
from index_builder.build import build_gallery
from index_builder.store import LocalStore

OUTPUT = """2026-11-22 02:09:01,398 container INFO Triton starts
2026-11-22 02:09:02,419 container INFO Triton is up after 1.0 s
Triton is up after 7.0 s, says somebody else
2026-11-22 02:09:05,419 container INFO the service is up after 3.5 s
"""


def test_what_the_supervisor_says_is_read() -> None:
    assert parts_of(OUTPUT) == {"Triton": 1.0, "the service": 3.5}


def test_rows_are_medians_and_the_rest_is_what_is_left() -> None:
    starts = [Start(ready, {"Triton": triton, "the service": 2.0}) for ready, triton in ((8, 1), (30, 4), (10, 3))]
    rows = coldstart_rows(starts, 100_000)
    assert [(row.name, row.value) for row in rows] == [
        ("start to ready, 100,000 products", 10),
        ("of it, Triton until up", 3),
        ("of it, the service until up", 2),
        ("of it, all else", 5),  # of 8 - 3, 30 - 6 and 10 - 5
    ]
    assert rows[0].ok
    assert not coldstart_rows([Start(20.1, {})], 1)[0].ok
    assert "3 starts, 8.0 to 30.0 s" in rows[0].note


@pytest.mark.slow
def test_a_start_is_measured(color_shop, tmp_path: Path) -> None:
    from export.onnx_runtime import OnnxRuntimeNetworks

    networks = OnnxRuntimeNetworks(color_shop.repository, threads=1)
    store = LocalStore(tmp_path / "store")
    build_gallery(color_shop.catalog, networks, color_shop.words, store=store, version="v1")
    store.swap("v1", spaces=networks.info.spaces)
    networks.close()
    start = start_once(color_shop.repository, store.path)
    assert set(start.parts_s) == {"Triton", "the service"}
    assert 0 < sum(start.parts_s.values()) < start.ready_s
