"""The throughput table from reports worked out by hand, and the load generator against the tiny Triton."""

from pathlib import Path

import pytest

from benchmarks.serving.clients import LoadReport, LoadSpec, Target, measure
from benchmarks.serving.throughput import (
    BARE_CEILING,
    CEILING,
    CELLS,
    IN_PROCESS_CELLS,
    SERVICE,
    TRITON,
    in_process_rows,
    throughput_rows,
)
from export.local_triton import LocalTriton


def report(photos_per_s: float, *, failed: int = 0) -> LoadReport:
    return LoadReport(
        answered=int(photos_per_s * 10), failed=failed, wall_s=10.0, client_cpu_s=1.0, p50_ms=5.0, p99_ms=9.0
    )


def test_ratios_are_medians_of_ratios_within_a_round():
    reports = {cell: [report(50), report(50), report(50)] for cell in CELLS}
    reports[BARE_CEILING] = [report(100), report(50), report(200)]
    reports[TRITON] = [report(90), report(40), report(100)]  # 0.9, 0.8, 0.5
    reports[CEILING] = [report(80), report(100), report(40)]
    reports[SERVICE[-1]] = [report(64), report(86), report(36)]  # 0.8, 0.86, 0.9
    rows = {row.name: row for row in throughput_rows(reports, networks="two")}
    triton = rows["two: Triton / ceiling without decode"]
    assert (triton.value, triton.ok) == (pytest.approx(0.8), False)
    service = rows["two: service at 16 clients / ceiling with decode"]
    assert (service.value, service.ok) == (pytest.approx(0.86), True)
    assert "client 0.10 CPU s/s" in service.note
    assert rows[f"two: {TRITON.name}"].value == 90  # the median of 90, 40, 100


def test_a_service_without_triton_has_a_ceiling_of_its_own_rounds():
    reports = {cell: [report(50), report(50)] for cell in IN_PROCESS_CELLS}
    reports[CEILING] = [report(50), report(100)]
    reports[SERVICE[-1]] = [report(40), report(90, failed=2)]  # 0.8, 0.9
    rows = {row.name: row for row in in_process_rows(reports, networks="two")}
    ratio = rows["two, no Triton: service at 16 clients / ceiling with decode"]
    assert (ratio.value, ratio.ok) == (pytest.approx(0.85), True)
    assert rows[f"two, no Triton: {SERVICE[-1].name}"].value == 65
    assert (rows["two, no Triton: failed requests"].value, rows["two, no Triton: failed requests"].ok) == (2, False)
    assert len(rows) == len(SERVICE) + 2


def test_a_failed_request_fails_the_table():
    reports = {cell: [report(50)] for cell in CELLS}
    reports[SERVICE[0]] = [report(50, failed=1)]
    row = next(row for row in throughput_rows(reports, networks="two") if "failed" in row.name)
    assert (row.value, row.ok) == (1, False)


@pytest.mark.parametrize("target", [Target.NETWORKS, Target.DECODE_AND_NETWORKS, Target.TRITON])
def test_the_load_generator_counts_what_was_answered(target, photos, tiny_repository: Path, tiny_triton: LocalTriton):
    seen = measure(LoadSpec(target, str(tiny_repository), str(photos), 2, 0.5, tiny_triton.grpc_url))
    assert seen.failed == 0
    assert seen.answered > 10
    # A closed loop of two clients never has more than two requests on the way (Little's law).
    assert 0 < seen.photos_per_s * seen.p50_ms / 1e3 < 2.2
    assert 0 < seen.client_cpu_s < 2 * seen.wall_s + 0.2


def test_a_load_without_photos_says_so(tmp_path: Path, tiny_repository: Path):
    with pytest.raises(RuntimeError, match=r"no \*\.jpg in"):
        measure(LoadSpec(Target.NETWORKS, str(tiny_repository), str(tmp_path), 1, 0.1))
