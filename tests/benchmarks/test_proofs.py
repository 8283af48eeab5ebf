"""Claims that tests prove: a failing or missing test shows, and every test that a table names exists."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from benchmarks.cloud.life import LIFE
from benchmarks.galleries.faults import FAULTS
from benchmarks.proofs import ROOT, Outcome, proof_row, proof_rows

TESTS = """
import pytest

@pytest.mark.parametrize("number", [1, 2])
def test_fine(number): assert number

@pytest.mark.parametrize("number", [1, 2])
def test_half(number): assert number == 1

@pytest.mark.skip(reason="not here")
def test_skipped(): raise AssertionError

def test_broken(missing_fixture): pass
"""


def test_each_claim_is_what_its_tests_say(tmp_path: Path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    names = ("fine", "half", "skipped", "broken")
    rows = proof_rows({name: [f"tests/test_it.py::test_{name}"] for name in names}, root=tmp_path)
    found = {row.name: (row.value, row.ok) for row in rows}
    assert found["fine"] == (0, True)
    assert found["half"] == (1, False)
    assert found["broken"] == (1, False)
    assert math.isnan(found["skipped"][0])
    assert found["skipped"][1] is False
    assert rows[0].note == "2 cases passed"


def test_a_claim_holds_only_if_all_of_its_tests_ran():
    assert proof_row("a", [Outcome(3, 0), Outcome(1, 0)]).ok
    assert not proof_row("a", [Outcome(3, 0), Outcome(0, 0)]).ok
    assert not proof_row("a", [Outcome(3, 0), Outcome(2, 1)]).ok


@pytest.mark.parametrize(
    "test", sorted({test for table in (FAULTS, LIFE) for tests in table.values() for test in tests})
)
def test_every_test_named_exists(test: str):
    file, _, function = test.partition("::")
    assert re.search(rf"^def {function}\(", (ROOT / file).read_text(), re.MULTILINE)
