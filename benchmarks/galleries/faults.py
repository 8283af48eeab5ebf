"""The faults that galleries must survive in, how many of the tests that cause each one fail out.

A fault is caused by tests of `tests/`, which run here as in `make test`: real processes are killed, real files damaged.
A fault none of whose tests ran (all skipped, or gone) counts as missed.
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

ROOT = Path(__file__).parents[2]
INDEX_BUILDER = "tests/index_builder"

# Fault -> the tests that cause it (file::function; all of its cases).
FAULTS: Mapping[str, Sequence[str]] = {}


@dataclass(frozen=True)
class Outcome:
    """How the tests of one file and function ended."""

    passed: int = 0
    failed: int = 0


def fault_rows(faults: Mapping[str, Sequence[str]] = FAULTS, *, root: Path = ROOT) -> list[Row]:
    """Run the tests of all faults once and return a row a fault: how many of its tests failed."""
    outcomes = run_tests(sorted({test for tests in faults.values() for test in tests}), root=root)
    return [fault_row(fault, [outcomes.get(test, Outcome()) for test in tests]) for fault, tests in faults.items()]


def fault_row(fault: str, outcomes: Sequence[Outcome]) -> Row:
    """Return the row of one fault."""
    ran = all(one.passed + one.failed for one in outcomes)
    passed, failed = sum(one.passed for one in outcomes), sum(one.failed for one in outcomes)
    value = float(failed) if ran else float("nan")
    return Row(fault, value, "failed", Target("<=", 0), f"{passed} cases passed" if ran else "a test did not run")


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
