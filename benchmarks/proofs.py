"""Claims and the tests that prove them in, a row a claim out: how many cases of its tests failed.

The tests run here as in `make test`. A claim none of whose tests ran (all skipped, or gone) counts as missed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from benchmarks.results import Row, Target
from catalog.errors import NotReadyError

ROOT = Path(__file__).parents[1]


def proofs_in(folder: str, *tests: str) -> list[str]:
    """Ids of tests of one folder of `tests/`, given as "FILE.py::FUNCTION" without "test_"."""
    return [f"tests/{folder}/test_{test}" for test in tests]


@dataclass(frozen=True)
class Outcome:
    """How the tests of one file and function ended."""

    passed: int = 0
    failed: int = 0


def proof_rows(proofs: Mapping[str, Sequence[str]], *, root: Path = ROOT) -> list[Row]:
    """Run all tests once and return a row a claim: how many of the cases that prove it failed."""
    outcomes = run_tests(sorted({test for tests in proofs.values() for test in tests}), root=root)
    return [proof_row(claim, [outcomes.get(test, Outcome()) for test in tests]) for claim, tests in proofs.items()]


def proof_row(claim: str, outcomes: Sequence[Outcome]) -> Row:
    """The row of one claim."""
    ran = all(one.passed + one.failed for one in outcomes)
    passed, failed = sum(one.passed for one in outcomes), sum(one.failed for one in outcomes)
    value = float(failed) if ran else float("nan")
    return Row(claim, value, "failed", Target("<=", 0), f"{passed} cases passed" if ran else "a test did not run")


def run_tests(tests: Sequence[str], *, root: Path = ROOT) -> dict[str, Outcome]:
    """Run tests by their ids in a process of their own; returns how each function's cases ended."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "--durations=0", f"--junitxml={report}", *tests]
        done = subprocess.run(command, cwd=root, check=False)
        if not report.exists():
            raise NotReadyError(f"the tests could not be run: pytest ended with {done.returncode}; see above")
        return outcomes_of(report)


def outcomes_of(report: Path) -> dict[str, Outcome]:
    """Read a JUnit report: test (file::function) -> outcome; skipped cases count for nothing."""
    found: dict[str, Outcome] = {}
    # Written by our own pytest a moment ago.
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314
        file = case.get("classname", "").replace(".", "/") + ".py"
        test = f"{file}::{case.get('name', '').partition('[')[0]}"
        before = found.get(test, Outcome())
        if case.find("skipped") is not None:
            found[test] = before
        elif case.find("failure") is not None or case.find("error") is not None:
            found[test] = Outcome(before.passed, before.failed + 1)
        else:
            found[test] = Outcome(before.passed + 1, before.failed)
    return found
